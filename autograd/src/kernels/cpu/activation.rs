//! Activation functions, entry by entry.
//!
//! - ReLU: `max(x, 0)`, with derivative 0 at 0.
//! - GELU in the tanh form (Hendrycks and Gimpel, 2016): `x/2 · (1 + tanh u)` with `u = √(2/π)·(x + 0.044715 x³)`. Because
//!   `(1 + tanh u)/2 = σ(2u)`, one exponential is all it takes.
//! - SiLU (same paper; also known as swish): `x · σ(x)`.
//!
//! Far from 0 the last two are 0 or x, and their derivatives 0 or 1, exactly. Only near 0 are the formulas computed: beyond,
//! a power of x or an exponential overflows in one number type or another, and 0 · ∞ is no number.

use super::simd::Simd;
use crate::{float::Float, simd};

/// `2√(2/π)`, the slope of 2u at 0.
const SLOPE: f64 = 1.595_769_121_605_730_8;
/// `2√(2/π) · 0.044715`, the factor of `x³` in 2u.
const CUBE: f64 = SLOPE * 0.044_715;

/// From here on GELU is x to the last digit of every number type, and at the same distance below 0 it is zero: 2u is ±694,
/// and e⁷⁰⁹ the largest exponential of `f64`.
const FAR_GELU: f64 = 21.0;
/// The same of SiLU.
const FAR_SILU: f64 = 700.0;

/// `σ(z) = 1 / (1 + e^−z)`
#[inline(always)]
fn sigmoid<T: Float, S: Simd<T>>(s: S, z: S::V) -> S::V {
    let one = s.splat(T::ONE);
    s.div(one, s.add(one, s.exp(s.sub(s.splat(T::ZERO), z))))
}

#[track_caller]
fn check_sizes(x: usize, dy: usize, dx: usize) {
    assert!(x == dy && x == dx, "activation: {x}, {dy} and {dx} entries");
}

