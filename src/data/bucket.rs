//! Buckets of batches: those that a little padding gives one shape, so that what a card has recorded for one serves for all.

use super::batch::Batch;
use super::tokenizer::PAD;

/// Lengths that differ by less than it takes to get past a multiple of this make no difference to the work: attention takes
/// as many positions at once.
pub const LENGTHS: usize = 64;

/// The shape that batches are padded to, as far as work on rows without padding between them depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Sentences: a power of two. Those that are too many are empty, or hold the padding.
    pub sentences: usize,
    /// Rows of all sources and of all targets together.
    pub rows: [usize; 2],
    /// The longest source and target, in steps of [`LENGTHS`].
    pub longest: [usize; 2],
}

impl Bucket {
    /// The bucket that a batch falls into.
    pub fn of(batch: &Batch) -> Self {
        let used = [batch.source_tokens(), batch.target_tokens()];
        let widths = [batch.source_width, batch.target_width];
        let rows = used.map(rounded);
        // No sentence of padding is longer than the longest of the batch.
        let spare = (0..2).map(|side| (rows[side] - used[side]).div_ceil(widths[side].max(1))).max();
        let sentences = (batch.rows + spare.unwrap_or(0)).next_power_of_two();
        Self { sentences, rows, longest: widths.map(|width| width.div_ceil(LENGTHS)) }
    }

    /// The batch with sentences of padding at its end, so that it has the bucket's shape. Their labels are padding too.
    ///
    /// What the others compute does not change: rows and random numbers of sentences that come later are none of theirs.
    #[must_use]
    pub fn filled(&self, batch: &Batch) -> Batch {
        let mut filled = Batch { rows: self.sentences, ..batch.clone() };
        let sides = [
            (&mut filled.source_lengths, batch.source_width, self.rows[0]),
            (&mut filled.target_lengths, batch.target_width, self.rows[1]),
        ];
        for (lengths, width, rows) in sides {
            let mut left = rows - lengths.iter().sum::<usize>();
            lengths.resize_with(self.sentences, || {
                let length = left.min(width);
                left -= length;
                length
            });
        }
        filled.source.resize(self.sentences * batch.source_width, PAD);
        filled.target_in.resize(self.sentences * batch.target_width, PAD);
        filled.target_out.resize(self.sentences * batch.target_width, PAD);
        filled
    }
}

/// Rows, rounded up to one of eight numbers between a power of two and the next: by an eighth at most, and by a thirtieth on
/// average.
fn rounded(rows: usize) -> usize {
    rows.next_multiple_of((rows.next_power_of_two() / 16).max(1))
}

#[cfg(test)]
mod tests {
    use autograd::rng::Stream;

    use super::*;
    use crate::data::batch::{Example, collate, plan_epoch};

    fn examples(count: usize) -> Vec<Example> {
        let mut stream = Stream::new(3);
        let mut words = |count: u64| (0..count).map(|_| 4 + (stream.bits() % 90) as u32).collect::<Vec<_>>();
        let mut lengths = Stream::new(4);
        let mut side = |least: u64| words(least + lengths.bits() % 6);
        (0..count)
            .map(|i| Example { source: side(2 + i as u64 % 20), target: side(1 + i as u64 % 20) })
            .collect()
    }

    #[test]
    fn a_filled_batch_has_the_shape_of_its_bucket_and_the_same_sentences() {
        let examples = examples(40);
        for count in 1..40 {
            let batch = collate(&examples, &(0..count).collect::<Vec<_>>());
            let bucket = Bucket::of(&batch);
            let filled = bucket.filled(&batch);
            assert_eq!([filled.source_tokens(), filled.target_tokens()], bucket.rows);
            assert_eq!(filled.rows, bucket.sentences);
            assert_eq!(filled.source_lengths.len(), bucket.sentences);
            assert_eq!(filled.target_out.len(), bucket.sentences * batch.target_width);
            assert_eq!(filled.source_lengths[..count], batch.source_lengths);
            assert_eq!(filled.target_lengths[..count], batch.target_lengths);
            assert!(filled.source_lengths.iter().all(|&length| length <= batch.source_width));
            assert!(filled.target_lengths.iter().all(|&length| length <= batch.target_width));
            for (filled, batch) in [
                (&filled.source, &batch.source),
                (&filled.target_in, &batch.target_in),
                (&filled.target_out, &batch.target_out),
            ] {
                assert_eq!(filled[..batch.len()], batch[..]);
                assert!(filled[batch.len()..].iter().all(|&id| id == PAD));
            }
            assert_eq!(Bucket::of(&batch), bucket);
        }
    }

    #[test]
    fn buckets_are_few_and_cost_little() {
        let examples = examples(30_000);
        for budget in [2048, 4096] {
            let (mut buckets, mut used, mut filled) = (Vec::new(), 0, 0);
            let plan = plan_epoch(&examples, budget, 1, 0);
            for rows in &plan {
                let batch = collate(&examples, rows);
                let bucket = Bucket::of(&batch);
                used += batch.source_tokens() + batch.target_tokens();
                filled += bucket.rows[0] + bucket.rows[1];
                if !buckets.contains(&bucket) {
                    buckets.push(bucket);
                }
            }
            let waste = filled as f64 / used as f64 - 1.0;
            assert!(waste < 0.06, "{budget}: {waste}");
            assert!(buckets.len() <= 40, "{budget}: {} of {} batches", buckets.len(), plan.len());
        }
    }

    #[test]
    fn few_rows_are_hardly_rounded() {
        let all: Vec<usize> = [1, 16, 17, 33, 100, 2048, 2049, 4000].map(rounded).into();
        assert_eq!(all, [1, 16, 18, 36, 104, 2048, 2304, 4096]);
    }
}
