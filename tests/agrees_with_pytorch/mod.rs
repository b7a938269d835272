//! Claim: ops, layers, models and Adam do what PyTorch's do.
//!
//! `golden/pytorch/make.py` wrote what PyTorch computes, in `f64` and in `f32`. Every number in its files is compared
//! or goes into a comparison, and every op and every model has its numbers there; else a test fails.

mod adam;
mod fixture;
mod layers;
mod ops;
mod report;
mod transformer;
