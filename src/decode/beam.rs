//! The hypotheses of one sentence.

use autograd::Float;

use super::scores::{Scores, log_prob};
use super::{Hypothesis, Search, Specials};

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

impl Live {
    /// The hypothesis without tokens.
    pub(super) fn root() -> Self {
        Self::after(0, 0)
    }

    /// One whose tokens and log-probability are kept elsewhere.
    pub(super) fn after(parent: usize, token: u32) -> Self {
        Self { parent, token, log_prob: 0.0, node: 0 }
    }
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
    /// Room for the continuations of a step.
    candidates: Vec<Candidate>,
}

impl Beam {
    /// One hypothesis without tokens.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            length: 0,
            live: vec![Live::root()],
            trail: vec![(0, 0)],
            finished: Vec::new(),
            candidates: Vec::new(),
        }
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
        let mut candidates = std::mem::take(&mut self.candidates);
        self.find(scores, first, count, specials, options, &mut candidates);
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
        self.candidates = candidates;
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
        options: &Search,
        candidates: &mut Vec<Candidate>,
    ) {
        let last = self.length + 1 == self.limit;
        candidates.clear();
        scores.ban(specials, options, self.length);
        for (parent, live) in self.live.iter().enumerate() {
            if options.no_repeat_ngram > 0 {
                scores.ban_repeats(&self.last_first(live.node), options.no_repeat_ngram);
            }
            // The last token can only be the end.
            let log_sum = scores.find_best(first + parent, if last { 0 } else { count });
            if last {
                let end = scores.row(first + parent)[specials.eos as usize];
                scores.best.push((end, specials.eos));
            }
            for &(score, token) in &scores.best {
                let log_prob = live.log_prob + log_prob(score, log_sum);
                if log_prob > f64::NEG_INFINITY {
                    candidates.push(Candidate { log_prob, token, parent });
                }
            }
        }
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
        let mut tokens = self.last_first(node);
        tokens.reverse();
        self.finished.insert(place, Hypothesis { tokens, log_prob, score });
        self.finished.truncate(options.beam);
    }
    /// The words up to `node` of the trail, the last first.
    fn last_first(&self, mut node: usize) -> Vec<u32> {
        let mut tokens = Vec::with_capacity(self.length);
        while node != 0 {
            let (before, token) = self.trail[node];
            tokens.push(token);
            node = before;
        }
        tokens
    }
}
