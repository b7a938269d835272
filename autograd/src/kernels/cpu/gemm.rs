//! Matrix products, on the `gemm` crate or, where it does not know the number type, in plain loops.

use super::bf16;
use super::small_product::rows_by_rows;
use crate::float::Float;

/// A matrix read out of a slice: entry `(i, j)` lies at `i·row_stride + j·col_stride`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    /// The storage, starting at entry (0, 0).
    pub data: &'a [T],
    /// The distance between rows.
    pub row_stride: usize,
    /// The distance between columns.
    pub col_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// Rows of `row_stride` entries each, one after the other.
    pub fn rows(data: &'a [T], row_stride: usize) -> Self {
        Self { data, row_stride, col_stride: 1 }
    }

    /// The transpose, which costs nothing.
    pub fn t(self) -> Self {
        Self { data: self.data, row_stride: self.col_stride, col_stride: self.row_stride }
    }

    /// Whether all of `[rows, cols]` lies in the storage.
    pub(super) fn holds(&self, rows: usize, cols: usize) -> bool {
        rows == 0
            || cols == 0
            || (rows - 1) * self.row_stride + (cols - 1) * self.col_stride < self.data.len()
    }
}

/// The product `C[m, n] = scale · A[m, k] · B[k, n] (+ C if keep)`.
#[derive(Debug)]
pub struct Gemm<'a, T> {
    /// `(m, k, n)`
    pub size: (usize, usize, usize),
    /// The left factor.
    pub a: Matrix<'a, T>,
    /// The right factor.
    pub b: Matrix<'a, T>,
    /// The result: rows of `c_stride` entries.
    pub c: &'a mut [T],
    /// The distance between rows of the result.
    pub c_stride: usize,
    /// What the product is multiplied by.
    pub scale: T,
    /// Whether to add to what the result holds. Where false, it may hold anything, NaN included.
    pub keep: bool,
}

/// `C[m, n] = A[m, k] · B[k, n]`, or `C += …` where `keep`; `c` is contiguous.
#[track_caller]
pub fn gemm<T: Float>(
    size: (usize, usize, usize),
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    c: &mut [T],
    keep: bool,
) {
    let (m, k, n) = size;
    let gemm = Gemm { size, a, b, c, c_stride: n, scale: T::ONE, keep };
    // Few rows by long rows: bringing B into another order would take as long as the product (102×512×2048: 53 GFLOP/s
    // with, 82 without; 1024×512×2048: 96 with, 83 without).
    if m <= 512 && k >= 512 && a.col_stride == 1 && b.row_stride == 1 && !bf16::chosen() {
        rows_by_rows(gemm);
    } else {
        product(gemm);
    }
}

/// Runs a product after checking that every entry it touches lies within its slice.
#[track_caller]
pub fn product<T: Float>(product: Gemm<'_, T>) {
    let (m, k, n) = product.size;
    assert!(product.a.holds(m, k), "gemm: the left factor does not hold [{m}, {k}]");
    assert!(product.b.holds(k, n), "gemm: the right factor does not hold [{k}, {n}]");
    assert!(
        m == 0 || n == 0 || (m - 1) * product.c_stride + n <= product.c.len() && product.c_stride >= n,
        "gemm: the result does not hold [{m}, {n}]"
    );
    if m == 0 || n == 0 {
        return;
    }
    T::gemm(product);
}

impl Gemm<'_, f32> {
    /// Runs with the precision that was chosen for this process.
    pub(crate) fn run_single(self) {
        if bf16::chosen() {
            return bf16::product(self);
        }
        self.run_native();
    }
}

impl<T: Float> Gemm<'_, T> {
    /// Runs on the `gemm` crate, which knows `f32` and `f64`. One thread: threads work on whole shards of a batch.
    pub(crate) fn run_native(self) {
        let (m, k, n) = self.size;
        // SAFETY: `product` has checked the extents of all three matrices, `c` is borrowed mutably and so overlaps
        // neither factor, and `T` is a type the crate handles (`Float::gemm` of other types does not come here).
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                self.c.as_mut_ptr(),
                1,
                self.c_stride as isize,
                self.keep,
                self.a.data.as_ptr(),
                self.a.col_stride as isize,
                self.a.row_stride as isize,
                self.b.data.as_ptr(),
                self.b.col_stride as isize,
                self.b.row_stride as isize,
                T::ONE,
                self.scale,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    }

    /// Runs by the definition, for number types that the `gemm` crate does not know.
    pub(crate) fn run_plain(self) {
        let (m, k, n) = self.size;
        for i in 0..m {
            for j in 0..n {
                let entry = |l| {
                    let (a, b) = (&self.a, &self.b);
                    a.data[i * a.row_stride + l * a.col_stride] * b.data[l * b.row_stride + j * b.col_stride]
                };
                let sum = self.scale * (0..k).map(entry).sum::<T>();
                let c = &mut self.c[i * self.c_stride + j];
                *c = if self.keep { *c + sum } else { sum };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_transpose_and_accumulate() {
        let a: Vec<f64> = (0..6).map(f64::from).collect(); // [2, 3]
        let b: Vec<f64> = (0..6).map(|x| f64::from(x) - 2.5).collect(); // [2, 3], used as its transpose
        let mut c = vec![f64::NAN; 4];
        gemm((2, 3, 2), Matrix::rows(&a, 3), Matrix::rows(&b, 3).t(), &mut c, false);
        let expected: Vec<f64> =
            (0..4).map(|ij| (0..3).map(|l| a[ij / 2 * 3 + l] * b[ij % 2 * 3 + l]).sum()).collect();
        assert_eq!(c, expected);
        gemm((2, 3, 2), Matrix::rows(&a, 3), Matrix::rows(&b, 3).t(), &mut c, true);
        assert_eq!(c, expected.iter().map(|x| 2.0 * x).collect::<Vec<_>>());
    }

    #[test]
    #[should_panic(expected = "gemm: the right factor does not hold [3, 2]")]
    fn a_short_factor_is_refused() {
        gemm((2, 3, 2), Matrix::rows(&[0.0f32; 6], 3), Matrix::rows(&[0.0; 5], 2), &mut [0.0; 4], false);
    }
}
