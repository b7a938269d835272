//! The training loop.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use autograd::{Device, Parameters, rng};
use nn::{Init, Positions, Transformer};
use optim::{Adam, Ema};
use serde_json::json;

use super::camera::Camera;
use super::data::{Corpora, Prepared};
use super::freeze::freeze;
use super::report::{Reporter, thousands};
use super::run::Run;
use super::spike::{Spike, Spikes};
use super::step::{Step, StepOptions};
use super::stepper::Stepper;
use super::stop::{stop_requested, training_begins};
use super::validate::Summary;
use crate::checkpoint::{Progress, Weights};
use crate::config::{Config, Purpose};
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
    stepper: Stepper,
    pub(super) ema: Option<Ema>,
    pub(super) progress: Progress,
    /// The batches of the current pass over the text.
    pub(super) plan: Vec<Vec<usize>>,
    pub(super) metrics: Vec<String>,
    pub(super) recent: Vec<Weights>,
    /// Steps that were left out since the last that was not.
    pub(super) skipped_in_a_row: u64,
    /// Whether the file of metrics lacks a line that could not be written.
    metrics_lack: bool,
    pub(super) spikes: Spikes,
    /// Whether it goes on with a run that was audited when it began.
    pub(super) begun: bool,
    pub(super) reporter: Reporter,
    /// Where the training is filmed.
    camera: Option<Camera>,
}

/// How a call of [`Trainer::train`] ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// At the limit of steps, epochs or minutes, or without a better score for too long.
    Finished(Box<Summary>),
    /// By a signal; everything is saved.
    Stopped,
}

impl Trainer {
    /// A training from the start. The configuration is resolved: what depends on the data is filled in.
    ///
    /// # Errors
    /// Where the model's settings do not fit, or the run's folder cannot be written; a folder that was made for the run is
    /// removed then.
    pub fn new(config: Config, run: Run, corpora: Corpora, data: Prepared) -> Result<Self> {
        let folder = run.clone();
        Self::begin(config, run, corpora, data).inspect_err(|_| folder.discard())
    }

    fn begin(mut config: Config, run: Run, corpora: Corpora, data: Prepared) -> Result<Self> {
        let vocabs = (data.source_tokenizer.vocab_size(), data.target_tokenizer.vocab_size());
        let purpose = Purpose::Training { averaged: config.train.ema.is_some() };
        let (architecture, resolved) = config.architecture(vocabs, purpose)?;
        config.model = resolved;
        if architecture.positions == Positions::Learned && config.data.max_length > architecture.max_length {
            bail!(
                "data.max_length = {} is more than the {} positions that the model learns",
                config.data.max_length,
                architecture.max_length
            );
        }
        let first = plan_epoch(&data.train, config.train.batch_tokens, config.train.seed, 0);
        config.weigh_steps(&architecture, purpose, &data.train, &first)?;
        config.fill_schedule(first.len().div_ceil(config.train.accumulate) as u64)?;
        let mut model =
            Transformer::new(&architecture, &mut Init::seeded(rng::derive(config.train.seed, u64::MAX)));
        freeze(&mut model, &config.train.freeze)?;
        let (adam, ema) = (config.train.adam(), config.train.ema.map(Ema::new));
        let stepper = Stepper::new(StepOptions::from(&config.train), config.train.graphs);
        run.write("config.toml", &config.to_toml()?)?;
        run.write("tokenizer.json", &data.source_tokenizer.to_json()?)?;
        if !config.tokenizer.joint {
            run.write("tokenizer.target.json", &data.target_tokenizer.to_json()?)?;
        }
        if !run.metrics().exists() {
            run.write("metrics.jsonl", "")?;
        }
        Ok(Self {
            config,
            run,
            corpora,
            data,
            model,
            adam,
            stepper,
            ema,
            progress: Progress::default(),
            plan: Vec::new(),
            metrics: Vec::new(),
            recent: Vec::new(),
            skipped_in_a_row: 0,
            metrics_lack: false,
            spikes: Spikes::default(),
            begun: false,
            reporter: Reporter::new(),
            camera: None,
        })
    }

    /// Films the training: a validation sentence's attention, now and then. The film is a page in the run's folder,
    /// `film.html`, when the training has ended.
    ///
    /// # Errors
    /// Where no validation sentence is short enough for a page.
    pub fn film(&mut self) -> Result<()> {
        let tokenizers = (&self.data.source_tokenizer, &self.data.target_tokenizer);
        let camera = Camera::new(&self.model, tokenizers, &self.corpora.valid, self.config.train.smoothing);
        self.camera = Some(camera.inspect_err(|_| self.run.discard())?);
        Ok(())
    }

    /// Trains on this device from now on: parameters and all that Adam remembers lie there.
    ///
    /// # Errors
    /// Where the device does not multiply as the configuration says.
    pub fn move_to(&mut self, device: &Device) -> Result<()> {
        device
            .set_precision(self.config.train.precision)
            .map_err(|error| anyhow!("train.precision: {error}"))?;
        if let Some(columns) = self.config.model.head_size() {
            device.announce_attention(columns);
        }
        self.model.move_to(device);
        self.adam.move_to(device);
        Ok(())
    }

    /// The model.
    pub fn model(&self) -> &Transformer {
        &self.model
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.progress.step
    }

