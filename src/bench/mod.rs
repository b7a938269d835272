//! Benchmarks of the whole program: training steps and decoding on fixed workloads, with random ids.
//!
//! What is timed is the program's own code ([`step`](crate::train::step::step) and
//! [`translate_all`](crate::decode::translate_all)), and a speed in GFLOP/s stands beside the peak that was measured in the
//! same run, because machines differ, and one machine differs from hour to hour.

mod decode;
mod flops;
mod memory;
mod peak;
mod profile;
mod train;
mod workload;

use serde::Serialize;

pub use decode::{DecodeReport, bench_decoding};
pub use flops::training_flops;
pub use memory::Memory;
pub use peak::peak_gflops;
pub use train::{TrainOptions, TrainReport, bench_training};
pub use workload::{Double, Workload};

/// The middle of several measurements, and how far they spread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one; of an even number, the mean of the two in the middle.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of at least one measurement.
    ///
    /// # Panics
    /// Where there is none.
    #[track_caller]
    pub fn of(measurements: &[f64]) -> Self {
        let mut sorted = measurements.to_vec();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        assert!(count > 0, "spread: there must be at least one measurement");
        let median = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2.0;
        Self { median, min: sorted[0], max: sorted[count - 1] }
    }

    /// Of `amount / x`: seconds become amounts a second.
    #[must_use]
    pub fn rate(self, amount: f64) -> Self {
        Self { median: amount / self.median, min: amount / self.max, max: amount / self.min }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of(&[3.0, 1.0, 10.0]), Spread { median: 3.0, min: 1.0, max: 10.0 });
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 10.0]).median, 3.0);
        assert_eq!(Spread::of(&[2.0, 4.0, 8.0]).rate(8.0), Spread { median: 2.0, min: 1.0, max: 4.0 });
    }
}
