//! Matrix products whose factors are rounded to bfloat16, on processors that multiply pairs of such numbers at once.
//!
//! A bfloat16 is the upper half of an `f32`: the same range, 8 bits of precision. Two that follow each other along the
//! summed axis are a *pair*, and AVX512-BF16 multiplies sixteen pairs by sixteen others and adds both products of each to
//! sums in `f32`: twice the arithmetic of a multiply-add, of half the memory. Whatever is not a factor stays `f32`, as in
//! Kalamkar et al., "A study of BFLOAT16 for deep learning training", 2019. Numbers too small for the normal range count as 0.

#[cfg(not(target_arch = "x86_64"))]
mod absent;
#[cfg(target_arch = "x86_64")]
mod pairs;
#[cfg(target_arch = "x86_64")]
mod panels;
#[cfg(target_arch = "x86_64")]
mod product;
#[cfg(all(test, target_arch = "x86_64"))]
mod tests;
#[cfg(target_arch = "x86_64")]
mod tile;

use std::any::TypeId;
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(target_arch = "x86_64")]
use super::simd;
#[cfg(not(target_arch = "x86_64"))]
pub(super) use absent::{PairPanels, product};
#[cfg(target_arch = "x86_64")]
pub(super) use {panels::PairPanels, product::product};

/// Whether products of `f32` are computed so in this process.
static CHOSEN: AtomicBool = AtomicBool::new(false);

/// Whether this processor can.
pub(crate) fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    return simd::level() == simd::Level::Avx512 && is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Whether products of `f32` are computed so from now on. Weights that are in order for decoding already stay as they are.
///
/// # Panics
/// Where the processor cannot.
pub(crate) fn choose(chosen: bool) {
    assert!(!chosen || available(), "bf16: this processor cannot multiply so");
    CHOSEN.store(chosen, Ordering::Relaxed);
}

/// Whether products of `f32` are computed so.
pub(super) fn chosen() -> bool {
    CHOSEN.load(Ordering::Relaxed)
}

/// The same numbers, where they are `f32`.
pub(super) fn singles<T: 'static>(x: &[T]) -> Option<&[f32]> {
    // SAFETY: it is the same type.
    (TypeId::of::<T>() == TypeId::of::<f32>())
        .then(|| unsafe { slice::from_raw_parts(x.as_ptr().cast(), x.len()) })
}

/// The same numbers, where they are `f32`, to change them.
pub(super) fn singles_mut<T: 'static>(x: &mut [T]) -> Option<&mut [f32]> {
    let len = x.len();
    // SAFETY: it is the same type, and borrowed mutably.
    (TypeId::of::<T>() == TypeId::of::<f32>())
        .then(|| unsafe { slice::from_raw_parts_mut(x.as_mut_ptr().cast(), len) })
}
