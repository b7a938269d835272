//! The settings of a training run: one TOML file, every key of which has a default and a command-line override.

mod data;
mod model;
mod tokenizer;
mod train;

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use nn::Dropouts;
use optim::Schedule;
use serde::{Deserialize, Serialize};

pub use data::DataConfig;
pub use model::ModelConfig;
pub use tokenizer::TokenizerSettings;
pub use train::TrainConfig;

/// All settings. Unknown keys are errors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the text comes from.
    pub data: DataConfig,
    /// How text becomes tokens.
    pub tokenizer: TokenizerSettings,
    /// What is trained.
    pub model: ModelConfig,
    /// How it is trained.
    pub train: TrainConfig,
}

impl Config {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// Where it cannot be read, or holds an unknown key or a value of another kind; the file and line are named.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("{}: cannot read", path.display()))?;
        Self::from_toml(&text).map_err(|error| anyhow!("{}: {error}", path.display()))
    }

    /// Reads TOML.
    ///
    /// # Errors
    /// One line that says where and what is wrong.
    pub fn from_toml(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| {
            let line =
                error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            anyhow!("line {line}: {}", error.message())
        })
    }

    /// This as TOML.
    ///
    /// # Errors
    /// Where a path is not valid UTF-8.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).context("the configuration cannot be written as TOML")
    }

    /// Checks what can be checked before data is read.
    ///
    /// # Errors
    /// One line naming the setting that is wrong.
    pub fn validate(&self) -> Result<()> {
        self.data.validate()?;
        self.train.validate()?;
        self.tokenizer.validate()
    }

    /// The recipe for the built-in corpus, which is smaller and more regular than real text: a small vocabulary, small
    /// batches, little dropout, and a rate that falls to nothing at a known end.
    pub fn builtin() -> Self {
        let steps = 1500;
        Self {
            tokenizer: TokenizerSettings { vocab_size: Some(1000), ..TokenizerSettings::default() },
            model: ModelConfig { dropout: Some(Dropouts::all(0.05)), ..ModelConfig::default() },
            train: TrainConfig {
                schedule: Schedule::Cosine { peak: 2e-3, warmup: 200, total: steps, floor: 0.0 },
                steps: Some(steps),
                validate_every: 300,
                validate_sentences: 200,
                average: 1,
                ..TrainConfig::default()
            },
            ..Self::default()
        }
    }

    /// Fills in what a configuration may leave open.
    pub fn fill_defaults(&mut self) {
        self.tokenizer.vocab_size.get_or_insert(8000);
        let train = &mut self.train;
        if train.steps.is_none() && train.epochs.is_none() && train.minutes.is_none() {
            train.epochs = Some(30);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolved_configuration_reads_back_the_same() {
        let mut config = Config::default();
        config.fill_defaults();
        config.model = config.model.resolve(100, 100, true).unwrap().1;
        assert_eq!(Config::from_toml(&config.to_toml().unwrap()).unwrap(), config);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let error = Config::from_toml("[train]\nseed = 3\nlearning_speed = 1.0\n").unwrap_err().to_string();
        assert!(error.starts_with("line 3:") && error.contains("learning_speed"), "{error}");
    }
}
