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
        let last = |count: usize, stride: usize| (count - 1).checked_mul(stride);
        let end = || last(rows, self.row_stride)?.checked_add(last(cols, self.col_stride)?);
        rows == 0 || cols == 0 || end().is_some_and(|end| end < self.data.len())
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

impl<T> Gemm<'_, T> {
    /// Stops where an entry that the product touches does not lie within its slice. After this no index overflows.
    #[track_caller]
    pub(super) fn check(&self, op: &str) {
        let (m, k, n) = self.size;
        if m == 0 || n == 0 {
            return;
        }
        assert!(self.a.holds(m, k), "{op}: the left factor does not hold [{m}, {k}]");
        assert!(self.b.holds(k, n), "{op}: the right factor does not hold [{k}, {n}]");
        let end = || (m - 1).checked_mul(self.c_stride)?.checked_add(n);
        let room = self.c_stride >= n && end().is_some_and(|end| end <= self.c.len());
        assert!(room, "{op}: the result does not hold [{m}, {n}]");
        // By a stride of 0 one entry could be any number of terms.
        assert!(k <= self.a.data.len().max(self.b.data.len()), "{op}: no factor has {k} terms");
    }

    /// Whether the size says that there is nothing to multiply. What has no terms is zero then.
    pub(super) fn is_over(&mut self) -> bool
    where
        T: Float,
    {
        let (m, k, n) = self.size;
        if m > 0 && n > 0 && k == 0 && !self.keep {
            self.c.chunks_mut(self.c_stride).take(m).for_each(|row| row[..n].fill(T::ZERO));
        }
        m == 0 || k == 0 || n == 0
    }
}

/// `C[m, n] = A[m, k] · B[k, n]`, or `C += …` where `keep`; `c` is contiguous.
///
/// # Panics
/// Where a matrix does not lie within its slice.
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
    gemm.check("gemm");
    // Few rows by long rows: bringing B into another order would take as long as the product (102×512×2048: 53 GFLOP/s
    // with, 82 without; 1024×512×2048: 96 with, 83 without).
    if m <= 512 && k >= 512 && a.col_stride == 1 && b.row_stride == 1 && !bf16::chosen() {
        rows_by_rows(gemm);
    } else {
        product(gemm);
    }
}

/// Runs a product after checking that every entry it touches lies within its slice.
///
/// # Panics
/// Where a matrix does not lie within its slice, or the rows of the result overlap.
#[track_caller]
pub fn product<T: Float>(mut product: Gemm<'_, T>) {
    product.check("gemm");
    if !product.is_over() {
        T::gemm(product);
    }
}

impl Gemm<'_, f32> {
    /// Runs with the precision that was chosen for this process.
    pub(crate) fn run_single(self) {
        if bf16::chosen() {
            self.check("gemm");
            if self.size.0 > 0 && self.size.2 > 0 {
                bf16::product(self);
            }
            return;
        }
        self.run_native();
    }
}

impl<T: Float> Gemm<'_, T> {
    /// Runs on the `gemm` crate, which knows `f32` and `f64`. One thread: threads work on whole shards of a batch.
    pub(crate) fn run_native(self) {
        // Once more, since `Float::gemm` can be called from anywhere.
        self.check("gemm");
        let (m, k, n) = self.size;
        // Where nothing is a stride apart, it may be any number; the crate computes addresses with it all the same.
        let stride = |stride: usize| stride.min(1 << 40) as isize;
        // SAFETY: the extents of all three matrices were checked, `c` is borrowed mutably and so overlaps neither factor,
        // and `T` is a type the crate handles (`Float::gemm` of other types does not come here).
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                self.c.as_mut_ptr(),
                1,
                stride(self.c_stride),
                self.keep,
                self.a.data.as_ptr(),
                stride(self.a.col_stride),
                stride(self.a.row_stride),
                self.b.data.as_ptr(),
                stride(self.b.col_stride),
                stride(self.b.row_stride),
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
        self.check("gemm");
        let (m, k, n) = self.size;
        if n == 0 {
            // Of rows without entries there may be any number.
            return;
        }
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
    fn strides_and_sizes_that_overflow_are_refused_and_unused_ones_are_not_looked_at() {
        fn refused(of: impl FnOnce(&mut Gemm<'_, f32>)) -> String {
            let (a, b, mut c) = ([1.0; 40], [1.0; 40], [0.0; 16]);
            let (a, b) = (Matrix::rows(&a, 1), Matrix::rows(&b, 1));
            let mut gemm = Gemm { size: (4, 1, 1), a, b, c: &mut c, c_stride: 1, scale: 1.0, keep: false };
            of(&mut gemm);
            let run = std::panic::AssertUnwindSafe(|| product(gemm));
            let said = std::panic::catch_unwind(run).err();
            said.map_or_else(String::new, |said| *said.downcast::<String>().expect("a message"))
        }
        let third = usize::MAX / 3 + 1;
        assert_eq!(refused(|p| p.a.row_stride = third), "gemm: the left factor does not hold [4, 1]");
        assert_eq!(refused(|p| p.c_stride = third), "gemm: the result does not hold [4, 1]");
        let wide = |p: &mut Gemm<'_, f32>| (p.size, p.b.col_stride) = ((1, 1, 4), third);
        assert_eq!(refused(wide), "gemm: the right factor does not hold [1, 4]");
        let long = |p: &mut Gemm<'_, f32>| {
            (p.size, p.a.col_stride, p.b.row_stride) = ((1, usize::MAX, 1), 0, 0);
        };
        assert_eq!(refused(long), format!("gemm: no factor has {} terms", usize::MAX));
        assert_eq!(refused(|p| p.a.col_stride = usize::MAX), "");
        assert_eq!(refused(|p| (p.size, p.a.row_stride) = ((0, 5, 1), usize::MAX)), "");
    }

    #[test]
    #[should_panic(expected = "gemm: the right factor does not hold [3, 2]")]
    fn a_short_factor_is_refused() {
        gemm((2, 3, 2), Matrix::rows(&[0.0f32; 6], 3), Matrix::rows(&[0.0; 5], 2), &mut [0.0; 4], false);
    }
}