simd! {
    /// `y = max(x, 0)`
    pub fn relu<T>(s, x: &[T], y: &mut [T]) {
        check_sizes(x.len(), x.len(), y.len());
        let zero = s.splat(T::ZERO);
        for (x, y) in x.chunks(S::LANES).zip(y.chunks_mut(S::LANES)) {
            s.store(s.max(zero, s.load(x, T::ZERO)), y);
        }
    }

    /// `y = max(y, 0)`
    pub fn relu_in_place<T>(s, y: &mut [T]) {
        let zero = s.splat(T::ZERO);
        for y in y.chunks_mut(S::LANES) {
            s.store(s.max(zero, s.load(y, T::ZERO)), y);
        }
    }

    /// `dx (+)= dy` where `x > 0`. The output of [`relu`] serves as `x` as well as its input does.
    pub fn relu_backward<T>(s, x: &[T], dy: &[T], dx: &mut [T], keep: bool) {
        check_sizes(x.len(), dy.len(), dx.len());
        for ((x, dy), dx) in x.chunks(S::LANES).zip(dy.chunks(S::LANES)).zip(dx.chunks_mut(S::LANES)) {
            let held = if keep { s.load(dx, T::ZERO) } else { s.splat(T::ZERO) };
            s.store(s.add(held, s.where_positive(s.load(x, T::ZERO), s.load(dy, T::ZERO))), dx);
        }
    }

    /// `y = x · σ(2u)`
    pub fn gelu<T>(s, x: &[T], y: &mut [T]) {
        check_sizes(x.len(), x.len(), y.len());
        let (slope, cube, far) = (s.splat(T::of(SLOPE)), s.splat(T::of(CUBE)), T::of(FAR_GELU));
        for (x, y) in x.chunks(S::LANES).zip(y.chunks_mut(S::LANES)) {
            let x = s.load(x, T::ZERO);
            let near = s.clamp(x, -far, far);
            let z = s.mul(near, s.fma(s.mul(near, near), cube, slope));
            let sigma = s.where_positive(s.add(x, s.splat(far)), sigmoid(s, z));
            s.store(s.mul(x, sigma), y);
        }
    }

    /// `dx (+)= dy · σ · (1 + x·(2u)′·(1 − σ))` with `σ = σ(2u)`
    pub fn gelu_backward<T>(s, x: &[T], dy: &[T], dx: &mut [T], keep: bool) {
        check_sizes(x.len(), dy.len(), dx.len());
        let (slope, cube, far) = (s.splat(T::of(SLOPE)), s.splat(T::of(CUBE)), T::of(FAR_GELU));
        let (one, thrice) = (s.splat(T::ONE), s.splat(T::of(3.0 * CUBE)));
        for ((x, dy), dx) in x.chunks(S::LANES).zip(dy.chunks(S::LANES)).zip(dx.chunks_mut(S::LANES)) {
            let x = s.load(x, T::ZERO);
            let near = s.clamp(x, -far, far);
            let square = s.mul(near, near);
            let z = s.mul(near, s.fma(square, cube, slope));
            let sigma = s.where_positive(s.add(x, s.splat(far)), sigmoid(s, z));
            let rise = s.mul(near, s.fma(square, thrice, slope));
            let slope_here = s.mul(sigma, s.fma(rise, s.sub(one, sigma), one));
            let held = if keep { s.load(dx, T::ZERO) } else { s.splat(T::ZERO) };
            s.store(s.fma(s.load(dy, T::ZERO), slope_here, held), dx);
        }
    }

    /// `y = x · σ(x)`
    pub fn silu<T>(s, x: &[T], y: &mut [T]) {
        check_sizes(x.len(), x.len(), y.len());
        let far = T::of(FAR_SILU);
        for (x, y) in x.chunks(S::LANES).zip(y.chunks_mut(S::LANES)) {
            let x = s.load(x, T::ZERO);
            let sigma = s.where_positive(s.add(x, s.splat(far)), sigmoid(s, s.clamp(x, -far, far)));
            s.store(s.mul(x, sigma), y);
        }
    }

    /// `dx (+)= dy · σ · (1 + x·(1 − σ))` with `σ = σ(x)`
    pub fn silu_backward<T>(s, x: &[T], dy: &[T], dx: &mut [T], keep: bool) {
        check_sizes(x.len(), dy.len(), dx.len());
        let (one, far) = (s.splat(T::ONE), T::of(FAR_SILU));
        for ((x, dy), dx) in x.chunks(S::LANES).zip(dy.chunks(S::LANES)).zip(dx.chunks_mut(S::LANES)) {
            let x = s.load(x, T::ZERO);
            let near = s.clamp(x, -far, far);
            let sigma = s.where_positive(s.add(x, s.splat(far)), sigmoid(s, near));
            let slope_here = s.mul(sigma, s.fma(near, s.sub(one, sigma), one));
            let held = if keep { s.load(dx, T::ZERO) } else { s.splat(T::ZERO) };
            s.store(s.fma(s.load(dy, T::ZERO), slope_here, held), dx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{SIZES, assert_close, assert_gradient, both_ways, random, unread, widen};
    use super::*;
    use crate::Dual;

    fn tanh_gelu(x: f64) -> f64 {
        0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x)).tanh())
    }

    /// A value in one forward pass, and the backward pass against the central difference of the reference: that is
    /// good to 1e-9, which `f32` does not see and `f64` is given as an allowance of 1e7 roundings.
    fn check<T: Float>(
        n: usize,
        forward: fn(&[T], &mut [T]),
        backward: fn(&[T], &[T], &mut [T], bool),
        reference: fn(f64) -> f64,
    ) {
        let (x, dy): (Vec<T>, Vec<T>) = (random(n, n as u64), random(n, 1));
        let mut y = unread::<T>(n);
        forward(&x, &mut y);
        assert_close(&y, &widen(&x).into_iter().map(reference).collect::<Vec<_>>(), 16.0);
        let dx = both_ways(n, |dx, keep| backward(&x, &dy, dx, keep));
        let expected: Vec<f64> = widen(&x)
            .into_iter()
            .zip(widen(&dy))
            .map(|(x, dy)| dy * (reference(x + 1e-5) - reference(x - 1e-5)) / 2e-5)
            .collect();
        assert_close(&dx, &expected, if T::NAME == "f32" { 32.0 } else { 1e7 });
    }

    fn check_all<T: Float>(n: usize) {
        check::<T>(n, |x, y| relu(x, y), |x, dy, dx, keep| relu_backward(x, dy, dx, keep), |x| x.max(0.0));
        check::<T>(n, |x, y| gelu(x, y), |x, dy, dx, keep| gelu_backward(x, dy, dx, keep), tanh_gelu);
        check::<T>(
            n,
            |x, y| silu(x, y),
            |x, dy, dx, keep| silu_backward(x, dy, dx, keep),
            |x| x / (1.0 + (-x).exp()),
        );
    }

    #[test]
    fn values_and_gradients_agree_with_the_definitions() {
        for n in SIZES {
            check_all::<f32>(n);
            check_all::<f64>(n);
        }
    }

    #[test]
    fn the_gradients_are_those_of_finite_differences() {
        let (x, dy): (Vec<f64>, Vec<f64>) = (random(100, 1), random(100, 2));
        type Forward = fn(&[f64], &mut [f64]);
        type Backward = fn(&[f64], &[f64], &mut [f64], bool);
        let pairs: [(Forward, Backward); 3] = [
            (|x, y| relu(x, y), |x, dy, dx, keep| relu_backward(x, dy, dx, keep)),
            (|x, y| gelu(x, y), |x, dy, dx, keep| gelu_backward(x, dy, dx, keep)),
            (|x, y| silu(x, y), |x, dy, dx, keep| silu_backward(x, dy, dx, keep)),
        ];
        for (forward, backward) in pairs {
            let mut dx = unread(100);
            backward(&x, &dy, &mut dx, false);
            let loss = |x: &[f64]| {
                let mut y = unread(100);
                forward(x, &mut y);
                y.iter().zip(&dy).map(|(y, dy)| y * dy).sum()
            };
            assert_gradient(loss, &x, &dx);
        }
    }

    fn far_out<T: Float>() {
        let x = [-1e4, -300.0, -30.0, 30.0, 300.0, 1e4].map(T::of);
        let (mut y, mut dx) = ([T::ZERO; 6], [T::ZERO; 6]);
        gelu(&x, &mut y);
        gelu_backward(&x, &[T::ONE; 6], &mut dx, false);
        assert_close(&y, &[0.0, 0.0, 0.0, 30.0, 300.0, 1e4], 4.0);
        assert_close(&dx, &[0.0, 0.0, 0.0, 1.0, 1.0, 1.0], 4.0);
        silu(&x, &mut y);
        silu_backward(&x, &[T::ONE; 6], &mut dx, false);
        // 30·e^−30 = 3e-12 is no rounding error in `f64`.
        assert_close(&y, &[0.0, 0.0, -30.0 / (1.0 + 30f64.exp()), 30.0, 300.0, 1e4], 1e5);
        assert!(dx.iter().zip([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]).all(|(dx, e)| (dx.to_f64() - e).abs() < 1e-10));
    }

    /// Value and derivative of both at `x`, by one kernel for each.
    fn all<T: Float>(x: T) -> [[T; 2]; 2] {
        let ([mut gelu_y, mut silu_y], [mut gelu_dx, mut silu_dx]) = ([[T::ZERO]; 2], [[T::ZERO]; 2]);
        gelu(&[x], &mut gelu_y);
        gelu_backward(&[x], &[T::ONE], &mut gelu_dx, false);
        silu(&[x], &mut silu_y);
        silu_backward(&[x], &[T::ONE], &mut silu_dx, false);
        [[gelu_y[0], gelu_dx[0]], [silu_y[0], silu_dx[0]]]
    }

    fn beyond_all_powers<T: Float>(largest: f64) {
        for far in [1e4, 1e12, 1e13, 1e15, 1e20, 1e36, largest].map(T::of) {
            assert_eq!(all(far), [[far, T::ONE]; 2], "{} {far}", T::NAME);
            assert_eq!(all(-far), [[T::ZERO; 2]; 2], "{} −{far}", T::NAME);
        }
        assert!(all(T::of(f64::NAN)).as_flattened().iter().all(|x| x.to_f64().is_nan()), "{}", T::NAME);
    }

    #[test]
    fn where_powers_overflow_they_are_exactly_flat_or_straight_and_a_nan_stays_one() {
        beyond_all_powers::<f32>(f64::from(f32::MAX));
        beyond_all_powers::<f64>(f64::MAX);
        beyond_all_powers::<Dual>(f64::MAX);
        let moving = |value| all(Dual { value, tangent: 1.0 });
        for far in [701.0, 1e15, 1e103, 1e200, f64::MAX] {
            let [up, one] = [Dual { value: far, tangent: 1.0 }, Dual::ONE];
            assert_eq!(moving(far), [[up, one]; 2], "{far}");
            assert_eq!(moving(-far), [[Dual::ZERO; 2]; 2], "−{far}");
        }
        // On the way there nothing overflows either.
        for x in (-7200..7200).map(|x| f64::from(x) / 10.0) {
            assert!(moving(x).as_flattened().iter().all(|x| x.is_finite()), "{x}");
        }
    }

    #[test]
    fn far_out_they_are_flat_or_straight() {
        far_out::<f32>();
        far_out::<f64>();
        let mut dx = [f32::NAN; 2];
        relu_backward(&[0.0, -0.0], &[1.0, 1.0], &mut dx, false);
        assert_eq!(dx, [0.0, 0.0]);
    }
}
