//! The vector units of x86-64.

use std::arch::x86_64::*;

use super::Simd;

/// AVX-512: exists only inside functions compiled with its features and entered after detection.
#[derive(Clone, Copy)]
pub(super) struct V4(pub(super) ());

/// AVX2 with FMA: exists only inside functions compiled with its features and entered after detection.
#[derive(Clone, Copy)]
pub(super) struct V3(pub(super) ());

// SAFETY of the two blocks below: a token is made only in `dispatch_f32`, after the features were detected; loads and
// stores are masked to the slice.
impl V4 {
    #[inline(always)]
    fn min_f32(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_min_ps(a, b) }
    }
}

impl Simd<f32> for V4 {
    const LANES: usize = 16;
    type V = __m512;
    #[inline(always)]
    fn prefetch(self, x: &f32) {
        // SAFETY: see above.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(std::ptr::from_ref(x).cast()) }
    }
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
    fn clamp(self, a: __m512, low: f32, high: f32) -> __m512 {
        // In this order a NaN stays one: minimum and maximum give their second operand where either is NaN.
        self.min_f32(self.splat(high), self.max(self.splat(low), a))
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
    fn sums(self, [a, b, c, d]: [__m512; 4]) -> [f32; 4] {
        // SAFETY: see above.
        unsafe {
            // In each quarter the sums of its entries of a, b, c and d, then of all quarters.
            let ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
            let cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
            let (low, high) = (_mm512_shuffle_ps::<0x44>(ab, cd), _mm512_shuffle_ps::<0xee>(ab, cd));
            let quarters = _mm512_add_ps(low, high);
            let halves =
                _mm256_add_ps(_mm512_castps512_ps256(quarters), _mm512_extractf32x8_ps::<1>(quarters));
            let sums = _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps::<1>(halves));
            std::mem::transmute(sums)
        }
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
    fn clamp(self, a: __m256, low: f32, high: f32) -> __m256 {
        // In this order a NaN stays one: minimum and maximum give their second operand where either is NaN.
        self.min_f32(self.splat(high), self.max(self.splat(low), a))
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
