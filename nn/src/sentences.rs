//! A batch of sentences as the model takes it.

use std::sync::Arc;

use autograd::Ids;

/// Sentences of different lengths in one array, padded at their ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentences {
    /// `[B, S]`, padded.
    pub ids: Ids,
    /// The length of each without padding, `[B]`.
    pub lengths: Arc<[usize]>,
}

impl Sentences {
    /// Sentences padded with `pad` to the longest.
    pub fn new<R: AsRef<[u32]>>(rows: &[R], pad: u32) -> Self {
        let lengths: Arc<[usize]> = rows.iter().map(|row| row.as_ref().len()).collect();
        let width = lengths.iter().copied().max().unwrap_or(0);
        let mut ids = vec![pad; rows.len() * width];
        for (row, out) in rows.iter().zip(ids.chunks_exact_mut(width.max(1))) {
            out[..row.as_ref().len()].copy_from_slice(row.as_ref());
        }
        Self { ids: Ids::new([rows.len(), width], ids), lengths }
    }

    /// Sentences that are padded already.
    ///
    /// # Panics
    /// Where the ids are not `[B, S]` for B lengths of at most S.
    #[track_caller]
    pub fn padded(ids: Ids, lengths: impl Into<Arc<[usize]>>) -> Self {
        let sentences = Self { ids, lengths: lengths.into() };
        sentences.check();
        sentences
    }

    /// # Panics
    /// Where the ids are not `[B, S]` for B lengths of at most S.
    #[track_caller]
    pub(crate) fn check(&self) {
        let Self { ids, lengths } = self;
        let fits = matches!(*ids.shape(), [rows, width]
            if rows == lengths.len() && lengths.iter().all(|&length| length <= width));
        assert!(fits, "sentences: lengths {lengths:?} do not fit ids of {}", ids.shape());
    }

    /// The words of `ids [B, S]` without what stands at padding here, one sentence after the other: `[N]`.
    ///
    /// # Panics
    /// Where the ids have another shape than these sentences, or the lengths do not fit them.
    #[track_caller]
    pub fn pack(&self, ids: &Ids) -> Ids {
        self.check();
        assert_eq!(ids.shape(), self.ids.shape(), "sentences: ids to pack have another shape than these");
        let rows = ids.as_slice().chunks(self.width().max(1)).zip(self.lengths.iter());
        let words: Vec<u32> = rows.flat_map(|(row, &length)| &row[..length]).copied().collect();
        Ids::new([words.len()], words)
    }

    /// B, the number of sentences.
    pub fn count(&self) -> usize {
        self.lengths.len()
    }

    /// S, the length of the longest with its padding.
    pub fn width(&self) -> usize {
        self.ids.shape()[1]
    }
}
