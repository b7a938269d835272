//! Optimisers and learning-rate schedules.
//!
//! An optimiser changes the parameters of a model in place from their gradients. Its state is kept by parameter path,
//! so that checkpoints can hold it and a resumed training goes on exactly.

mod adam;
mod ema;
mod schedule;
mod sgd;

pub use adam::{Adam, Decay, Moments};
pub use ema::Ema;
pub use schedule::Schedule;
pub use sgd::Sgd;
