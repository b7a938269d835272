//! A batch of pairs of sentences as rows.

use autograd::Ids;

use crate::mask::Mask;
use crate::positional::positions;
use crate::sentences::Sentences;

/// A batch of pairs of sentences without padding: the words of all sentences follow each other in rows, `[N]` of the sources
/// and `[M]` of the targets.
#[derive(Clone, Debug)]
pub struct PackedPairs {
    pub(crate) source_words: Ids,
    pub(crate) source_places: Ids,
    pub(crate) source_mask: Mask,
    pub(crate) target_words: Ids,
    pub(crate) target_places: Ids,
    pub(crate) target_mask: Mask,
    pub(crate) memory_mask: Mask,
    pub(crate) labels: Ids,
}

impl PackedPairs {
    /// The rows of a batch, with the words that come next, `target_out [B, T]`.
    ///
    /// # Panics
    /// Where sources and targets are not equally many, lengths do not fit their ids, or the words that come next have another
    /// shape than the targets.
    #[track_caller]
    pub fn new(source: &Sentences, target_in: &Sentences, target_out: &Ids) -> Self {
        let [sources, targets] = [source, target_in].map(Sentences::count);
        assert!(sources == targets, "pairs: {sources} sources for {targets} targets");
        let [source_lengths, target_lengths] = [&source.lengths, &target_in.lengths];
        Self {
            source_words: source.pack(&source.ids),
            source_places: positions(source_lengths),
            source_mask: Mask::packed(source_lengths, source_lengths),
            target_words: target_in.pack(&target_in.ids),
            target_places: positions(target_lengths),
            target_mask: Mask::packed(target_lengths, target_lengths).and_past(),
            memory_mask: Mask::packed(target_lengths, source_lengths),
            labels: target_in.pack(target_out),
        }
    }

    /// What picks rows of tables, to [stage](autograd::stage).
    pub fn picks(&self) -> [&Ids; 4] {
        [&self.source_words, &self.target_words, &self.source_places, &self.target_places]
    }

    /// All other numbers.
    pub fn numbers(&self) -> Vec<&Ids> {
        let masks = [&self.source_mask, &self.target_mask, &self.memory_mask];
        masks.into_iter().flat_map(Mask::ids).chain([&self.labels]).collect()
    }
}
