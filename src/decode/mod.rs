//! Translating with a trained model: greedy and beam search, in batches, each step costing one position.
//!
//! [`search`] looks for the most probable target of every source of one batch; [`translate_all`] cuts any number of
//! sources into batches and spreads them over threads. Both work on anything that can say what comes next,
//! [`NextToken`], of which [`Transformer`] is the one that matters here; a toy or several models together are others.
//!
//! ```
//! use gradus::decode::{Search, Specials, search};
//! use gradus::nn::{Init, Preset, Transformer};
//!
//! let model: Transformer = Transformer::new(&Preset::Tiny.config(12, 12), &mut Init::seeded(1));
//! let specials = Specials { bos: 0, eos: 1, pad: 2 };
//! let sources = [vec![5, 7, 1], vec![4, 1]];
//! let found = search(&model, &sources, specials, &Search { beam: 4, nbest: 2, ..Search::default() });
//! assert_eq!(found.len(), 2);
//! assert!(found[0][0].score >= found[0][1].score);
//! ```
//!
//! What is found for a source does not depend on its company in the batch, as far as its scores do not. Those of a
//! [`Transformer`] are the same to the last bit in any company, so neither the size of batches nor the number of threads
//! changes anything.

mod batches;
mod beam;
mod next_token;
mod text;

use serde::{Deserialize, Serialize};

pub use batches::translate_all;
pub use next_token::NextToken;
pub use text::translate;

use beam::{Beam, Scores};
use nn::Sentences;
#[cfg(doc)]
use nn::Transformer;

/// How to search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Search {
    /// How many unfinished hypotheses of each sentence are followed. With 1 the search is greedy: it takes the most
    /// probable word until that is the end.
    pub beam: usize,
    /// α of the length penalty: a hypothesis of n tokens, the end included, has the score `log p / ((5 + n) / 6)^α` (Wu
    /// et al., "Google's Neural Machine Translation System", 2016, §7). With 0 the most probable hypothesis is the best;
    /// the larger it is, the longer are the translations.
    pub length_penalty: f64,
    /// How many hypotheses of each source are given back; at most `beam`.
    pub nbest: usize,
    /// A target has at most `max_ratio · S + max_extra` tokens, the end included, for a source of S tokens.
    pub max_ratio: f64,
    /// See `max_ratio`.
    pub max_extra: usize,
    /// No target has more tokens than this, the end included, whatever its source.
    pub max_length: usize,
}

/// A beam of 4 and α = 0.6 (Vaswani et al., 2017, §6.1), and targets of at most `2·S + 10` and 512 tokens.
impl Default for Search {
    fn default() -> Self {
        Self { beam: 4, length_penalty: 0.6, nbest: 1, max_ratio: 2.0, max_extra: 10, max_length: 512 }
    }
}

impl Search {
    /// One most probable word after the other.
    pub fn greedy() -> Self {
        Self { beam: 1, ..Self::default() }
    }

    /// The score of a hypothesis of `count` tokens, the end included: `log p / ((5 + count) / 6)^α`.
    pub fn score(&self, log_prob: f64, count: usize) -> f64 {
        log_prob / ((5.0 + count as f64) / 6.0).powf(self.length_penalty)
    }

    /// The most tokens that a target of a source of `source` tokens can have, ends included; at least 1, the end.
    pub fn limit(&self, source: usize) -> usize {
        let relative = (self.max_ratio * source as f64).ceil() as usize;
        relative.saturating_add(self.max_extra).min(self.max_length).max(1)
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
        if !(1..=beam).contains(&nbest) {
            return Err(format!("nbest = {nbest} is not in 1..=beam, and beam = {beam}"));
        }
        if !(length_penalty >= 0.0 && length_penalty.is_finite()) {
            return Err(format!("length_penalty = {length_penalty} is not a number of at least 0"));
        }
        if !(max_ratio >= 0.0 && max_ratio.is_finite()) {
            return Err(format!("max_ratio = {max_ratio} is not a number of at least 0"));
        }
        Ok(())
    }
}

/// A translation that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hypothesis {
    /// Its tokens, without beginning and end.
    pub tokens: Vec<u32>,
    /// The sum of the log-probabilities of its tokens and of the end. −∞ for a hypothesis that had to stop where the
    /// model gave the end no probability at all.
    pub log_prob: f64,
    /// The log-probability normalised for length, [`Search::score`]; what hypotheses are ordered by.
    pub score: f64,
}

/// The tokens that are not words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Specials {
    /// What a target begins with: given to the model, never produced.
    pub bos: u32,
    /// What sources and targets end with.
    pub eos: u32,
    /// What fills a batch: never produced.
    pub pad: u32,
}

impl Specials {
    /// The tokens that no target contains. Some vocabularies begin sentences with the token that ends them; there, a number
    /// that no token has stands in.
    fn never(&self) -> [u32; 2] {
        [self.bos, self.pad].map(|token| if token == self.eos { u32::MAX } else { token })
    }
}

/// Looks for the best targets of a batch of `sources`, each of which ends with `eos`; for each the `nbest` best, best
/// first. There are fewer where no more are possible within the length limit, and always at least one.
///
/// At each step the `2·beam` most probable continuations of a sentence's hypotheses are taken (by a greedy search, the
/// first), equally probable ones by lower token, then by better parent. Those that end the sentence are finished; of the
/// others the first `beam` go on. With log-probabilities never above 0, nothing that continues a hypothesis with
/// log-probability `log p` can score above `log p / ((5 + limit) / 6)^α`: once a sentence has `beam` finished
/// hypotheses, those that cannot rise above the worst of them are dropped, and a sentence without hypotheses to continue
/// leaves the batch. The last token that fits within the limit can only be the end.
///
/// # Panics
/// Where the options are not valid ([`Search::validate`]), and where the model does.
#[track_caller]
pub fn search<M: NextToken, R: AsRef<[u32]>>(
    model: &M,
    sources: &[R],
    specials: Specials,
    options: &Search,
) -> Vec<Vec<Hypothesis>> {
    if let Err(error) = options.validate() {
        panic!("search: {error}");
    }
    if sources.is_empty() {
        return Vec::new();
    }
    let limit = |source: &R| options.limit(source.as_ref().len()).min(model.longest_target());
    let mut beams: Vec<Beam> = sources.iter().map(|source| Beam::new(limit(source).max(1))).collect();
    let mut state = model.start(&Sentences::new(sources, specials.pad));
    let mut scores = Scores::default();
    // One row for each sentence at first: its hypotheses part only at the first word.
    let mut tokens = vec![specials.bos; sources.len()];
    let mut rows = Vec::new();
    while !tokens.is_empty() {
        let before = tokens.len();
        scores.take(model.step(&tokens, &mut state), before);
        tokens.clear();
        rows.clear();
        let mut first = 0;
        for beam in &mut beams {
            let count = beam.live().len();
            if count > 0 {
                beam.advance(&mut scores, first, specials, options);
            }
            for live in beam.live() {
                tokens.push(live.token);
                rows.push(first + live.parent);
            }
            first += count;
        }
        if !rows.is_empty() && !rows.iter().copied().eq(0..before) {
            model.select(&mut state, &rows);
        }
    }
    beams.into_iter().map(|beam| beam.into_best(options.nbest)).collect()
}
