//! From text to text.

use nn::Transformer;
use serde::Serialize;

use super::{Batching, Hypothesis, NextToken, Search, Specials, translate_all};
use crate::data::tokenizer::{BOS, EOS, PAD, Tokenizer};

/// A model with what it takes to give it text.
#[derive(Debug)]
pub struct Translator<'a, M> {
    /// The model.
    pub model: &'a M,
    /// The source side's tokenizer.
    pub source: &'a Tokenizer,
    /// The target side's.
    pub target: &'a Tokenizer,
}

/// What was made of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Translated {
    /// The translations, best first; for a blank text one that is blank.
    pub translations: Vec<Translation>,
    /// That only a part of the text was translated, where so.
    pub cut: Option<Cut>,
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

/// That a text is too long for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Its tokens, the end included.
    pub tokens: usize,
    /// How many the model can read.
    pub longest: usize,
}

impl Translator<'_, Transformer> {
    /// The tokens of this program's tokenizers that are not words.
    pub const SPECIALS: Specials = Specials { bos: BOS, eos: EOS, pad: PAD };
}

impl<M: NextToken + Sync> Translator<'_, M> {
    /// The translations of every text. Where positions are learned, what goes beyond them is cut off. Each time some texts
    /// are done, `progress` is told how many.
    pub fn translate(
        &self,
        texts: &[&str],
        search: &Search,
        batching: &Batching,
        progress: impl Fn(usize) + Sync,
    ) -> Vec<Translated> {
        let longest = self.model.longest_source();
        let (mut sources, mut cuts) = (Vec::new(), Vec::new());
        for text in texts {
            let mut ids = self.source.encode(text);
            let tokens = ids.len() + 1;
            cuts.push((tokens > longest).then_some(Cut { tokens, longest }));
            // A blank text is no source: no one knows what a model would say to it.
            if !ids.is_empty() {
                ids.truncate(longest - 1);
                ids.push(EOS);
            }
            sources.push(ids);
        }
        let found = translate_all(self.model, &sources, Translator::SPECIALS, search, batching, progress);
        let translated = |(hypotheses, cut): (Vec<Hypothesis>, _)| {
            let mut translations: Vec<_> = hypotheses.iter().map(|found| self.translation(found)).collect();
            if translations.is_empty() {
                let (text, tokens) = (String::new(), Vec::new());
                translations.push(Translation { text, score: 0.0, log_prob: 0.0, tokens });
            }
            Translated { translations, cut }
        };
        found.into_iter().zip(cuts).map(translated).collect()
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
    let translated = Translator { model, source, target }.translate(texts, search, &batching, progress);
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
