//! What keeps a training from computing nonsense: the audit before it, and the stop at a step that is not finite.

use std::cmp::Reverse;

use anyhow::{Result, bail};
use autograd::{Device, Parameters};
use serde_json::{Value, json};

use super::step::{StepOptions, audit, first_anomaly};
use super::trainer::Trainer;
use crate::checkpoint::Checkpoint;

/// Padded tokens to audit with. The audit looks at every parameter, which takes few sentences, and long ones: attention
/// over a single key does not learn.
const AUDIT_TOKENS: usize = 64;

/// Steps that may be left out one after the other: a batch or a spike takes one or two with it.
const MOST_SKIPPED_IN_A_ROW: u64 = 20;

impl Trainer {
    /// Audits the gradients of all parameters on the longest sentences of the first batch.
    pub(super) fn audit(&mut self) -> Result<()> {
        let examples = &self.data.train;
        let mut rows = self.batches().concat();
        rows.sort_by_key(|&row| Reverse(examples[row].length()));
        let longest = rows.first().map_or(1, |&row| examples[row].length());
        rows.truncate((AUDIT_TOKENS / longest).max(1));
        let train = &self.config.train;
        match audit(&self.model, examples, &rows, (train.smoothing, train.r_drop)) {
            Ok(report) => self.reporter.line(&report.to_string()),
            Err(failure) => bail!("{failure} (--no-audit trains all the same)"),
        }
        Ok(())
    }

    /// Says where the numbers of this step stop being finite: ends the training, or records that the step is left out.
    pub(super) fn not_finite(&mut self, step: u64, seed: u64, loss: f64, norm: f64) -> Result<()> {
        let train = &self.config.train;
        let options = StepOptions::from(train);
        let mut here = self.model.clone();
        here.move_to(&Device::Cpu);
        let found = first_anomaly(&here, &self.data.train, self.batches(), &options, seed);
        let place = match found {
            Some((part, anomaly)) => format!("in part {part} of the batch {anomaly}"),
            None => "every part of the batch is finite by itself, but their sum is not".to_owned(),
        };
        let reason = format!("step {step}: the loss is {loss} and the gradient's norm {norm}: {place}");
        // Steps that are left out do not mend weights.
        let finite = |x: &f32| x.is_finite();
        let mut weights = here.parameters().into_iter();
        let sound = weights.all(|(_, param)| param.value().as_slice().iter().all(finite));
        if train.skip_nonfinite && sound {
            self.reporter.line(&format!("{reason}; the step is left out"));
            self.record(&json!({ "kind": "skip", "step": step, "reason": reason }));
            self.skipped_in_a_row += 1;
            return Ok(());
        }
        let last = self.run.last();
        if !last.exists() {
            bail!("{reason}; no checkpoint was saved before; a lower rate may help (train.schedule, --rate)");
        }
        let path = last.display();
        match Checkpoint::load(&last).map(|checkpoint| checkpoint.training) {
            Ok(Some(training)) => {
                let good = training.progress.step;
                bail!(
                    "{reason}; {path} is as it was after step {good}; a lower rate may help (train.schedule, --rate)"
                )
            }
            Ok(None) => {
                bail!("{reason}; {path} holds weights only; a lower rate may help (train.schedule, --rate)")
            }
            // Which names the file.
            Err(error) => bail!("{reason}; {error:#}; a lower rate may help (train.schedule, --rate)"),
        }
    }

    /// Ends a training of which nothing comes any more.
    pub(super) fn refuse_only_skips(&self) -> Result<()> {
        if self.skipped_in_a_row < MOST_SKIPPED_IN_A_ROW {
            return Ok(());
        }
        self.save()?;
        bail!(
            "step {}: {MOST_SKIPPED_IN_A_ROW} steps in a row were left out, since their loss or gradient was not finite; {} holds the training; a lower rate may help (train.schedule, --rate)",
            self.progress.step,
            self.run.last().display()
        )
    }

    /// Fails where most steps were left out: that such a training came to its end does not make a model of it.
    pub(super) fn refuse_nothing_learnt(&self) -> Result<()> {
        let (skipped, steps) = (self.skipped(), self.progress.step);
        if skipped > steps / 2 {
            bail!(
                "{skipped} of {steps} steps were left out, since their loss or gradient was not finite; {} holds the training; a lower rate may help (train.schedule, --rate)",
                self.run.last().display()
            );
        }
        Ok(())
    }

    /// The number of steps that were left out. The record is in every checkpoint, so it is counted over all parts of a run.
    pub(super) fn skipped(&self) -> u64 {
        let is_skip =
            |line: &&String| serde_json::from_str::<Value>(line).is_ok_and(|record| record["kind"] == "skip");
        self.metrics.iter().filter(is_skip).count() as u64
    }
}
