//! Dropout (Srivastava et al., 2014) with a mask that is a function of a key and the entry's index alone.
//!
//! Entry `i` is kept where `hash(key, i) ≥ p·2³²`, and then multiplied by `1/(1 − p)`. The same key gives the same mask on
//! any number of threads and in any order, so the backward pass draws the mask again instead of reading a stored one.
//!
//! The hash is two rounds of `lowbias32` (Wellons, "Prospecting for hash functions", 2018), an xorshift-multiply mixer
//! with next to no bias, between the halves of the key. It is plain 32-bit arithmetic, which compilers turn into vectors.

use crate::{float::Float, rng::derive, simd};

/// Entries that share the upper half of their index, or fewer: no index below wraps inside such a block.
const BLOCK: usize = 1 << 31;

/// The mask of one block.
#[derive(Clone, Copy)]
struct Mask<T> {
    /// The two halves of the key, into which the upper half of the index is mixed.
    halves: (u32, u32),
    /// The lower half of the index of the first entry.
    first: u32,
    /// The least hash that is kept.
    threshold: u32,
    /// `1/(1 − p)`
    factor: T,
}

#[track_caller]
fn check_rate(p: f64) {
    assert!((0.0..1.0).contains(&p), "dropout: a rate of {p} is not in [0, 1)");
}

impl<T: Float> Mask<T> {
    #[inline(always)]
    fn new(key: u64, p: f64, first_index: u64) -> Self {
        let key = derive(key, first_index >> 32);
        // The conversion stops at 2³² − 1.
        let threshold = (p * 4_294_967_296.0).round() as u32;
        let factor = T::of(1.0 / (1.0 - p));
        Self { halves: ((key >> 32) as u32, key as u32), first: first_index as u32, threshold, factor }
    }

    /// `x` times the factor where entry `i` of the block is kept, zero elsewhere.
    #[inline(always)]
    fn apply(self, i: usize, x: T) -> T {
        let index = self.first.wrapping_add(i as u32);
        let hash = lowbias32(lowbias32(index ^ self.halves.0) ^ self.halves.1);
        if hash >= self.threshold { x * self.factor } else { T::ZERO }
    }
}

