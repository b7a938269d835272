//! Settings of the training.

use std::fmt;

use anyhow::{Result, anyhow, bail};
use autograd::Precision;
use clap::ValueEnum;
use optim::{Adam, Decay, Schedule};
use serde::{Deserialize, Serialize};

use super::limits;
use crate::decode::Search;

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
    /// How products multiply: "f32", "bf16" where the processor has AVX512-BF16 or on a card, "tf32" on a card. Weights and all
    /// else are `f32`.
    pub precision: Precision,
    /// Whether a card records steps, and takes those of the same shapes by what it has recorded; no result depends on it.
    pub graphs: bool,
    /// The share of probability that label smoothing spreads over the vocabulary.
    pub smoothing: f64,
    /// α of R-Drop (Liang et al., 2021), which reads every sentence with two different dropouts and holds one to the other, in
    /// twice the time; 0 for none, 5 in the paper's translations.
    pub r_drop: f64,
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
    /// The learning rate over time. The `total` of one that falls to a floor may be left out or 0 where `steps` or
    /// `epochs` is set: it is then the end of training, an epoch taken to have as many steps as the first.
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
    /// Validations without a new best score after which training ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<u64>,
    /// What tells which validation is the best: "loss", "bleu" or "chrf".
    pub best: Metric,
    /// Steps between validations; 0 for validations at the ends of epochs.
    pub validate_every: u64,
    /// Epochs between validations, where `validate_every` is 0.
    pub validate_every_epochs: u64,
    /// Sentences of the validation text that are translated at each validation.
    pub validate_sentences: usize,
    /// Width of the beam they are translated with; 1 is greedy.
    pub validate_beam: usize,
    /// Steps between the lines of `metrics.jsonl`.
    pub log_every: u64,
    /// Steps between checkpoints, beside those at validations; 0 for none.
    pub save_every: u64,
    /// How many of the last checkpoints are kept under their steps' names, beside the last and the best.
    pub keep: usize,
    /// The decay of an exponential moving average of the weights, which then stands for the model in validations, in
    /// translating and at the end; without it there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ema: Option<f64>,
    /// Parameters that are not trained, by patterns for their paths in which `*` stands for anything: `encoder.*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
    /// Whether the gradients of the whole model are audited before the first step.
    pub audit: bool,
    /// Whether a step whose loss or gradient is not finite is left out, instead of ending the training.
    pub skip_nonfinite: bool,
    /// The weights of the finished model are the mean of those after this many of its last validations, where that is
    /// better than the best single ones; 1 for none.
    pub average: usize,
}

/// What tells which validation is the best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// The mean loss of a target token of all validation text; the lower the better.
    Loss,
    /// BLEU of the sentences that are translated.
    #[default]
    Bleu,
    /// chrF of the sentences that are translated.
    Chrf,
}

impl Metric {
    /// Whether `score` is better than `other`. A score that is no number is not.
    pub fn is_better(self, score: f64, other: f64) -> bool {
        match self {
            Self::Loss => score < other,
            Self::Bleu | Self::Chrf => score > other,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Loss => "loss",
            Self::Bleu => "BLEU",
            Self::Chrf => "chrF",
        })
    }
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            batch_tokens: 2048,
            accumulate: 1,
            shards: 2,
            threads: 0,
            precision: Precision::F32,
            graphs: true,
            smoothing: 0.1,
            r_drop: 0.0,
            clip: 1.0,
            betas: (0.9, 0.98),
            epsilon: 1e-9,
            weight_decay: 0.0,
            decay: Decay::Decoupled,
            schedule: Schedule::InverseSqrt { peak: 2e-3, warmup: 800 },
            steps: None,
            epochs: None,
            minutes: None,
            patience: None,
            best: Metric::default(),
            validate_every: 0,
            validate_every_epochs: 1,
            validate_sentences: 500,
            validate_beam: 1,
            log_every: 20,
            save_every: 0,
            keep: 0,
            ema: None,
            freeze: Vec::new(),
            audit: true,
            skip_nonfinite: false,
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

    /// The optimiser, before its first step.
    pub fn adam(&self) -> Adam {
        let &Self { betas, epsilon, weight_decay, decay, .. } = self;
        Adam { betas, epsilon, weight_decay, decay, ..Adam::default() }
    }

    pub(super) fn validate(&self) -> Result<()> {
        let counts = [
            ("train.batch_tokens", self.batch_tokens, limits::MAX_BATCH_TOKENS),
            ("train.accumulate", self.accumulate, limits::MAX_ACCUMULATE),
            ("train.shards", self.shards, limits::MAX_SHARDS),
            ("train.average", self.average, limits::MAX_AVERAGE),
            ("train.validate_beam", self.validate_beam, Search::MOST_HYPOTHESES),
        ];
        counts.into_iter().try_for_each(|(key, count, most)| limits::count(key, count, most))?;
        limits::at_most("train.threads", self.threads, limits::MAX_THREADS)?;
        let lengths = [
            ("log_every", Some(self.log_every)),
            ("validate_every_epochs", Some(self.validate_every_epochs)),
            ("steps", self.steps),
            ("epochs", self.epochs),
            ("patience", self.patience),
        ];
        if let Some((name, _)) = lengths.iter().find(|(_, length)| *length == Some(0)) {
            bail!("train.{name} must not be 0");
        }
        if self.validate_sentences == 0 && self.best != Metric::Loss {
            bail!("train.validate_sentences = 0 leaves nothing to tell the best {} by", self.best);
        }
        self.validate_schedule().map_err(|error| anyhow!("train.schedule: {error}"))?;
        if let Some(ema) = self.ema {
            limits::share("train.ema", ema)?;
        }
        limits::share("train.smoothing", self.smoothing)?;
        let (beta1, beta2) = self.betas;
        if !limits::is_share(beta1) || !limits::is_share(beta2) {
            bail!("train.betas = [{beta1}, {beta2}] are not in [0, 1)");
        }
        limits::not_negative("train.clip", self.clip)?;
        limits::epsilon("train.epsilon", self.epsilon)?;
        for (key, strength) in [("train.r_drop", self.r_drop), ("train.weight_decay", self.weight_decay)] {
            limits::not_negative(key, strength)?;
            limits::at_most(key, strength, limits::MAX_STRENGTH)?;
        }
        if let Some(minutes) = self.minutes.filter(|minutes| !minutes.is_finite() || *minutes <= 0.0) {
            bail!("train.minutes = {minutes} is not a positive number");
        }
        Ok(())
    }

    fn validate_schedule(&self) -> Result<()> {
        match self.schedule {
            Schedule::Constant { rate } => limits::rate("rate", rate),
            Schedule::Noam { factor, .. } => limits::rate("factor", factor),
            Schedule::InverseSqrt { peak, .. }
            | Schedule::Cosine { peak, .. }
            | Schedule::Linear { peak, .. } => limits::rate("peak", peak),
        }?;
        self.schedule.validate().map_err(|error| anyhow!("{error}"))
    }
}
