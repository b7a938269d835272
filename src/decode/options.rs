//! How to search.

use serde::{Deserialize, Serialize};

use super::{LengthPenalty, Sampling};

/// How to look for translations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Search {
    /// How many unfinished hypotheses of each sentence are followed. With 1 the search is greedy: it takes the most
    /// probable word until that is the end.
    pub beam: usize,
    /// How hypotheses of different lengths are compared.
    pub length_penalty: LengthPenalty,
    /// How many hypotheses of each source are given back; at most `beam`, but any number where they are drawn.
    pub nbest: usize,
    /// A target has at most `max_ratio · S + max_extra` tokens, the end included, for a source of S tokens.
    pub max_ratio: f64,
    /// See `max_ratio`.
    pub max_extra: usize,
    /// No target has more tokens than this, the end included, whatever its source.
    pub max_length: usize,
    /// No target has fewer tokens than this, the end not counted, as far as it may have as many.
    pub min_length: usize,
    /// No target has the same n tokens twice in a row of this length n; 0 allows everything (Paulus, Xiong and Socher, "A
    /// deep reinforced model for abstractive summarization", 2018, §2.5).
    pub no_repeat_ngram: usize,
    /// Words are drawn at random instead of searched for; needs a beam of 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,
}

/// A beam of 4 and the length penalty of Wu et al. with α = 0.6 (Vaswani et al., 2017, §6.1), and targets of at most
/// `2·S + 10` and 512 tokens.
impl Default for Search {
    fn default() -> Self {
        Self {
            beam: 4,
            length_penalty: LengthPenalty::default(),
            nbest: 1,
            max_ratio: 2.0,
            max_extra: 10,
            max_length: 512,
            min_length: 0,
            no_repeat_ngram: 0,
            sampling: None,
        }
    }
}

impl Search {
    /// The most hypotheses of a source that can be followed at once, or targets that can be drawn for it.
    pub const MOST_HYPOTHESES: usize = 100_000;

    /// One most probable word after the other.
    pub fn greedy() -> Self {
        Self { beam: 1, ..Self::default() }
    }

    /// Words drawn at random.
    pub fn sampled(sampling: Sampling) -> Self {
        Self { sampling: Some(sampling), ..Self::greedy() }
    }

    /// The score of a hypothesis of `count` tokens, the end included: its log-probability over the length penalty.
    pub fn score(&self, log_prob: f64, count: usize) -> f64 {
        self.length_penalty.score(log_prob, count)
    }

    /// The most tokens that a target of a source of `source` tokens can have, ends included; at least 1, the end.
    pub fn limit(&self, source: usize) -> usize {
        let relative = (self.max_ratio * source as f64).ceil() as usize;
        relative.saturating_add(self.max_extra).min(self.max_length).max(1)
    }

    /// The most hypotheses of a source that are followed at once.
    pub fn rows(&self) -> usize {
        if self.sampling.is_some() { self.nbest } else { self.beam }
    }

    /// Checks that the settings make sense.
    ///
    /// # Errors
    /// One line naming the setting that is wrong.
    pub fn validate(&self) -> Result<(), String> {
        let &Self { beam, length_penalty, nbest, max_ratio, .. } = self;
        if beam == 0 {
            return Err("beam must not be 0".into());
        }
        if let Some(sampling) = &self.sampling {
            if beam != 1 {
                return Err(format!(
                    "words are either searched for or drawn: beam = {beam} does not go with sampling"
                ));
            }
            sampling.validate()?;
        }
        if nbest == 0 && self.sampling.is_some() {
            return Err("nbest must not be 0".into());
        }
        if nbest == 0 || nbest > self.rows() {
            return Err(format!("nbest = {nbest} is not in 1..=beam, and beam = {beam}"));
        }
        // In this order: a beam is made as wide as it takes for the best that are asked for.
        for (name, count) in [("nbest", nbest), ("beam", beam)] {
            if count > Self::MOST_HYPOTHESES {
                return Err(format!("{name} = {count} is more than {}", Self::MOST_HYPOTHESES));
            }
        }
        let alpha = length_penalty.alpha();
        if !(alpha >= 0.0 && alpha.is_finite()) {
            return Err(format!("alpha = {alpha} of the length penalty is not a number of at least 0"));
        }
        if !(max_ratio >= 0.0 && max_ratio.is_finite()) {
            return Err(format!("max_ratio = {max_ratio} is not a number of at least 0"));
        }
        if self.min_length >= self.max_length.max(1) {
            let &Self { min_length, max_length, .. } = self;
            return Err(format!(
                "min_length = {min_length} and the end do not fit within max_length = {max_length}"
            ));
        }
        Ok(())
    }
}