    /// The run.
    pub fn run(&self) -> &Run {
        &self.run
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
        if self.config.train.audit && !self.begun {
            self.audit().inspect_err(|_| self.run.discard())?;
        }
        training_begins();
        while !self.is_finished() {
            if let Some(camera) = &mut self.camera {
                camera.watch(self.progress.step, &self.model);
            }
            self.take_step()?;
            let (step, every) = (self.progress.step, self.config.train.save_every);
            if self.is_time_to_validate() {
                self.validate()?;
                self.save_and_keep()?;
            } else if every > 0 && step.is_multiple_of(every) {
                self.save_and_keep()?;
            }
            if stop_requested() && !self.is_finished() {
                self.save()?;
                self.reporter.finish();
                return Ok(Outcome::Stopped);
            }
        }
        if self.progress.validated_at != Some(self.progress.step) {
            self.validate()?;
            self.save_and_keep()?;
        }
        self.save()?;
        self.refuse_nothing_learnt()?;
        let (summary, model) = self.conclude()?;
        if self.metrics_lack {
            self.write_metrics()?;
        }
        let tokenizers = (&self.data.source_tokenizer, &self.data.target_tokenizer);
        self.reporter.line(&crate::teach::report::attempt(&self.run, &model, tokenizers));
        if let Some(camera) = self.camera.take() {
            self.run.write("film.html", &camera.page(self.progress.step, &self.model))?;
            self.reporter.line(&format!("film: {}", self.run.folder().join("film.html").display()));
        }
        self.reporter.finish();
        Ok(Outcome::Finished(Box::new(summary)))
    }

    fn announce(&mut self) {
        let (notes, train) = (std::mem::take(&mut self.corpora.notes), &self.config.train);
        let threads = train.thread_count();
        let (c, device) = (&self.model.config, self.model.device());
        let place = if device.is_cpu() {
            format!("{threads} thread{}", if threads == 1 { "" } else { "s" })
        } else {
            device.description()
        };
        let model = format!(
            "model {}: {} parameters, {}+{} layers, d_model {}, ffn {}, {} heads, vocabulary {}; {place}",
            self.config.model.preset,
            thousands(self.model.parameter_count()),
            c.encoder_layers,
            c.decoder_layers,
            c.d_model,
            c.ffn,
            c.heads,
            thousands(c.target_vocab),
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

    fn is_finished(&self) -> bool {
        self.is_out_of_patience() || self.fraction_done() >= 1.0
    }

    /// Whether there was no better score for as many validations as there is patience.
    pub(super) fn is_out_of_patience(&self) -> bool {
        self.config.train.patience.is_some_and(|patience| self.progress.since_best >= patience)
    }

    fn is_time_to_validate(&self) -> bool {
        let (train, progress) = (&self.config.train, &self.progress);
        match train.validate_every {
            0 => progress.batch == 0 && progress.epoch.is_multiple_of(train.validate_every_epochs),
            every => progress.step.is_multiple_of(every),
        }
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
    pub(super) fn plan_batches(&mut self) {
        if self.plan.is_empty() {
            let train = &self.config.train;
            self.data.begin_epoch(self.progress.epoch, train.thread_count());
            self.plan = plan_epoch(&self.data.train, train.batch_tokens, train.seed, self.progress.epoch);
        }
    }

    /// The batches of the next step.
    pub(super) fn batches(&self) -> &[Vec<usize>] {
        let first = self.progress.batch;
        &self.plan[first..first.saturating_add(self.config.train.accumulate).min(self.plan.len())]
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
        let (model, adam) = (&mut self.model, &mut self.adam);
        let Step { loss, norm, target_tokens, .. } =
            self.stepper.step(model, adam, &self.data.train, &batches, rate, seed);
        let finite = loss.is_finite() && norm.is_finite();
        if !finite {
            self.not_finite(step, seed, loss, norm)?;
        } else if let Some(ema) = &mut self.ema {
            ema.update(&self.model, train.thread_count());
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
            return self.refuse_only_skips();
        }
        self.skipped_in_a_row = 0;
        if let Some(Spike { what, value, median }) = self.spikes.take(loss, norm) {
            self.reporter
                .line(&format!("step {step}: a spike: {what} {value:.3}, where {median:.3} is usual"));
            self.record(
                &json!({ "kind": "spike", "step": step, "what": what, "value": value, "median": median }),
            );
        }
        let progress = &mut self.progress;
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
            self.record(&record);
        }
        let fraction = self.fraction_done();
        self.reporter.progress(fraction, &status);
        Ok(())
    }

    /// The model to translate with: the moving average where there is one.
    pub(super) fn averaged(&self) -> Transformer {
        let mut model = self.model.clone();
        if let Some(ema) = &self.ema {
            ema.put_into(&mut model);
        }
        model
    }

    /// Puts a line at the end of the metrics. They are in every checkpoint too, so a file that cannot be written ends nothing:
    /// it is written whole as soon as that works again.
    pub(super) fn record(&mut self, record: &serde_json::Value) {
        let path = self.run.metrics();
        let line = format!("{record}\n");
        self.metrics.push(record.to_string());
        let append = || OpenOptions::new().create(true).append(true).open(&path)?.write_all(line.as_bytes());
        let written = match self.metrics_lack {
            false => append().with_context(|| format!("{}: cannot write", path.display())),
            true => self.write_metrics(),
        };
        if let Err(error) = &written
            && !self.metrics_lack
        {
            self.reporter.line(&format!("{error:#}; the training goes on"));
        }
        self.metrics_lack = written.is_err();
    }

    /// Writes all of the metrics.
    pub(super) fn write_metrics(&self) -> Result<()> {
        let lines: String = self.metrics.iter().map(|line| format!("{line}\n")).collect();
        self.run.write("metrics.jsonl", &lines)
    }
}
