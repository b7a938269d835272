//! From text to text.

use std::fmt;

use nn::Transformer;
use serde::Serialize;

use super::{Batching, Hypothesis, NextToken, Search, Specials, translate_all};
use crate::data::tokenizer::{BOS, EOS, PAD, Tokenizer};

/// The longest source, in tokens with the end included, that is translated whole by a model that was trained with none longer:
/// the time that attention takes is quadratic in the length.
pub const LONGEST_SENTENCE: usize = 4096;

/// A model with what it takes to give it text.
#[derive(Debug)]
pub struct Translator<'a, M> {
    /// The model.
    pub model: &'a M,
    /// The source side's tokenizer.
    pub source: &'a Tokenizer,
    /// The target side's.
    pub target: &'a Tokenizer,
    /// The length of the longest sentences that the model was trained with, in tokens, the end included; `usize::MAX` where that
    /// is of no concern.
    pub trained_length: usize,
}

/// What was made of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Translated {
    /// The translations, best first; for a blank text one that is blank.
    pub translations: Vec<Translation>,
    /// What is to be said of the length of the text, if anything.
    pub remark: Option<Remark>,
}

/// One translation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Translation {
    /// The text.
    pub text: String,
    /// The log-probability normalised for length.
    pub score: f64,
    /// The log-probability.
    pub log_prob: f64,
    /// The tokens, the end not among them.
    pub tokens: Vec<String>,
}

/// That a text is longer than what its model knows. Written out, one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remark {
    /// Positions are learned, and there are too few; the rest is left out.
    Unreadable {
        /// The text's tokens, the end included.
        tokens: usize,
        /// How many the model can read.
        longest: usize,
    },
    /// Beyond [`LONGEST_SENTENCE`], and beyond training; the rest is left out.
    Cut {
        /// The text's tokens, the end included.
        tokens: usize,
        /// How many are translated.
        longest: usize,
    },
    /// The whole is translated, and is longer than anything in training.
    Untrained {
        /// The text's tokens, the end included.
        tokens: usize,
        /// The most in training.
        longest: usize,
    },
}

impl Remark {
    /// What is to be said of a text of so many tokens, the end included; nothing for most.
    pub fn of(tokens: usize, readable: usize, trained: usize) -> Option<Self> {
        let most = LONGEST_SENTENCE.max(trained);
        if tokens > readable && readable <= most {
            Some(Self::Unreadable { tokens, longest: readable })
        } else if tokens > most {
            Some(Self::Cut { tokens, longest: most })
        } else if tokens > trained {
            Some(Self::Untrained { tokens, longest: trained })
        } else {
            None
        }
    }

    /// How many of the tokens are translated, the end included.
    fn kept(self) -> usize {
        match self {
            Self::Unreadable { longest, .. } | Self::Cut { longest, .. } => longest,
            Self::Untrained { tokens, .. } => tokens,
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { tokens, longest } => write!(
                f,
                "{tokens} tokens are more than the {longest} that the model can read; the rest is left out"
            ),
            Self::Cut { tokens, longest } => {
                write!(
                    f,
                    "{tokens} tokens are more than the {longest} that are translated; the rest is left out"
                )
            }
            Self::Untrained { tokens, longest } => write!(
                f,
                "{tokens} tokens are more than the {longest} that sentences had in training; do not rely on the result"
            ),
        }
    }
}

impl Translator<'_, Transformer> {
    /// The tokens of this program's tokenizers that are not words.
    pub const SPECIALS: Specials = Specials { bos: BOS, eos: EOS, pad: PAD };
}

impl<M: NextToken + Sync> Translator<'_, M> {
    /// The translations of every text. What goes beyond learned positions, or [`LONGEST_SENTENCE`], is cut off. Each time some
    /// texts are done, `progress` is told how many.
    pub fn translate(
        &self,
        texts: &[&str],
        search: &Search,
        batching: &Batching,
        progress: impl Fn(usize) + Sync,
    ) -> Vec<Translated> {
        let longest = self.model.longest_source();
        let (mut sources, mut remarks) = (Vec::new(), Vec::new());
        for text in texts {
            let mut ids = self.source.encode(text);
            let tokens = ids.len() + 1;
            let remark = Remark::of(tokens, longest, self.trained_length);
            remarks.push(remark);
            // A blank text is no source: no one knows what a model would say to it.
            if !ids.is_empty() {
                ids.truncate(remark.map_or(tokens, Remark::kept) - 1);
                ids.push(EOS);
            }
            sources.push(ids);
        }
        let found = translate_all(self.model, &sources, Translator::SPECIALS, search, batching, progress);
        let translated = |(hypotheses, remark): (Vec<Hypothesis>, _)| {
            let mut translations: Vec<_> = hypotheses.iter().map(|found| self.translation(found)).collect();
            if translations.is_empty() {
                let (text, tokens) = (String::new(), Vec::new());
                translations.push(Translation { text, score: 0.0, log_prob: 0.0, tokens });
            }
            Translated { translations, remark }
        };
        found.into_iter().zip(remarks).map(translated).collect()
    }

    fn translation(&self, found: &Hypothesis) -> Translation {
        let &Hypothesis { ref tokens, log_prob, score } = found;
        let text = self.target.decode(tokens);
        Translation {
            text,
            score,
            log_prob,
            tokens: tokens.iter().map(|&id| self.target.token(id)).collect(),
        }
    }
}

/// The best translation of every text; blank for a blank one. Where positions are learned, what goes beyond them is cut
/// off.
pub fn translate<M: NextToken + Sync>(
    model: &M,
    (source, target): (&Tokenizer, &Tokenizer),
    texts: &[&str],
    search: &Search,
    threads: usize,
    progress: impl Fn(usize) + Sync,
) -> Vec<String> {
    let batching = Batching { threads, ..Batching::for_rows(search.rows()) };
    let translator = Translator { model, source, target, trained_length: usize::MAX };
    let translated = translator.translate(texts, search, &batching, progress);
    let best = |mut one: Translated| one.translations.swap_remove(0).text;
    translated.into_iter().map(best).collect()
}

impl Batching {
    /// What suits searches that follow so many hypotheses of each source.
    pub fn for_rows(rows: usize) -> Self {
        let whole = Self::default();
        Self { tokens: whole.tokens / rows.max(1), ..whole }
    }
}
