//! Kernels on the CPU: functions over slices.

pub mod gemm;
pub mod simd;
