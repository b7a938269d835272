//! Learning rates over time.

use serde::{Deserialize, Serialize};

/// The learning rate as a function of the step, counted from 1.
///
/// ```
/// use optim::Schedule;
/// let schedule = Schedule::InverseSqrt { peak: 1e-3, warmup: 100 };
/// assert_eq!(schedule.rate(50), 5e-4);
/// assert_eq!(schedule.rate(100), 1e-3);
/// assert_eq!(schedule.rate(400), 5e-4);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// Always the same.
    Constant {
        /// The rate.
        rate: f64,
    },
    /// `factor · D^−½ · min(t^−½, t · warmup^−³ᐟ²)` (Vaswani et al., 2017, §5.3).
    Noam {
        /// D, the width of the model.
        d_model: usize,
        /// Steps over which the rate rises.
        warmup: u64,
        /// What the whole is multiplied by; 1 in the paper.
        factor: f64,
    },
    /// Rises linearly to `peak` over `warmup` steps, then falls as `peak · √(warmup/t)`.
    InverseSqrt {
        /// The highest rate.
        peak: f64,
        /// Steps over which it is reached; 0 for none.
        warmup: u64,
    },
    /// Rises linearly to `peak` over `warmup` steps, then falls along half a cosine to `floor` at step `total`
    /// (Loshchilov and Hutter, "SGDR", 2017, without restarts).
    Cosine {
        /// The highest rate.
        peak: f64,
        /// Steps over which it is reached; 0 for none.
        warmup: u64,
        /// The step at which the floor is reached; 0 in settings for the end of training, see
        /// [`total_mut`](Self::total_mut).
        #[serde(default)]
        total: u64,
        /// The lowest rate, from then on.
        #[serde(default)]
        floor: f64,
    },
    /// Rises linearly to `peak` over `warmup` steps, then falls linearly to `floor` at step `total`.
    Linear {
        /// The highest rate.
        peak: f64,
        /// Steps over which it is reached; 0 for none.
        warmup: u64,
        /// The step at which the floor is reached; 0 in settings for the end of training, see
        /// [`total_mut`](Self::total_mut).
        #[serde(default)]
        total: u64,
        /// The lowest rate, from then on.
        #[serde(default)]
        floor: f64,
    },
}

