//! Kernels on an NVIDIA card, and an emulator of it that needs none.
//!
//! `source/` holds the kernels themselves, in CUDA C++. `driver` is all that is asked of a machine that runs them, `card` and
//! `emulator` are the two there are. `memory` recycles what they allocate, `array` and `staged` are what lies in it, `device`
//! is what tensors know of it all, `kernels` launches what ops ask for, and `graph` records launches to do them again.

mod array;
mod attention;
pub(crate) mod card;
mod device;
pub(crate) mod driver;
pub(crate) mod emulator;
mod graph;
mod kernels;
mod launch;
mod loss;
pub(crate) mod memory;
pub(crate) mod source;
mod staged;
#[cfg(test)]
mod tests;
mod update;

pub(crate) use array::CudaArray;
pub use device::{Cuda, Traffic};
pub use driver::CudaError;
pub use emulator::Order;
pub use graph::{CudaGraph, GraphMemory};

/// Queries of a sentence that one block of attention takes: the number of blocks is that of the longest sentence, in these.
pub const ATTENTION_TILE: usize = source::TILE as usize;

pub(crate) use staged::StagedIds;
