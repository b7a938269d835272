//! Gradus: a learning framework whose autodiff engine is written from scratch on a reverse-mode tape.

pub use {autograd, nn, optim};

pub mod data;
pub mod decode;
pub mod metrics;
