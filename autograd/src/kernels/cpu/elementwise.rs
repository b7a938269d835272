//! Sums, products and copies, entry by entry and row by row, and reductions to one number.
//!
//! Maps are ordinary loops, which compilers turn into vectors. Reductions spell the vectors out, because the order of
//! additions is not the compiler's to change.

use super::no_rows;
use super::simd::Simd;
use crate::{float::Float, simd};

/// Entries whose sum is taken in the type itself before it goes into a wide one: each lane adds a few dozen at most.
const BLOCK: usize = 512;

/// Rows that are added up in registers before the sum of columns goes back to memory.
const GROUP: usize = 8;

#[track_caller]
fn check_sizes(a: usize, b: usize, y: usize) {
    assert!(a == b && b == y, "elementwise: {a}, {b} and {y} entries");
}

/// `Σ a∘b`, in four running sums, because one alone would wait for its own last result.
#[inline(always)]
fn block_dot<T: Float, S: Simd<T>>(s: S, a: &[T], b: &[T]) -> T {
    let zero = s.splat(T::ZERO);
    let (mut t0, mut t1, mut t2, mut t3) = (zero, zero, zero, zero);
    for (a, b) in a.chunks(4 * S::LANES).zip(b.chunks(4 * S::LANES)) {
        if a.len() == 4 * S::LANES && b.len() == 4 * S::LANES {
            t0 = s.fma(s.load(a, T::ZERO), s.load(b, T::ZERO), t0);
            t1 = s.fma(s.load(&a[S::LANES..], T::ZERO), s.load(&b[S::LANES..], T::ZERO), t1);
            t2 = s.fma(s.load(&a[2 * S::LANES..], T::ZERO), s.load(&b[2 * S::LANES..], T::ZERO), t2);
            t3 = s.fma(s.load(&a[3 * S::LANES..], T::ZERO), s.load(&b[3 * S::LANES..], T::ZERO), t3);
        } else {
            for (a, b) in a.chunks(S::LANES).zip(b.chunks(S::LANES)) {
                t0 = s.fma(s.load(a, T::ZERO), s.load(b, T::ZERO), t0);
            }
        }
    }
    s.sum(s.add(s.add(t0, t1), s.add(t2, t3)))
}

