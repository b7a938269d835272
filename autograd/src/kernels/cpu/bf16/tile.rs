//! The innermost loop: some rows of the left factor by one panel of the right one, their sums kept in registers.

use std::arch::x86_64::*;
use std::ops::Range;

use super::super::panels::WIDTH;
use super::pairs::{self, LANES, Left, first};

/// Rows of a tile: with four vectors of sums each, they fit 32 registers together with what they are multiplied by.
const ROWS: usize = 6;

/// The columns of a panel.
pub(super) type Vectors = [__m512; WIDTH / LANES];

/// Sums the rows of the left factor times the columns of a panel, from `start` on, and gives each row to `end`.
///
/// Every entry is summed from the first pair to the last, whatever rows are computed with it.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
pub(super) fn rows_by_panel(
    left: Left<'_>,
    rows: Range<usize>,
    panel: &[u32],
    start: Vectors,
    mut end: impl FnMut(usize, Vectors),
) {
    // Tiles of like sizes: seven rows are four and three, not six and one.
    let tiles = rows.len().div_ceil(ROWS);
    for t in 0..tiles {
        let at = |t: usize| rows.start + t * rows.len() / tiles;
        match at(t + 1) - at(t) {
            1 => tile::<1>(left, at(t), panel, start, &mut end),
            2 => tile::<2>(left, at(t), panel, start, &mut end),
            3 => tile::<3>(left, at(t), panel, start, &mut end),
            4 => tile::<4>(left, at(t), panel, start, &mut end),
            5 => tile::<5>(left, at(t), panel, start, &mut end),
            _ => tile::<ROWS>(left, at(t), panel, start, &mut end),
        }
    }
}

/// `M` rows from row `i` on.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
#[allow(clippy::needless_range_loop, reason = "constant indices keep sums in registers")]
fn tile<const M: usize>(
    left: Left<'_>,
    i: usize,
    panel: &[u32],
    start: Vectors,
    end: &mut impl FnMut(usize, Vectors),
) {
    let half = panel.len() / WIDTH;
    let last = (i + M - 1) * left.row + half.saturating_sub(1) * left.pair;
    assert!(
        half == 0 || last < left.pairs.len(),
        "bf16 product: the left factor does not hold row {}",
        i + M - 1
    );
    let mut sums = [start; M];
    for l in 0..half {
        let mut columns = [no_pairs(); WIDTH / LANES];
        for (w, column) in columns.iter_mut().enumerate() {
            // SAFETY: `l` is within the panel.
            *column =
                of_bits(unsafe { _mm512_loadu_si512(panel.as_ptr().add(l * WIDTH + w * LANES).cast()) });
        }
        for r in 0..M {
            // SAFETY: no further than `last`.
            let pair = unsafe { *left.pairs.get_unchecked((i + r) * left.row + l * left.pair) };
            let pair = of_bits(_mm512_set1_epi32(pair.cast_signed()));
            for w in 0..WIDTH / LANES {
                sums[r][w] = _mm512_dpbf16_ps(sums[r][w], pair, columns[w]);
            }
        }
    }
    for (r, sums) in sums.into_iter().enumerate() {
        end(i + r, sums);
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn no_pairs() -> __m512bh {
    of_bits(_mm512_setzero_si512())
}

#[inline(always)]
fn of_bits(bits: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes, all values of which mean something.
    unsafe { std::mem::transmute(bits) }
}

/// Writes the first entries of a row, as many as there is room for.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
pub(super) fn store(row: Vectors, y: &mut [f32]) {
    for (v, y) in row.into_iter().zip(y.chunks_mut(LANES)) {
        // SAFETY: no entry past the end is written.
        unsafe { _mm512_mask_storeu_ps(y.as_mut_ptr(), first(y.len()), v) }
    }
}

/// The entries of a row, zeros after them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
pub(super) fn load(x: &[f32]) -> Vectors {
    let mut row = [_mm512_setzero_ps(); WIDTH / LANES];
    for (v, x) in row.iter_mut().zip(x.chunks(LANES)) {
        *v = pairs::load(x);
    }
    row
}
