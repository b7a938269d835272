//! How well the model translates: during training, and when it is finished.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use autograd::{Device, Parameters};
use nn::Transformer;
use serde::Serialize;
use serde_json::json;

use super::average::Mean;
use super::step::validation_loss;
use super::trainer::Trainer;
use crate::checkpoint::{Checkpoint, load_weights, weights_of};
use crate::config::Metric;
use crate::data::Pair;
use crate::data::batch::plan_epoch;
use crate::decode::{Search, translate};
use crate::metrics::{BleuOptions, ChrfOptions, bleu, chrf};
use crate::terminal::{Lines, printable};

/// What a finished training has to show.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// BLEU on the test text, where there is one.
    pub test_bleu: Option<f64>,
    /// BLEU on the built-in corpus's sentences with noun-adjective pairs that never meet in training.
    pub unseen_pair_bleu: Option<f64>,
    /// BLEU of translations of the validation text, searched for as in validations.
    pub valid_bleu: f64,
    /// chrF of the same.
    pub valid_chrf: f64,
    /// The mean loss of a target token of the validation text.
    pub valid_loss: f64,
    /// Steps taken.
    pub steps: u64,
    /// Those of them that were left out because their loss or gradient was not finite.
    pub skipped: u64,
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

/// What a validation measures.
#[derive(Clone, Copy, Debug)]
struct Scores {
    loss: f64,
    bleu: f64,
    chrf: f64,
}

impl Scores {
    fn by(&self, metric: Metric) -> f64 {
        match metric {
            Metric::Loss => self.loss,
            Metric::Bleu => self.bleu,
            Metric::Chrf => self.chrf,
        }
    }
}

impl Trainer {
    /// Scores of the model on the validation text, and three translations to look at.
    pub(super) fn validate(&mut self) -> Result<()> {
        let start = Instant::now();
        let model = self.averaged();
        let (scores, translations) = self.validation_scores(&model);
        let (step, epoch) = (self.progress.step, self.progress.epoch);
        let metric = self.config.train.best;
        let score = scores.by(metric);
        let best =
            scores.loss.is_finite() && self.progress.best.is_none_or(|best| metric.is_better(score, best));
        let Scores { loss, bleu, chrf } = scores;
        self.reporter.line(&format!(
            "step {step}, epoch {}: validation loss {loss:.3}, perplexity {:.2}, BLEU {bleu:.2}, chrF {chrf:.2}{}",
            epoch + u64::from(self.progress.batch > 0),
            loss.exp(),
            if best { ", the best so far" } else { "" },
        ));
        let samples = self.show_samples(&translations);
        if best {
            (self.progress.best, self.progress.since_best) = (Some(score), 0);
            // It takes its place when the checkpoint that says so is written.
            self.weights_only()?.save(&self.run.pending_best(step))?;
        } else {
            self.progress.since_best += 1;
        }
        if self.config.train.average > 1 {
            self.recent.push(weights_of(&model));
            let excess = self.recent.len().saturating_sub(self.config.train.average);
            self.recent.drain(..excess);
        }
        self.progress.validated_at = Some(step);
        self.progress.seconds += start.elapsed().as_secs_f64();
        self.record(&json!({
            "kind": "valid",
            "step": step,
            "epoch": epoch,
            "loss": loss,
            "bleu": bleu,
            "chrf": chrf,
            "seconds": (self.progress.seconds * 10.0).round() / 10.0,
            "best": best,
            "text_checksum": self.data.valid_checksum,
            "samples": samples,
        }));
        if self.is_out_of_patience() {
            let count = self.progress.since_best;
            let times = if count == 1 { "validation".to_owned() } else { format!("{count} validations") };
            self.reporter.line(&format!("no better {metric} in the last {times}: training ends"));
        }
        Ok(())
    }

    /// Prints three translations beside what they should be; the same for the record.
    fn show_samples(&mut self, translations: &[String]) -> Vec<serde_json::Value> {
        let mut samples = Vec::new();
        let count = translations.len();
        let mut chosen = vec![0, count / 3, 2 * count / 3];
        chosen.dedup();
        for i in chosen.into_iter().filter(|&i| i < count) {
            let (pair, translation) = (&self.corpora.valid[i], &translations[i]);
            let lines = [("source", &pair.source), ("model", translation), ("reference", &pair.target)];
            for (who, text) in lines {
                self.reporter.line(&format!("    {who:<10}{}", printable(text, Lines::Joined)));
            }
            samples.push(json!({ "source": pair.source, "model": translation, "reference": pair.target }));
        }
        samples
    }

