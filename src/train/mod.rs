//! Training: from text to a model that translates.
//!
//! [`Run`] is a folder and what is in it; [`Trainer`] is the loop; [`step`] computes the gradients of a batch on several
//! threads with the same result for any number of them.

mod data;
mod guard;
mod report;
mod run;
pub mod step;
mod stop;
mod trainer;
mod truth;
mod validate;

pub use data::{Corpora, Prepared, tokenizers_of, train_tokenizers};
pub use report::{Reporter, SentenceBar};
pub use run::Run;
pub use stop::{install_stop_signals, stop_requested};
pub(crate) use trainer::thousands;
pub use trainer::{Outcome, Trainer};
pub use truth::{Drift, Replay, Truth};
pub use validate::Summary;
