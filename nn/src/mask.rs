//! Which keys a query may see.

use std::sync::Arc;

use autograd::ops::attention::{Attention, Packed};
use autograd::{Ids, Keep, Shape};

/// Which keys each query may see. Constructors say what is *kept*.
///
/// Padding stands at the end of a row and causality hides what comes later, so every mask keeps a first part of the
/// keys; [`counts`](Self::counts) says how much of them, [`flags`](Self::flags) says it key by key.
///
/// Rows without padding, the sentences of a batch one after the other, are told apart by [`packed`](Self::packed).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mask {
    sentences: Sentences,
    past_only: bool,
}

/// How the rows of a batch belong to sentences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Sentences {
    /// `[B, S, D]`, all words.
    #[default]
    Full,
    /// `[B, S, D]`, of which these first keys are words.
    Padded(Arc<[usize]>),
    /// `[N, D]`.
    Packed(Box<Rows>),
}

/// Rows of sentences that follow each other without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rows {
    /// Which rows are whose.
    packed: Packed,
    /// How many keys each query may see, where it is only those up to its own position.
    past: Option<Ids>,
}

impl Mask {
    /// Keeps every key.
    pub fn keep_all() -> Self {
        Self::default()
    }

    /// Keeps the first `lengths[b]` keys of sentence `b`: no padding.
    pub fn keep_lengths(lengths: impl Into<Arc<[usize]>>) -> Self {
        Self { sentences: Sentences::Padded(lengths.into()), past_only: false }
    }

    /// Keeps the key at the query's own position and those before it: causality. The queries are the last positions of
    /// the keys, so that a cached decoder's single new query sees all keys so far.
    pub fn keep_past() -> Self {
        Self { past_only: true, ..Self::default() }
    }

    /// Keeps the keys of the query's own sentence, where sentences of these numbers of queries and of keys follow each
    /// other without padding: queries `[N, D]`, keys `[M, D]`.
    ///
    /// # Panics
    /// Where queries and keys are not those of equally many sentences, or are more than 32 bits number.
    #[track_caller]
    pub fn packed(queries: &[usize], keys: &[usize]) -> Self {
        let [of_queries, of_keys] = [queries.len(), keys.len()];
        assert!(of_queries == of_keys, "mask: queries of {of_queries} sentences, keys of {of_keys}");
        for (what, lengths) in [("queries", queries), ("keys", keys)] {
            let all = lengths.iter().try_fold(0usize, |all, &length| all.checked_add(length));
            let counted = all.and_then(|all| u32::try_from(all).ok());
            assert!(counted.is_some(), "mask: {what} {lengths:?} are more than 32 bits number");
        }
        let rows = Rows { packed: Packed::new(queries, keys), past: None };
        Self { sentences: Sentences::Packed(Box::new(rows)), past_only: false }
    }

    /// Keeps of what this mask keeps only the query's own position and those before it.
    #[must_use]
    pub fn and_past(mut self) -> Self {
        if let Sentences::Packed(rows) = &mut self.sentences {
            let Rows { packed, past: counts } = &mut **rows;
            let [queries, keys] = [&packed.queries, &packed.keys].map(|starts| starts.as_slice().windows(2));
            let length = |pair: &[u32]| (pair[1] - pair[0]) as usize;
            let of_sentence = |(queries, keys)| {
                let [queries, keys] = [queries, keys].map(length);
                (0..queries).map(move |query| past(query, queries, keys))
            };
            let all: Vec<u32> = queries.zip(keys).flat_map(of_sentence).collect();
            *counts = Some(Ids::new([all.len()], all));
        }
        Self { past_only: true, ..self }
    }

