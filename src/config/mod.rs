//! The settings of a training run: one TOML file, every key of which has a default and a command-line override.

mod data;
pub mod limits;
pub(crate) mod memory;
mod model;
mod tokenizer;
mod train;

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use nn::{Dropouts, TransformerConfig};
use optim::Schedule;
use serde::{Deserialize, Serialize};

use crate::data::batch::Example;
pub use data::DataConfig;
pub use memory::Purpose;
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
        let said = |error: &toml::de::Error, key: &str| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            anyhow!("line {}: {key}{}", 1 + before.matches('\n').count(), error.message())
        };
        let settings = toml::Deserializer::parse(text).map_err(|error| said(&error, ""))?;
        serde_path_to_error::deserialize(settings).map_err(|error| {
            // What an unknown key should be called is in the message.
            let unknown = error.inner().message().starts_with("unknown field");
            let key = if unknown { String::new() } else { format!("{}: ", error.path()) };
            said(error.inner(), &key)
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
        self.tokenizer.validate()?;
        // Of any vocabularies: how large they are is for the text to say.
        self.model.resolve(16, 16, self.tokenizer.joint)?;
        let settings = serde_json::to_value(self).context("the configuration")?;
        limits::representable("", &settings)
    }

    /// The model's architecture for vocabularies of these sizes, source and target, and the model's settings with every choice
    /// filled in. Whatever makes a model of a configuration asks here, since this looks first whether it fits into memory.
    ///
    /// # Errors
    /// One line naming the setting that does not fit, or the one that makes the model too large for the memory that there is.
    pub fn architecture(
        &self,
        (source_vocab, target_vocab): (usize, usize),
        purpose: Purpose,
    ) -> Result<(TransformerConfig, ModelConfig)> {
        let (architecture, resolved) =
            self.model.resolve(source_vocab, target_vocab, self.tokenizer.joint)?;
        memory::weigh(&architecture, purpose)?;
        Ok((architecture, resolved))
    }

    /// Looks whether the steps of a pass over the text fit into memory: the gradients of all parts of a step, and what as many
    /// parts as there are threads keep for their backward pass.
    ///
    /// # Errors
    /// One line naming the setting that makes them too large.
    pub(crate) fn weigh_steps(
        &self,
        architecture: &TransformerConfig,
        purpose: Purpose,
        examples: &[Example],
        batches: &[Vec<usize>],
    ) -> Result<()> {
        let train = &self.train;
        let parts_of = |step: &[Vec<usize>]| step.iter().map(|batch| batch.len().min(train.shards)).sum();
        let parts = batches.chunks(train.accumulate).map(parts_of).max().unwrap_or(0);
        memory::weigh_parts(architecture, purpose, parts)?;
        let tokens = |batch: &Vec<usize>, side: fn(&Example) -> usize| {
            batch.iter().map(|&row| side(&examples[row]) as f64).sum::<f64>()
        };
        let largest = |side| batches.iter().map(|batch| tokens(batch, side)).fold(0.0, f64::max);
        let at_once = train.thread_count().min(train.shards) as f64 / train.shards as f64;
        let [source, target] =
            [|example: &Example| example.source.len(), |example: &Example| example.target.len()]
                .map(|side| at_once * largest(side));
        memory::weigh_batch(architecture, source, target)
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
            // No number of TOML is larger.
            Some(end) => *total = end.min(i64::MAX.unsigned_abs()),
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
            ("validate_beam = 100001", "train.validate_beam = 100001 is more than 100000"),
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
