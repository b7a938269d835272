//! Gradus: a learning framework whose autodiff engine is written from scratch on a reverse-mode tape.
//!
//! This crate is the facade: the three libraries, and the application that is built of them.
//!
//! * [`autograd`]: the tape, the ops, and the tools that check gradients;
//! * [`nn`]: layers, up to the full Transformer;
//! * [`optim`]: Adam, SGD, schedules;
//! * [`data`], [`train`], [`decode`], [`metrics`], [`checkpoint`], [`config`]: from parallel text to translations;
//! * [`teach`]: pages and maps that show what a model does, and the gradient microscope;
//! * [`interchange`]: models as others read them;
//! * [`files`], [`terminal`]: files that are whole or not there, output that can fail;
//! * [`mod@bench`]: how fast that is, on fixed workloads;
//! * [`cli`]: the `gradus` program.

pub use {autograd, nn, optim};

pub mod bench;
pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod data;
pub mod decode;
pub mod files;
pub mod interchange;
pub mod metrics;
mod shell;
pub mod teach;
pub mod terminal;
pub mod train;

/// The README's Rust, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