#[inline(always)]
fn lowbias32(x: u32) -> u32 {
    let x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    let x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

simd! {
    /// `y = x ∘ mask / (1 − p)`, all entries.
    pub fn dropout<T>(_s, x: &[T], y: &mut [T], key: u64, p: f64) {
        assert!(x.len() == y.len(), "dropout: sizes differ");
        check_rate(p);
        for (block, (x, y)) in x.chunks(BLOCK).zip(y.chunks_mut(BLOCK)).enumerate() {
            let mask = Mask::new(key, p, block as u64 * BLOCK as u64);
            for (i, (x, y)) in x.iter().zip(y).enumerate() {
                *y = mask.apply(i, *x);
            }
        }
    }

    /// `dx (+)= dy ∘ mask / (1 − p)`, with the mask of [`dropout`].
    pub fn dropout_backward<T>(_s, dy: &[T], dx: &mut [T], key: u64, p: f64, keep: bool) {
        assert!(dy.len() == dx.len(), "dropout: sizes differ");
        check_rate(p);
        for (block, (dy, dx)) in dy.chunks(BLOCK).zip(dx.chunks_mut(BLOCK)).enumerate() {
            let mask = Mask::new(key, p, block as u64 * BLOCK as u64);
            if keep {
                for (i, (dy, dx)) in dy.iter().zip(dx).enumerate() {
                    *dx += mask.apply(i, *dy);
                }
            } else {
                for (i, (dy, dx)) in dy.iter().zip(dx).enumerate() {
                    *dx = mask.apply(i, *dy);
                }
            }
        }
    }

    /// `x = x ∘ mask / (1 − p)` for the first `n` of every `stride` entries: a piece of a larger tensor, where they have the
    /// indices from `first_index` on, and those of each next row from `step` later on.
    pub fn dropout_rows_in_place_at<T>(
        _s,
        x: &mut [T],
        stride: usize,
        n: usize,
        key: u64,
        p: f64,
        first_index: u64,
        step: u64,
    ) {
        check_rate(p);
        if x.is_empty() {
            return;
        }
        let last = if stride > 0 { (x.len() - 1) % stride + 1 } else { 0 };
        assert!(last > 0 && n <= last, "dropout: {} entries are no rows of {n}, {stride} apart", x.len());
        for (row, x) in x.chunks_mut(stride).enumerate() {
            let (mut rest, mut index) = (&mut x[..n], first_index.wrapping_add((row as u64).wrapping_mul(step)));
            while !rest.is_empty() {
                let until_boundary = BLOCK as u64 - index % BLOCK as u64;
                let (block, after) = rest.split_at_mut(until_boundary.min(rest.len() as u64) as usize);
                let mask = Mask::new(key, p, index);
                index = index.wrapping_add(block.len() as u64);
                for (i, x) in block.iter_mut().enumerate() {
                    *x = mask.apply(i, *x);
                }
                rest = after;
            }
        }
    }

    /// `y = residual + x ∘ mask / (1 − p)`: dropout at the end of a sublayer and the connection around it.
    pub fn dropout_add<T>(_s, x: &[T], residual: &[T], y: &mut [T], key: u64, p: f64) {
        assert!(x.len() == y.len() && x.len() == residual.len(), "dropout: sizes differ");
        check_rate(p);
        let blocks = x.chunks(BLOCK).zip(residual.chunks(BLOCK)).zip(y.chunks_mut(BLOCK));
        for (block, ((x, residual), y)) in blocks.enumerate() {
            let mask = Mask::new(key, p, block as u64 * BLOCK as u64);
            for (i, ((x, residual), y)) in x.iter().zip(residual).zip(y).enumerate() {
                *y = *residual + mask.apply(i, *x);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{SIZES, assert_close, both_ways, random, unread, widen};
    use super::*;

    /// One row.
    fn dropout_in_place_at<T: Float>(x: &mut [T], key: u64, p: f64, first_index: u64) {
        let n = x.len();
        dropout_rows_in_place_at(x, n.max(1), n, key, p, first_index, 0);
    }

    const MANY: usize = 1 << 20;

    fn mask<T: Float>(n: usize, key: u64, p: f64) -> Vec<bool> {
        let mut y = unread(n);
        dropout(&vec![T::ONE; n], &mut y, key, p);
        y.iter().map(|y| *y != T::ZERO).collect()
    }

    /// The correlation of two masks of rate ½ is the mean of ±1; its standard deviation is 1/√n.
    fn assert_uncorrelated(a: &[bool], b: &[bool]) {
        let same = a.iter().zip(b).filter(|(a, b)| a == b).count() as f64;
        let n = a.len() as f64;
        assert!((2.0 * same - n).abs() < 5.0 * n.sqrt(), "{same} of {n} agree");
    }

    #[test]
    fn the_share_that_is_kept_is_the_one_asked_for() {
        for key in [0, 1, u64::MAX] {
            for p in [0.01, 0.1, 0.3, 0.5, 0.9] {
                let kept = mask::<f32>(MANY, key, p).iter().filter(|kept| **kept).count() as f64;
                let (mean, deviation) = (MANY as f64 * (1.0 - p), (MANY as f64 * p * (1.0 - p)).sqrt());
                assert!((kept - mean).abs() < 5.0 * deviation, "p = {p}: {kept} kept, not {mean}");
            }
        }
    }

    #[test]
    fn keys_and_neighbours_are_uncorrelated() {
        let first = mask::<f32>(MANY, 0, 0.5);
        for key in [1, 2, 1 << 31, 1 << 32, 1 << 63, u64::MAX] {
            assert_uncorrelated(&first, &mask::<f32>(MANY, key, 0.5));
        }
        for distance in [1, 2, 3, 16, 24, 128, 256, 1024] {
            assert_uncorrelated(&first[distance..], &first[..MANY - distance]);
        }
        // The upper half of the index counts.
        let mut far = vec![1.0f32; MANY];
        dropout_in_place_at(&mut far, 0, 0.5, 1 << 32);
        assert_uncorrelated(&first, &far.iter().map(|x| *x != 0.0).collect::<Vec<_>>());
    }

    #[test]
    fn both_types_draw_the_same_mask() {
        assert_eq!(mask::<f32>(10_000, 5, 0.3), mask::<f64>(10_000, 5, 0.3));
    }

    fn check<T: Float>(n: usize) {
        let (x, residual): (Vec<T>, Vec<T>) = (random(n, 1), random(n, 2));
        let kept = mask::<T>(n, 9, 0.3);
        let expected: Vec<f64> =
            widen(&x).iter().zip(&kept).map(|(x, kept)| if *kept { x / 0.7 } else { 0.0 }).collect();
        let mut y = unread(n);
        dropout(&x, &mut y, 9, 0.3);
        assert_close(&y, &expected, 4.0);
        assert_eq!(both_ways(n, |dx, keep| dropout_backward(&x, dx, 9, 0.3, keep)), y);
        let mut sum = unread(n);
        dropout_add(&x, &residual, &mut sum, 9, 0.3);
        assert!(sum.iter().zip(&residual).zip(&y).all(|((sum, residual), y)| *sum == *residual + *y));
        // Piece by piece gives the same mask as all at once.
        let mut pieces = x.clone();
        for (i, piece) in pieces.chunks_mut(7).enumerate() {
            dropout_in_place_at(piece, 9, 0.3, 7 * i as u64);
        }
        assert_eq!(pieces, y);
        dropout(&x, &mut y, 9, 0.0);
        assert_eq!(y, x);
    }

    #[test]
    fn all_four_apply_the_same_mask() {
        for n in SIZES {
            check::<f32>(n);
            check::<f64>(n);
        }
    }

    #[test]
    fn pieces_may_cross_the_boundaries_of_the_index() {
        for boundary in [1u64 << 31, 1 << 32, 1 << 33] {
            let mut whole = [1.0f64; 40];
            dropout_in_place_at(&mut whole, 3, 0.5, boundary - 20);
            for (i, &x) in (boundary - 20..).zip(&whole) {
                let mut single = [1.0f64];
                dropout_in_place_at(&mut single, 3, 0.5, i);
                assert_eq!(single[0], x);
            }
        }
    }
}
