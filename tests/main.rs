//! Claims about the whole.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agrees_with_pytorch;
mod audit;
mod common;
mod data_commands;
mod decoding;
mod dependencies;
mod durability;
mod fused_equals_explained;
mod hostile_text;
mod learning;
mod loss_invariants;
mod metrics_equal_sacrebleu;
mod microscope;
mod mutation_score;
mod no_leaks;
mod not_finite;
mod panics;
mod parameters;
mod program;
mod recipes;
mod settings;
mod streams_and_signals;
mod teaching;
mod tokenizers_equal_python;
mod training_options;
mod training_steps;
mod translating;
