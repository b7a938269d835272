//! A matrix product as cuBLAS sees it.
//!
//! cuBLAS stores matrices by columns, and what lies in memory by rows is the transpose of what lies there by columns.
//! So `C = A·B` is asked for as `Cᵀ = Bᵀ·Aᵀ`: the right factor comes first, and nothing is moved.

use std::fmt;

use crate::kernels::cuda::driver::{Address, Factor, Precision, Product};

/// All that cuBLAS must know of a product; those that agree in it share a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Problem {
    /// Our right factor.
    pub(super) left: Operand,
    /// Our left factor.
    pub(super) right: Operand,
    pub(super) result: Operand,
    pub(super) batch: usize,
    pub(super) keep: bool,
    pub(super) precision: Precision,
}

/// A matrix that lies in memory by columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Operand {
    /// Of the matrix as it lies in memory.
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Whether its transpose is multiplied.
    pub(super) transposed: bool,
    /// Entries from one column to the next.
    pub(super) stride: usize,
    /// Entries from one matrix of a batch to the next.
    pub(super) step: usize,
    /// A power of two, at most 256, that its address is a multiple of.
    pub(super) alignment: u32,
}

impl Problem {
    /// `product` must not be empty.
    pub(super) fn new(product: &Product) -> Self {
        let &Product { m, k, n, batch, a, b, c, keep, precision } = product;
        let by_rows = Factor { address: c, stride: n, transposed: false, step: m * n };
        Self {
            left: Operand::new(b, k, n),
            right: Operand::new(a, m, k),
            result: Operand::new(by_rows, m, n),
            batch,
            keep,
            precision,
        }
    }

    /// The problem with its sizes rounded: what is fastest for one is fast for all that agree in this, and batches of
    /// sentences seldom have the same size twice.
    pub(super) fn class(&self) -> Self {
        let &Self { left, right, result, batch, keep, precision } = self;
        let [left, right, result] = [left, right, result].map(Operand::class);
        Self { left, right, result, batch: rounded(batch), keep, precision }
    }
}

impl Operand {
    /// `factor` is `[rows, columns]` once it is transposed, if it is.
    fn new(factor: Factor, rows: usize, columns: usize) -> Self {
        let Factor { address, stride, transposed, step } = factor;
        let [columns, rows] = if transposed { [columns, rows] } else { [rows, columns] };
        // A single row may have any stride, but cuBLAS wants one that could be right.
        Self { rows, columns, transposed, stride: stride.max(rows), step, alignment: alignment(address) }
    }

    fn class(self) -> Self {
        let Self { rows, columns, transposed, stride, step, alignment } = self;
        let (rows, columns) = (rounded(rows), rounded(columns));
        // Of the distances, it matters how they are aligned.
        Self {
            rows,
            columns,
            transposed,
            stride: 1 << stride.trailing_zeros().min(6),
            step: step.min(1),
            alignment,
        }
    }
}

/// The next size of the form `2^k · {4, 5, 6, 7} / 4`.
fn rounded(size: usize) -> usize {
    if size <= 8 {
        return size;
    }
    let quarter = 1 << (size.ilog2() - 2);
    size.div_ceil(quarter) * quarter
}

fn alignment(address: Address) -> u32 {
    1 << address.trailing_zeros().min(8)
}