simd! {
    /// `y = a + b`
    pub fn add<T>(_s, a: &[T], b: &[T], y: &mut [T]) {
        check_sizes(a.len(), b.len(), y.len());
        for ((a, b), y) in a.iter().zip(b).zip(y) {
            *y = *a + *b;
        }
    }

    /// `y = a − b`
    pub fn sub<T>(_s, a: &[T], b: &[T], y: &mut [T]) {
        check_sizes(a.len(), b.len(), y.len());
        for ((a, b), y) in a.iter().zip(b).zip(y) {
            *y = *a - *b;
        }
    }

    /// `y = a ∘ b`
    pub fn mul<T>(_s, a: &[T], b: &[T], y: &mut [T]) {
        check_sizes(a.len(), b.len(), y.len());
        for ((a, b), y) in a.iter().zip(b).zip(y) {
            *y = *a * *b;
        }
    }

    /// `y (+)= k·x`
    pub fn scale<T>(_s, x: &[T], k: T, y: &mut [T], keep: bool) {
        check_sizes(x.len(), x.len(), y.len());
        for (x, y) in x.iter().zip(y) {
            *y = if keep { *y + *x * k } else { *x * k };
        }
    }

    /// `y = k·y`
    pub fn scale_assign<T>(_s, y: &mut [T], k: T) {
        for y in y {
            *y *= k;
        }
    }

    /// `y += x`
    pub fn add_assign<T>(_s, y: &mut [T], x: &[T]) {
        check_sizes(x.len(), x.len(), y.len());
        for (x, y) in x.iter().zip(y) {
            *y += *x;
        }
    }

    /// `dx (+)= dy ∘ other`: the gradient of a product.
    pub fn mul_backward<T>(_s, dy: &[T], other: &[T], dx: &mut [T], keep: bool) {
        check_sizes(dy.len(), other.len(), dx.len());
        for ((dy, other), dx) in dy.iter().zip(other).zip(dx) {
            *dx = if keep { *dx + *dy * *other } else { *dy * *other };
        }
    }

    /// `y (+)= x`
    pub fn copy_or_add<T>(_s, x: &[T], y: &mut [T], keep: bool) {
        check_sizes(x.len(), x.len(), y.len());
        if keep {
            for (x, y) in x.iter().zip(y) {
                *y += *x;
            }
        } else {
            y.copy_from_slice(x);
        }
    }

    /// `y[r, ·] = x[r, ·] + row` for every row; `row` is `[n]`.
    pub fn add_row<T>(s, x: &[T], row: &[T], y: &mut [T], n: usize) {
        check_sizes(x.len(), x.len(), y.len());
        assert!(row.len() == n, "elementwise: a row of {} for rows of {n}", row.len());
        if no_rows("elementwise", x.len(), n) {
            return;
        }
        for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
            for ((x, row), y) in x.chunks(S::LANES).zip(row.chunks(S::LANES)).zip(y.chunks_mut(S::LANES)) {
                s.store(s.add(s.load(x, T::ZERO), s.load(row, T::ZERO)), y);
            }
        }
    }

    /// Every row of `y` becomes `row`, `[n]`: what a product with a bias starts from.
    pub fn fill_rows<T>(_s, row: &[T], y: &mut [T]) {
        if no_rows("elementwise", y.len(), row.len()) {
            return;
        }
        for y in y.chunks_exact_mut(row.len()) {
            y.copy_from_slice(row);
        }
    }

    /// Column sums, the gradient of [`add_row`] and [`fill_rows`]: `y (+)= Σ_r x[r, ·]`; `x` is `[rows, n]`, `y` `[n]`.
    pub fn sum_rows<T>(s, x: &[T], y: &mut [T], n: usize, keep: bool) {
        assert!(y.len() == n, "elementwise: {} sums for rows of {n}", y.len());
        let nothing = no_rows("elementwise", x.len(), n);
        if !keep {
            y.fill(T::ZERO);
        }
        if nothing {
            return;
        }
        for x in x.chunks(GROUP * n) {
            for (i, y) in y.chunks_mut(S::LANES).enumerate() {
                let mut total = s.load(y, T::ZERO);
                for x in x.chunks_exact(n) {
                    total = s.add(total, s.load(&x[i * S::LANES..], T::ZERO));
                }
                s.store(total, y);
            }
        }
    }

    /// `Σ a∘b`
    pub fn dot<T>(s, a: &[T], b: &[T]) -> T::Wide {
        check_sizes(a.len(), a.len(), b.len());
        let mut total = T::Wide::ZERO;
        for (a, b) in a.chunks(BLOCK).zip(b.chunks(BLOCK)) {
            total += block_dot(s, a, b).widen();
        }
        total
    }

    /// `Σ x`
    pub fn sum<T>(s, x: &[T]) -> T::Wide {
        let mut total = T::Wide::ZERO;
        for x in x.chunks(BLOCK) {
            let (mut even, mut odd) = (s.splat(T::ZERO), s.splat(T::ZERO));
            for x in x.chunks(2 * S::LANES) {
                let (first, second) = x.split_at(S::LANES.min(x.len()));
                even = s.add(even, s.load(first, T::ZERO));
                if !second.is_empty() {
                    odd = s.add(odd, s.load(second, T::ZERO));
                }
            }
            total += s.sum(s.add(even, odd)).widen();
        }
        total
    }

    /// `Σ x²`
    pub fn sum_of_squares<T>(s, x: &[T]) -> T::Wide {
        let mut total = T::Wide::ZERO;
        for x in x.chunks(BLOCK) {
            total += block_dot(s, x, x).widen();
        }
        total
    }

    /// Whether no entry is infinite or NaN.
    pub fn all_finite<T>(s, x: &[T]) -> bool {
        // Zero times a finite number is zero; times any other it is NaN, which stays in the sum.
        let zero = s.splat(T::ZERO);
        for x in x.chunks(BLOCK) {
            let mut sum = zero;
            for x in x.chunks(S::LANES) {
                sum = s.fma(s.load(x, T::ZERO), zero, sum);
            }
            if s.sum(sum) != T::ZERO {
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{SIZES, assert_close, both_ways, random, unread, widen};
    use super::*;

    const ROWS: usize = 11;

    fn zip(a: &[f64], b: &[f64], f: fn(f64, f64) -> f64) -> Vec<f64> {
        a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect()
    }

    /// One rounding for each map; a sum of 11 rows has ten.
    fn check<T: Float>(n: usize) {
        let (a, b): (Vec<T>, Vec<T>) = (random(ROWS * n, 1), random(ROWS * n, 2));
        let (wide_a, wide_b) = (widen(&a), widen(&b));
        let mut y = unread(a.len());
        add(&a, &b, &mut y);
        assert_close(&y, &zip(&wide_a, &wide_b, |a, b| a + b), 1.0);
        sub(&a, &b, &mut y);
        assert_close(&y, &zip(&wide_a, &wide_b, |a, b| a - b), 1.0);
        mul(&a, &b, &mut y);
        let product = zip(&wide_a, &wide_b, |a, b| a * b);
        assert_close(&y, &product, 1.0);
        y.copy_from_slice(&a);
        add_assign(&mut y, &b);
        assert_close(&y, &zip(&wide_a, &wide_b, |a, b| a + b), 1.0);
        assert_close(&both_ways(a.len(), |y, keep| mul_backward(&a, &b, y, keep)), &product, 1.0);
        assert_eq!(both_ways(a.len(), |y, keep| copy_or_add(&a, y, keep)), a);
        let half: Vec<f64> = wide_a.iter().map(|a| a * 0.5).collect();
        assert_close(&both_ways(a.len(), |y, keep| scale(&a, T::of(0.5), y, keep)), &half, 1.0);

        let row = &b[..n];
        let columns: Vec<f64> = (0..n).map(|i| (0..ROWS).map(|r| wide_a[r * n + i]).sum()).collect();
        assert_close(&both_ways(n, |y, keep| sum_rows(&a, y, n, keep)), &columns, 20.0);
        add_row(&a, row, &mut y, n);
        assert!((0..a.len()).all(|i| y[i] == a[i] + row[i % n]));
        fill_rows(row, &mut y);
        assert!((0..a.len()).all(|i| y[i] == row[i % n]));

        y.copy_from_slice(&a);
        scale_assign(&mut y, T::of(0.5));
        assert_close(&y, &half, 1.0);

        // Relative to the sum of the absolute values, a thousand terms in lanes lose a few dozen roundings.
        let size = a.len() as f64 * 4.0;
        for (got, expected) in [
            (dot(&a, &b), product.iter().sum::<f64>()),
            (sum(&a), wide_a.iter().sum()),
            (sum_of_squares(&a), wide_a.iter().map(|a| a * a).sum()),
        ] {
            assert!((got.to_f64() - expected).abs() <= 64.0 * size * super::super::testing::rounding::<T>());
        }
        assert!(all_finite(&a));
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let at = a.len() * 2 / 3;
            y.copy_from_slice(&a);
            y[at] = T::of(wrong);
            assert!(!all_finite(&y));
        }
    }

    #[test]
    fn all_agree_with_their_definitions() {
        for n in SIZES {
            check::<f32>(n);
            check::<f64>(n);
        }
    }

    #[test]
    fn a_million_entries_lose_nothing_that_matters() {
        // 0.1 in `f32`, of which a running `f32` sum would make 100 958.
        let x = vec![0.1f32; 1_000_000];
        let entry = f64::from(0.1f32);
        assert!((sum(&x) / (entry * 1e6) - 1.0).abs() < 1e-6);
        assert!((sum_of_squares(&x) / (entry * entry * 1e6) - 1.0).abs() < 1e-6);
    }
}
