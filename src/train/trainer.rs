//! The training loop.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use autograd::{Parameters, rng};
use nn::{Init, Positions, Transformer};
use optim::Adam;
use serde_json::json;

use super::data::{Corpora, Prepared};
use super::report::Reporter;
use super::run::Run;
use super::step::{Step, StepOptions};
use super::stop::stop_requested;
use super::validate::Summary;
use crate::checkpoint::{
    Array, Checkpoint, Progress, Training, load_moments, load_weights, moments_of, weights_of,
};
use crate::config::Config;
use crate::data::batch::plan_epoch;

/// A training in progress.
#[derive(Debug)]
pub struct Trainer {
    pub(super) config: Config,
    pub(super) run: Run,
    pub(super) corpora: Corpora,
    pub(super) data: Prepared,
    pub(super) model: Transformer,
    pub(super) adam: Adam,
    pub(super) progress: Progress,
    /// The batches of the current pass over the text.
    pub(super) plan: Vec<Vec<usize>>,
    pub(super) metrics: Vec<String>,
    pub(super) recent: Vec<BTreeMap<String, Array>>,
    pub(super) reporter: Reporter,
}

/// How a call of [`Trainer::train`] ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// At the limit of steps, epochs or minutes.
    Finished(Box<Summary>),
    /// By a signal; everything is saved.
    Stopped,
}

impl Trainer {
    /// A training from the start. The configuration is resolved: what depends on the data is filled in.
    ///
    /// # Errors
    /// Where the model's settings do not fit, or the run's folder cannot be written.
    pub fn new(mut config: Config, run: Run, corpora: Corpora, data: Prepared) -> Result<Self> {
        let vocabs = (data.source_tokenizer.vocab_size(), data.target_tokenizer.vocab_size());
        let (architecture, resolved) = config.model.resolve(vocabs.0, vocabs.1, config.tokenizer.joint)?;
        config.model = resolved;
        if architecture.positions == Positions::Learned && config.data.max_length > architecture.max_length {
            bail!(
                "data.max_length = {} is more than the {} positions that the model learns",
                config.data.max_length,
                architecture.max_length
            );
        }
        let model =
            Transformer::new(&architecture, &mut Init::seeded(rng::derive(config.train.seed, u64::MAX)));
        let adam = config.train.adam();
        run.write("config.toml", &config.to_toml()?)?;
        run.write("tokenizer.json", &data.source_tokenizer.to_json()?)?;
        if !config.tokenizer.joint {
            run.write("tokenizer.target.json", &data.target_tokenizer.to_json()?)?;
        }
        run.write("metrics.jsonl", "")?;
        Ok(Self {
            config,
            run,
            corpora,
            data,
            model,
            adam,
            progress: Progress::default(),
            plan: Vec::new(),
            metrics: Vec::new(),
            recent: Vec::new(),
            reporter: Reporter::new(),
        })
    }

    /// A training that goes on from a checkpoint, exactly as if it had not been stopped.
    ///
    /// # Errors
    /// Where the checkpoint is not of a training, does not fit the configuration, or the text is another one.
    pub fn resume(
        config: Config,
        run: Run,
        corpora: Corpora,
        data: Prepared,
        checkpoint: Checkpoint,
    ) -> Result<Self> {
        let weights = checkpoint.weights;
        let name = run.last().display().to_string();
        let Some(training) = checkpoint.training else {
            bail!("{name}: holds weights only; a training cannot go on from it")
        };
        if training.data_checksum != data.checksum {
            bail!("{name}: the training text is not the one this run began with");
        }
        let mut trainer = Self::new(config, run, corpora, data)?;
        load_weights(&mut trainer.model, &weights).with_context(|| name.clone())?;
        load_moments(&mut trainer.adam, &trainer.model, &training.moments).with_context(|| name.clone())?;
        trainer.adam.steps = training.adam_steps;
        trainer.progress = training.progress;
        trainer.recent = training.recent;
        trainer.run.write(
            "metrics.jsonl",
            &training.metrics.iter().map(|line| format!("{line}\n")).collect::<String>(),
        )?;
        trainer.metrics = training.metrics;
        Ok(trainer)
    }

    /// The model.
    pub fn model(&self) -> &Transformer {
        &self.model
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.progress.step
    }

    /// The run's folder.
    pub fn run_folder(&self) -> String {
        self.run.folder().display().to_string()
    }

    /// Trains until a limit is reached or a signal comes.
    ///
    /// # Errors
    /// Where the audit before the first step finds a parameter that does not learn as it should, the loss or a gradient is
    /// not finite (unless such steps are left out), or something cannot be saved.
    pub fn train(&mut self) -> Result<Outcome> {
        self.announce();
        // Also after a resume: how far an epoch is done is counted in its batches.
        self.plan_batches();
        if self.config.train.audit && self.progress.step == 0 {
            self.audit()?;
        }
        while self.fraction_done() < 1.0 {
            self.take_step()?;
            let end_of_epoch = self.progress.batch == 0;
            let step = self.progress.step;
            let every = self.config.train.validate_every;
            if if every == 0 { end_of_epoch } else { step.is_multiple_of(every) } {
                self.validate()?;
                self.save()?;
            } else if self.config.train.save_every > 0 && step.is_multiple_of(self.config.train.save_every) {
                self.save()?;
            }
            if stop_requested() && self.fraction_done() < 1.0 {
                self.save()?;
                self.reporter.finish();
                return Ok(Outcome::Stopped);
            }
        }
        if self.progress.validated_at != Some(self.progress.step) {
            self.validate()?;
        }
        self.save()?;
        let summary = self.conclude()?;
        self.reporter.finish();
        Ok(Outcome::Finished(Box::new(summary)))
    }