/// One word with all of it, for messages and files.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { left, right, result, batch, keep, precision } = self;
        let keep = if *keep { "+" } else { "" };
        write!(f, "{result}{keep}={left}*{right},batch={batch},{precision:?}")
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, columns, transposed, stride, step, alignment } = self;
        let transposed = if *transposed { "T" } else { "" };
        write!(f, "{rows}x{columns}{transposed}:{stride}:{step}:{alignment}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entry `(row, column)` of matrix `batch` of an operand, as cuBLAS would read it.
    fn entry(data: &[f32], operand: Operand, batch: usize, row: usize, column: usize) -> f32 {
        let (row, column) = if operand.transposed { (column, row) } else { (row, column) };
        assert!(row < operand.rows && column < operand.columns && operand.stride >= operand.rows);
        data[batch * operand.step + column * operand.stride + row]
    }

    fn numbers(count: usize, factor: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * factor) % 17) as f32 - 8.0).collect()
    }

    #[test]
    fn columns_give_what_rows_ask_for() {
        let (m, k, n, batch) = (3, 5, 4, 2);
        for (ta, tb, shared) in
            [(false, false, false), (true, false, true), (false, true, false), (true, true, true)]
        {
            // Rows are longer in memory than they are wide.
            let factor = |transposed: bool, rows: usize, columns: usize, step: usize| {
                let [rows, columns] = if transposed { [columns, rows] } else { [rows, columns] };
                let stride = columns + 2;
                Factor {
                    address: 256,
                    stride,
                    transposed,
                    step: if step == 0 { 0 } else { rows * stride + 1 },
                }
            };
            let (a, b) = (factor(ta, m, k, 1), factor(tb, k, n, usize::from(!shared)));
            let (x, y) = (numbers(200, 7), numbers(200, 5));
            let product = Product { m, k, n, batch, a, b, c: 512, keep: false, precision: Precision::F32 };
            let problem = Problem::new(&product);
            let at = |data: &[f32], f: Factor, i: usize, row: usize, column: usize| {
                let (row, column) = if f.transposed { (column, row) } else { (row, column) };
                data[i * f.step + row * f.stride + column]
            };
            let mut result = vec![f32::NAN; batch * m * n];
            let Problem { left, right, result: layout, .. } = problem;
            assert_eq!([layout.rows, layout.columns, layout.stride, layout.step], [n, m, n, m * n]);
            for i in 0..batch {
                for (row, column) in (0..layout.rows).flat_map(|r| (0..layout.columns).map(move |c| (r, c))) {
                    let term = |l| entry(&y, left, i, row, l) * entry(&x, right, i, l, column);
                    result[i * layout.step + column * layout.stride + row] = (0..k).map(term).sum();
                }
                for (row, column) in (0..m).flat_map(|r| (0..n).map(move |c| (r, c))) {
                    let want: f32 = (0..k).map(|l| at(&x, a, i, row, l) * at(&y, b, i, l, column)).sum();
                    assert_eq!(result[(i * m + row) * n + column], want, "{ta} {tb} {i} {row} {column}");
                }
            }
        }
    }

    #[test]
    fn what_an_algorithm_depends_on_tells_problems_apart() {
        let factor = |address, stride| Factor { address, stride, transposed: false, step: 0 };
        let base = Product {
            m: 2,
            k: 3,
            n: 4,
            batch: 1,
            a: factor(256, 3),
            b: factor(512, 4),
            c: 1024,
            keep: false,
            precision: Precision::F32,
        };
        let elsewhere = Product { a: factor(4096, 3), c: 2048, ..base };
        assert_eq!(Problem::new(&base), Problem::new(&elsewhere), "addresses alone do not matter");
        let others = [
            Product { m: 5, ..base },
            Product { a: factor(260, 3), ..base },
            Product { a: factor(256, 6), ..base },
            Product { b: Factor { transposed: true, ..base.b }, ..base },
            Product { b: Factor { step: 12, ..base.b }, ..base },
            Product { batch: 2, ..base },
            Product { keep: true, ..base },
            Product { precision: Precision::Tf32, ..base },
        ];
        let mut words: Vec<_> = others.iter().chain([&base]).map(|p| Problem::new(p).to_string()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), others.len() + 1, "{words:?}");
        assert_eq!(
            Problem::new(&base).to_string(),
            "4x2:4:8:256=4x3:4:0:256*3x2:3:0:256,batch=1,F32",
            "and the word is one word"
        );
    }

    #[test]
    fn batches_of_nearly_the_same_size_are_of_one_class() {
        let factor = |stride| Factor { address: 256, stride, transposed: false, step: 0 };
        let class = |m: usize, n: usize| {
            let (a, b) = (factor(512), factor(n));
            let precision = Precision::F32;
            Problem::new(&Product { m, k: 512, n, batch: 1, a, b, c: 256, keep: false, precision }).class()
        };
        assert_eq!(class(4090, 512), class(3600, 512));
        assert_ne!(class(4090, 512), class(3500, 512));
        assert_ne!(class(4090, 512), class(4090, 511), "an odd width needs other algorithms");
        assert_eq!(class(4090, 512).class(), class(4090, 512));
        assert_eq!([1, 7, 8, 9, 11, 31, 32, 33].map(rounded), [1, 7, 8, 10, 12, 32, 32, 40]);
    }

    #[test]
    fn alignment_is_what_the_address_has() {
        assert_eq!([4, 8, 48, 256, 512, 0].map(alignment), [4, 8, 16, 256, 256, 256]);
    }
}
