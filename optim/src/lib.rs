//! Optimisers and learning-rate schedules.
//!
//! An optimiser changes the parameters of a model in place from their gradients. Its state is kept by parameter path,
//! so that checkpoints can hold it and a resumed training goes on exactly; since the first step it belongs to the
//! parameters themselves, and others of the same path are refused ([`Owners`]).

mod adam;
mod ema;
mod owners;
#[cfg(test)]
mod panics;
mod schedule;
mod sgd;

pub use adam::{Adam, Decay, Moments};
pub use ema::Ema;
pub use owners::Owners;
pub use schedule::Schedule;
pub use sgd::Sgd;