    /// The mean loss of a token of all validation text, and the scores of translations of its first sentences.
    fn validation_scores(&self, model: &Transformer) -> (Scores, Vec<String>) {
        let (train, data) = (&self.config.train, &self.data);
        let batches = plan_epoch(&data.valid, train.batch_tokens, 0, 0);
        let (sum, tokens) = validation_loss(model, &data.valid, &batches, train.thread_count());
        let pairs = &self.corpora.valid[..train.validate_sentences.min(self.corpora.valid.len())];
        let search = Search { beam: train.validate_beam, ..Search::default() };
        let (bleu, chrf, translations) = self.score(model, pairs, &search);
        (Scores { loss: sum / tokens.max(1) as f64, bleu, chrf }, translations)
    }

    /// Translates the sources of `pairs`; BLEU and chrF against their targets.
    fn score(&self, model: &Transformer, pairs: &[Pair], search: &Search) -> (f64, f64, Vec<String>) {
        let texts: Vec<&str> = pairs.iter().map(|pair| pair.source.as_str()).collect();
        let references: Vec<&str> = pairs.iter().map(|pair| pair.target.as_str()).collect();
        let tokenizers = (&self.data.source_tokenizer, &self.data.target_tokenizer);
        let threads = self.config.train.thread_count();
        let translations = translate(model, tokenizers, &texts, search, threads, |_| ());
        // Lower-cased output can only be compared with lower-cased references.
        let lowercase = self.config.tokenizer.lowercase;
        let bleu = bleu(&translations, &references, &BleuOptions { lowercase, ..BleuOptions::default() });
        let chrf = chrf(&translations, &references, &ChrfOptions { lowercase, ..ChrfOptions::default() });
        (bleu.score, chrf.score, translations)
    }

    /// Chooses the finished model, the mean of the last validations' weights or the best single one, by the metric of the
    /// configuration; tests it; and gives what that showed, and the model.
    pub(super) fn conclude(&mut self) -> Result<(Summary, Transformer)> {
        if self.progress.best.is_none() {
            bail!(
                "no validation gave a loss that is a number, so there is no model to keep; {} holds the training",
                self.run.last().display()
            );
        }
        let best = Checkpoint::load(&self.run.best())?;
        let mut model = self.model.clone();
        load_weights(&mut model, &best.weights)?;
        let (mut scores, _) = self.validation_scores(&model);
        let mut finished = Checkpoint { weights: best.weights, ..self.weights_only()? };
        if self.recent.len() > 1 {
            let mut mean = Mean::default();
            for weights in &self.recent {
                mean.add(weights)?;
            }
            let weights = mean.finish();
            load_weights(&mut model, &weights)?;
            let (of_mean, _) = self.validation_scores(&model);
            let Scores { loss, bleu, chrf } = of_mean;
            self.reporter.line(&format!(
                "mean of the last {} validations' weights: validation loss {loss:.3}, BLEU {bleu:.2}, chrF {chrf:.2}",
                self.recent.len()
            ));
            let metric = self.config.train.best;
            let (mean, best) = (of_mean.by(metric), scores.by(metric));
            // Of two that score the same, the loss says more.
            if metric.is_better(mean, best) || (mean == best && of_mean.loss < scores.loss) {
                (scores, finished.weights) = (of_mean, weights);
            } else {
                self.reporter.line(&format!("the best single one, with {metric} {best:.3}, is kept"));
            }
        }
        load_weights(&mut model, &finished.weights)?;
        finished.save(&self.run.model())?;
        let search = Search::default();
        let score =
            |pairs: &[Pair]| if pairs.is_empty() { None } else { Some(self.score(&model, pairs, &search).0) };
        let progress = &self.progress;
        let summary = Summary {
            test_bleu: score(&self.corpora.test),
            unseen_pair_bleu: score(&self.corpora.unseen),
            valid_bleu: scores.bleu,
            valid_chrf: scores.chrf,
            valid_loss: scores.loss,
            steps: progress.step,
            skipped: self.skipped(),
            epochs: progress.epoch,
            seconds: progress.seconds,
            tokens_per_second: progress.target_tokens as f64 / progress.step_seconds,
            parameters: self.model.parameter_count(),
            run: self.run.folder().display().to_string(),
        };
        let mut record = serde_json::to_value(&summary).context("the summary cannot be written as JSON")?;
        record["kind"] = json!("end");
        self.record(&record);
        // Pages are made on the processor.
        model.move_to(&Device::Cpu);
        Ok((summary, model))
    }
}
