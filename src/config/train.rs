//! Settings of the training.

use anyhow::{Result, bail};
use optim::{Adam, Decay, Schedule};
use serde::{Deserialize, Serialize};

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
    /// Whether the gradients of the whole model are audited before the first step.
    pub audit: bool,
    /// Whether a step whose loss or gradient is not finite is left out, instead of ending the training.
    pub skip_nonfinite: bool,
    /// The weights of the finished model are the mean of those after this many of its last validations; 1 for none.
    pub average: usize,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            batch_tokens: 2048,
            accumulate: 1,
            shards: 2,
            threads: 0,
            smoothing: 0.1,
            clip: 1.0,
            betas: (0.9, 0.98),
            epsilon: 1e-9,
            weight_decay: 0.0,
            decay: Decay::Decoupled,
            schedule: Schedule::InverseSqrt { peak: 2e-3, warmup: 800 },
            steps: None,
            epochs: None,
            minutes: None,
            validate_every: 0,
            validate_sentences: 500,
            log_every: 20,
            save_every: 0,
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
