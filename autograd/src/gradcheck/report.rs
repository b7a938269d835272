//! What a gradient check says.

use std::fmt;

/// A passed check.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The number of inputs and parameters checked.
    pub inputs: usize,
    /// The number of entries and directions compared.
    pub compared: usize,
    /// The largest error found, relative to the largest entry of its gradient.
    pub worst_error: f64,
    /// What differences with two steps disagree by where the error is worst, in the same units: an error below it is
    /// the differences' own.
    pub noise_floor: f64,
    /// The entries and directions at or next to a kink, where one-sided slopes disagree. There the derivative was
    /// taken nearer by, or, where the point itself is the kink, required to lie between the two slopes.
    pub kinks: usize,
}

/// What a gradient is held to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Law {
    /// It is the derivative: `Jᵀu` agrees with central differences of `⟨u, f⟩`.
    Derivative,
    /// The same computation gives the same bits.
    Repeatable,
    /// `Jᵀ0` is exactly zero.
    Zero,
    /// `Jᵀ(u + w) = Jᵀu + Jᵀw`.
    Linear,
}

/// A failed check.
#[derive(Clone, Debug)]
pub struct Mismatch {
    /// What the gradient fails.
    pub law: Law,
    /// Which input: its number or its path.
    pub input: String,
    /// Where: an entry such as `[0, 2]`, or a direction.
    pub place: String,
    /// What the backward pass says.
    pub analytic: f64,
    /// What it should say: by differences, or by the law it fails.
    pub numeric: f64,
    /// Their distance, relative to the largest entry.
    pub error: f64,
    /// The largest error that would have passed.
    pub tolerance: f64,
    /// What differences with two steps disagree by at this place, in the same units as the error.
    pub noise: f64,
    /// The first op on the tape whose own rule disagrees with its own forward, where one could be found.
    pub culprit: Option<String>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { law, input, place, analytic, numeric, error, tolerance, noise, culprit } = self;
        write!(f, "gradcheck: {input}, {place}: ")?;
        match law {
            Law::Derivative => write!(
                f,
                "analytic {analytic:.9e}, numeric {numeric:.9e}: mismatch {error:.1e}, noise {noise:.0e}, \
                 tolerance {tolerance:.0e}"
            )?,
            Law::Repeatable => write!(f, "backward gives {analytic:e}, and {numeric:e} the second time")?,
            Law::Zero => write!(f, "an upstream gradient of zero gives {analytic:e}")?,
            Law::Linear => write!(
                f,
                "the rule is not linear: two upstream gradients together give {analytic:.9e}, one by one \
                 {numeric:.9e}: mismatch {error:.1e}"
            )?,
        }
        match culprit {
            Some(culprit) => write!(f, "; the rule of {culprit} is wrong"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Mismatch {}
