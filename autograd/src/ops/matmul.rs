//! `C = A·B`, in batches.

use crate::kernels::{Factor, Product};
use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Shape, Tensor};

/// `C = A·B` over the last two axes, each factor transposed first where asked. Leading axes of both must be the same, or
/// `B` a single matrix for the whole batch.
#[derive(Debug)]
pub struct MatMul {
    /// Whether to use `Aᵀ`.
    pub transpose_a: bool,
    /// Whether to use `Bᵀ`.
    pub transpose_b: bool,
}

/// `(m, k, n)`, the number of products, and how far apart their right factors lie: 0 where one serves all.
#[derive(Clone, Copy)]
struct Plan {
    batch: usize,
    m: usize,
    k: usize,
    n: usize,
    b_step: usize,
}

impl MatMul {
    #[track_caller]
    fn plan(&self, a: Shape, b: Shape) -> (Plan, Shape) {
        assert!(a.rank() >= 2 && b.rank() >= 2, "matmul: matrices need two axes: {a} · {b}");
        let (a_lead, a_matrix) = a.split_at(a.rank() - 2);
        let (b_lead, b_matrix) = b.split_at(b.rank() - 2);
        let (m, k) = ordered(a_matrix, self.transpose_a);
        let (b_k, n) = ordered(b_matrix, self.transpose_b);
        assert!(k == b_k, "matmul: inner sizes differ: {}", self.operands(a, b));
        assert!(
            b_lead.is_empty() || a_lead == b_lead,
            "matmul: leading axes differ: {}",
            self.operands(a, b)
        );
        let shape: Vec<usize> = a_lead.iter().copied().chain([m, n]).collect();
        let mut plan = Plan {
            batch: a_lead.iter().product(),
            m,
            k,
            n,
            b_step: if b_lead.is_empty() { 0 } else { k * n },
        };
        if plan.b_step == 0 && !self.transpose_a {
            // One right factor for all: the batch is nothing but more rows.
            (plan.m, plan.batch) = (m * plan.batch, 1);
        }
        (plan, Shape::of("matmul", &shape))
    }

    fn operands(&self, a: Shape, b: Shape) -> String {
        let mark = |transposed| if transposed { "ᵀ" } else { "" };
        format!("{a}{} · {b}{}", mark(self.transpose_a), mark(self.transpose_b))
    }
}

fn ordered(matrix: &[usize], transposed: bool) -> (usize, usize) {
    if transposed { (matrix[1], matrix[0]) } else { (matrix[0], matrix[1]) }
}

impl<T: Float> Op<T, 2> for MatMul {
    type Saved = ();
    const NAME: &'static str = "matmul";
    const RULE: &'static str = "dA += dC·Bᵀ  dB += Aᵀ·dC";

    fn forward(&self, [a, b]: [&Tensor<T>; 2]) -> (Tensor<T>, ()) {
        let (Plan { batch, m, k, n, b_step }, shape) = self.plan(a.shape(), b.shape());
        let a = Factor { tensor: a, transposed: self.transpose_a, step: m * k };
        let b = Factor { tensor: b, transposed: self.transpose_b, step: b_step };
        let product = Product { size: (m, k, n), batch, a, b, step: m * n };
        (a.tensor.alike(shape, |kernels, c| kernels.product(product, c, false)), ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 2>) {
        let ([a, b], [da, db]) = (cx.inputs, cx.grads);
        let (Plan { batch, m, k, n, b_step }, _) = self.plan(a.shape(), b.shape());
        let a = Factor { tensor: a, transposed: self.transpose_a, step: m * k };
        let b = Factor { tensor: b, transposed: self.transpose_b, step: b_step };
        let dc = Factor { tensor: cx.dy, transposed: false, step: m * n };
        da.write(|kernels, out, keep| {
            let product = if self.transpose_a {
                Product { size: (k, n, m), batch, a: b, b: dc.t(), step: m * k } // (dC·Bᵀ)ᵀ = B·dCᵀ
            } else {
                Product { size: (m, n, k), batch, a: dc, b: b.t(), step: m * k }
            };
            kernels.product(product, out, keep);
        });
        db.write(|kernels, out, keep| {
            if batch == 0 && !keep {
                // No product writes to it.
                return kernels.fill(T::ZERO, out);
            }
            let product = if self.transpose_b {
                Product { size: (n, m, k), batch, a: dc.t(), b: a, step: b_step } // (Aᵀ·dC)ᵀ = dCᵀ·A
            } else {
                Product { size: (k, m, n), batch, a: a.t(), b: dc, step: b_step }
            };
            kernels.product(product, out, keep);
        });
    }
}

impl<'t, T: Float> Var<'t, T> {
    /// `A·B` over the last two axes: `[.., m, k] · [.., k, n]`, or `· [k, n]` for the whole batch.
    ///
    /// # Panics
    /// Where the shapes do not fit.
    #[track_caller]
    pub fn matmul(self, b: Self) -> Self {
        self.tape.apply(MatMul { transpose_a: false, transpose_b: false }, [self, b])
    }

