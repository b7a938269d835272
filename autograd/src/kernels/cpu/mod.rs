//! Kernels on the CPU: functions over slices.
//!
//! `keep` means the same everywhere: true adds to what the output holds, false overwrites it, and then it may hold
//! anything, NaN included. Rows are contiguous, `n` entries each.

pub mod activation;
pub mod adam;
pub mod attention;
pub mod attention_step;
pub mod best;
pub(crate) mod bf16;
pub mod broadcast;
pub mod crew;
pub mod cross_entropy;
pub(crate) mod device;
pub mod dropout;
pub mod elementwise;
pub mod gemm;
pub mod layer_norm;
pub mod panels;
pub mod peak;
pub mod simd;
pub mod small_product;
pub mod softmax;
#[cfg(test)]
mod testing;