    /// The numbers that [`attention`](Self::attention) will be told of, where sentences are packed.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &Ids> {
        let packed = match &self.sentences {
            Sentences::Packed(rows) => Some(rows),
            _ => None,
        };
        packed.into_iter().flat_map(|rows| rows.packed.ids().into_iter().chain(&rows.past))
    }

    /// The attention over `queries` `[B, T, D]` and `keys` `[B, S, D]`, or packed ones, that this mask is for.
    ///
    /// # Panics
    /// Where the mask is for rows of another kind, or of another number of sentences.
    #[track_caller]
    pub fn attention(&self, heads: usize, queries: Shape, keys: Shape) -> Attention {
        let plain = Attention::plain(heads);
        match (&self.sentences, queries.as_slice(), keys.as_slice()) {
            (Sentences::Packed(rows), &[_, _], _) => {
                Attention { kept: rows.past.clone(), packed: Some(rows.packed.clone()), ..plain }
            }
            (Sentences::Full | Sentences::Padded(_), &[batch, queries, _], &[_, keys, _]) => {
                let kept = self.counts(batch, queries, keys);
                Attention { kept: kept.map(|kept| Ids::new([kept.len()], kept)), ..plain }
            }
            _ => panic!("mask: {self:?} is not for queries {queries} and keys {keys}"),
        }
    }

    /// The number of keys kept, from the first on, for each query `[B·T]`; `None` where all are.
    ///
    /// # Panics
    /// Where the mask is for another number of sentences, or for packed rows; where keys are more than 32 bits number, or queries
    /// than memory has addresses.
    #[track_caller]
    pub fn counts(&self, batch: usize, queries: usize, keys: usize) -> Option<Arc<[u32]>> {
        let rows = batch.checked_mul(queries).filter(|&rows| rows <= isize::MAX as usize / size_of::<u32>());
        let Some(rows) = rows else {
            panic!("mask: {batch} sentences of {queries} queries are more than memory has addresses")
        };
        assert!(u32::try_from(keys).is_ok(), "mask: {keys} keys are more than 32 bits number");
        let lengths = match &self.sentences {
            Sentences::Full if !self.past_only => return None,
            Sentences::Full => None,
            Sentences::Padded(lengths) => Some(lengths),
            Sentences::Packed(..) => panic!("mask: packed rows are no [B, T] queries"),
        };
        if let Some(lengths) = lengths {
            assert_eq!(lengths.len(), batch, "mask: lengths of {} sentences for {batch}", lengths.len());
        }
        let count = |sentence: usize, query: usize| {
            let length = lengths.map_or(keys, |lengths| lengths[sentence].min(keys)) as u32;
            if self.past_only { length.min(past(query, queries, keys)) } else { length }
        };
        Some((0..rows).map(|row| count(row / queries, row % queries)).collect())
    }

    /// A flag for each query and key, `[B, 1, T, S]`; `true` means kept.
    ///
    /// # Panics
    /// As [`counts`](Self::counts), and where the flags are more than memory has addresses.
    #[track_caller]
    pub fn flags(&self, batch: usize, queries: usize, keys: usize) -> Keep {
        let all = batch.checked_mul(queries).and_then(|rows| rows.checked_mul(keys));
        assert!(
            all.is_some_and(|all| isize::try_from(all).is_ok()),
            "mask: {batch} sentences of {queries} queries and {keys} keys are more than memory has addresses"
        );
        let flags: Vec<bool> = match self.counts(batch, queries, keys) {
            Some(counts) => {
                counts.iter().flat_map(|&count| (0..keys).map(move |key| key < count as usize)).collect()
            }
            None => vec![true; batch * queries * keys],
        };
        Keep::new([batch, 1, queries, keys], flags)
    }
}

/// The keys that a query may see which sees itself and what is before: query `i` stands at position `i + keys − queries`.
fn past(query: usize, queries: usize, keys: usize) -> u32 {
    (query + 1 + keys).saturating_sub(queries) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_sentences_keep_to_themselves() {
        let attention = Mask::packed(&[2, 1], &[2, 1]).and_past().attention(2, [3, 4].into(), [3, 4].into());
        assert_eq!(attention.kept.unwrap().as_slice(), [1, 2, 1]);
        let attention = Mask::packed(&[2, 1], &[5, 0]).attention(2, [3, 4].into(), [5, 4].into());
        assert_eq!((attention.kept, attention.packed), (None, Some(Packed::new(&[2, 1], &[5, 0]))));
    }

    #[test]
    #[should_panic(expected = "is not for queries [3, 4]")]
    fn padded_masks_are_not_for_packed_rows() {
        Mask::keep_lengths([2, 1]).attention(2, [3, 4].into(), [3, 4].into());
    }

    #[test]
    fn padding_and_causality_keep_the_shorter_part() {
        let counts = Mask::keep_lengths([2, 3, 0]).and_past().counts(3, 3, 3).unwrap();
        assert_eq!(*counts, [1, 2, 2, 1, 2, 3, 0, 0, 0]);
        assert_eq!(*Mask::keep_lengths([2]).counts(1, 2, 5).unwrap(), [2, 2]);
        assert_eq!(Mask::keep_all().counts(3, 2, 2), None);
    }

    #[test]
    fn no_more_keys_are_kept_than_there_are() {
        assert_eq!(*Mask::keep_lengths([5, 2]).counts(2, 1, 3).unwrap(), [3, 2]);
        assert_eq!(Mask::keep_all().flags(1, 1, 2).as_slice(), [true; 2]);
    }

    #[test]
    #[should_panic(expected = "mask: lengths of 2 sentences for 3")]
    fn a_mask_for_other_sentences_is_refused() {
        Mask::keep_lengths([1, 2]).counts(3, 1, 2);
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
