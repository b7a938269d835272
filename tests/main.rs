//! Claims about the whole.

mod metrics_equal_sacrebleu;
