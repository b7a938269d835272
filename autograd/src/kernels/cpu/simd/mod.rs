//! Vector code written once: a kernel is generic over a [`Simd`] token and compiled for each vector unit.
//!
//! A kernel is declared with [`simd!`](crate::kernels::cpu::simd) and reads as an ordinary function over slices. Calling
//! it runs the body for the widest unit that the machine has: AVX-512, AVX2 with FMA, four plain lanes elsewhere, and
//! one lane at a time for number types other than `f32`.
//!
//! The body has to be one inlined piece: a closure or helper that is not `#[inline(always)]` is compiled without the
//! vector features and runs many times slower, with no warning.

#[macro_use]
mod exp;
mod plain;
#[cfg(target_arch = "x86_64")]
mod x86;

use plain::{Base, Scalar};
#[cfg(target_arch = "x86_64")]
use x86::{V3, V4};

use crate::float::Float;

/// The operations of one vector unit on `LANES` numbers at a time.
pub trait Simd<T: Float>: Copy {
    /// Numbers in one vector.
    const LANES: usize;
    /// A vector.
    type V: Copy;

    /// All lanes equal to `x`.
    fn splat(self, x: T) -> Self::V;
    /// The first `LANES` entries of `x`; lanes past the end of the slice hold `fill`.
    fn load(self, x: &[T], fill: T) -> Self::V;
    /// Writes the lanes to the front of `y`; lanes past the end of the slice are dropped.
    fn store(self, v: Self::V, y: &mut [T]);
    /// `a + b`
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a − b`
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a · b`
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a · b + c`
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger of the two, lane by lane.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a`, but at least `low` and at most `high`; a NaN stays one.
    fn clamp(self, a: Self::V, low: T, high: T) -> Self::V;
    /// The square root.
    fn sqrt(self, a: Self::V) -> Self::V;
    /// `v` where `gate > 0`, zero elsewhere.
    fn where_positive(self, gate: Self::V, v: Self::V) -> Self::V;
    /// `e^a`
    fn exp(self, a: Self::V) -> Self::V;
    /// Asks for the line of memory in which `x` lies, since it will be read soon.
    #[inline(always)]
    fn prefetch(self, _x: &T) {}
    /// The sum of all lanes.
    fn sum(self, a: Self::V) -> T;
    /// The sums of all lanes of four vectors.
    #[inline(always)]
    fn sums(self, [a, b, c, d]: [Self::V; 4]) -> [T; 4] {
        [self.sum(a), self.sum(b), self.sum(c), self.sum(d)]
    }
    /// The largest lane.
    fn largest(self, a: Self::V) -> T;
}

/// A kernel body, ready to be compiled for any vector unit. Written by [`simd!`](crate::kernels::cpu::simd).
pub trait Kernel<T: Float, A> {
    /// What the kernel returns.
    type Output;
    /// The body. Implementations are `#[inline(always)]`, so that they take on the caller's vector features.
    fn run<S: Simd<T>>(self, s: S, args: A) -> Self::Output;
}

/// Declares a kernel: `simd! { /// doc  pub fn name<T>(s, x: &[T], …) -> R { body } }`, where `s` is the vector unit.
#[macro_export]
#[doc(hidden)]
macro_rules! simd {
    ($($(#[$doc:meta])* $vis:vis fn $name:ident<$T:ident>($s:ident, $($arg:ident: $ty:ty),* $(,)?) $(-> $out:ty)? $body:block)*) => { $(
        $(#[$doc])*
        #[allow(clippy::too_many_arguments, reason = "a kernel takes its operands and sizes one by one")]
        $vis fn $name<$T: $crate::Float>($($arg: $ty),*) $(-> $out)? {
            struct Body;
            impl<$T: $crate::Float> $crate::kernels::cpu::simd::Kernel<$T, ($($ty,)*)> for Body {
                type Output = $crate::simd!(@output $($out)?);
                #[inline(always)]
                fn run<S: $crate::kernels::cpu::simd::Simd<$T>>(self, $s: S, ($($arg,)*): ($($ty,)*)) -> Self::Output $body
            }
            $T::simd(Body, ($($arg,)*))
        }
    )* };
    (@output) => { () };
    (@output $out:ty) => { $out };
}

/// The vector units of `f32`, widest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// AVX-512 (F, BW, DQ, VL).
    Avx512,
    /// AVX2 and FMA.
    Avx2,
    /// Four plain lanes.
    Base,
}

/// The widest vector unit of this machine, or a narrower one named by `GRADUS_SIMD=avx2|base` (for tests and timings).
pub fn level() -> Level {
    static LEVEL: std::sync::OnceLock<Level> = std::sync::OnceLock::new();
    *LEVEL.get_or_init(|| {
        let wanted = std::env::var("GRADUS_SIMD").unwrap_or_default();
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            if avx512 && wanted != "avx2" && wanted != "base" {
                return Level::Avx512;
            }
            if avx2 && wanted != "base" {
                return Level::Avx2;
            }
        }
        let _ = wanted;
        Level::Base
    })
}

