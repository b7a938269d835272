//! Rounding numbers to bfloat16, and putting them into the order in which a product reads them.

use std::arch::x86_64::*;
use std::ops::{Deref, DerefMut};

use super::super::gemm::Matrix;
use super::super::panels::WIDTH;
use crate::buffer::Buffer;

/// Lanes of a vector.
pub(super) const LANES: usize = 16;

/// Pairs in memory that is recycled. They lie in a buffer of numbers of their size.
#[derive(Debug)]
pub(super) struct Pairs(Buffer<f32>);

impl Pairs {
    /// Room for so many, which hold anything.
    pub(super) fn stale(len: usize) -> Self {
        Self(Buffer::stale(len))
    }
}

impl Deref for Pairs {
    type Target = [u32];
    fn deref(&self) -> &[u32] {
        // SAFETY: `f32` and `u32` have one size and alignment, and all bits of either are a value of the other.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len()) }
    }
}

impl DerefMut for Pairs {
    fn deref_mut(&mut self) -> &mut [u32] {
        // SAFETY: as above; the buffer is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len()) }
    }
}

/// The left factor `[m, k]` as a tile reads it: pair `l` of row `i` lies at `i·row + l·pair`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left<'a> {
    pub(super) pairs: &'a [u32],
    pub(super) row: usize,
    pub(super) pair: usize,
}

/// Rounds `[rows, k]` of a matrix; `room` holds `rows_up · ⌈k/2⌉` pairs, where `rows_up` are the rows rounded up to whole
/// vectors.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
pub(super) fn left<'a>(a: Matrix<'_, f32>, (rows, k): (usize, usize), room: &'a mut [u32]) -> Left<'a> {
    let half = k.div_ceil(2);
    if a.col_stride == 1 {
        round_rows(a, (rows, k), room);
        return Left { pairs: room, row: half, pair: 1 };
    }
    let across = rows.next_multiple_of(LANES);
    for (l, room) in room.chunks_exact_mut(across).take(half).enumerate() {
        for (i, room) in room.chunks_exact_mut(LANES).enumerate() {
            let vector = column_pairs(a.t(), (k, rows), 2 * l, i * LANES);
            store(vector, room);
        }
    }
    Left { pairs: room, row: 1, pair: across }
}

/// Rounds `[k, n]` of a matrix into panels of [`WIDTH`] columns, each `[⌈k/2⌉, WIDTH]`; columns past the last are zero.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
pub(super) fn right(b: Matrix<'_, f32>, (k, n): (usize, usize), room: &mut [u32]) {
    let half = k.div_ceil(2);
    for (p, room) in room.chunks_exact_mut(half * WIDTH).take(n.div_ceil(WIDTH)).enumerate() {
        for column in (0..WIDTH).step_by(LANES) {
            let j = p * WIDTH + column;
            if b.row_stride == 1 && b.col_stride != 1 {
                for l in (0..half).step_by(LANES) {
                    let mut block = [_mm512_setzero_si512(); LANES];
                    for (c, row) in block.iter_mut().enumerate().take(n.saturating_sub(j)) {
                        let from = (j + c) * b.col_stride;
                        *row = row_pairs(&b.data[from + 2 * l..from + k]);
                    }
                    for (i, row) in transpose(block).into_iter().enumerate().take(half - l) {
                        store(row, &mut room[(l + i) * WIDTH + column..][..LANES]);
                    }
                }
            } else {
                for l in 0..half {
                    store(column_pairs(b, (k, n), 2 * l, j), &mut room[l * WIDTH + column..][..LANES]);
                }
            }
        }
    }
}

/// The pairs of rows that lie in one piece each; an odd last number is paired with zero.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
pub(super) fn round_rows(x: Matrix<'_, f32>, (rows, k): (usize, usize), room: &mut [u32]) {
    for (i, room) in room.chunks_exact_mut(k.div_ceil(2)).take(rows).enumerate() {
        let row = &x.data[i * x.row_stride..][..k];
        for (row, pairs) in row.chunks(2 * LANES).zip(room.chunks_mut(LANES)) {
            store(row_pairs(row), pairs);
        }
    }
}

