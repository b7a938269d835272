//! Claims about the whole.

mod decoding;
mod metrics_equal_sacrebleu;
