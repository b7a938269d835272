//! BPE-dropout: merges left out at random, so that a word is seen in many pieces.

use std::collections::HashMap;

use anyhow::{Result, bail};
use autograd::rng::Stream;
use serde_json::Value;

#[cfg(doc)]
use super::LONGEST_WORD;
use super::{Tokenizer, UNK};

/// Texts, cut into words and characters, from which tokens are sampled (Provilkov, Emelianenko and Voita, "BPE-Dropout:
/// simple and effective subword regularization", 2020).
///
/// What is sampled is a function of the text, the share and the seed, unlike with the `tokenizers` crate, whose dropout
/// draws from the thread it runs on.
#[derive(Clone, Debug)]
pub struct Sampler {
    /// For two tokens that may be merged: the rank of that merge (lower goes first) and what it gives.
    merges: HashMap<(u32, u32), (u32, u32)>,
    /// Every word that occurs, as its characters.
    words: Vec<Vec<u32>>,
    /// Every text, as numbers of words.
    texts: Vec<Vec<u32>>,
}

impl Sampler {
    /// Cuts texts up.
    ///
    /// # Errors
    /// Where the tokenizer has no merges: it is not byte-pair encoding.
    pub fn new<'a>(tokenizer: &Tokenizer, texts: impl Iterator<Item = &'a str>) -> Result<Self> {
        let merges = merges_of(tokenizer)?;
        let (mut words, mut numbers) = (Vec::new(), HashMap::new());
        let texts = texts.map(|text| {
            let pieces = tokenizer.words(text).into_iter();
            let number = |word: String| {
                *numbers.entry(word).or_insert_with_key(|word| {
                    words.push(characters(tokenizer, word));
                    words.len() as u32 - 1
                })
            };
            pieces.map(number).collect()
        });
        let texts = texts.collect();
        Ok(Self { merges, words, texts })
    }

    /// Tokens of the `text`-th text, with each merge left out with probability `share` each time it could be made. With
    /// 0 they are those of [`Tokenizer::encode`], where no word is longer than [`LONGEST_WORD`]: nothing merges across the parts
    /// of one that is.
    pub fn sample(&self, text: usize, share: f64, seed: u64) -> Vec<u32> {
        let mut stream = Stream::new(seed);
        let mut tokens = Vec::new();
        for &word in &self.texts[text] {
            let first = tokens.len();
            tokens.extend_from_slice(&self.words[word as usize]);
            self.merge(&mut tokens, first, share, &mut stream);
        }
        tokens
    }

    /// Merges what lies from `first` on, the lowest rank first and the leftmost of equal ones.
    fn merge(&self, tokens: &mut Vec<u32>, first: usize, share: f64, stream: &mut Stream) {
        loop {
            let possible = (first..tokens.len().saturating_sub(1)).filter_map(|place| {
                let &(rank, merged) = self.merges.get(&(tokens[place], tokens[place + 1]))?;
                (share == 0.0 || stream.uniform() >= share).then_some((rank, place, merged))
            });
            let Some((_, place, merged)) = possible.min() else { return };
            tokens[place] = merged;
            tokens.remove(place + 1);
        }
    }
}

/// The characters of a word as tokens, a run of unknown ones as one.
fn characters(tokenizer: &Tokenizer, word: &str) -> Vec<u32> {
    let id = |character: char| tokenizer.inner.token_to_id(character.encode_utf8(&mut [0; 4]));
    let mut ids: Vec<u32> = word.chars().map(|character| id(character).unwrap_or(UNK)).collect();
    ids.dedup_by(|a, b| (*a, *b) == (UNK, UNK));
    ids
}

/// The crate shows its merges in its file alone.
fn merges_of(tokenizer: &Tokenizer) -> Result<HashMap<(u32, u32), (u32, u32)>> {
    let file: Value = serde_json::from_str(&tokenizer.to_json()?)?;
    let Some(merges) = file["model"]["merges"].as_array() else {
        bail!("tokenizer.dropout leaves out merges of byte-pair encoding, and this tokenizer has none");
    };
    let id = |token: &str| tokenizer.inner.token_to_id(token);
    let parts = merges.iter().map(|merge| Some((merge[0].as_str()?, merge[1].as_str()?)));
    let ids = parts.map(|parts| {
        let (left, right) = parts?;
        Some(((id(left)?, id(right)?), id(&format!("{left}{right}"))?))
    });
    let ranked = (0..).zip(ids).map(|(rank, ids)| ids.map(|(pair, merged)| (pair, (rank, merged))));
    ranked.collect::<Option<_>>().ok_or_else(|| anyhow::anyhow!("tokenizer: its merges cannot be read"))
}
