//! What a training leaves on the disk.

use std::fs;

use anyhow::{Context, Result};

use super::trainer::Trainer;
use crate::checkpoint::{Checkpoint, Training, moments_of, weights_of};
use crate::data::tokenizer::Tokenizer;

impl Trainer {
    /// Saves everything, to go on from.
    pub(super) fn save(&self) -> Result<()> {
        self.everything().save(&self.run.last())
    }

    /// The same at a regular time, when a checkpoint is also kept under its step's name, if so configured.
    pub(super) fn save_and_keep(&self) -> Result<()> {
        let mut checkpoint = self.everything();
        checkpoint.save(&self.run.last())?;
        let keep = self.config.train.keep;
        if keep == 0 {
            return Ok(());
        }
        if let Some(training) = &mut checkpoint.training {
            // They would make every one as large as ten.
            training.recent.clear();
        }
        checkpoint.save(&self.run.after(self.progress.step))?;
        let kept = self.run.kept()?;
        for path in &kept[..kept.len().saturating_sub(keep)] {
            fs::remove_file(path).with_context(|| format!("{}: cannot remove", path.display()))?;
        }
        Ok(())
    }

    fn everything(&self) -> Checkpoint {
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
        Checkpoint { training: Some(training), ..self.weights_only() }
    }

    /// What it takes to translate.
    pub(super) fn weights_only(&self) -> Checkpoint {
        let json = |tokenizer: &Tokenizer| tokenizer.to_json().unwrap_or_default();
        Checkpoint {
            config: self.config.to_toml().unwrap_or_default(),
            source_tokenizer: json(&self.data.source_tokenizer),
            target_tokenizer: (!self.config.tokenizer.joint).then(|| json(&self.data.target_tokenizer)),
            weights: weights_of(&self.averaged()),
            training: None,
        }
    }
}
