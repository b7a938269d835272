//! The hypotheses of one sentence.

use autograd::kernels::cpu::best::best_and_log_sum;
use autograd::{Float, Tensor};

use super::{Hypothesis, Search, Specials};

/// The scores of one step, and room to work on them.
#[derive(Debug)]
pub(super) struct Scores<T: Float> {
    /// `[rows, V]`
    scores: Tensor<T>,
    /// The best words of one row.
    best: Vec<(T, u32)>,
    /// The continuations of one sentence's hypotheses.
    candidates: Vec<Candidate>,
}

impl<T: Float> Default for Scores<T> {
    fn default() -> Self {
        Self { scores: Tensor::zeros([0, 1]), best: Vec::new(), candidates: Vec::new() }
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

    fn row(&self, row: usize) -> &[T] {
        let vocab = self.scores.shape()[1];
        &self.scores.as_slice()[row * vocab..][..vocab]
    }
}

/// A hypothesis that goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live {
    /// Which of the sentence's hypotheses it continues, counted at the step before.
    pub(super) parent: usize,
    /// Its last token.
    pub(super) token: u32,
    /// The sum of the log-probabilities of its tokens.
    log_prob: f64,
    /// Where its last token stands in the trail.
    node: usize,
}

/// A hypothesis and one more token.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    log_prob: f64,
    token: u32,
    parent: usize,
}

/// The search for one sentence.
#[derive(Debug)]
pub(super) struct Beam {
    /// The most tokens a hypothesis may have, its end included.
    limit: usize,
    /// The number of tokens of every live hypothesis.
    length: usize,
    /// The hypotheses that go on, most probable first.
    live: Vec<Live>,
    /// The tokens of all hypotheses that went on: each with the place of the one before it. The first is the root.
    trail: Vec<(usize, u32)>,
    /// The finished hypotheses, best first; at most as many as the beam is wide.
    finished: Vec<Hypothesis>,
}

impl Beam {
    /// One hypothesis without tokens.
    pub(super) fn new(limit: usize) -> Self {
        let root = Live { parent: 0, token: 0, log_prob: 0.0, node: 0 };
        Self { limit, length: 0, live: vec![root], trail: vec![(0, 0)], finished: Vec::new() }
    }

    /// The hypotheses that go on, most probable first.
    pub(super) fn live(&self) -> &[Live] {
        &self.live
    }

    /// Continues all live hypotheses by one token. Their scores are the rows from `first` on.
    pub(super) fn advance<T: Float>(
        &mut self,
        scores: &mut Scores<T>,
        first: usize,
        specials: Specials,
        options: &Search,
    ) {
        // Each of the hypotheses can end in one way, so that half of the candidates, one beam, do not end. A greedy
        // search has no second choice.
        let count = if options.beam == 1 { 1 } else { 2 * options.beam };
        let mut candidates = std::mem::take(&mut scores.candidates);
        self.find(scores, first, count, specials, &mut candidates);
        let parents = std::mem::take(&mut self.live);
        self.length += 1;
        for &Candidate { log_prob, token, parent } in &candidates {
            let before = parents[parent].node;
            if token == specials.eos {
                self.finish(before, log_prob, options);
            } else if self.live.len() < options.beam {
                self.live.push(Live { parent, token, log_prob, node: self.trail.len() });
                self.trail.push((before, token));
            }
        }
        scores.candidates = candidates;
        if self.finished.len() == options.beam {
            let worst = self.finished[options.beam - 1].score;
            // Exact, and no hypothesis that stays is the worse for it: whatever takes the place of one that is dropped
            // is less probable at the same length, and would be dropped too.
            self.live.retain(|live| options.score(live.log_prob, self.limit) > worst);
        }
        if self.live.is_empty() && self.finished.is_empty() {
            // The model left no way on, not even to the end: the best there was ends as it is.
            self.finish(parents[0].node, f64::NEG_INFINITY, options);
        }
    }

    /// The best hypotheses, best first.
    pub(super) fn into_best(mut self, count: usize) -> Vec<Hypothesis> {
        self.finished.truncate(count);
        self.finished
    }

    /// Leaves in `candidates` the `count` most probable continuations, most probable first.
    fn find<T: Float>(
        &self,
        scores: &mut Scores<T>,
        first: usize,
        count: usize,
        specials: Specials,
        candidates: &mut Vec<Candidate>,
    ) {
        let (last, never) = (self.length + 1 == self.limit, specials.never());
        candidates.clear();
        let mut best = std::mem::take(&mut scores.best);
        for (parent, live) in self.live.iter().enumerate() {
            let row = scores.row(first + parent);
            // The last token can only be the end.
            let count = if last { 0 } else { count };
            let log_sum = best_and_log_sum(row, count, &never, &mut best).to_f64();
            if last {
                best.push((row[specials.eos as usize], specials.eos));
            }
            for &(score, token) in &best {
                // Rounding can lift a probability of nearly 1 above it, where the bound on later scores would not hold;
                // a row that holds a NaN has no probabilities.
                let own = score.to_f64() - log_sum;
                let log_prob = live.log_prob + if own > 0.0 { 0.0 } else { own };
                if log_prob > f64::NEG_INFINITY {
                    candidates.push(Candidate { log_prob, token, parent });
                }
            }
        }
        scores.best = best;
        let by_log_prob = |a: &Candidate, b: &Candidate| b.log_prob.total_cmp(&a.log_prob);
        candidates
            .sort_unstable_by(|a, b| by_log_prob(a, b).then((a.token, a.parent).cmp(&(b.token, b.parent))));
        candidates.truncate(count);
    }

    /// Adds a finished hypothesis whose last word stands at `node` of the trail.
    fn finish(&mut self, node: usize, log_prob: f64, options: &Search) {
        let score = options.score(log_prob, self.length);
        // Of equal ones the first comes first.
        let place = self.finished.partition_point(|other| other.score >= score);
        if place == options.beam {
            return;
        }
        let mut tokens = Vec::with_capacity(self.length);
        let mut node = node;
        while node != 0 {
            let (before, token) = self.trail[node];
            tokens.push(token);
            node = before;
        }
        tokens.reverse();
        self.finished.insert(place, Hypothesis { tokens, log_prob, score });
        self.finished.truncate(options.beam);
    }
}
