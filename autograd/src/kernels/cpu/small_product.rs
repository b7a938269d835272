//! Products of matrices that fit the caches, such as the blocks of attention, read where they lie.
//!
//! A general product copies both factors into an order of its own first, which pays off where each is used many times. A
//! head of a sentence is too small for that. Here a tile of the result stays in registers, [`ROWS`] rows of two vectors,
//! while the left factor is read entry by entry and the right one by whole rows.

use super::gemm::{Gemm, Matrix};
use super::simd::Simd;
use crate::{float::Float, simd};

/// Rows of a tile: with two vectors each they, two vectors of the right factor and one of the left fit 16 registers.
const ROWS: usize = 6;

simd! {
    /// The product of [`product`](super::gemm::product), for small factors of which the right one has its rows in one
    /// piece each (a column stride of 1).
    pub fn small_product<T>(s, product: Gemm<'_, T>) {
        let mut product = product;
        product.check("small_product");
        assert!(product.b.col_stride == 1, "small_product: the right factor is transposed");
        if product.is_over() {
            return;
        }
        let (m, _, n) = product.size;
        for j in (0..n).step_by(2 * S::LANES) {
            let wide = n - j > S::LANES;
            let mut i = 0;
            while i < m {
                let rows = ROWS.min(m - i);
                match (rows, wide) {
                    (1, false) => tile::<T, S, 1, 1>(s, &mut product, i, j),
                    (2, false) => tile::<T, S, 2, 1>(s, &mut product, i, j),
                    (3, false) => tile::<T, S, 3, 1>(s, &mut product, i, j),
                    (4, false) => tile::<T, S, 4, 1>(s, &mut product, i, j),
                    (5, false) => tile::<T, S, 5, 1>(s, &mut product, i, j),
                    (_, false) => tile::<T, S, ROWS, 1>(s, &mut product, i, j),
                    (1, true) => tile::<T, S, 1, 2>(s, &mut product, i, j),
                    (2, true) => tile::<T, S, 2, 2>(s, &mut product, i, j),
                    (3, true) => tile::<T, S, 3, 2>(s, &mut product, i, j),
                    (4, true) => tile::<T, S, 4, 2>(s, &mut product, i, j),
                    (5, true) => tile::<T, S, 5, 2>(s, &mut product, i, j),
                    (_, true) => tile::<T, S, ROWS, 2>(s, &mut product, i, j),
                }
                i += rows;
            }
        }
    }
}

/// `M` rows of the result from row `i`, `W` vectors from column `j`.
#[inline(always)]
fn tile<T: Float, S: Simd<T>, const M: usize, const W: usize>(
    s: S,
    product: &mut Gemm<'_, T>,
    i: usize,
    j: usize,
) {
    let (_, k, n) = product.size;
    let columns = (n - j).min(W * S::LANES);
    let (a_row, a_col) = (product.a.row_stride, product.a.col_stride);
    let a = &product.a.data[i * a_row..];
    let mut sums = [[s.splat(T::ZERO); W]; M];
    for l in 0..k {
        let b = &product.b.data[l * product.b.row_stride + j..][..columns];
        let mut row = [s.splat(T::ZERO); W];
        for (w, v) in row.iter_mut().enumerate() {
            *v = s.load(&b[w * S::LANES..], T::ZERO);
        }
        for (r, sums) in sums.iter_mut().enumerate() {
            let x = s.splat(a[r * a_row + l * a_col]);
            for (sum, v) in sums.iter_mut().zip(&row) {
                *sum = s.fma(x, *v, *sum);
            }
        }
    }
    let scale = s.splat(product.scale);
    for (r, sums) in sums.iter().enumerate() {
        let c = &mut product.c[(i + r) * product.c_stride + j..][..columns];
        for (w, &sum) in sums.iter().enumerate() {
            let c = &mut c[w * S::LANES..];
            let sum = if product.keep { s.fma(sum, scale, s.load(c, T::ZERO)) } else { s.mul(sum, scale) };
            s.store(sum, c);
        }
    }
}

