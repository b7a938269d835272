//! Softmax over rows: `y_i = exp(x_i − m) / Σ_j exp(x_j − m)`, where `m` is the largest entry of the row.
//!
//! Taking `m` out leaves the quotient as it is and keeps every exponential at or below 1. A score of −∞ gets weight
//! exactly 0, and a row of nothing else is all zeros, where the formula would say 0/0.

use super::simd::Simd;
use super::{check_rows, no_rows};
use crate::{float::Float, simd};

/// The largest entry. Four running maxima, because one alone would wait for its own last result.
#[inline(always)]
pub(super) fn largest<T: Float, S: Simd<T>>(s: S, x: &[T]) -> T {
    let lowest = s.splat(T::NEG_INFINITY);
    let (mut a, mut b, mut c, mut d) = (lowest, lowest, lowest, lowest);
    let mut blocks = x.chunks_exact(4 * S::LANES);
    for block in &mut blocks {
        a = s.max(a, s.load(block, T::NEG_INFINITY));
        b = s.max(b, s.load(&block[S::LANES..], T::NEG_INFINITY));
        c = s.max(c, s.load(&block[2 * S::LANES..], T::NEG_INFINITY));
        d = s.max(d, s.load(&block[3 * S::LANES..], T::NEG_INFINITY));
    }
    for chunk in blocks.remainder().chunks(S::LANES) {
        a = s.max(a, s.load(chunk, T::NEG_INFINITY));
    }
    s.largest(s.max(s.max(a, b), s.max(c, d)))
}

/// `exp(x − max)`, exactly 0 at −∞: the vector exponential stops at about 1.2e-38, and no sum sees 2e-38 less.
#[inline(always)]
pub(super) fn weight<T: Float, S: Simd<T>>(s: S, x: S::V, max: S::V) -> S::V {
    s.max(s.splat(T::ZERO), s.sub(s.exp(s.sub(x, max)), s.splat(T::of(2e-38))))
}

/// Softmax of the first `kept[r]` entries (all where `None`) of every row of `x`, or of `y` itself where that is `None`.
#[inline(always)]
fn rows<T: Float, S: Simd<T>>(s: S, x: Option<&[T]>, y: &mut [T], n: usize, kept: Option<&[u32]>) {
    let nothing = no_rows("softmax", y.len(), n);
    assert!(x.is_none_or(|x| x.len() == y.len()), "softmax: not one result for each score");
    if let Some(kept) = kept {
        check_rows("softmax", y.len(), kept.len(), n);
    }
    if nothing {
        return;
    }
    match n.div_ceil(S::LANES) {
        1 => short_rows::<T, S, 1>(s, x, y, n, kept),
        2 => short_rows::<T, S, 2>(s, x, y, n, kept),
        3 => short_rows::<T, S, 3>(s, x, y, n, kept),
        4 => short_rows::<T, S, 4>(s, x, y, n, kept),
        _ => {
            for (r, y) in y.chunks_exact_mut(n).enumerate() {
                let count = count(kept, r, n);
                let (y, rest) = y.split_at_mut(count);
                let x = x.map(|x| &x[r * n..r * n + count]);
                long_row(s, x, y);
                rest.fill(T::ZERO);
            }
        }
    }
}

#[inline(always)]
fn count(kept: Option<&[u32]>, r: usize, n: usize) -> usize {
    match kept {
        Some(kept) => n.min(kept[r] as usize),
        None => n,
    }
}

#[inline(always)]
fn long_row<T: Float, S: Simd<T>>(s: S, x: Option<&[T]>, y: &mut [T]) {
    let max = largest(s, x.unwrap_or(y));
    if max == T::NEG_INFINITY {
        y.fill(T::ZERO);
        return;
    }
    let max = s.splat(max);
    let mut total = s.splat(T::ZERO);
    for (i, y) in y.chunks_mut(S::LANES).enumerate() {
        let x = match x {
            Some(x) => &x[i * S::LANES..],
            None => &*y,
        };
        let e = weight(s, s.load(x, T::NEG_INFINITY), max);
        total = s.add(total, e);
        s.store(e, y);
    }
    let factor = s.splat(T::ONE / s.sum(total));
    for y in y.chunks_mut(S::LANES) {
        s.store(s.mul(s.load(y, T::ZERO), factor), y);
    }
}

