//! The settings of a training run: one TOML file, every key of which has a default and a command-line override.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use nn::{Activation, Dropouts, InitScheme, NormPlacement, Positions, Preset, Tied, TransformerConfig};
use optim::{Decay, Schedule};
use serde::{Deserialize, Serialize};

use crate::data::tokenizer::TokenizerConfig;

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

    fn validate(&self) -> Result<()> {
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
    /// Subwords of each vocabulary. Without it: 10,000 for text of one's own, 1,000 for the built-in corpus.
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
        let vocab_size = self.vocab_size.unwrap_or(10_000);
        TokenizerConfig { vocab_size, lowercase: self.lowercase, ..TokenizerConfig::default() }
    }
}

/// What is trained: a preset, and what differs from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are those of nn::TransformerConfig, which documents them")]
pub struct ModelConfig {
    /// The named size that the rest starts from.
    pub preset: Preset,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub d_model: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ffn: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heads: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder_layers: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoder_layers: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub norm: Option<NormPlacement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tied: Option<Tied>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positions: Option<Positions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<InitScheme>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub norm_epsilon: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropout: Option<Dropouts>,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            preset: Preset::Tiny,
            d_model: None,
            ffn: None,
            heads: None,
            encoder_layers: None,
            decoder_layers: None,
            norm: None,
            activation: None,
            tied: None,
            positions: None,
            max_length: None,
            init: None,
            norm_epsilon: None,
            dropout: None,
        }
    }
}

impl ModelConfig {
    /// The model's configuration for these vocabularies, and this with every choice filled in.
    ///
    /// # Errors
    /// One line naming the setting that does not fit.
    pub fn resolve(
        &self,
        source_vocab: usize,
        target_vocab: usize,
        joint: bool,
    ) -> Result<(TransformerConfig, Self)> {
        let mut preset = self.preset.config(source_vocab, target_vocab);
        if !joint {
            // Vocabularies of one size are not yet one vocabulary.
            preset.tied = Tied::Target;
        }
        let config = TransformerConfig {
            source_vocab,
            target_vocab,
            d_model: self.d_model.unwrap_or(preset.d_model),
            ffn: self.ffn.unwrap_or(preset.ffn),
            heads: self.heads.unwrap_or(preset.heads),
            encoder_layers: self.encoder_layers.unwrap_or(preset.encoder_layers),
            decoder_layers: self.decoder_layers.unwrap_or(preset.decoder_layers),
            norm: self.norm.unwrap_or(preset.norm),
            activation: self.activation.unwrap_or(preset.activation),
            tied: self.tied.unwrap_or(preset.tied),
            positions: self.positions.unwrap_or(preset.positions),
            max_length: self.max_length.unwrap_or(preset.max_length),
            dropout: self.dropout.unwrap_or(preset.dropout),
            init: self.init.unwrap_or(preset.init),
            norm_epsilon: self.norm_epsilon.unwrap_or(preset.norm_epsilon),
        };
        if config.tied == Tied::All && !joint {
            bail!("model: tied = \"all\" needs a joint vocabulary");
        }
        config.validate().map_err(|error| anyhow!("model: {error}"))?;
        let filled = Self {
            preset: self.preset,
            d_model: Some(config.d_model),
            ffn: Some(config.ffn),
            heads: Some(config.heads),
            encoder_layers: Some(config.encoder_layers),
            decoder_layers: Some(config.decoder_layers),
            norm: Some(config.norm),
            activation: Some(config.activation),
            tied: Some(config.tied),
            positions: Some(config.positions),
            max_length: Some(config.max_length),
            init: Some(config.init),
            norm_epsilon: Some(config.norm_epsilon),
            dropout: Some(config.dropout),
        };
        Ok((config, filled))
    }
}

/// How the model is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// What all random numbers come from.
    pub seed: u64,
    /// Padded tokens of one batch, on the longer side.
    pub batch_tokens: usize,
    /// Batches whose gradients are added up before a step.
    pub accumulate: usize,
    /// Parts of a batch that are computed one by one, or at the same time on as many threads. Results depend on this
    /// number, and not on the number of threads.
    pub shards: usize,
    /// Threads to use; 0 for one a core.
    pub threads: usize,
    /// The share of probability that label smoothing spreads over the vocabulary.
    pub smoothing: f64,
    /// The largest norm a gradient may have; 0 for no limit.
    pub clip: f64,
    /// Adam's β₁ and β₂.
    pub betas: (f64, f64),
    /// Adam's ε.
    pub epsilon: f64,
    /// The strength of weight decay.
    pub weight_decay: f64,
    /// How weights decay.
    pub decay: Decay,
    /// The learning rate over time.
    pub schedule: Schedule,
    /// Steps after which training ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Passes over the training text after which training ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
    /// Minutes of training after which it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minutes: Option<f64>,
    /// Steps between validations; 0 for one at the end of every epoch.
    pub validate_every: u64,
    /// Sentences of the validation text that are translated at each validation.
    pub validate_sentences: usize,
    /// Steps between the lines of `metrics.jsonl`.
    pub log_every: u64,
    /// Steps between checkpoints, beside those at validations; 0 for none.
    pub save_every: u64,
    /// The weights of the finished model are the mean of those after this many of its last validations; 1 for none.
    pub average: usize,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            batch_tokens: 4096,
            accumulate: 1,
            shards: 2,
            threads: 0,
            smoothing: 0.1,
            clip: 1.0,
            betas: (0.9, 0.98),
            epsilon: 1e-9,
            weight_decay: 0.0,
            decay: Decay::Decoupled,
            schedule: Schedule::InverseSqrt { peak: 3e-3, warmup: 1000 },
            steps: None,
            epochs: None,
            minutes: None,
            validate_every: 0,
            validate_sentences: 500,
            log_every: 20,
            save_every: 0,
            average: 5,
        }
    }
}

impl TrainConfig {
    /// The number of threads to run.
    pub fn thread_count(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        }
    }

    fn validate(&self) -> Result<()> {
        let counts = [
            ("batch_tokens", self.batch_tokens),
            ("accumulate", self.accumulate),
            ("shards", self.shards),
            ("average", self.average),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
            bail!("train.{name} must not be 0");
        }
        if self.log_every == 0 {
            bail!("train.log_every must not be 0");
        }
        if !(0.0..1.0).contains(&self.smoothing) {
            bail!("train.smoothing = {} is not in [0, 1)", self.smoothing);
        }
        let (beta1, beta2) = self.betas;
        if !(0.0..1.0).contains(&beta1) || !(0.0..1.0).contains(&beta2) {
            bail!("train.betas = [{beta1}, {beta2}] are not in [0, 1)");
        }
        if self.minutes.is_some_and(|minutes| !minutes.is_finite() || minutes <= 0.0) {
            bail!("train.minutes must be positive");
        }
        Ok(())
    }
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
        if self.tokenizer.vocab_size.is_some_and(|size| size < 16) {
            bail!("tokenizer.vocab_size must be at least 16");
        }
        Ok(())
    }

    /// Fills in what depends on the data: the built-in corpus is smaller and easier than text of one's own.
    pub fn fill_defaults(&mut self) {
        let builtin = self.data.is_builtin();
        if self.tokenizer.vocab_size.is_none() {
            self.tokenizer.vocab_size = Some(if builtin { 1000 } else { 10_000 });
        }
        let train = &mut self.train;
        if train.steps.is_none() && train.epochs.is_none() && train.minutes.is_none() {
            if builtin {
                train.steps = Some(1500);
            } else {
                train.epochs = Some(30);
            }
        }
        if builtin && train.validate_every == 0 {
            train.validate_every = 300;
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
