//! Which keys a query may see.

use std::sync::Arc;

use autograd::Keep;

/// Which keys each query may see. Constructors say what is *kept*.
///
/// Padding stands at the end of a row and causality hides what comes later, so every mask keeps a first part of the
/// keys; [`counts`](Self::counts) says how much of them, [`flags`](Self::flags) says it key by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mask {
    lengths: Option<Arc<[usize]>>,
    past_only: bool,
}

impl Mask {
    /// Keeps every key.
    pub fn keep_all() -> Self {
        Self::default()
    }

    /// Keeps the first `lengths[b]` keys of sentence `b`: no padding.
    pub fn keep_lengths(lengths: impl Into<Arc<[usize]>>) -> Self {
        Self { lengths: Some(lengths.into()), past_only: false }
    }

    /// Keeps the key at the query's own position and those before it: causality. The queries are the last positions of
    /// the keys, so that a cached decoder's single new query sees all keys so far.
    pub fn keep_past() -> Self {
        Self { lengths: None, past_only: true }
    }

    /// Keeps of what this mask keeps only the query's own position and those before it.
    #[must_use]
    pub fn and_past(self) -> Self {
        Self { past_only: true, ..self }
    }

    /// The number of keys kept, from the first on, for each query `[B·T]`; `None` where all are.
    ///
    /// # Panics
    /// Where the mask is for another number of sentences.
    #[track_caller]
    pub fn counts(&self, batch: usize, queries: usize, keys: usize) -> Option<Arc<[u32]>> {
        if let Some(lengths) = &self.lengths {
            assert_eq!(lengths.len(), batch, "mask: lengths of {} sentences for {batch}", lengths.len());
        }
        if self.lengths.is_none() && !self.past_only {
            return None;
        }
        let count = |sentence: usize, query: usize| {
            let length = self.lengths.as_ref().map_or(keys, |lengths| lengths[sentence].min(keys));
            // Query i stands at position i + keys − queries and sees up to itself.
            let past = if self.past_only { (query + 1 + keys).saturating_sub(queries) } else { keys };
            length.min(past) as u32
        };
        Some((0..batch * queries).map(|row| count(row / queries, row % queries)).collect())
    }

    /// A flag for each query and key, `[B, 1, T, S]`; `true` means kept.
    ///
    /// # Panics
    /// Where the mask is for another number of sentences.
    #[track_caller]
    pub fn flags(&self, batch: usize, queries: usize, keys: usize) -> Keep {
        let flags: Vec<bool> = match self.counts(batch, queries, keys) {
            Some(counts) => {
                counts.iter().flat_map(|&count| (0..keys).map(move |key| key < count as usize)).collect()
            }
            None => vec![true; batch * queries * keys],
        };
        Keep::new([batch, 1, queries, keys], flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_and_causality_keep_the_shorter_part() {
        let counts = Mask::keep_lengths([2, 3, 0]).and_past().counts(3, 3, 3).unwrap();
        assert_eq!(*counts, [1, 2, 2, 1, 2, 3, 0, 0, 0]);
        assert_eq!(*Mask::keep_lengths([2]).counts(1, 2, 5).unwrap(), [2, 2]);
        assert_eq!(Mask::keep_all().counts(3, 2, 2), None);
    }

    #[test]
    fn a_cached_query_sees_all_keys_so_far() {
        assert_eq!(*Mask::keep_past().counts(1, 1, 7).unwrap(), [7]);
        assert_eq!(*Mask::keep_past().counts(1, 2, 7).unwrap(), [6, 7]);
    }

    #[test]
    fn flags_say_what_counts_say() {
        let flags = Mask::keep_past().flags(1, 2, 2);
        assert_eq!(flags.as_slice(), [true, false, true, true]);
        assert_eq!(flags.shape(), [1, 1, 2, 2].into());
    }
}
