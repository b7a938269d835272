//! The loops under the ops, and the only place that knows where data lies.
//!
//! `cpu` holds them as functions over slices, generic over [`Float`]. Ops call them and know nothing of
//! vector units or devices.

#![allow(
    unsafe_code,
    reason = "vector instructions and unchecked matrix products live here, and nowhere else"
)]

pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;

use crate::buffer::Buffer;
use crate::float::Float;

/// Where the entries of a tensor lie.
#[derive(Clone, Debug)]
pub(crate) enum Storage<T: Float> {
    /// In this machine's memory.
    Cpu(Buffer<T>),
}
