//! Settings of the tokens.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::limits;
use crate::data::tokenizer::{Subwords, TokenizerConfig, UnicodeForm};

/// How text becomes tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenizerSettings {
    /// Byte-pair encoding or a unigram model.
    pub kind: Subwords,
    /// Subwords of each vocabulary, 8,000 where it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocab_size: Option<usize>,
    /// One vocabulary for both languages.
    pub joint: bool,
    /// Whether text is lower-cased, in training and in translating.
    pub lowercase: bool,
    /// The Unicode form of all text.
    pub unicode: UnicodeForm,
    /// How probable it is that a merge of byte-pair encoding is left out, in training only: other subwords in each pass.
    pub dropout: f64,
}

impl Default for TokenizerSettings {
    fn default() -> Self {
        Self {
            kind: Subwords::default(),
            vocab_size: None,
            joint: true,
            lowercase: false,
            unicode: UnicodeForm::default(),
            dropout: 0.0,
        }
    }
}

impl TokenizerSettings {
    /// The settings as the tokenizer takes them.
    pub fn resolved(&self) -> TokenizerConfig {
        let &Self { kind, lowercase, unicode, .. } = self;
        let vocab_size = self.vocab_size.unwrap_or(8000);
        TokenizerConfig { kind, vocab_size, lowercase, unicode, ..TokenizerConfig::default() }
    }

    pub(super) fn validate(&self) -> Result<()> {
        if self.vocab_size.is_some_and(|size| size < 16) {
            bail!("tokenizer.vocab_size must be at least 16");
        }
        if let Some(size) = self.vocab_size {
            limits::at_most("tokenizer.vocab_size", size, limits::MAX_VOCAB_SIZE)?;
        }
        limits::share("tokenizer.dropout", self.dropout)?;
        if self.dropout > 0.0 && self.kind != Subwords::Bpe {
            bail!(
                "tokenizer.dropout leaves out merges of byte-pair encoding: it needs tokenizer.kind = \"bpe\""
            );
        }
        Ok(())
    }
}