/// Runs a kernel over `f32` on the widest unit.
#[inline]
pub(crate) fn dispatch_f32<A, K: Kernel<f32, A>>(kernel: K, args: A) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
        fn v4<A, K: Kernel<f32, A>>(kernel: K, args: A) -> K::Output {
            kernel.run(V4(()), args)
        }
        #[target_feature(enable = "avx2,fma")]
        fn v3<A, K: Kernel<f32, A>>(kernel: K, args: A) -> K::Output {
            kernel.run(V3(()), args)
        }
        match level() {
            // SAFETY: `level` has detected the features.
            Level::Avx512 => return unsafe { v4(kernel, args) },
            // SAFETY: `level` has detected the features.
            Level::Avx2 => return unsafe { v3(kernel, args) },
            Level::Base => {}
        }
    }
    kernel.run(Base, args)
}

/// Runs a kernel one number at a time: exact library functions, for types that are there to check, not to be fast.
#[inline]
pub(crate) fn dispatch_scalar<T: Float, A, K: Kernel<T, A>>(kernel: K, args: A) -> K::Output {
    kernel.run(Scalar, args)
}

#[cfg(test)]
mod tests {
    use super::*;

    simd! {
        fn exp_all<T>(s, x: &[T], y: &mut [T]) {
            for (x, y) in x.chunks(S::LANES).zip(y.chunks_mut(S::LANES)) {
                s.store(s.exp(s.load(x, T::ZERO)), y);
            }
        }
        fn total<T>(s, x: &[T]) -> T {
            let mut sum = s.splat(T::ZERO);
            for x in x.chunks(S::LANES) {
                sum = s.add(sum, s.load(x, T::ZERO));
            }
            s.sum(sum)
        }
    }

    fn check_exp(run: impl Fn(&[f32], &mut [f32])) {
        let x: Vec<f32> = (0..20_003).map(|i| -87.0 + i as f32 * (175.0 / 20_003.0)).collect();
        let mut y = vec![0.0; x.len()];
        run(&x, &mut y);
        for (&x, &y) in x.iter().zip(&y) {
            let exact = f64::from(x).exp();
            // Two units in the last place of f32.
            assert!((f64::from(y) / exact - 1.0).abs() < 2.4e-7, "exp({x}) = {y}, not {exact}");
        }
    }

    #[test]
    fn the_vector_exponential_is_good_to_two_units_in_the_last_place() {
        check_exp(exp_all);
        struct Exp;
        impl Kernel<f32, (&[f32], &mut [f32])> for Exp {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd<f32>>(self, s: S, (x, y): (&[f32], &mut [f32])) {
                for (x, y) in x.chunks(S::LANES).zip(y.chunks_mut(S::LANES)) {
                    s.store(s.exp(s.load(x, 0.0)), y);
                }
            }
        }
        check_exp(|x, y| Exp.run(Base, (x, y)));
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: detected on the line above.
            check_exp(|x, y| Exp.run(V3(()), (x, y)));
        }
    }

    #[test]
    fn an_undefined_number_stays_undefined() {
        let mut y = [0.0f32; 3];
        exp_all(&[f32::NAN, 1.0, f32::NAN], &mut y);
        assert!(y[0].is_nan() && y[1] > 2.7 && y[2].is_nan());
        struct Exp;
        impl Kernel<f32, f32> for Exp {
            type Output = f32;
            #[inline(always)]
            fn run<S: Simd<f32>>(self, s: S, x: f32) -> f32 {
                s.sum(s.exp(s.splat(x)))
            }
        }
        assert!(Exp.run(Base, f32::NAN).is_nan());
    }

    #[test]
    fn tails_of_every_length_count_once() {
        for n in 1..40 {
            let x: Vec<f32> = (1..=n).map(|i| i as f32).collect();
            assert_eq!(total(&x), (n * (n + 1) / 2) as f32);
        }
    }
}
