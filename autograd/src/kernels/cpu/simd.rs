//! Vector code written once: a kernel is generic over a [`Simd`] token and compiled for each vector unit.
//!
//! A kernel is declared with [`simd!`](crate::kernels::cpu::simd) and reads as an ordinary function over slices. Calling
//! it runs the body for the widest unit that the machine has: AVX-512, AVX2 with FMA, four plain lanes elsewhere, and
//! one lane at a time for number types other than `f32`.
//!
//! The body has to be one inlined piece: a closure or helper that is not `#[inline(always)]` is compiled without the
//! vector features and runs many times slower, with no warning.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

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
    /// The square root.
    fn sqrt(self, a: Self::V) -> Self::V;
    /// `v` where `gate > 0`, zero elsewhere.
    fn where_positive(self, gate: Self::V, v: Self::V) -> Self::V;
    /// `e^a`
    fn exp(self, a: Self::V) -> Self::V;
    /// The sum of all lanes.
    fn sum(self, a: Self::V) -> T;
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

/// One lane of any number type.
#[derive(Clone, Copy)]
struct Scalar;

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

/// `e^x` in single precision, for units that have multiply-add and a way to scale by a power of two: `x = t·ln 2 + r`
/// with `|r| ≤ ln 2 / 2`, `e^r` by a degree-5 polynomial after Cephes (Moshier), at most 0.7 units in the last place
/// off. Inputs below −87.33 give about 1e-38 where the true value is smaller still; −∞ is no exception, so callers that
/// need exact zeros write them.
macro_rules! exp_f32 {
    ($s:ident, $x:ident, $round:expr, $scale:expr) => {{
        let x = $s.min_f32($s.max($x, $s.splat(-87.33)), $s.splat(88.37));
        let t = $round($s.mul(x, $s.splat(std::f32::consts::LOG2_E)));
        // ln 2 in two parts, the first exact in few bits, so that t·ln 2 loses nothing.
        let r = $s.fma(t, $s.splat(-0.693_359_4), x);
        let r = $s.fma(t, $s.splat(2.121_944_4e-4), r);
        let mut p = $s.splat(1.987_569_1e-4);
        for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_6e-1, 0.5] {
            p = $s.fma(p, r, $s.splat(c));
        }
        let p = $s.add($s.fma($s.mul(p, r), r, r), $s.splat(1.0));
        $scale(p, t)
    }};
}

/// Four plain lanes of `f32`, for machines whose vector unit has no code of its own here.
#[derive(Clone, Copy)]
struct Base;

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
        let scale = |p, t| {
            Self::map(p, t, |p, t| f32::from_bits(p.to_bits().wrapping_add(((t as i32) << 23) as u32)))
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

/// AVX-512: exists only inside functions compiled with its features and entered after detection.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct V4(());

/// AVX2 with FMA: exists only inside functions compiled with its features and entered after detection.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct V3(());

// SAFETY of the two blocks below: a token is made only in `dispatch_f32`, after the features were detected; loads and
// stores are masked to the slice.
#[cfg(target_arch = "x86_64")]
impl V4 {
    #[inline(always)]
    fn min_f32(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_min_ps(a, b) }
    }
}

#[cfg(target_arch = "x86_64")]
impl Simd<f32> for V4 {
    const LANES: usize = 16;
    type V = __m512;
    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    fn load(self, x: &[f32], fill: f32) -> __m512 {
        // SAFETY: see above.
        unsafe {
            if x.len() >= 16 {
                _mm512_loadu_ps(x.as_ptr())
            } else {
                _mm512_mask_loadu_ps(_mm512_set1_ps(fill), (1u16 << x.len()) - 1, x.as_ptr())
            }
        }
    }
    #[inline(always)]
    fn store(self, v: __m512, y: &mut [f32]) {
        // SAFETY: see above.
        unsafe {
            if y.len() >= 16 {
                _mm512_storeu_ps(y.as_mut_ptr(), v);
            } else {
                _mm512_mask_storeu_ps(y.as_mut_ptr(), (1u16 << y.len()) - 1, v);
            }
        }
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_sqrt_ps(a) }
    }
    #[inline(always)]
    fn where_positive(self, gate: __m512, v: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(gate, _mm512_setzero_ps()), v) }
    }
    #[inline(always)]
    fn exp(self, x: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { exp_f32!(self, x, |v| _mm512_roundscale_ps::<8>(v), |p, t| _mm512_scalef_ps(p, t)) }
    }
    #[inline(always)]
    fn sum(self, a: __m512) -> f32 {
        // SAFETY: see above.
        unsafe { _mm512_reduce_add_ps(a) }
    }
    #[inline(always)]
    fn largest(self, a: __m512) -> f32 {
        // SAFETY: see above.
        unsafe { _mm512_reduce_max_ps(a) }
    }
}

