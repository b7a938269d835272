//! What the tests of the kernels share.

use crate::{Float, rng::Stream};

/// Row lengths below, at and above those of the vector units, and of the models.
pub(super) const SIZES: [usize; 8] = [1, 3, 15, 16, 17, 24, 100, 1000];

/// Numbers drawn evenly from [−2, 2), all of them exact in `f32`, so that both types compute on the same input.
pub(super) fn random<T: Float>(len: usize, seed: u64) -> Vec<T> {
    let mut stream = Stream::new(seed);
    (0..len).map(|_| T::of(f64::from((stream.uniform() * 4.0 - 2.0) as f32))).collect()
}

/// The same numbers in `f64`.
pub(super) fn widen<T: Float>(x: &[T]) -> Vec<f64> {
    x.iter().map(|x| x.to_f64()).collect()
}

/// An output that nothing may read.
pub(super) fn unread<T: Float>(len: usize) -> Vec<T> {
    vec![T::of(f64::NAN); len]
}

/// Half the distance from 1 to the next number: the error of one rounding.
pub(super) fn rounding<T: Float>() -> f64 {
    if T::NAME == "f32" { f64::from(f32::EPSILON) / 2.0 } else { f64::EPSILON / 2.0 }
}

/// Asserts that every entry lies within `roundings` rounding errors of what is expected, on the scale of `1 + |expected|`.
#[track_caller]
pub(super) fn assert_close<T: Float>(got: &[T], expected: &[f64], roundings: f64) {
    assert_eq!(got.len(), expected.len());
    for (i, (got, &expected)) in got.iter().zip(expected).enumerate() {
        let error = (got.to_f64() - expected).abs() / (1.0 + expected.abs());
        let limit = roundings * rounding::<T>();
        assert!(error <= limit, "{} entry {i}: {got} is not {expected}: {error:e} > {limit:e}", T::NAME);
    }
}

/// Asserts that `gradient` is the gradient of `f` at `x`, by central differences.
///
/// With a step of 1e-5 the differences are off by about 1e-10 for the next term of the series and 1e-11·|f| for
/// rounding, so 1e-8 leaves room for neither a wrong sign nor a forgotten term.
#[track_caller]
pub(super) fn assert_gradient(f: impl Fn(&[f64]) -> f64, x: &[f64], gradient: &[f64]) {
    assert_eq!(x.len(), gradient.len());
    let mut x = x.to_vec();
    for i in 0..x.len() {
        let (at, step) = (x[i], 1e-5);
        x[i] = at + step;
        let above = f(&x);
        x[i] = at - step;
        let below = f(&x);
        x[i] = at;
        let expected = (above - below) / (2.0 * step);
        let error = (gradient[i] - expected).abs() / expected.abs().max(1.0);
        assert!(error <= 1e-8, "entry {i}: {} is not {expected}: {error:e}", gradient[i]);
    }
}

/// Runs a backward kernel both ways: overwriting NaN, and adding to ones. Returns what it wrote over NaN.
///
/// A sum that starts at 1 rounds differently in each of its additions, hence a few dozen roundings between the two.
#[track_caller]
pub(super) fn both_ways<T: Float>(len: usize, run: impl Fn(&mut [T], bool)) -> Vec<T> {
    let mut fresh = unread(len);
    run(&mut fresh, false);
    let mut added = vec![T::ONE; len];
    run(&mut added, true);
    for (i, (fresh, added)) in fresh.iter().zip(&added).enumerate() {
        let error = (added.to_f64() - 1.0 - fresh.to_f64()).abs() / (1.0 + fresh.to_f64().abs());
        assert!(error <= 64.0 * rounding::<T>(), "entry {i}: {added} is not 1 + {fresh}");
    }
    fresh
}
