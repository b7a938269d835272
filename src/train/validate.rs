//! How well a model translates.

use anyhow::Result;
use nn::Transformer;

use crate::data::Pair;
use crate::data::tokenizer::{EOS, Tokenizer};
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

/// The best translation of every text.
pub fn translate(
    model: &Transformer,
    (source, target): (&Tokenizer, &Tokenizer),
    texts: &[&str],
    search: &Search,
    threads: usize,
    progress: impl Fn(usize) + Sync,
) -> Vec<String> {
    let sources: Vec<Vec<u32>> = texts
        .iter()
        .map(|text| {
            let mut ids = source.encode(text);
            ids.push(EOS);
            ids
        })
        .collect();
    let found = translate_all(model, &sources, Specials::default(), search, 4096, threads, progress);
    found
        .iter()
        .map(|hypotheses| hypotheses.first().map_or_else(String::new, |best| target.decode(&best.tokens)))
        .collect()
}
