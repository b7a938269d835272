//! Trainings that begin where another stands.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;

use super::data::{Corpora, Prepared};
use super::run::Run;
use super::trainer::Trainer;
use crate::checkpoint::{Checkpoint, Progress, Training, load_moments, load_weights};
use crate::config::Config;
use crate::shell::quote_path;

/// What a new training does not take over from the checkpoint it begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Reset {
    /// Adam's moments, and the moving average of the weights.
    Optimizer,
    /// The number of steps taken, which the learning rate and the limits count by.
    Schedule,
    /// The best score, the patience spent, and the weights to be averaged at the end.
    Best,
    /// The place in the training text.
    Data,
}

impl Trainer {
    /// A training that goes on from a checkpoint, exactly as if it had not been stopped. The best score so far is forgotten
    /// where that is asked for, or where the validation text is another one.
    ///
    /// # Errors
    /// Where the checkpoint is not of a training, does not fit the configuration, or the text is another one; where the best
    /// weights cannot be read and are not forgotten.
    pub fn resume(
        config: Config,
        run: Run,
        corpora: Corpora,
        data: Prepared,
        checkpoint: Checkpoint,
        forgets_best: bool,
    ) -> Result<Self> {
        let name = run.last().display().to_string();
        let Some(training) = &checkpoint.training else {
            bail!("{name}: holds weights only; a training cannot go on from it")
        };
        if training.data_checksum != data.checksum {
            bail!("{name}: the training text is not the one this run began with");
        }
        let best_validation = training.best_validation();
        run.reconcile(training.progress.step, best_validation.map(|best| best.step), config.train.keep)?;
        let keeps_best = training.progress.best.is_some() && !forgets_best;
        if keeps_best {
            // Better to learn now than after the last step that there is no model to end with.
            Checkpoint::load(&run.best()).map_err(|error| {
                let name = quote_path(run.folder());
                anyhow!("{error:#}; to go on without the best weights so far: --resume {name} --reset best")
            })?;
        }
        let mut trainer = Self::new(config, run, corpora, data)?;
        load_weights(&mut trainer.model, checkpoint.training_weights()).with_context(|| name.clone())?;
        trainer.take_moments(&checkpoint, training).with_context(|| name.clone())?;
        let Some(training) = checkpoint.training else { unreachable!("looked at above") };
        trainer.progress = training.progress;
        trainer.check_place().with_context(|| name.clone())?;
        trainer.recent = training.recent;
        trainer.spikes = training.spikes;
        trainer.metrics = training.metrics;
        trainer.write_metrics()?;
        trainer.begun = true;
        if !keeps_best {
            trainer.forget_best();
        } else if best_validation.is_some_and(|best| best.checksum != trainer.data.valid_checksum) {
            trainer.reporter.line("the validation text is another one: the best score so far does not count");
            trainer.forget_best();
        }
        Ok(trainer)
    }

    /// A new training with the weights of a checkpoint, and with all else that the checkpoint holds of a training, except
    /// for what is `reset`. Time, metrics and limits in minutes are the new run's own. Of a checkpoint that holds weights
    /// only, there is nothing else to take.
    ///
    /// # Errors
    /// Where the weights do not fit the model, or something that is not reset does not fit the configuration or the text.
    pub fn init_from(
        config: Config,
        run: Run,
        corpora: Corpora,
        data: Prepared,
        (path, checkpoint): (&Path, &Checkpoint),
        reset: &[Reset],
    ) -> Result<Self> {
        let folder = run.clone();
        let begin = || {
            let mut trainer = Self::new(config, run, corpora, data)?;
            trainer.take_over(path, checkpoint, reset).with_context(|| path.display().to_string())?;
            Ok(trainer)
        };
        begin().inspect_err(|_| folder.discard())
    }

    /// Looks for the best validation anew.
    fn forget_best(&mut self) {
        (self.progress.best, self.progress.since_best) = (None, 0);
    }

    fn take_over(&mut self, path: &Path, checkpoint: &Checkpoint, reset: &[Reset]) -> Result<()> {
        let keeps = |part: Reset| !reset.contains(&part);
        let Some(training) = &checkpoint.training else {
            load_weights(&mut self.model, &checkpoint.weights)?;
            let line = format!("begins with the weights of {}, which holds no more", path.display());
            self.reporter.line(&line);
            return Ok(());
        };
        let stored = Config::from_toml(&checkpoint.config).context("configuration")?.train;
        if keeps(Reset::Optimizer) {
            load_weights(&mut self.model, checkpoint.training_weights())?;
            self.take_moments(checkpoint, training)?;
        } else {
            load_weights(&mut self.model, &checkpoint.weights)?;
        }
        let train = self.config.train.clone();
        let Progress { step, epoch, batch, best, since_best, .. } = training.progress;
        if keeps(Reset::Schedule) {
            self.progress.step = step;
        }
        if keeps(Reset::Data) {
            if training.data_checksum != self.data.checksum {
                bail!("it was trained on another text: --reset data");
            }
            if (stored.seed, stored.batch_tokens) != (train.seed, train.batch_tokens) {
                bail!("its batches are made with another train.seed or train.batch_tokens: --reset data");
            }
            (self.progress.epoch, self.progress.batch) = (epoch, batch);
            self.check_place()?;
        }
        if keeps(Reset::Best) && best.is_some() {
            if stored.best != train.best {
                bail!("its best {} is none in train.best = {}: --reset best", stored.best, train.best);
            }
            let weights = path.with_file_name("best.gradus");
            if !weights.exists() {
                bail!("there is no best.gradus beside it: --reset best");
            }
            // Read, so that damage is noticed now.
            Checkpoint::load(&weights)?.save(&self.run.best())?;
            (self.progress.best, self.progress.since_best) = (best, since_best);
            self.recent.clone_from(&training.recent);
        }
        self.reporter.line(&format!("begins with {} after step {step}", path.display()));
        Ok(())
    }

    /// Makes sure that the place in the training text is one that there is.
    fn check_place(&mut self) -> Result<()> {
        self.plan_batches();
        let (Progress { epoch, batch, .. }, batches) = (&self.progress, self.plan.len());
        if *batch >= batches {
            bail!("stands at batch {batch} of epoch {epoch}, which has {batches}");
        }
        Ok(())
    }

    /// Takes over Adam's moments, and the moving average where both trainings have one.
    fn take_moments(&mut self, checkpoint: &Checkpoint, training: &Training) -> Result<()> {
        load_moments(&mut self.adam, &self.model, &training.moments)?;
        self.adam.steps = training.adam_steps;
        if let (Some(ema), Some((_, steps))) = (&mut self.ema, &training.averaged) {
            ema.steps = *steps;
            ema.values =
                checkpoint.weights.iter().map(|(path, array)| (path.clone(), array.into())).collect();
        }
        Ok(())
    }
}
