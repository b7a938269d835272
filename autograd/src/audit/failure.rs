//! What an audit can find.

use std::fmt;

use crate::anomaly::Anomaly;
use crate::inspect::Place;

/// How the way from a parameter to the loss ends too early.
#[derive(Clone, Debug)]
pub enum PathEnd {
    /// The parameter was never put on the tape with [`Tape::param`](crate::Tape::param).
    NeverUsed,
    /// This op gets a gradient and gives none back to the input on the parameter's side, as `detach` does.
    Stops(Box<Place>),
    /// Nothing on the way to the loss reads this value.
    Unread(Box<Place>),
}

impl fmt::Display for PathEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverUsed => write!(f, "it was never put on the tape"),
            Self::Stops(place) => write!(f, "its path ends at {place}, which gives no gradient back to it"),
            Self::Unread(place) => write!(f, "its path ends at {place}, which nothing reads"),
        }
    }
}

/// A failed audit.
#[derive(Clone, Debug)]
pub enum AuditFailure {
    /// The loss or a gradient holds numbers that are not finite.
    NotFinite {
        /// What does: the loss, or the gradient of a parameter.
        place: String,
        /// Where they come from.
        anomaly: Option<Box<Anomaly>>,
    },
    /// No gradient reaches the parameter.
    NotReached {
        /// The first such parameter.
        path: String,
        /// How many others are not reached.
        others: usize,
        /// Where its way ends.
        end: PathEnd,
    },
    /// The gradient is zero to rounding, and nobody has said why it should be.
    Zero {
        /// The parameter.
        path: String,
        /// The largest entry of its gradient.
        largest: f64,
        /// The largest entry of all gradients.
        largest_of_all: f64,
        /// Where the gradient is lost.
        end: PathEnd,
    },
    /// The gradient disagrees with differences of the loss.
    Mismatch {
        /// The parameter: of all that disagree, the one that enters the tape last, since a wrong rule spoils those
        /// before it.
        path: String,
        /// The change of the loss along a direction as the gradient has it.
        analytic: f64,
        /// The change as it is.
        numeric: f64,
        /// Their distance, relative to the change to be expected.
        error: f64,
        /// The first op on the tape whose own rule disagrees with its own forward, where one could be found.
        culprit: Option<String>,
        /// The first op that reads the parameter: between it and the loss something is wrong.
        reader: Option<Box<Place>>,
    },
}

impl fmt::Display for AuditFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "audit: ")?;
        match self {
            Self::NotFinite { place, anomaly } => {
                write!(f, "{place} is not finite")?;
                anomaly.as_ref().map_or(Ok(()), |anomaly| write!(f, ": {anomaly}"))
            }
            Self::NotReached { path, others, end } => {
                write!(f, "{path} gets no gradient: {end}")?;
                match others {
                    0 => Ok(()),
                    1 => write!(f, "; neither does 1 other parameter"),
                    _ => write!(f, "; neither do {others} other parameters"),
                }
            }
            Self::Zero { path, largest, largest_of_all, end } => write!(
                f,
                "the gradient of {path} is zero to rounding, {largest:.0e} where others reach {largest_of_all:.0e}: {end}"
            ),
            Self::Mismatch { path, analytic, numeric, error, culprit, reader } => {
                write!(
                    f,
                    "the gradient of {path} is wrong: along a direction the loss changes by {numeric:.6e}, not by \
                     {analytic:.6e} (error {error:.0e})"
                )?;
                match (culprit, reader) {
                    (Some(culprit), _) => write!(f, "; the rule of {culprit} is wrong"),
                    (None, Some(reader)) => write!(f, "; look between {reader} and the loss"),
                    (None, None) => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for AuditFailure {}
