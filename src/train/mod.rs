//! Training: from text to a model that translates.
//!
//! [`Run`] is a folder and what is in it; [`Trainer`] is the loop; [`step`] computes the gradients of a batch on several
//! threads with the same result for any number of them.

mod average;
mod camera;
mod data;
mod freeze;
#[cfg(feature = "cuda")]
pub mod graphs;
mod guard;
mod report;
mod resume;
mod run;
mod save;
mod spike;
pub mod step;
mod stepper;
mod stop;
mod trainer;
mod truth;
mod validate;

pub use average::Mean;
pub use data::{Corpora, Prepared, tokenizers_of, train_tokenizers};
pub use freeze::freeze;
pub(crate) use report::thousands;
pub use report::{Reporter, SentenceBar};
pub use resume::Reset;
pub use run::Run;
pub use spike::{Spike, Spikes};
pub use stepper::Stepper;
pub use stop::{STOPPED, install_stop_signals, prepare, stop_requested};
pub use trainer::{Outcome, Trainer};
pub use truth::{Drift, Replay, Truth};
pub use validate::Summary;
