//! The training loop.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use autograd::rng;
use nn::{Init, Positions, Transformer};
use optim::Adam;
use serde::Serialize;
use serde_json::json;

use super::data::{Corpora, Prepared};
use super::report::Reporter;
use super::run::Run;
use super::step::{gradients, validation_loss};
use super::stop::stop_requested;
use super::validate::{Quality, evaluate_pairs};
use crate::checkpoint::{
    Array, Checkpoint, Progress, Training, load_moments, load_weights, moments_of, weights_of,
};
use crate::config::Config;
use crate::data::Pair;
use crate::data::batch::plan_epoch;
use crate::decode::Search;
use crate::metrics::BleuOptions;

/// A training in progress.
#[derive(Debug)]
pub struct Trainer {
    config: Config,
    run: Run,
    corpora: Corpora,
    data: Prepared,
    model: Transformer,
    adam: Adam,
    progress: Progress,
    /// The batches of the current pass over the text.
    plan: Vec<Vec<usize>>,
    metrics: Vec<String>,
    recent: Vec<BTreeMap<String, Array>>,
    validated_at: Option<u64>,
    reporter: Reporter,
}

/// How a call of [`Trainer::train`] ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// At the limit of steps, epochs or minutes.
    Finished(Box<Summary>),
    /// By a signal; everything is saved.
    Stopped,
}