#[cfg(target_arch = "x86_64")]
impl V3 {
    /// The first `n ≤ 8` lanes set.
    #[inline(always)]
    fn mask(n: usize) -> __m256i {
        const ONES_THEN_ZEROS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
        // SAFETY: n ≤ 8, so eight entries from 8 − n on lie inside the table.
        unsafe { _mm256_loadu_si256(ONES_THEN_ZEROS.as_ptr().add(8 - n).cast()) }
    }
    #[inline(always)]
    fn min_f32(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_min_ps(a, b) }
    }
    #[inline(always)]
    fn fold(a: __m256, f: impl Fn(__m128, __m128) -> __m128) -> f32 {
        // SAFETY: see above.
        unsafe {
            let s = f(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let s = f(s, _mm_movehl_ps(s, s));
            _mm_cvtss_f32(f(s, _mm_shuffle_ps::<1>(s, s)))
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Simd<f32> for V3 {
    const LANES: usize = 8;
    type V = __m256;
    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    fn load(self, x: &[f32], fill: f32) -> __m256 {
        // SAFETY: see above.
        unsafe {
            if x.len() >= 8 {
                _mm256_loadu_ps(x.as_ptr())
            } else {
                let mask = Self::mask(x.len());
                _mm256_blendv_ps(
                    _mm256_set1_ps(fill),
                    _mm256_maskload_ps(x.as_ptr(), mask),
                    _mm256_castsi256_ps(mask),
                )
            }
        }
    }
    #[inline(always)]
    fn store(self, v: __m256, y: &mut [f32]) {
        // SAFETY: see above.
        unsafe {
            if y.len() >= 8 {
                _mm256_storeu_ps(y.as_mut_ptr(), v);
            } else {
                _mm256_maskstore_ps(y.as_mut_ptr(), Self::mask(y.len()), v);
            }
        }
    }
    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_div_ps(a, b) }
    }
    #[inline(always)]
    fn fma(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_max_ps(a, b) }
    }
    #[inline(always)]
    fn sqrt(self, a: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_sqrt_ps(a) }
    }
    #[inline(always)]
    fn where_positive(self, gate: __m256, v: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(gate, _mm256_setzero_ps()), v) }
    }
    #[inline(always)]
    fn exp(self, x: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe {
            let scale = |p: __m256, t: __m256| {
                let bits = _mm256_slli_epi32::<23>(_mm256_cvtps_epi32(t));
                _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), bits))
            };
            exp_f32!(self, x, |v| _mm256_round_ps::<8>(v), scale)
        }
    }
    #[inline(always)]
    fn sum(self, a: __m256) -> f32 {
        // SAFETY: see above.
        Self::fold(a, |a, b| unsafe { _mm_add_ps(a, b) })
    }
    #[inline(always)]
    fn largest(self, a: __m256) -> f32 {
        // SAFETY: see above.
        Self::fold(a, |a, b| unsafe { _mm_max_ps(a, b) })
    }
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
        check_exp(|x, y| exp_all(x, y));
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
    fn tails_of_every_length_count_once() {
        for n in 1..40 {
            let x: Vec<f32> = (1..=n).map(|i| i as f32).collect();
            assert_eq!(total(&x), (n * (n + 1) / 2) as f32);
        }
    }
}
