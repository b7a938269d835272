//! How well a model translates.

use anyhow::Result;
use nn::{Positions, Transformer};

use crate::data::Pair;
use crate::data::tokenizer::{BOS, EOS, PAD, Tokenizer};
use crate::decode::{Search, Specials, translate_all};
use crate::metrics::{Bleu, BleuOptions, Chrf, ChrfOptions, bleu, chrf};

/// Translations and their scores.
#[derive(Clone, Debug)]
pub struct Quality {
    /// BLEU.
    pub bleu: Bleu,
    /// chrF.
    pub chrf: Chrf,
    /// The translations, in the order of the pairs.
    pub translations: Vec<String>,
}

/// Translates the sources of `pairs` and compares with their targets.
///
/// # Errors
/// None today; kept for decoders that can fail.
pub fn evaluate_pairs(
    model: &Transformer,
    (source, target): (&Tokenizer, &Tokenizer),
    pairs: &[Pair],
    search: &Search,
    options: &BleuOptions,
    threads: usize,
    progress: impl Fn(usize) + Sync,
) -> Result<Quality> {
    let texts: Vec<&str> = pairs.iter().map(|pair| pair.source.as_str()).collect();
    let translations = translate(model, (source, target), &texts, search, threads, progress);
    let references: Vec<&str> = pairs.iter().map(|pair| pair.target.as_str()).collect();
    let chrf_options = ChrfOptions { lowercase: options.lowercase, ..ChrfOptions::default() };
    Ok(Quality {
        bleu: bleu(&translations, &references, options),
        chrf: chrf(&translations, &references, &chrf_options),
        translations,
    })
}

/// The best translation of every text; blank for a blank one. Where positions are learned, what goes beyond them is cut
/// off.
pub fn translate(
    model: &Transformer,
    (source, target): (&Tokenizer, &Tokenizer),
    texts: &[&str],
    search: &Search,
    threads: usize,
    progress: impl Fn(usize) + Sync,
) -> Vec<String> {
    let longest = match model.config.positions {
        Positions::Learned => model.config.max_length,
        Positions::Sinusoidal => usize::MAX,
    };
    let mut sources = Vec::new();
    let mut places = Vec::new();
    for (place, text) in texts.iter().enumerate() {
        let mut ids = source.encode(text);
        if ids.is_empty() {
            continue;
        }
        ids.truncate(longest - 1);
        ids.push(EOS);
        sources.push(ids);
        places.push(place);
    }
    progress(texts.len() - sources.len());
    let specials = Specials { bos: BOS, eos: EOS, pad: PAD };
    let found = translate_all(model, &sources, specials, search, BATCH_TOKENS, threads, progress);
    let mut translations = vec![String::new(); texts.len()];
    for (place, hypotheses) in places.into_iter().zip(found) {
        if let Some(best) = hypotheses.first() {
            translations[place] = target.decode(&best.tokens);
        }
    }
    translations
}

/// Source tokens that are translated together.
const BATCH_TOKENS: usize = 1024;
