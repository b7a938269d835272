//! The settings of a training run: one TOML file, every key of which has a default and a command-line override.

mod data;
mod model;
mod tokenizer;
mod train;

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use nn::Dropouts;
use optim::Schedule;
use serde::{Deserialize, Serialize};

pub use data::DataConfig;
pub use model::ModelConfig;
pub use tokenizer::TokenizerSettings;
pub use train::{Metric, TrainConfig};

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
        let ends = train.steps.is_some() || train.epochs.is_some() || train.minutes.is_some();
        if !ends && train.patience.is_none() {
            train.epochs = Some(30);
        }
    }

    /// Fills in the end of a schedule that falls to a floor and names none: the end of training, if an epoch has this many
    /// steps.
    ///
    /// # Errors
    /// Where nothing says in advance when training ends.
    pub fn fill_schedule(&mut self, steps_per_epoch: u64) -> Result<()> {
        let train = &mut self.train;
        let Some(total) = train.schedule.total_mut().filter(|total| **total == 0) else { return Ok(()) };
        let epochs = train.epochs.map(|epochs| epochs.saturating_mul(steps_per_epoch));
        match [train.steps, epochs].into_iter().flatten().min() {
            Some(end) => *total = end,
            None => bail!(
                "train.schedule has no total, the step at which the rate is lowest, and neither steps nor epochs says when training ends"
            ),
        }
        Ok(())
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
    fn a_schedule_ends_with_the_training_unless_it_says_when() {
        let config = |text: &str| Config::from_toml(&format!("[train]\n{text}")).unwrap();
        let open = "schedule = { kind = \"linear\", peak = 0.1, warmup = 5 }\n";
        for (limits, end) in
            [("steps = 70", 70), ("epochs = 4", 40), ("steps = 70\nepochs = 4\nminutes = 1", 40)]
        {
            let mut config = config(&format!("{open}{limits}"));
            config.fill_schedule(10).unwrap();
            let expected = Schedule::Linear { peak: 0.1, warmup: 5, total: end, floor: 0.0 };
            assert_eq!(config.train.schedule, expected, "{limits}");
            config.train.steps = Some(500);
            config.fill_schedule(10).unwrap();
            assert_eq!(config.train.schedule, expected, "what is filled in stays");
        }
        let error = config(&format!("{open}minutes = 3")).fill_schedule(10).unwrap_err().to_string();
        assert!(error.contains("neither steps nor epochs says when training ends"), "{error}");
    }

    #[test]
    fn settings_without_sense_are_named() {
        for (text, expected) in [
            ("ema = 1.0", "train.ema = 1 is not in [0, 1)"),
            ("patience = 0", "train.patience must not be 0"),
            ("validate_beam = 0", "train.validate_beam must not be 0"),
            ("validate_beam = 10001", "train.validate_beam = 10001 is more than 10000"),
            (
                "schedule = { kind = \"constant\", rate = -1.0 }",
                "train.schedule: rate = -1 is not a positive number",
            ),
        ] {
            let config = Config::from_toml(&format!("[train]\n{text}\n")).unwrap();
            assert_eq!(config.validate().unwrap_err().to_string(), expected);
        }
        let error = Config::from_toml("[train]\nbest = \"ter\"\n").unwrap_err().to_string();
        assert!(error.contains("`ter`") && error.contains("`chrf`"), "{error}");
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let error = Config::from_toml("[train]\nseed = 3\nlearning_speed = 1.0\n").unwrap_err().to_string();
        assert!(error.starts_with("line 3:") && error.contains("learning_speed"), "{error}");
    }
}