    /// `A·Bᵀ`: `[.., m, k] · [.., n, k]ᵀ`
    ///
    /// # Panics
    /// Where the shapes do not fit.
    #[track_caller]
    pub fn matmul_nt(self, b: Self) -> Self {
        self.tape.apply(MatMul { transpose_a: false, transpose_b: true }, [self, b])
    }

    /// `Aᵀ·B`: `[.., k, m]ᵀ · [.., k, n]`
    ///
    /// # Panics
    /// Where the shapes do not fit.
    #[track_caller]
    pub fn matmul_tn(self, b: Self) -> Self {
        self.tape.apply(MatMul { transpose_a: true, transpose_b: false }, [self, b])
    }
}

cases! {
    "matmul" [[3, 4], [4, 2]] |tape, a, b| a.matmul(b);
    "matmul, batched" [[2, 2, 3, 4], [2, 2, 4, 2]] |tape, a, b| a.matmul(b);
    "matmul, one right factor" [[2, 3, 4], [4, 2]] |tape, a, b| a.matmul(b);
    "matmul, A·Bᵀ" [[2, 3, 4], [2, 5, 4]] |tape, a, b| a.matmul_nt(b);
    "matmul, A·Bᵀ, one right factor" [[2, 3, 4], [5, 4]] |tape, a, b| a.matmul_nt(b);
    "matmul, Aᵀ·B" [[2, 4, 3], [2, 4, 5]] |tape, a, b| a.matmul_tn(b);
    "matmul, Aᵀ·B, one right factor" [[2, 4, 3], [4, 5]] |tape, a, b| a.matmul_tn(b);
    "matmul, Aᵀ·Bᵀ" [[2, 4, 3], [2, 5, 4]] |tape, a, b| {
        tape.apply(MatMul { transpose_a: true, transpose_b: true }, [a, b])
    };
}

#[cfg(test)]
mod tests {
    use crate::{Tape, Tensor};

    #[test]
    fn a_batch_of_none_gives_the_one_right_factor_a_gradient_of_zeros() {
        // The gradient's memory is another tensor's, which left NaN behind.
        drop(Tensor::full([40, 40], f64::NAN));
        let tape = Tape::<f64>::eval();
        let (a, b) = (tape.input(Tensor::zeros([0, 40, 3])), tape.input(Tensor::zeros([40, 40])));
        let gradients = a.matmul_tn(b).backward_with(Tensor::zeros([0, 3, 40]));
        assert_eq!(gradients.wrt(b), Some(&Tensor::zeros([40, 40])));
    }

    #[test]
    #[should_panic(expected = "matmul: inner sizes differ: [2, 3, 4] · [5, 6]")]
    fn sizes_that_do_not_fit_are_named() {
        let tape = Tape::<f32>::eval();
        let a = tape.constant(Tensor::zeros([2, 3, 4]));
        let _ = a.matmul(tape.constant(Tensor::zeros([5, 6])));
    }
}