/// What a finished training has to show.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// BLEU on the test text, where there is one.
    pub test_bleu: Option<f64>,
    /// BLEU on the built-in corpus's sentences with noun-adjective pairs that never meet in training.
    pub unseen_pair_bleu: Option<f64>,
    /// BLEU of greedy translations of the validation text.
    pub valid_bleu: f64,
    /// Steps taken.
    pub steps: u64,
    /// Passes over the training text that are complete.
    pub epochs: u64,
    /// Seconds of training, validation included.
    pub seconds: f64,
    /// Target tokens trained on a second, validation not counted.
    pub tokens_per_second: f64,
    /// Entries of all parameters.
    pub parameters: usize,
    /// The run's folder.
    pub run: String,
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
        let adam = new_adam(&config);
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
            validated_at: None,
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
    /// Where the loss is not a number any more, or something cannot be saved.
    pub fn train(&mut self) -> Result<Outcome> {
        self.announce();
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
        if self.validated_at != Some(self.progress.step) {
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
            thousands(autograd::Parameters::<f32>::parameter_count(&self.model)),
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

    fn take_step(&mut self) -> Result<()> {
        let start = Instant::now();
        let train = self.config.train.clone();
        if self.plan.is_empty() {
            self.plan = plan_epoch(&self.data.train, train.batch_tokens, train.seed, self.progress.epoch);
        }
        let first = self.progress.batch;
        let batches = &self.plan[first..(first + train.accumulate).min(self.plan.len())];
        let count = batches.len();
        let step = self.progress.step + 1;
        let seed = rng::derive(train.seed, step);
        let threads = train.thread_count();
        let mut result =
            gradients(&self.model, &self.data.train, batches, train.shards, threads, train.smoothing, seed);
        let limit = if train.clip > 0.0 { train.clip } else { f64::INFINITY };
        let norm = result.gradients.clip_norm(limit);
        if !result.loss.is_finite() || !norm.is_finite() {
            bail!(
                "step {step}: the loss is {} and the gradient's norm {norm}: training has diverged; try a lower rate",
                result.loss
            );
        }
        let rate = train.schedule.rate(step);
        self.adam.step(&mut self.model, &result.gradients, rate);

        let progress = &mut self.progress;
        progress.step = step;
        progress.batch += count;
        if progress.batch >= self.plan.len() {
            (progress.epoch, progress.batch) = (progress.epoch + 1, 0);
            self.plan.clear();
        }
        progress.target_tokens += result.target_tokens as u64;
        progress.pending_loss += result.loss * result.target_tokens as f64;
        progress.pending_tokens += result.target_tokens as u64;
        progress.seconds += start.elapsed().as_secs_f64();
        progress.step_seconds += start.elapsed().as_secs_f64();
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

    /// Loss and greedy BLEU on the validation text, and three translations to look at.
    fn validate(&mut self) -> Result<()> {
        let start = Instant::now();
        let (loss, bleu, quality) = self.validation_scores()?;
        let (step, epoch) = (self.progress.step, self.progress.epoch);
        let best = self.progress.best.is_none_or(|best| bleu > best);
        self.reporter.line(&format!(
            "step {step}, epoch {}: validation loss {loss:.3}, perplexity {:.2}, BLEU {bleu:.2}{}",
            epoch + u64::from(self.progress.batch > 0),
            loss.exp(),
            if best { ", the best so far" } else { "" },
        ));
        let mut samples = Vec::new();
        let count = quality.translations.len();
        for i in [0, count / 3, 2 * count / 3].into_iter().filter(|&i| i < count) {
            let (pair, translation) = (&self.corpora.valid[i], &quality.translations[i]);
            let lines = [("source", &pair.source), ("model", translation), ("reference", &pair.target)];
            for (who, text) in lines {
                self.reporter.line(&format!("    {who:<10}{text}"));
            }
            samples.push(json!({ "source": pair.source, "model": translation, "reference": pair.target }));
        }
        if best {
            self.progress.best = Some(bleu);
            self.weights_only().save(&self.run.best())?;
        }
        if self.config.train.average > 1 {
            self.recent.push(weights_of(&self.model));
            let excess = self.recent.len().saturating_sub(self.config.train.average);
            self.recent.drain(..excess);
        }
        self.validated_at = Some(step);
        self.progress.seconds += start.elapsed().as_secs_f64();
        self.record(&json!({
            "kind": "valid",
            "step": step,
            "epoch": epoch,
            "loss": loss,
            "bleu": bleu,
            "seconds": (self.progress.seconds * 10.0).round() / 10.0,
            "samples": samples,
        }))
    }

    fn validation_scores(&self) -> Result<(f64, f64, Quality)> {
        let (train, data) = (&self.config.train, &self.data);
        let batches = plan_epoch(&data.valid, train.batch_tokens, 0, 0);
        let (sum, tokens) = validation_loss(&self.model, &data.valid, &batches, train.thread_count());
        let pairs = &self.corpora.valid[..train.validate_sentences.min(self.corpora.valid.len())];
        let quality = self.quality(pairs, &Search::greedy())?;
        Ok((sum / tokens.max(1) as f64, quality.bleu.score, quality))
    }

    fn quality(&self, pairs: &[Pair], search: &Search) -> Result<Quality> {
        let tokenizers = (&self.data.source_tokenizer, &self.data.target_tokenizer);
        // Lower-cased output can only be compared with lower-cased references.
        let options = BleuOptions { lowercase: self.config.tokenizer.lowercase, ..BleuOptions::default() };
        evaluate_pairs(
            &self.model,
            tokenizers,
            pairs,
            search,
            &options,
            self.config.train.thread_count(),
            |_| (),
        )
    }

    /// Chooses the finished model: the mean of the last validations' weights, or the best single one; and tests it.
    fn conclude(&mut self) -> Result<Summary> {
        let best = Checkpoint::load(&self.run.best())?;
        let mut valid_bleu = self.progress.best.unwrap_or_default();
        if self.recent.len() > 1 {
            load_weights(&mut self.model, &mean_weights(&self.recent))?;
            let (loss, bleu, _) = self.validation_scores()?;
            let count = self.recent.len();
            self.reporter.line(&format!(
                "mean of the last {count} validations' weights: validation loss {loss:.3}, BLEU {bleu:.2}"
            ));
            if bleu >= valid_bleu {
                valid_bleu = bleu;
            } else {
                self.reporter.line(&format!("the best single one, with BLEU {valid_bleu:.2}, is kept"));
                load_weights(&mut self.model, &best.weights)?;
            }
        } else {
            load_weights(&mut self.model, &best.weights)?;
        }
        self.weights_only().save(&self.run.model())?;
        let search = Search::default();
        let score = |pairs: &[Pair]| -> Result<Option<f64>> {
            if pairs.is_empty() {
                return Ok(None);
            }
            Ok(Some(self.quality(pairs, &search)?.bleu.score))
        };
        let progress = &self.progress;
        let summary = Summary {
            test_bleu: score(&self.corpora.test)?,
            unseen_pair_bleu: score(&self.corpora.unseen)?,
            valid_bleu,
            steps: progress.step,
            epochs: progress.epoch,
            seconds: progress.seconds,
            tokens_per_second: progress.target_tokens as f64 / progress.step_seconds,
            parameters: autograd::Parameters::<f32>::parameter_count(&self.model),
            run: self.run.folder().display().to_string(),
        };
        let mut record = serde_json::to_value(&summary).context("the summary cannot be written as JSON")?;
        record["kind"] = json!("end");
        self.record(&record)?;
        Ok(summary)
    }

    fn record(&mut self, record: &serde_json::Value) -> Result<()> {
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

    fn weights_only(&self) -> Checkpoint {
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

fn new_adam(config: &Config) -> Adam {
    let train = &config.train;
    Adam {
        betas: train.betas,
        epsilon: train.epsilon,
        weight_decay: train.weight_decay,
        decay: train.decay,
        ..Adam::default()
    }
}

/// The mean of several sets of weights.
fn mean_weights(sets: &[BTreeMap<String, Array>]) -> BTreeMap<String, Array> {
    let mut mean = sets[0].clone();
    for (path, array) in &mut mean {
        for (i, entry) in array.data.iter_mut().enumerate() {
            let sum: f64 = sets.iter().map(|set| f64::from(set[path].data[i])).sum();
            *entry = (sum / sets.len() as f64) as f32;
        }
    }
    mean
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
