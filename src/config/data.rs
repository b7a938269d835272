//! Settings of the text and its tokens.

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::data::tokenizer::TokenizerConfig;

/// Where the text comes from. With nothing named, the built-in corpus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// Source sentences, one a line, plain or gzip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<PathBuf>,
    /// Their translations, line by line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<PathBuf>,
    /// Source and target in one file, separated by a tab.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tsv: Option<PathBuf>,
    /// Sources to validate with; without them, a part of the training text is held out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_source: Option<PathBuf>,
    /// Their translations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_target: Option<PathBuf>,
    /// Sources to test the finished model with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_source: Option<PathBuf>,
    /// Their translations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_target: Option<PathBuf>,
    /// The longest sentence, in tokens, that is used in training.
    pub max_length: usize,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            source: None,
            target: None,
            tsv: None,
            valid_source: None,
            valid_target: None,
            test_source: None,
            test_target: None,
            max_length: 128,
        }
    }
}

impl DataConfig {
    /// Whether no data is named.
    pub fn is_builtin(&self) -> bool {
        self.source.is_none() && self.target.is_none() && self.tsv.is_none()
    }

    pub(super) fn validate(&self) -> Result<()> {
        let pairs = [
            (&self.source, &self.target, "--src", "--tgt"),
            (&self.valid_source, &self.valid_target, "--valid-src", "--valid-tgt"),
            (&self.test_source, &self.test_target, "--test-src", "--test-tgt"),
        ];
        for (source, target, source_flag, target_flag) in pairs {
            match (source, target) {
                (Some(_), None) => bail!("{source_flag} needs {target_flag}"),
                (None, Some(_)) => bail!("{target_flag} needs {source_flag}"),
                _ => {}
            }
        }
        if self.tsv.is_some() && self.source.is_some() {
            bail!("--tsv holds both sides: it does not go with --src and --tgt");
        }
        if self.is_builtin() && (self.valid_source.is_some() || self.test_source.is_some()) {
            bail!("validation or test text is named, but no training text: name --src and --tgt, or --tsv");
        }
        Ok(())
    }
}

/// How text becomes tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenizerSettings {
    /// Subwords of each vocabulary, 8,000 where it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocab_size: Option<usize>,
    /// One vocabulary for both languages.
    pub joint: bool,
    /// Whether text is lower-cased, in training and in translating.
    pub lowercase: bool,
}

impl Default for TokenizerSettings {
    fn default() -> Self {
        Self { vocab_size: None, joint: true, lowercase: false }
    }
}

impl TokenizerSettings {
    /// The settings as the tokenizer takes them.
    pub fn resolved(&self) -> TokenizerConfig {
        let vocab_size = self.vocab_size.unwrap_or(8000);
        TokenizerConfig { vocab_size, lowercase: self.lowercase, ..TokenizerConfig::default() }
    }
}
