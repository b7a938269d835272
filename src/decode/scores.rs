//! What a model says of one step, and what may not follow whatever it says.

use autograd::kernels::cpu::best::best_and_log_sum;
use autograd::{Float, Tensor};

use super::{Search, Specials};

/// The scores of one step, and room to work on them.
#[derive(Debug)]
pub(super) struct Scores<T: Float> {
    /// `[rows, V]`
    scores: Tensor<T>,
    /// The best words of one row.
    pub(super) best: Vec<(T, u32)>,
    /// The tokens that may not follow.
    banned: Vec<u32>,
    /// How many of them are banned in every row.
    always: usize,
}

impl<T: Float> Default for Scores<T> {
    fn default() -> Self {
        Self { scores: Tensor::zeros([0, 1]), best: Vec::new(), banned: Vec::new(), always: 0 }
    }
}

impl<T: Float> Scores<T> {
    /// Takes the scores of another step.
    ///
    /// # Panics
    /// Where they are not `[rows, V]`.
    #[track_caller]
    pub(super) fn take(&mut self, scores: Tensor<T>, rows: usize) {
        let shape = scores.shape();
        assert!(
            matches!(*shape, [count, vocab] if count == rows && vocab > 0),
            "search: the scores of {rows} rows must be [{rows}, V], not {shape}"
        );
        self.scores = scores;
    }

    /// The scores of one hypothesis.
    pub(super) fn row(&self, row: usize) -> &[T] {
        let vocab = self.scores.shape()[1];
        &self.scores.as_slice()[row * vocab..][..vocab]
    }

    /// Bans what no target of `length` tokens may go on with.
    pub(super) fn ban(&mut self, specials: Specials, options: &Search, length: usize) {
        self.banned.clear();
        self.banned.extend(specials.never());
        if length < options.min_length {
            self.banned.push(specials.eos);
        }
        self.always = self.banned.len();
    }

    /// Bans, besides, every token that would complete `n` tokens in a row that `words` has already, and no longer what was
    /// banned for other words. `words` may be in either direction of reading, its last word being first.
    pub(super) fn ban_repeats(&mut self, last_first: &[u32], n: usize) {
        self.banned.truncate(self.always);
        // The n − 1 last words, wherever else they stand, are followed by what must not follow now.
        let Some(end) = last_first.get(..n.saturating_sub(1)) else { return };
        let follows = |window: &[u32]| (window[1..] == *end).then_some(window[0]);
        self.banned.extend(last_first.windows(n).filter_map(follows));
    }

    /// Leaves in `best` the `count` best words that may follow in this row, best first; gives `log Σ exp` of all scores.
    pub(super) fn find_best(&mut self, row: usize, count: usize) -> f64 {
        let mut best = std::mem::take(&mut self.best);
        let log_sum = best_and_log_sum(self.row(row), count, &self.banned, &mut best).to_f64();
        self.best = best;
        log_sum
    }

    /// The log-probability of `token` in this row.
    pub(super) fn log_prob(&mut self, row: usize, token: u32) -> f64 {
        let log_sum = self.find_best(row, 0);
        log_prob(self.row(row)[token as usize], log_sum)
    }

    /// The tokens that may not follow.
    pub(super) fn banned(&self) -> &[u32] {
        &self.banned
    }
}

/// A score as a log-probability. Rounding can lift a probability of nearly 1 above it, where no bound on later scores would
/// hold; a row that holds a NaN has no probabilities.
pub(super) fn log_prob<T: Float>(score: T, log_sum: f64) -> f64 {
    let own = score.to_f64() - log_sum;
    if own > 0.0 { 0.0 } else { own }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_repeat_is_banned_and_nothing_else() {
        let mut scores = Scores::<f32>::default();
        let specials = Specials { bos: 0, eos: 2, pad: 1 };
        scores.ban(specials, &Search::default(), 5);
        let banned = |scores: &mut Scores<f32>, words: &[u32], n| {
            let last_first: Vec<u32> = words.iter().rev().copied().collect();
            scores.ban_repeats(&last_first, n);
            scores.banned()[2..].to_vec()
        };
        assert_eq!(banned(&mut scores, &[5, 6, 7, 5, 6], 3), [7]);
        assert_eq!(banned(&mut scores, &[5, 6, 7, 5], 2), [6]);
        assert_eq!(banned(&mut scores, &[5, 5], 2), [5], "a word that follows itself");
        assert_eq!(banned(&mut scores, &[7, 5], 1), [5, 7]);
        assert_eq!(banned(&mut scores, &[5, 6, 7, 6, 5], 3), [0u32; 0]);
        assert_eq!(banned(&mut scores, &[5], 3), [0u32; 0]);
        scores.ban(specials, &Search { min_length: 6, ..Search::default() }, 5);
        assert!(scores.banned().contains(&2), "too short to end");
    }
}
