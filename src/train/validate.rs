//! How well the model translates: during training, and when it is finished.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result};
use autograd::Parameters;
use serde::Serialize;
use serde_json::json;

use super::step::validation_loss;
use super::trainer::Trainer;
use crate::checkpoint::{Array, Checkpoint, load_weights, weights_of};
use crate::data::Pair;
use crate::data::batch::plan_epoch;
use crate::decode::{Search, translate};
use crate::metrics::{BleuOptions, bleu};

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

impl Trainer {
    /// Loss and greedy BLEU on the validation text, and three translations to look at.
    pub(super) fn validate(&mut self) -> Result<()> {
        let start = Instant::now();
        let (loss, bleu, translations) = self.validation_scores();
        let (step, epoch) = (self.progress.step, self.progress.epoch);
        let best = self.progress.best.is_none_or(|best| bleu > best);
        self.reporter.line(&format!(
            "step {step}, epoch {}: validation loss {loss:.3}, perplexity {:.2}, BLEU {bleu:.2}{}",
            epoch + u64::from(self.progress.batch > 0),
            loss.exp(),
            if best { ", the best so far" } else { "" },
        ));
        let mut samples = Vec::new();
        let count = translations.len();
        for i in [0, count / 3, 2 * count / 3].into_iter().filter(|&i| i < count) {
            let (pair, translation) = (&self.corpora.valid[i], &translations[i]);
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
        self.progress.validated_at = Some(step);
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

    /// The mean loss of a token, and greedy translations with their BLEU.
    fn validation_scores(&self) -> (f64, f64, Vec<String>) {
        let (train, data) = (&self.config.train, &self.data);
        let batches = plan_epoch(&data.valid, train.batch_tokens, 0, 0);
        let (sum, tokens) = validation_loss(&self.model, &data.valid, &batches, train.thread_count());
        let pairs = &self.corpora.valid[..train.validate_sentences.min(self.corpora.valid.len())];
        let (bleu, translations) = self.score(pairs, &Search::greedy());
        (sum / tokens.max(1) as f64, bleu, translations)
    }

    /// Translates the sources of `pairs`; BLEU against their targets.
    fn score(&self, pairs: &[Pair], search: &Search) -> (f64, Vec<String>) {
        let texts: Vec<&str> = pairs.iter().map(|pair| pair.source.as_str()).collect();
        let references: Vec<&str> = pairs.iter().map(|pair| pair.target.as_str()).collect();
        let tokenizers = (&self.data.source_tokenizer, &self.data.target_tokenizer);
        let threads = self.config.train.thread_count();
        let translations = translate(&self.model, tokenizers, &texts, search, threads, |_| ());
        // Lower-cased output can only be compared with lower-cased references.
        let options = BleuOptions { lowercase: self.config.tokenizer.lowercase, ..BleuOptions::default() };
        (bleu(&translations, &references, &options).score, translations)
    }

    /// Chooses the finished model: the mean of the last validations' weights, or the best single one; and tests it.
    pub(super) fn conclude(&mut self) -> Result<Summary> {
        let best = Checkpoint::load(&self.run.best())?;
        load_weights(&mut self.model, &best.weights)?;
        let (best_loss, mut valid_bleu, _) = self.validation_scores();
        if self.recent.len() > 1 {
            load_weights(&mut self.model, &mean_weights(&self.recent))?;
            let (loss, bleu, _) = self.validation_scores();
            let count = self.recent.len();
            self.reporter.line(&format!(
                "mean of the last {count} validations' weights: validation loss {loss:.3}, BLEU {bleu:.2}"
            ));
            // By the loss of all validation text, which says more than the BLEU of a few hundred sentences.
            if loss < best_loss {
                valid_bleu = bleu;
            } else {
                self.reporter.line(&format!("the best single one, with loss {best_loss:.3}, is kept"));
                load_weights(&mut self.model, &best.weights)?;
            }
        }
        self.weights_only().save(&self.run.model())?;
        let search = Search::default();
        let score = |pairs: &[Pair]| if pairs.is_empty() { None } else { Some(self.score(pairs, &search).0) };
        let progress = &self.progress;
        let summary = Summary {
            test_bleu: score(&self.corpora.test),
            unseen_pair_bleu: score(&self.corpora.unseen),
            valid_bleu,
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
        self.record(&record)?;
        Ok(summary)
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