    fn announce(&mut self) {
        let (notes, train) = (std::mem::take(&mut self.corpora.notes), &self.config.train);
        let threads = train.thread_count();
        let c = &self.model.config;
        let model = format!(
            "model {}: {} parameters, {}+{} layers, d_model {}, ffn {}, {} heads, vocabulary {}; {threads} thread{}",
            self.config.model.preset,
            thousands(self.model.parameter_count()),
            c.encoder_layers,
            c.decoder_layers,
            c.d_model,
            c.ffn,
            c.heads,
            thousands(c.target_vocab),
            if threads == 1 { "" } else { "s" },
        );
        for note in notes {
            self.reporter.line(&note);
        }
        self.reporter.line(&model);
        let step = self.progress.step;
        let from = if step > 0 { format!(", from step {step}") } else { String::new() };
        let run = self.run.folder().display();
        self.reporter.line(&format!("run {run}{from}"));
    }

    /// How much of the way to the nearest limit is done.
    fn fraction_done(&self) -> f64 {
        let (train, progress) = (&self.config.train, &self.progress);
        let epoch = progress.epoch as f64 + progress.batch as f64 / self.plan.len().max(1) as f64;
        let steps = train.steps.map(|limit| progress.step as f64 / limit.max(1) as f64);
        let epochs = train.epochs.map(|limit| epoch / limit.max(1) as f64);
        let minutes = train.minutes.map(|limit| progress.seconds / (60.0 * limit));
        [steps, epochs, minutes].into_iter().flatten().fold(0.0, f64::max)
    }

    /// Plans the next pass over the text where the last one is complete.
    fn plan_batches(&mut self) {
        if self.plan.is_empty() {
            let train = &self.config.train;
            self.data.begin_epoch(self.progress.epoch, train.thread_count());
            self.plan = plan_epoch(&self.data.train, train.batch_tokens, train.seed, self.progress.epoch);
        }
    }

    /// The batches of the next step.
    pub(super) fn batches(&self) -> &[Vec<usize>] {
        let first = self.progress.batch;
        &self.plan[first..(first + self.config.train.accumulate).min(self.plan.len())]
    }

    fn take_step(&mut self) -> Result<()> {
        let start = Instant::now();
        let train = self.config.train.clone();
        self.plan_batches();
        let batches = self.batches().to_vec();
        let count = batches.len();
        let step = self.progress.step + 1;
        let seed = rng::derive(train.seed, step);
        let rate = train.schedule.rate(step);
        let options = StepOptions::from(&train);
        let (model, adam) = (&mut self.model, &mut self.adam);
        let Step { loss, norm, target_tokens, .. } =
            super::step::step(model, adam, &self.data.train, &batches, &options, rate, seed);
        let finite = loss.is_finite() && norm.is_finite();
        if !finite {
            self.not_finite(step, seed, loss, norm)?;
        }

        let progress = &mut self.progress;
        progress.step = step;
        progress.batch += count;
        if progress.batch >= self.plan.len() {
            (progress.epoch, progress.batch) = (progress.epoch + 1, 0);
            self.plan.clear();
        }
        progress.seconds += start.elapsed().as_secs_f64();
        progress.step_seconds += start.elapsed().as_secs_f64();
        if !finite {
            return Ok(());
        }
        progress.target_tokens += target_tokens as u64;
        progress.pending_loss += loss * target_tokens as f64;
        progress.pending_tokens += target_tokens as u64;
        let loss = progress.pending_loss / progress.pending_tokens as f64;
        let speed = progress.target_tokens as f64 / progress.step_seconds;
        let status = format!(
            "step {step}  epoch {}  loss {loss:.3}  rate {rate:.2e}  {} tokens/s",
            progress.epoch + 1,
            thousands(speed as usize),
        );
        if step.is_multiple_of(train.log_every) {
            let record = json!({
                "kind": "train",
                "step": step,
                "epoch": progress.epoch,
                "loss": loss,
                "rate": rate,
                "gradient_norm": norm,
                "tokens_per_second": speed.round(),
                "seconds": (progress.seconds * 10.0).round() / 10.0,
            });
            (progress.pending_loss, progress.pending_tokens) = (0.0, 0);
            self.record(&record)?;
        }
        let fraction = self.fraction_done();
        self.reporter.progress(fraction, &status);
        Ok(())
    }

    pub(super) fn record(&mut self, record: &serde_json::Value) -> Result<()> {
        let path = self.run.metrics();
        let line = record.to_string();
        let append = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            writeln!(file, "{line}")
        };
        append().with_context(|| format!("{}: cannot write", path.display()))?;
        self.metrics.push(line);
        Ok(())
    }

    fn save(&self) -> Result<()> {
        let training = Training {
            adam_steps: self.adam.steps,
            moments: moments_of(&self.adam),
            progress: self.progress.clone(),
            metrics: self.metrics.clone(),
            recent: self.recent.clone(),
            data_checksum: self.data.checksum,
        };
        let checkpoint = self.weights_only();
        Checkpoint { training: Some(training), ..checkpoint }.save(&self.run.last())
    }

    pub(super) fn weights_only(&self) -> Checkpoint {
        let json = |tokenizer: &crate::data::tokenizer::Tokenizer| tokenizer.to_json().unwrap_or_default();
        Checkpoint {
            config: self.config.to_toml().unwrap_or_default(),
            source_tokenizer: json(&self.data.source_tokenizer),
            target_tokenizer: (!self.config.tokenizer.joint).then(|| json(&self.data.target_tokenizer)),
            weights: weights_of(&self.model),
            training: None,
        }
    }
}

/// `1234567` as `1,234,567`.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
