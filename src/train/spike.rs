//! Steps whose loss or gradient stands out.

use std::collections::VecDeque;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// The losses and gradient norms of the last steps, to tell what stands out from them.
///
/// A number is a spike where it is above `factor · m` and above `m + 10σ`, with `m` the median of those before it and `σ`
/// 1.4826 times their median distance from it, which for normal numbers is the deviation. Medians do not notice the spikes
/// themselves. After a spike there is none for twenty steps, so that a training that falls apart is reported and not
/// counted out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spikes {
    losses: VecDeque<f64>,
    norms: VecDeque<f64>,
    /// Steps in which none is looked for.
    wait: u64,
}

/// A number that stands out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spike {
    /// "loss" or "gradient norm".
    pub what: &'static str,
    /// The number.
    pub value: f64,
    /// The median of those before it.
    pub median: f64,
}

/// Steps that are remembered.
const WINDOW: usize = 100;

/// Steps before which nothing can be said to stand out.
const ENOUGH: usize = 25;

/// Steps after a spike in which there is no other.
const QUIET: u64 = 20;

/// The loss of a batch differs little from that of another; gradients of a few batches are far from normal.
const LOSS_FACTOR: f64 = 1.5;
const NORM_FACTOR: f64 = 4.0;

impl Spikes {
    /// What a checkpoint holds.
    ///
    /// # Errors
    /// Where no training leaves such numbers behind.
    pub(crate) fn restored(losses: Vec<f64>, norms: Vec<f64>, wait: u64) -> Result<Self> {
        ensure!(
            losses.len() == norms.len() && losses.len() <= WINDOW,
            "{} losses and {} norms of at most {WINDOW} steps",
            losses.len(),
            norms.len()
        );
        ensure!(wait <= QUIET, "waits for {wait} steps, and {QUIET} are the most");
        Ok(Self { losses: losses.into(), norms: norms.into(), wait })
    }

    /// Takes the numbers of a step, and says whether one stands out from those before.
    pub fn take(&mut self, loss: f64, norm: f64) -> Option<Spike> {
        let mut found = None;
        for (what, numbers, number, factor) in [
            ("loss", &mut self.losses, loss, LOSS_FACTOR),
            ("gradient norm", &mut self.norms, norm, NORM_FACTOR),
        ] {
            let median = median(numbers.iter().copied());
            let deviation = 1.4826 * self::median(numbers.iter().map(|x| (x - median).abs()));
            let stands_out = number > factor * median && number > median + 10.0 * deviation;
            if numbers.len() >= ENOUGH && stands_out && found.is_none() {
                found = Some(Spike { what, value: number, median });
            }
            numbers.push_back(number);
            if numbers.len() > WINDOW {
                numbers.pop_front();
            }
        }
        if self.wait > 0 {
            self.wait -= 1;
            return None;
        }
        if found.is_some() {
            self.wait = QUIET;
        }
        found
    }
}

/// The middle number in order of size, the upper of two; 0 of none.
fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    let middle = numbers.len() / 2;
    if numbers.is_empty() {
        return 0.0;
    }
    *numbers.select_nth_unstable_by(middle, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that wander a little.
    fn usual(step: u64) -> (f64, f64) {
        let wave = (step as f64 * 0.7).sin();
        (3.0 + 0.2 * wave - 0.001 * step as f64, 0.8 + 0.3 * wave)
    }

    #[test]
    fn what_stands_out_is_found_once() {
        let mut spikes = Spikes::default();
        let mut found = Vec::new();
        for step in 0..400 {
            let (mut loss, mut norm) = usual(step);
            match step {
                3 => loss = 50.0,
                200 => norm = 9.0,
                // It falls apart for a while.
                300..305 => loss = 7.0,
                _ => {}
            }
            found.extend(spikes.take(loss, norm).map(|spike| (step, spike.what, spike.value)));
        }
        assert_eq!(found, [(200, "gradient norm", 9.0), (300, "loss", 7.0)]);
    }

    #[test]
    fn what_is_usual_is_no_spike() {
        let mut spikes = Spikes::default();
        assert!((0..1000).all(|step| spikes.take(usual(step).0, usual(step).1).is_none()));
        // Twice the usual norm is nothing special, nor is a loss a little above the others.
        assert_eq!(spikes.take(2.5, 2.0), None);
    }

    #[test]
    fn a_median_is_the_middle_number() {
        assert_eq!(median([3.0, 1.0, 9.0].into_iter()), 3.0);
        assert_eq!(median([3.0, 1.0, 9.0, 4.0].into_iter()), 4.0);
        assert_eq!(median([].into_iter()), 0.0);
    }
}
