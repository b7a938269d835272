//! A profile as rows of a table that add up.

use std::time::Duration;

use serde::Serialize;

use crate::train::step::StepTimes;

/// What one kind of work takes in an average step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProfileRow {
    /// The op, or another part of the step.
    pub name: String,
    /// Times that the op is applied.
    pub calls: f64,
    /// Seconds in the forward pass, of all threads together; for what is no op, all of its time.
    pub forward_s: f64,
    /// Seconds in the backward pass.
    pub backward_s: f64,
    /// The share of all threads' time in the step. The shares of all rows add up to 1.
    pub share: f64,
}

/// The rows of `steps` steps that took `seconds` on as many threads as `workers`, longest first.
///
/// A step has `workers · seconds` of time to spend. What of it is not in an op, in clipping or in Adam is: time of
/// shards outside ops (the model's own code, recording, freeing), and time of threads that had nothing to do or, one of
/// them, collated batches and added gradients up.
pub(super) fn rows(times: &StepTimes, seconds: f64, steps: usize, workers: usize) -> Vec<ProfileRow> {
    let available = workers as f64 * seconds;
    let row = |name: &str, calls: usize, forward: f64, backward: f64| ProfileRow {
        name: name.to_owned(),
        calls: calls as f64 / steps as f64,
        forward_s: forward / steps as f64,
        backward_s: backward / steps as f64,
        share: (forward + backward) / available,
    };
    let s = |time: Duration| time.as_secs_f64();
    let mut rows: Vec<ProfileRow> = (times.ops.ops())
        .map(|(name, time)| row(name, time.calls, s(time.forward), s(time.backward)))
        .collect();
    rows.push(row("(clipping)", 0, s(times.clip), 0.0));
    rows.push(row("(Adam)", 0, s(times.update), 0.0));
    let shards = s(times.shards);
    rows.push(row("(shards, outside ops)", 0, shards - s(times.ops.total()), 0.0));
    rows.push(row("(waiting, adding up)", 0, available - shards - s(times.clip) - s(times.update), 0.0));
    rows.sort_by(|a, b| b.share.total_cmp(&a.share));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_whole_step() {
        let times = StepTimes {
            shards: Duration::from_secs(6),
            gradients: Duration::from_secs(4),
            clip: Duration::from_secs(1),
            update: Duration::from_secs(2),
            ..StepTimes::default()
        };
        let rows = rows(&times, 7.0, 2, 2);
        assert!((rows.iter().map(|row| row.share).sum::<f64>() - 1.0).abs() < 1e-12);
        let seconds = |name: &str| rows.iter().find(|row| row.name == name).unwrap().forward_s;
        assert_eq!((seconds("(Adam)"), seconds("(shards, outside ops)")), (1.0, 3.0));
        // 14 s of two threads, without 6 + 1 + 2.
        assert_eq!(seconds("(waiting, adding up)"), 2.5);
    }
}
