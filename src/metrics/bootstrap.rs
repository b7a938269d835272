//! How sure a score is: bootstrap resampling of the sentences, alone and of two systems in pairs, as sacreBLEU does it.

use super::numpy::Generator;

/// How to resample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// How many corpora are drawn, each of as many sentences as there are, with replacement.
    pub samples: usize,
    /// What the draws come from. sacreBLEU's is 12345 unless `SACREBLEU_SEED` says otherwise.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { samples: 1000, seed: 12345 }
    }
}

impl Bootstrap {
    /// The most samples that can be drawn. Intervals and p-values gain nothing from more.
    pub const MOST_SAMPLES: usize = 1_000_000;

    /// The scores of all samples of `sentences` sentences; `score` is given the numbers of those that were drawn. They are
    /// the numbers that NumPy draws in sacreBLEU, and the same for every system and metric, which is what lets scores be
    /// compared in pairs.
    ///
    /// # Panics
    /// For more than [`MOST_SAMPLES`](Self::MOST_SAMPLES).
    #[track_caller]
    pub fn scores(&self, sentences: usize, score: impl Fn(&[usize]) -> f64) -> Vec<f64> {
        let (samples, most) = (self.samples, Self::MOST_SAMPLES);
        assert!(
            samples <= most,
            "bootstrap: {samples} samples are more than {most}, the most that are drawn"
        );
        let mut generator = Generator::new(self.seed);
        let mut drawn = vec![0; sentences];
        let mut sample = |_| {
            drawn.iter_mut().for_each(|number| *number = generator.below(sentences as u32) as usize);
            score(&drawn)
        };
        (0..self.samples).map(&mut sample).collect()
    }

    /// What a signature says of it, to go behind the number of references.
    pub(super) fn field(&self) -> String {
        format!("bs:{}|seed:{}|", self.samples, self.seed)
    }
}

/// The mean of a score over samples, and half of the interval that holds 95 % of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// μ
    pub mean: f64,
    /// What stands behind ±.
    pub half_width: f64,
}

impl Interval {
    /// Of the scores of samples, of which there is at least one.
    pub fn of(scores: &[f64]) -> Self {
        let mut sorted = scores.to_vec();
        sorted.sort_by(f64::total_cmp);
        let cut = sorted.len() / 40;
        let (low, high) = (sorted[cut], sorted[sorted.len() - cut - 1]);
        Self { mean: mean(scores), half_width: 0.5 * (high - low) }
    }
}

/// How probable so large a difference between two systems is if they are equally good: the share of samples whose
/// difference, less the mean of all, is larger than `difference`, that of the whole corpus (Koehn 2004, "Statistical
/// significance tests for machine translation evaluation"; the same samples for both). Below 0.05 one speaks of a
/// significant difference.
///
/// Where there is no difference at all it is 1, since any sample has one as large. (sacreBLEU counts the samples whose difference
/// is larger, of which a system compared with itself has none, and calls that significant.)
///
/// # Panics
/// If the two have different numbers of samples.
#[track_caller]
pub fn p_value(system: &[f64], baseline: &[f64], difference: f64) -> f64 {
    assert_eq!(system.len(), baseline.len(), "samples are compared in pairs");
    if difference == 0.0 {
        return 1.0;
    }
    let differences: Vec<f64> = system.iter().zip(baseline).map(|(a, b)| (a - b).abs()).collect();
    let mean = mean(&differences);
    let larger = differences.iter().filter(|&&sample| sample - mean > difference.abs()).count();
    (larger + 1) as f64 / (differences.len() + 1) as f64
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_leaves_a_fortieth_out_on_either_side() {
        let scores: Vec<f64> = (0..1000).rev().map(f64::from).collect();
        assert_eq!(Interval::of(&scores), Interval { mean: 499.5, half_width: (974.0 - 25.0) / 2.0 });
        assert_eq!(Interval::of(&[3.0]), Interval { mean: 3.0, half_width: 0.0 });
    }

    #[test]
    fn equal_systems_do_not_differ_and_far_ones_do() {
        let scores = |quality: f64| -> Vec<f64> {
            let words: Vec<f64> = (0..200).map(|i| quality + f64::from(i % 7)).collect();
            Bootstrap { samples: 200, seed: 1 }
                .scores(200, |drawn| drawn.iter().map(|&i| words[i]).sum::<f64>() / 200.0)
        };
        assert_eq!(p_value(&scores(1.0), &scores(1.0), 0.0), 1.0, "any difference is as large as none");
        assert_eq!(p_value(&scores(9.0), &scores(1.0), 8.0), 1.0 / 201.0);
        let noise: Vec<f64> = (0..200).map(|i| f64::from(i % 3)).collect();
        assert!(p_value(&noise, &scores(1.0), 0.01) > 0.3);
    }
}
