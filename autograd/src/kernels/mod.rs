//! The loops under the ops, and the only place that knows where data lies.
//!
//! [`Kernels`] is the list of what a device must be able to do; it has no defaults, so that a device that lacks one does not
//! compile. `cpu` holds the loops as functions over slices, generic over [`Float`]; `cuda` (feature `cuda`) holds them
//! for a card. Ops call the kernels of the device that their operands lie on, and know nothing of vector units or cards.

#![allow(
    unsafe_code,
    reason = "vector instructions, unchecked matrix products and launches on a card live here, and nowhere else"
)]

pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
mod device;
mod list;

pub use device::{Device, DeviceError, Precision};
pub use list::{Activation, AdamItem, AdamNumbers, Gathered, Layout, Norm, Row, adam};
pub(crate) use list::{Attended, Factor, Kernels, Labels, Product};

use crate::buffer::Buffer;
use crate::float::Float;

/// Where the entries of a tensor lie.
#[derive(Clone, Debug)]
pub(crate) enum Storage<T: Float> {
    /// In this machine's memory.
    Cpu(Buffer<T>),
    /// On a card; always `f32`.
    #[cfg(feature = "cuda")]
    Cuda(cuda::CudaArray),
}