simd! {
    /// The product of [`product`](super::gemm::product) where both factors have what is summed in one piece: rows of `A` by
    /// rows of `Bᵀ`, as of activations by weights `[outputs, inputs]`. A general product first puts `B` in another order,
    /// which for long rows and few of them in `A` takes as long as the arithmetic.
    pub fn rows_by_rows<T>(s, product: Gemm<'_, T>) {
        let mut product = product;
        product.check("rows_by_rows");
        let whole = product.a.col_stride == 1 && product.b.row_stride == 1;
        assert!(whole, "rows_by_rows: a factor has its rows in pieces");
        if product.is_over() {
            return;
        }
        let (m, _, n) = product.size;
        let (whole_m, whole_n) = (m - m % 4, n - n % 3);
        for j in (0..whole_n).step_by(3) {
            for i in (0..whole_m).step_by(4) {
                dots::<T, S, 4, 3>(s, &mut product, i, j);
            }
            for i in whole_m..m {
                dots::<T, S, 1, 3>(s, &mut product, i, j);
            }
        }
        for j in whole_n..n {
            for i in (0..whole_m).step_by(4) {
                dots::<T, S, 4, 1>(s, &mut product, i, j);
            }
            for i in whole_m..m {
                dots::<T, S, 1, 1>(s, &mut product, i, j);
            }
        }
    }
}

