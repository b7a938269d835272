//! Subwords: byte-pair encoding or a unigram model, kept in one `tokenizer.json`.
//!
//! A wrapper over the `tokenizers` crate. The file holds everything that happens to a text on its way to numbers, from
//! Unicode normalisation on, so that training and translating cannot differ, and Hugging Face's Python package reads it.
//!
//! ```text
//! "Isn’t it  a man's (old) hat?"
//!   normalise       Isn’t it a man's (old) hat?                    Unicode form, white space, lower case if wanted
//!   cut into words  ▁Isn ’ t ▁it ▁a ▁man ' s ▁( old ) ▁hat ?       "▁" is a space; every mark stands alone
//!   subwords        ▁Is n ’ t ▁it ▁a ▁man ' s ▁( old ) ▁h at ?     the merges learnt, in their order
//! ```

mod dropout;
mod file;
mod pipeline;
#[cfg(test)]
mod tests;
mod train;
mod unigram;

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tokenizers::{
    NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
};

pub use dropout::Sampler;

/// Fills up sentences of a batch.
pub const PAD: u32 = 0;
/// Begins a target sentence.
pub const BOS: u32 = 1;
/// Ends a sentence.
pub const EOS: u32 = 2;
/// Stands for a run of characters that the vocabulary does not know.
pub const UNK: u32 = 3;

/// The special tokens, in the order of their ids.
const SPECIAL: [&str; 4] = ["<pad>", "<s>", "</s>", "<unk>"];

/// How words become subwords.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Subwords {
    /// Byte-pair encoding: frequent neighbours become one
    ///
    /// Sennrich, Haddow and Birch, "Neural machine translation of rare words with subword units", 2016.
    #[default]
    Bpe,
    /// The most probable pieces of each word
    ///
    /// Kudo, "Subword regularization: improving neural network translation models with multiple subword candidates", 2018.
    Unigram,
}

/// The Unicode normalisation form of all text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum UnicodeForm {
    /// One code point for a letter with its accents; nothing else changes
    #[default]
    Nfc,
    /// Also plain characters for compatible ones: fi for the ligature, three periods for an ellipsis
    Nfkc,
}

/// How a vocabulary is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizerConfig {
    /// How words become subwords.
    pub kind: Subwords,
    /// The number of tokens, the four special ones included; fewer where the text does not give as many.
    pub vocab_size: usize,
    /// Whether text is lower-cased.
    pub lowercase: bool,
    /// The Unicode form of all text.
    pub unicode: UnicodeForm,
    /// How often a pair must occur to become one token of byte-pair encoding.
    pub min_frequency: u64,
}

impl Default for TokenizerConfig {
    fn default() -> Self {
        Self {
            kind: Subwords::default(),
            vocab_size: 8000,
            lowercase: false,
            unicode: UnicodeForm::default(),
            min_frequency: 2,
        }
    }
}

/// Text to tokens and back.
///
/// Ids run from 0 to [`vocab_size`](Self::vocab_size) without a gap; [`PAD`], [`BOS`], [`EOS`] and [`UNK`] are the first of
/// them. A tokenizer that is not so cannot be loaded.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
}

impl Tokenizer {
    /// Learns a vocabulary. The same text gives the same vocabulary, every time and on any number of threads.
    ///
    /// # Errors
    /// Where there is no text, or the vocabulary is too small for its characters.
    pub fn train<S>(texts: impl Iterator<Item = S> + Send, config: &TokenizerConfig) -> Result<Self>
    where
        S: AsRef<str> + Send,
    {
        file::checked(train::train(texts, config)?).map(|inner| Self { inner })
    }

    /// The tokens of a text, without special ones. A text that spells out a special token, such as `</s>`, is text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        // Only a pattern in a foreign file can fail. What it cannot cut into tokens is unknown.
        self.inner.encode_fast(text, false).map_or_else(|_| vec![UNK], |encoding| encoding.get_ids().to_vec())
    }

    /// The text of tokens; special ones are left out.
    ///
    /// `decode(&encode(text))` is [`normalise(text)`](Self::normalise) if every character of it is known.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.inner.decode(ids, true).unwrap_or_default()
    }

    /// What a text is taken for: in its Unicode form, without soft hyphens and other invisible characters, with single
    /// spaces, and lower-cased if so trained.
    pub fn normalise(&self, text: &str) -> String {
        self.normalised(text).get().to_owned()
    }

    fn normalised(&self, text: &str) -> NormalizedString {
        let mut normalised = NormalizedString::from(text);
        match self.inner.get_normalizer().map(|normalizer| normalizer.normalize(&mut normalised)) {
            Some(Err(_)) => NormalizedString::from(text),
            _ => normalised,
        }
    }

    /// The pieces of a text inside which tokens lie: words with the space before them as `▁`, and single marks.
    fn words(&self, text: &str) -> Vec<String> {
        let normalised = self.normalised(text);
        if normalised.is_empty() {
            return Vec::new();
        }
        let mut pieces = PreTokenizedString::from(normalised);
        if let Some(cut) = self.inner.get_pre_tokenizer()
            && cut.pre_tokenize(&mut pieces).is_err()
        {
            return Vec::new();
        }
        let pieces = pieces.get_splits(OffsetReferential::Original, OffsetType::None).into_iter();
        pieces.map(|(piece, _, _)| piece.to_owned()).collect()
    }

    /// The number of tokens.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// A token as it is in the vocabulary: `▁house`.
    pub fn token(&self, id: u32) -> String {
        self.inner.id_to_token(id).unwrap_or_default()
    }

    /// Whether the vocabulary knows this character, alone or as a part of its tokens.
    pub fn knows(&self, character: char) -> bool {
        self.inner.token_to_id(character.encode_utf8(&mut [0; 4])).is_some()
    }

    /// This as `tokenizer.json`, in the format of Hugging Face's `tokenizers`.
    ///
    /// # Errors
    /// None that is known; the crate reserves the right.
    pub fn to_json(&self) -> Result<String> {
        self.inner.to_string(true).map_err(|error| anyhow!("tokenizer: cannot write: {error}"))
    }

    /// Reads `tokenizer.json`.
    ///
    /// # Errors
    /// Where it is not one, or not one of this program.
    pub fn from_json(json: &str) -> Result<Self> {
        file::parse(json).map(|inner| Self { inner })
    }

    /// Reads a `tokenizer.json` file.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json), naming the file.
    pub fn load(path: &Path) -> Result<Self> {
        let name = path.display();
        let json = std::fs::read_to_string(path).with_context(|| format!("{name}: cannot read"))?;
        Self::from_json(&json).with_context(|| format!("{name}"))
    }
}
