//! What a training leaves on the disk.

use anyhow::Result;

use super::trainer::Trainer;
use crate::checkpoint::{Checkpoint, Training, moments_of, weights_of};
use crate::files::rename_durably;

impl Trainer {
    /// Saves everything, to go on from.
    pub(super) fn save(&self) -> Result<()> {
        self.everything()?.save(&self.run.last())
    }

    /// The same at a regular time, when a checkpoint is also kept under its step's name, if so configured.
    ///
    /// `last.gradus` is written after all else that belongs to this step, so that it tells whether that is there; what must
    /// go waits until it is written. [`Run::reconcile`](super::Run::reconcile) puts right what a kill in between leaves.
    pub(super) fn save_and_keep(&self) -> Result<()> {
        let (step, keep) = (self.progress.step, self.config.train.keep);
        let mut checkpoint = self.everything()?;
        if keep > 0 {
            // They would make every one as large as ten.
            let recent = checkpoint.training.as_mut().map(|training| std::mem::take(&mut training.recent));
            checkpoint.save(&self.run.after(step))?;
            if let (Some(training), Some(recent)) = (&mut checkpoint.training, recent) {
                training.recent = recent;
            }
        }
        checkpoint.save(&self.run.last())?;
        let pending = self.run.pending_best(step);
        if pending.exists() {
            rename_durably(&pending, &self.run.best())?;
        }
        self.run.keep_last(keep)
    }

    fn everything(&self) -> Result<Checkpoint> {
        let training = Training {
            averaged: self.ema.as_ref().map(|ema| (weights_of(&self.model), ema.steps)),
            adam_steps: self.adam.steps,
            moments: moments_of(&self.adam),
            progress: self.progress.clone(),
            metrics: self.metrics.clone(),
            recent: self.recent.clone(),
            spikes: self.spikes.clone(),
            data_checksum: self.data.checksum,
        };
        Ok(Checkpoint { training: Some(training), ..self.weights_only()? })
    }

    /// What it takes to translate.
    ///
    /// # Errors
    /// Where the configuration or a tokenizer cannot be written as text.
    pub(super) fn weights_only(&self) -> Result<Checkpoint> {
        let target = (!self.config.tokenizer.joint).then(|| self.data.target_tokenizer.to_json());
        Ok(Checkpoint {
            config: self.config.to_toml()?,
            source_tokenizer: self.data.source_tokenizer.to_json()?,
            target_tokenizer: target.transpose()?,
            weights: weights_of(&self.averaged()),
            training: None,
        })
    }
}