/// The pairs of up to 32 numbers that follow each other, zeros after them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
fn row_pairs(row: &[f32]) -> __m512i {
    let (low, high) = row.split_at(row.len().min(LANES));
    bits(_mm512_cvtne2ps_pbh(load(high), load(low)))
}

/// The pairs of rows `l` and `l + 1` of a matrix `[k, n]` whose rows lie in one piece each, in 16 columns from `j` on;
/// zeros past its end.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
fn column_pairs(b: Matrix<'_, f32>, (k, n): (usize, usize), l: usize, j: usize) -> __m512i {
    let row = |l: usize| match l < k && j < n {
        true if b.col_stride == 1 => load(&b.data[l * b.row_stride + j..][..(n - j).min(LANES)]),
        true => {
            let mut row = [0.0; LANES];
            for (j, x) in (j..n).zip(&mut row) {
                *x = b.data[l * b.row_stride + j * b.col_stride];
            }
            load(&row)
        }
        false => _mm512_setzero_ps(),
    };
    // Sixteen numbers of the first row and then those of the second, to be dealt out in turn.
    let both = bits(_mm512_cvtne2ps_pbh(row(l + 1), row(l)));
    let lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    let turns =
        _mm512_add_epi32(_mm512_mullo_epi32(lanes, _mm512_set1_epi32(0x1_0001)), _mm512_set1_epi32(16 << 16));
    _mm512_permutexvar_epi16(turns, both)
}

/// The transpose of 16 rows of 16 pairs.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
fn transpose(rows: [__m512i; LANES]) -> [__m512i; LANES] {
    let mut a = rows;
    // Pairs of rows by single entries, then by two, by four and by eight.
    let mut b = a;
    for i in 0..8 {
        b[2 * i] = _mm512_unpacklo_epi32(a[2 * i], a[2 * i + 1]);
        b[2 * i + 1] = _mm512_unpackhi_epi32(a[2 * i], a[2 * i + 1]);
    }
    for i in 0..4 {
        for j in 0..2 {
            let (x, y) = (b[4 * i + j], b[4 * i + 2 + j]);
            a[4 * i + 2 * j] = _mm512_unpacklo_epi64(x, y);
            a[4 * i + 2 * j + 1] = _mm512_unpackhi_epi64(x, y);
        }
    }
    // a[4i + c] holds, in its four quarters q, column 4q + c of rows 4i to 4i + 3.
    for i in 0..2 {
        for c in 0..4 {
            let (x, y) = (a[8 * i + c], a[8 * i + 4 + c]);
            b[8 * i + c] = _mm512_shuffle_i32x4::<0x88>(x, y);
            b[8 * i + 4 + c] = _mm512_shuffle_i32x4::<0xdd>(x, y);
        }
    }
    for c in 0..4 {
        for odd in 0..2 {
            let (x, y) = (b[4 * odd + c], b[8 + 4 * odd + c]);
            a[4 * odd + c] = _mm512_shuffle_i32x4::<0x88>(x, y);
            a[8 + 4 * odd + c] = _mm512_shuffle_i32x4::<0xdd>(x, y);
        }
    }
    a
}

/// Up to 16 numbers, zeros after them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
pub(super) fn load(x: &[f32]) -> __m512 {
    // SAFETY: no entry past the end is read.
    unsafe { _mm512_maskz_loadu_ps(first(x.len()), x.as_ptr()) }
}

/// Writes up to 16 pairs, as many as there is room for.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
fn store(pairs: __m512i, room: &mut [u32]) {
    // SAFETY: no entry past the end is written.
    unsafe { _mm512_mask_storeu_epi32(room.as_mut_ptr().cast(), first(room.len()), pairs) }
}

/// Flags of the first `count` lanes.
#[inline(always)]
pub(super) fn first(count: usize) -> u16 {
    if count >= LANES { u16::MAX } else { (1 << count) - 1 }
}

#[inline(always)]
fn bits(pairs: __m512bh) -> __m512i {
    // SAFETY: both are 64 bytes, all values of which mean something.
    unsafe { std::mem::transmute(pairs) }
}
