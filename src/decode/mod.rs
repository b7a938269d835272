//! Translating with a trained model: greedy and beam search, in batches, each step costing one position.
//!
//! [`search`] looks for the most probable target of every source of one batch, or draws targets at random;
//! [`translate_all`] cuts any number of sources into batches and spreads them over threads; [`score()`] says how probable
//! given targets are. All work on anything that can say what comes next, [`NextToken`], of which [`Transformer`] is the one
//! that matters here; an [`Ensemble`] of several or a toy are others.
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
mod ensemble;
mod length_penalty;
mod next_token;
mod options;
mod sampling;
mod score;
mod scores;
mod text;

use serde::{Deserialize, Serialize};

pub use batches::{Batching, translate_all};
pub use ensemble::Ensemble;
pub use length_penalty::LengthPenalty;
pub use next_token::NextToken;
pub use options::Search;
pub use sampling::Sampling;
pub use score::{score, score_all};
pub use text::{LONGEST_SENTENCE, Remark, Translated, Translation, Translator, translate};

use autograd::Float;
use beam::{Beam, Live};
use nn::Sentences;
#[cfg(doc)]
use nn::Transformer;
use sampling::Sampler;
use scores::Scores;

/// A translation that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hypothesis {
    /// Its tokens, without beginning and end.
    pub tokens: Vec<u32>,
    /// The sum of the log-probabilities of its tokens and of the end. −∞ for a hypothesis that had to stop where the
    /// model gave the end no probability at all.
    pub log_prob: f64,
    /// The log-probability normalised for length, [`Search::score`]; what hypotheses are ordered by, unless they are drawn.
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
/// log-probability `log p` can score above what `log p` would at the length limit, whatever the length penalty: once a
/// sentence has `beam` finished hypotheses, those that cannot rise above the worst of them are dropped, and a sentence
/// without hypotheses to continue leaves the batch. The last token that fits within the limit can only be the end.
///
/// Where the options ask for [`Sampling`], `nbest` targets of each source are drawn instead, in the order of drawing.
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
    let numbers: Vec<usize> = (0..sources.len()).collect();
    search_numbered(model, sources, &numbers, specials, options)
}

/// The same where sources are some of many, with these numbers.
#[track_caller]
fn search_numbered<M: NextToken, R: AsRef<[u32]>>(
    model: &M,
    sources: &[R],
    numbers: &[usize],
    specials: Specials,
    options: &Search,
) -> Vec<Vec<Hypothesis>> {
    if let Err(error) = options.validate() {
        panic!("search: {error}");
    }
    if sources.is_empty() {
        return Vec::new();
    }
    let begin = |(source, &number): (&R, &usize)| {
        let limit = options.limit(source.as_ref().len()).min(model.longest_target()).max(1);
        match &options.sampling {
            None => Sentence::Searched(Beam::new(limit)),
            Some(sampling) => Sentence::Drawn(Sampler::new(limit, sampling, number, options.nbest)),
        }
    };
    let mut sentences: Vec<Sentence> = sources.iter().zip(numbers).map(begin).collect();
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
        for sentence in &mut sentences {
            let count = sentence.live().len();
            if count > 0 {
                sentence.advance(&mut scores, first, specials, options);
            }
            for live in sentence.live() {
                tokens.push(live.token);
                rows.push(first + live.parent);
            }
            first += count;
        }
        if !rows.is_empty() && !rows.iter().copied().eq(0..before) {
            model.select(&mut state, &rows);
        }
    }
    sentences.into_iter().map(|sentence| sentence.finish(options)).collect()
}

/// A sentence that is being translated.
#[derive(Debug)]
enum Sentence {
    Searched(Beam),
    Drawn(Sampler),
}

impl Sentence {
    /// The hypotheses that go on.
    fn live(&self) -> &[Live] {
        match self {
            Self::Searched(beam) => beam.live(),
            Self::Drawn(sampler) => sampler.live(),
        }
    }

    /// Continues all of them by one token. Their scores are the rows from `first` on.
    fn advance<T: Float>(
        &mut self,
        scores: &mut Scores<T>,
        first: usize,
        specials: Specials,
        options: &Search,
    ) {
        match self {
            Self::Searched(beam) => beam.advance(scores, first, specials, options),
            Self::Drawn(sampler) => sampler.advance(scores, first, specials, options),
        }
    }

    fn finish(self, options: &Search) -> Vec<Hypothesis> {
        match self {
            Self::Searched(beam) => beam.into_best(options.nbest),
            Self::Drawn(sampler) => sampler.into_draws(),
        }
    }
}
