//! autograd
#[macro_use]
pub mod kernels;
pub mod buffer;
mod float;
pub mod rng;
mod shape;
pub use float::Float;
pub use shape::{MAX_RANK, Shape};