/// `M` rows of the result from row `i`, `N` columns from column `j`: sums over whole rows, in vectors until the end.
#[inline(always)]
fn dots<T: Float, S: Simd<T>, const M: usize, const N: usize>(
    s: S,
    product: &mut Gemm<'_, T>,
    i: usize,
    j: usize,
) {
    let (_, k, _) = product.size;
    let (a, b) = (&product.a, &product.b);
    let rows: [&[T]; M] = std::array::from_fn(|r| &a.data[(i + r) * a.row_stride..][..k]);
    let columns: [&[T]; N] = std::array::from_fn(|c| &b.data[(j + c) * b.col_stride..][..k]);
    let mut sums = [[s.splat(T::ZERO); N]; M];
    for l in (0..k).step_by(S::LANES) {
        let mut y = [s.splat(T::ZERO); N];
        for (y, column) in y.iter_mut().zip(&columns) {
            *y = s.load(&column[l..], T::ZERO);
        }
        for (sums, row) in sums.iter_mut().zip(&rows) {
            let x = s.load(&row[l..], T::ZERO);
            for (sum, y) in sums.iter_mut().zip(&y) {
                *sum = s.fma(x, *y, *sum);
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        for (c, &sum) in sums.iter().enumerate() {
            let out = &mut product.c[(i + r) * product.c_stride + j + c];
            let sum = product.scale * s.sum(sum);
            *out = if product.keep { *out + sum } else { sum };
        }
    }
}

simd! {
    /// Writes the transpose of `rows` rows of `n` entries into rows of `stride`, with zeros after the last of each.
    pub fn transpose<T>(_s, x: Matrix<'_, T>, rows: usize, n: usize, out: &mut [T], stride: usize) {
        assert!(x.holds(rows, n) && x.col_stride == 1, "transpose: no rows of [{rows}, {n}]");
        let room = n.checked_mul(stride).is_some_and(|room| room <= out.len());
        assert!(stride >= rows && room, "transpose: no room for [{n}, {rows}]");
        if n == 0 || stride == 0 {
            return;
        }
        const SIDE: usize = 4;
        for i in (0..rows).step_by(SIDE) {
            let height = SIDE.min(rows - i);
            for j in (0..n).step_by(SIDE) {
                let width = SIDE.min(n - j);
                if height == SIDE && width == SIDE {
                    // A block of fixed size, which compilers turn into shuffles.
                    let mut block = [[T::ZERO; SIDE]; SIDE];
                    for (r, block) in block.iter_mut().enumerate() {
                        block.copy_from_slice(&x.data[(i + r) * x.row_stride + j..][..SIDE]);
                    }
                    for c in 0..SIDE {
                        let column: [T; SIDE] = std::array::from_fn(|r| block[r][c]);
                        out[(j + c) * stride + i..][..SIDE].copy_from_slice(&column);
                    }
                } else {
                    for c in 0..width {
                        for r in 0..height {
                            out[(j + c) * stride + i + r] = x.data[(i + r) * x.row_stride + j + c];
                        }
                    }
                }
            }
        }
        for out in out.chunks_mut(stride).take(n) {
            out[rows..].fill(T::ZERO);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::gemm::product;
    use super::super::testing::{assert_close, random, unread, widen};
    use super::*;

    fn check<T: Float>() {
        for (m, k, n) in
            [(1, 1, 1), (6, 4, 16), (7, 3, 33), (5, 64, 24), (24, 32, 32), (13, 1, 48), (2, 0, 3)]
        {
            let (a, b) = (random::<T>(m * k + 8, 1), random::<T>(k * (n + 3), 2));
            for transposed in [false, true] {
                let left = Matrix::rows(&a, if transposed { m } else { k });
                let left = if transposed { left.t() } else { left };
                for keep in [false, true] {
                    let mut got = if keep { random(m * (n + 2), 3) } else { unread(m * (n + 2)) };
                    let (mut expected, before) = (widen(&got), got.clone());
                    let (wide_a, wide_b) = (widen(&a), widen(&b));
                    let wide_left =
                        Matrix { data: &wide_a, row_stride: left.row_stride, col_stride: left.col_stride };
                    small_product(Gemm {
                        size: (m, k, n),
                        a: left,
                        b: Matrix::rows(&b, n + 3),
                        c: &mut got,
                        c_stride: n + 2,
                        scale: T::of(0.5),
                        keep,
                    });
                    product(Gemm {
                        size: (m, k, n),
                        a: wide_left,
                        b: Matrix::rows(&wide_b, n + 3),
                        c: &mut expected,
                        c_stride: n + 2,
                        scale: 0.5,
                        keep,
                    });
                    for row in 0..m {
                        let at = row * (n + 2);
                        assert_close(&got[at..at + n], &expected[at..at + n], 4.0 * k as f64 + 4.0);
                        // What lies between the rows is nobody's to write.
                        let between = |x: &[T]| {
                            x[at + n..at + n + 2].iter().map(|x| x.to_f64().to_bits()).collect::<Vec<_>>()
                        };
                        assert_eq!(between(&got), between(&before));
                    }
                }
            }
        }
    }

    fn check_rows<T: Float>() {
        for (m, k, n) in [(1, 1, 1), (4, 16, 3), (9, 40, 7), (3, 17, 2), (5, 600, 4)] {
            let (a, b) = (random::<T>(m * (k + 1), 1), random::<T>(n * (k + 2), 2));
            let (wide_a, wide_b) = (widen(&a), widen(&b));
            for keep in [false, true] {
                let mut got = if keep { random(m * n, 3) } else { unread(m * n) };
                let mut expected = widen(&got);
                let (size, scale) = ((m, k, n), T::of(0.5));
                let (left, right) = (Matrix::rows(&a, k + 1), Matrix::rows(&b, k + 2).t());
                rows_by_rows(Gemm { size, a: left, b: right, c: &mut got, c_stride: n, scale, keep });
                let (left, right) = (Matrix::rows(&wide_a, k + 1), Matrix::rows(&wide_b, k + 2).t());
                product(Gemm { size, a: left, b: right, c: &mut expected, c_stride: n, scale: 0.5, keep });
                assert_close(&got, &expected, 4.0 * k as f64 + 4.0);
            }
        }
    }

    #[test]
    fn products_of_rows_by_rows_are_products() {
        check_rows::<f32>();
        check_rows::<f64>();
    }

    #[test]
    fn small_products_are_products() {
        check::<f32>();
        check::<f64>();
    }

    #[test]
    fn a_transpose_swaps_rows_and_columns() {
        for n in [3, 8, 17] {
            let x = random::<f32>(20 * 19, 1);
            let mut y = unread(n * 32);
            transpose(Matrix::rows(&x, 19), 20, n, &mut y, 32);
            for (at, y) in y.iter().enumerate() {
                let (i, j) = (at % 32, at / 32);
                assert_eq!(*y, if i < 20 { x[i * 19 + j] } else { 0.0 });
            }
        }
    }
}