/// Rows of at most `K` vectors, which stay in registers from the first look to the only store.
///
/// In place, a row is loaded before the one in front of it is stored: the last store of a row reaches, masked, into the
/// next one, and a load from there would have to wait until it is done.
#[inline(always)]
fn short_rows<T: Float, S: Simd<T>, const K: usize>(
    s: S,
    x: Option<&[T]>,
    y: &mut [T],
    n: usize,
    kept: Option<&[u32]>,
) {
    let mut next = short_row::<T, S, K>(s, x.unwrap_or(y), count(kept, 0, n));
    for r in 0..y.len() / n {
        let mut row = next;
        let after = (r + 1) * n;
        if after < y.len() {
            next = short_row(s, &x.unwrap_or(y)[after..], count(kept, r + 1, n));
        }
        let mut max = row[0];
        for v in &row[1..] {
            max = s.max(max, *v);
        }
        let max = s.largest(max);
        let y = &mut y[r * n..after];
        if max == T::NEG_INFINITY {
            y.fill(T::ZERO);
            continue;
        }
        let max = s.splat(max);
        let mut total = s.splat(T::ZERO);
        for v in &mut row {
            *v = weight(s, *v, max);
            total = s.add(total, *v);
        }
        let factor = s.splat(T::ONE / s.sum(total));
        for (v, y) in row.iter().zip(y.chunks_mut(S::LANES)) {
            s.store(s.mul(*v, factor), y);
        }
    }
}

/// The first `count` entries of `x`, and −∞ after them.
#[inline(always)]
fn short_row<T: Float, S: Simd<T>, const K: usize>(s: S, x: &[T], count: usize) -> [S::V; K] {
    let mut row = [s.splat(T::NEG_INFINITY); K];
    for (k, v) in row.iter_mut().enumerate() {
        // One lane at a time, a load needs an entry.
        if k * S::LANES < count {
            *v = s.load(&x[k * S::LANES..count], T::NEG_INFINITY);
        }
    }
    row
}

