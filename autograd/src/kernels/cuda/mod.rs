//! Kernels on an NVIDIA card, and an emulator of it that needs none.

pub(crate) mod card;
pub(crate) mod driver;
pub(crate) mod emulator;
pub(crate) mod memory;
pub(crate) mod source;
#[cfg(test)]
mod tests;

pub use driver::{CudaError, Precision};
