//! The text of the kernels, and their names.
