//! Products of whole matrices.

use std::arch::x86_64::*;

use super::super::gemm::{Gemm, Matrix};
use super::super::panels::WIDTH;
use super::pairs::{LANES, Pairs, left, right};
use super::tile::{load, rows_by_panel, store};

/// Terms that are summed in one go: a panel of so many rows of pairs takes 64 KiB, and stays in the second cache.
const DEEP: usize = 512;

/// Rows of the left factor that are brought in order at once: they stay in the second cache beside a panel.
const HIGH: usize = 96;

/// `C (+)= scale · A·B`, of factors rounded to bfloat16. The caller has checked that they hold what their sizes say.
pub(in crate::kernels::cpu) fn product(product: Gemm<'_, f32>) {
    assert!(super::available(), "bf16: this processor cannot multiply so");
    // SAFETY: the processor has the instructions.
    unsafe { blocks(product) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
fn blocks(product: Gemm<'_, f32>) {
    let Gemm { size: (m, k, n), a, b, c, c_stride, scale, keep } = product;
    if k == 0 && !keep {
        c.chunks_mut(c_stride).take(m).for_each(|row| row[..n].fill(0.0));
    }
    let half = DEEP.min(k).div_ceil(2);
    let mut of_b = Pairs::stale(half * n.next_multiple_of(WIDTH));
    let mut of_a = Pairs::stale(half * HIGH.min(m).next_multiple_of(LANES));
    for l in (0..k).step_by(DEEP) {
        let deep = DEEP.min(k - l);
        let add = keep || l > 0;
        right(from(b, l, 0), (deep, n), &mut of_b);
        for i in (0..m).step_by(HIGH) {
            let high = HIGH.min(m - i);
            let left = left(from(a, i, l), (high, deep), &mut of_a);
            for (panel, j) in of_b.chunks_exact(deep.div_ceil(2) * WIDTH).zip((0..n).step_by(WIDTH)) {
                let columns = WIDTH.min(n - j);
                rows_by_panel(left, 0..high, panel, load(&[]), |row, mut sums| {
                    let c = &mut c[(i + row) * c_stride + j..][..columns];
                    let held = if add { load(c) } else { load(&[]) };
                    for (sum, held) in sums.iter_mut().zip(held) {
                        *sum = _mm512_fmadd_ps(*sum, _mm512_set1_ps(scale), held);
                    }
                    store(sums, c);
                });
            }
        }
    }
}

/// What begins at entry `(row, column)`.
fn from(x: Matrix<'_, f32>, row: usize, column: usize) -> Matrix<'_, f32> {
    Matrix { data: &x.data[row * x.row_stride + column * x.col_stride..], ..x }
}