impl Schedule {
    /// The rate of step `step`, counted from 1; step 0 has that of step 1. Where a schedule ends before its warm-up does, it
    /// rises as far as it comes, and what follows the warm-up has the floor.
    ///
    /// # Panics
    /// Where the schedule is not valid ([`validate`](Self::validate)).
    #[track_caller]
    pub fn rate(&self, step: u64) -> f64 {
        if let Err(error) = self.validate() {
            panic!("schedule: {error}");
        }
        let step = step.max(1);
        let t = step as f64;
        match *self {
            Self::Constant { rate } => rate,
            Self::Noam { d_model, warmup, factor } => {
                let w = warmup.max(1) as f64;
                factor * (d_model as f64).powf(-0.5) * t.powf(-0.5).min(t * w.powf(-1.5))
            }
            Self::InverseSqrt { peak, warmup } => {
                let w = warmup.max(1) as f64;
                peak * (t / w).min((w / t).sqrt())
            }
            Self::Cosine { peak, warmup, total, floor } => {
                if step <= warmup {
                    return peak * t / warmup as f64;
                }
                let done = fallen(step, warmup, total);
                floor + (peak - floor) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
            Self::Linear { peak, warmup, total, floor } => {
                if step <= warmup {
                    return peak * t / warmup as f64;
                }
                floor + (peak - floor) * (1.0 - fallen(step, warmup, total))
            }
        }
    }

    /// The step at which the rate has fallen to its floor, to be set by whoever knows when training ends; `None` for
    /// schedules that need no end.
    pub fn total_mut(&mut self) -> Option<&mut u64> {
        match self {
            Self::Cosine { total, .. } | Self::Linear { total, .. } => Some(total),
            Self::Constant { .. } | Self::Noam { .. } | Self::InverseSqrt { .. } => None,
        }
    }

    /// Checks that rates are numbers that a training can use: positive, finite, and so in `f32` too.
    ///
    /// # Errors
    /// One line naming the setting that is wrong.
    pub fn validate(&self) -> Result<(), String> {
        let (name, highest, lowest) = match *self {
            Self::Constant { rate } => ("rate", rate, 0.0),
            Self::Noam { d_model: 0, .. } => return Err("d_model must not be 0".to_owned()),
            Self::Noam { factor, .. } => ("factor", factor, 0.0),
            Self::InverseSqrt { peak, .. } => ("peak", peak, 0.0),
            Self::Cosine { peak, floor, .. } | Self::Linear { peak, floor, .. } => ("peak", peak, floor),
        };
        if !(highest.is_finite() && highest > 0.0) {
            return Err(format!("{name} = {highest} is not a positive number"));
        }
        let single = highest as f32;
        if !(single > 0.0 && single.is_finite()) {
            return Err(format!(
                "{name} = {highest} is too {} for f32",
                if single > 0.0 { "large" } else { "small" }
            ));
        }
        if !(0.0..=highest).contains(&lowest) {
            return Err(format!("floor = {lowest} is not between 0 and {name} = {highest}"));
        }
        Ok(())
    }
}

/// How much of the way from `warmup` to `total` is done at `step`, which is beyond the warm-up.
fn fallen(step: u64, warmup: u64, total: u64) -> f64 {
    let span = total.saturating_sub(warmup).max(1) as f64;
    ((step - warmup) as f64 / span).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noam_peaks_at_the_end_of_warmup() {
        let schedule = Schedule::Noam { d_model: 512, warmup: 4000, factor: 1.0 };
        // Step 4000 of the paper's base model: 512^−½ · 4000^−½.
        assert!((schedule.rate(4000) - 6.987_712_429_686_843e-4).abs() < 1e-15);
        assert!(schedule.rate(3999) < schedule.rate(4000) && schedule.rate(4001) < schedule.rate(4000));
    }

    #[test]
    fn linear_goes_from_peak_to_floor_and_stays() {
        let schedule = Schedule::Linear { peak: 1.0, warmup: 10, total: 110, floor: 0.1 };
        assert_eq!((schedule.rate(5), schedule.rate(10)), (0.5, 1.0));
        assert!((schedule.rate(60) - 0.55).abs() < 1e-12 && (schedule.rate(85) - 0.325).abs() < 1e-12);
        assert!((schedule.rate(110) - 0.1).abs() < 1e-12 && (schedule.rate(500) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn rates_that_no_training_can_use_are_named() {
        let wrong = |schedule: Schedule| schedule.validate().unwrap_err();
        assert_eq!(wrong(Schedule::Constant { rate: f64::NAN }), "rate = NaN is not a positive number");
        assert_eq!(
            wrong(Schedule::Linear { peak: 0.1, warmup: 1, total: 9, floor: 0.2 }),
            "floor = 0.2 is not between 0 and peak = 0.1"
        );
        assert!(Schedule::InverseSqrt { peak: 1e38, warmup: 0 }.validate().is_ok());
        assert_eq!(wrong(Schedule::Noam { d_model: 0, warmup: 1, factor: 1.0 }), "d_model must not be 0");
    }

    /// Every schedule with this highest rate, number of steps of warm-up, and end.
    fn all(highest: f64, warmup: u64, total: u64) -> [Schedule; 5] {
        [
            Schedule::Constant { rate: highest },
            Schedule::Noam { d_model: 512, warmup, factor: highest },
            Schedule::InverseSqrt { peak: highest, warmup },
            Schedule::Cosine { peak: highest, warmup, total, floor: 0.0 },
            Schedule::Linear { peak: highest, warmup, total, floor: 0.0 },
        ]
    }

    #[test]
    fn every_rate_that_is_no_positive_number_of_32_bits_is_refused_by_name() {
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE] {
            for schedule in all(wrong, 10, 100) {
                let message = schedule.validate().unwrap_err();
                let names = ["rate = ", "factor = ", "peak = "];
                assert!(names.iter().any(|name| message.starts_with(name)), "{schedule:?}: {message}");
            }
        }
        for floor in [-1.0, f64::NAN, f64::INFINITY, 2.0] {
            let message = Schedule::Cosine { peak: 1.0, warmup: 0, total: 9, floor }.validate().unwrap_err();
            assert!(message.starts_with("floor = "), "{message}");
        }
    }

    #[test]
    fn every_step_of_every_valid_schedule_has_a_rate_up_to_the_highest() {
        for (warmup, total) in [(0, 100), (0, 0), (1, 1), (10, 100), (100, 10), (u64::MAX, 1), (0, u64::MAX)]
        {
            for schedule in all(1e-3, warmup, total) {
                for step in [0, 1, 2, 9, 10, 11, 99, 100, 101, 1 << 40, u64::MAX] {
                    let rate = schedule.rate(step);
                    assert!((0.0..=1e-3).contains(&rate), "{schedule:?}: {rate} at step {step}");
                }
                assert_eq!(schedule.rate(0), schedule.rate(1), "{schedule:?}");
            }
        }
    }

    #[test]
    fn cosine_goes_from_peak_to_floor_and_stays() {
        let schedule = Schedule::Cosine { peak: 1.0, warmup: 10, total: 110, floor: 0.1 };
        assert_eq!(schedule.rate(5), 0.5);
        assert_eq!(schedule.rate(10), 1.0);
        assert!((schedule.rate(60) - 0.55).abs() < 1e-12);
        assert!((schedule.rate(110) - 0.1).abs() < 1e-12 && (schedule.rate(500) - 0.1).abs() < 1e-12);
    }
}
