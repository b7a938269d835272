//! The driver that runs the same kernels on the CPU.
