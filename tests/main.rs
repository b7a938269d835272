//! Claims about the whole.

mod common;
mod fused_equals_explained;
mod layers_pass_gradcheck;
mod learning;
mod loss_invariants;
mod metrics_equal_sacrebleu;
mod no_leaks;
mod parameters;