simd! {
    /// `y[r, ·] = softmax(x[r, ·])`; `x` and `y` are `[rows, n]`.
    pub fn softmax<T>(s, x: &[T], y: &mut [T], n: usize) {
        rows(s, Some(x), y, n, None);
    }

    /// Softmax of the first `kept[r]` entries of every row `r`, zeros after them; `x` and `y` are `[rows, n]`.
    pub fn softmax_prefix<T>(s, x: &[T], y: &mut [T], n: usize, kept: &[u32]) {
        rows(s, Some(x), y, n, Some(kept));
    }

    /// The same in place; without `kept`, of whole rows.
    pub fn softmax_prefix_in_place<T>(s, y: &mut [T], n: usize, kept: Option<&[u32]>) {
        rows(s, None, y, n, kept);
    }

    /// Softmax over the entries that `keep` marks, zeros elsewhere; `x`, `y` and `keep` are `[rows, n]`.
    pub fn softmax_masked<T>(s, x: &[T], y: &mut [T], n: usize, keep: &[bool]) {
        assert!(x.len() == y.len(), "softmax: not one result for each score");
        assert!(x.len() == keep.len(), "softmax: {} flags for {} entries", keep.len(), x.len());
        if no_rows("softmax", x.len(), n) {
            return;
        }
        // Many short rows are masked at a time, in one long loop, and still lie in the nearest cache afterwards.
        let block = n * (2048 / n).max(1);
        for ((x, y), keep) in x.chunks(block).zip(y.chunks_mut(block)).zip(keep.chunks(block)) {
            for ((x, y), &keep) in x.iter().zip(&mut *y).zip(keep) {
                *y = if keep { *x } else { T::NEG_INFINITY };
            }
            rows(s, None, y, n, None);
        }
    }

    /// The gradient of all three: `dx[r, ·] (+)= y ∘ (dy − ⟨dy, y⟩)`, where `y` is what they returned.
    pub fn softmax_backward<T>(s, y: &[T], dy: &[T], dx: &mut [T], n: usize, keep: bool) {
        assert!(y.len() == dy.len() && y.len() == dx.len(), "softmax: gradients of other sizes");
        if no_rows("softmax", y.len(), n) {
            return;
        }
        for ((y, dy), dx) in y.chunks_exact(n).zip(dy.chunks_exact(n)).zip(dx.chunks_exact_mut(n)) {
            let mut product = s.splat(T::ZERO);
            for (y, dy) in y.chunks(S::LANES).zip(dy.chunks(S::LANES)) {
                product = s.fma(s.load(y, T::ZERO), s.load(dy, T::ZERO), product);
            }
            let product = s.splat(s.sum(product));
            for ((y, dy), dx) in y.chunks(S::LANES).zip(dy.chunks(S::LANES)).zip(dx.chunks_mut(S::LANES)) {
                let held = if keep { s.load(dx, T::ZERO) } else { s.splat(T::ZERO) };
                let inner = s.sub(s.load(dy, T::ZERO), product);
                s.store(s.fma(s.load(y, T::ZERO), inner, held), dx);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{SIZES, assert_close, assert_gradient, both_ways, random, unread, widen};
    use super::*;

    const ROWS: usize = 5;

    fn reference(x: &[f64], keep: &[bool], n: usize) -> Vec<f64> {
        let mut y = vec![0.0; x.len()];
        for ((x, y), keep) in x.chunks(n).zip(y.chunks_mut(n)).zip(keep.chunks(n)) {
            let total: f64 = x.iter().zip(keep).filter(|(_, keep)| **keep).map(|(x, _)| x.exp()).sum();
            for ((x, y), keep) in x.iter().zip(y).zip(keep) {
                *y = if *keep { x.exp() / total } else { 0.0 };
            }
        }
        y
    }

    fn masks(n: usize) -> (Vec<u32>, Vec<bool>, Vec<bool>) {
        let kept: Vec<u32> = (0..ROWS).map(|r| (r * n / (ROWS - 1)) as u32).collect();
        let prefix = kept.iter().flat_map(|&kept| (0..n).map(move |i| i < kept as usize)).collect();
        // The first row keeps nothing.
        let scattered = (0..ROWS * n).map(|i| i >= n && random::<f64>(1, i as u64)[0] > 0.0).collect();
        (kept, prefix, scattered)
    }

    /// The sum of at most 1000 exponentials, each two units off, in up to 1000/4 additions to a lane or 1000 in `f64`:
    /// their errors stay far below the bound because entries are at most 1 and errors are relative.
    fn check<T: Float>(n: usize) {
        let x: Vec<T> = random(ROWS * n, n as u64);
        let (kept, prefix, scattered) = masks(n);
        let mut y = unread::<T>(x.len());
        softmax(&x, &mut y, n);
        assert_close(&y, &reference(&widen(&x), &vec![true; x.len()], n), 16.0);
        let mut y = unread::<T>(x.len());
        softmax_prefix(&x, &mut y, n, &kept);
        assert_close(&y, &reference(&widen(&x), &prefix, n), 16.0);
        assert!(y.iter().zip(&prefix).all(|(y, keep)| *keep || *y == T::ZERO));
        let mut in_place = x.clone();
        softmax_prefix_in_place(&mut in_place, n, Some(&kept));
        assert_eq!(in_place, y);
        let mut y = unread::<T>(x.len());
        // What is masked must not matter, however large.
        let wild: Vec<T> = x
            .iter()
            .zip(&scattered)
            .enumerate()
            .map(
                |(i, (x, keep))| if *keep { *x } else { [T::of(1e30), T::NEG_INFINITY, T::of(-1e30)][i % 3] },
            )
            .collect();
        softmax_masked(&wild, &mut y, n, &scattered);
        assert_close(&y, &reference(&widen(&x), &scattered, n), 16.0);
        assert!(y.iter().zip(&scattered).all(|(y, keep)| *keep || *y == T::ZERO));
        let dy: Vec<T> = random(x.len(), 99);
        let dx = both_ways(x.len(), |dx, keep| softmax_backward(&y, &dy, dx, n, keep));
        let (y, dy) = (widen(&y), widen(&dy));
        let expected: Vec<f64> = (0..y.len())
            .map(|i| {
                let row = i / n * n..i / n * n + n;
                let product: f64 = y[row.clone()].iter().zip(&dy[row]).map(|(y, dy)| y * dy).sum();
                y[i] * (dy[i] - product)
            })
            .collect();
        assert_close(&dx, &expected, 16.0);
    }

    #[test]
    fn all_three_agree_with_the_definition() {
        for n in SIZES {
            check::<f32>(n);
            check::<f64>(n);
        }
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        for n in [1, 3, 17, 24] {
            let x: Vec<f64> = random(ROWS * n, n as u64);
            let dy: Vec<f64> = random(x.len(), 7);
            let (_, _, keep) = masks(n);
            let forward = |x: &[f64]| {
                let mut y = unread(x.len());
                softmax_masked(x, &mut y, n, &keep);
                y
            };
            let mut dx = unread(x.len());
            softmax_backward(&forward(&x), &dy, &mut dx, n, false);
            assert_gradient(|x| forward(x).iter().zip(&dy).map(|(y, dy)| y * dy).sum(), &x, &dx);
        }
    }

    #[test]
    fn large_scores_and_infinite_ones_are_no_trouble() {
        let mut y = unread(4);
        softmax(&[1e30f32, f32::NEG_INFINITY, 1e30, -1e30], &mut y, 4);
        assert_eq!(y, [0.5, 0.0, 0.5, 0.0]);
        softmax(&[f32::NEG_INFINITY; 4], &mut y, 4);
        assert_eq!(y, [0.0; 4]);
    }
}
