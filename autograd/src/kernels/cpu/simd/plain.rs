//! Lanes that every machine has: one of any number type, four of `f32`.

use super::Simd;
use crate::float::Float;

/// One lane of any number type.
#[derive(Clone, Copy)]
pub(super) struct Scalar;

impl<T: Float> Simd<T> for Scalar {
    const LANES: usize = 1;
    type V = T;
    #[inline(always)]
    fn splat(self, x: T) -> T {
        x
    }
    #[inline(always)]
    fn load(self, x: &[T], _: T) -> T {
        x[0]
    }
    #[inline(always)]
    fn store(self, v: T, y: &mut [T]) {
        y[0] = v;
    }
    #[inline(always)]
    fn add(self, a: T, b: T) -> T {
        a + b
    }
    #[inline(always)]
    fn sub(self, a: T, b: T) -> T {
        a - b
    }
    #[inline(always)]
    fn mul(self, a: T, b: T) -> T {
        a * b
    }
    #[inline(always)]
    fn div(self, a: T, b: T) -> T {
        a / b
    }
    #[inline(always)]
    fn fma(self, a: T, b: T, c: T) -> T {
        a * b + c
    }
    #[inline(always)]
    fn max(self, a: T, b: T) -> T {
        a.max(b)
    }
    #[inline(always)]
    fn clamp(self, a: T, low: T, high: T) -> T {
        // Compared, and not by `max`, which takes the other operand for a NaN.
        if a < low {
            low
        } else if a > high {
            high
        } else {
            a
        }
    }
    #[inline(always)]
    fn sqrt(self, a: T) -> T {
        a.sqrt()
    }
    #[inline(always)]
    fn where_positive(self, gate: T, v: T) -> T {
        if gate > T::ZERO { v } else { T::ZERO }
    }
    #[inline(always)]
    fn exp(self, a: T) -> T {
        a.exp()
    }
    #[inline(always)]
    fn sum(self, a: T) -> T {
        a
    }
    #[inline(always)]
    fn largest(self, a: T) -> T {
        a
    }
}

/// Four plain lanes of `f32`, for machines whose vector unit has no code of its own here.
#[derive(Clone, Copy)]
pub(super) struct Base;

impl Base {
    #[inline(always)]
    fn map(a: [f32; 4], b: [f32; 4], f: impl Fn(f32, f32) -> f32) -> [f32; 4] {
        [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
    }
    #[inline(always)]
    fn min_f32(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        Self::map(a, b, |a, b| if a < b { a } else { b })
    }
}

impl Simd<f32> for Base {
    const LANES: usize = 4;
    type V = [f32; 4];
    #[inline(always)]
    fn splat(self, x: f32) -> [f32; 4] {
        [x; 4]
    }
    #[inline(always)]
    fn load(self, x: &[f32], fill: f32) -> [f32; 4] {
        match *x {
            [a, b, c, d, ..] => [a, b, c, d],
            [a, b, c] => [a, b, c, fill],
            [a, b] => [a, b, fill, fill],
            [a] => [a, fill, fill, fill],
            [] => [fill; 4],
        }
    }
    #[inline(always)]
    fn store(self, v: [f32; 4], y: &mut [f32]) {
        let n = y.len().min(4);
        y[..n].copy_from_slice(&v[..n]);
    }
    #[inline(always)]
    fn add(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        Self::map(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        Self::map(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        Self::map(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        Self::map(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn fma(self, a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        self.add(self.mul(a, b), c)
    }
    #[inline(always)]
    fn max(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        Self::map(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn clamp(self, a: [f32; 4], low: f32, high: f32) -> [f32; 4] {
        a.map(|a| {
            let a = if low > a { low } else { a };
            if high < a { high } else { a }
        })
    }
    #[inline(always)]
    fn sqrt(self, a: [f32; 4]) -> [f32; 4] {
        a.map(f32::sqrt)
    }
    #[inline(always)]
    fn where_positive(self, gate: [f32; 4], v: [f32; 4]) -> [f32; 4] {
        Self::map(gate, v, |gate, v| if gate > 0.0 { v } else { 0.0 })
    }
    #[inline(always)]
    fn exp(self, x: [f32; 4]) -> [f32; 4] {
        // Adding and taking away 1.5·2²³ rounds to the nearest whole number without a call into the C library.
        let round = |v: [f32; 4]| v.map(|v| (v + 12_582_912.0) - 12_582_912.0);
        // The same sum holds the whole number in its low bits, from where it goes into the exponent.
        let scale = |p, t| {
            Self::map(p, t, |p: f32, t: f32| {
                f32::from_bits(p.to_bits().wrapping_add((t + 12_582_912.0).to_bits() << 23))
            })
        };
        exp_f32!(self, x, round, scale)
    }
    #[inline(always)]
    fn sum(self, a: [f32; 4]) -> f32 {
        (a[0] + a[2]) + (a[1] + a[3])
    }
    #[inline(always)]
    fn largest(self, a: [f32; 4]) -> f32 {
        let m = |a: f32, b: f32| if a > b { a } else { b };
        m(m(a[0], a[1]), m(a[2], a[3]))
    }
}
