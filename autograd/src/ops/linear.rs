//! `y = x·Wᵀ + b`.

use crate::kernels::{Factor, Product};
use crate::op::{Backward, Op, Slot};
use crate::tape::Var;
use crate::{Float, Param, Shape, Tensor};

/// `y = x·Wᵀ (+ b)` for `x [.., I]`, `W [O, I]`, `b [O]`; `y [.., O]`.
#[derive(Debug)]
pub struct Linear;

impl<T: Float> Op<T, 2> for Linear {
    type Saved = ();
    const NAME: &'static str = "linear";
    const RULE: &'static str = "dx += dy·W  dW += dyᵀ·x";

    fn forward(&self, [x, w]: [&Tensor<T>; 2]) -> (Tensor<T>, ()) {
        let (shape, product) = product_forward("linear", x, w);
        (x.alike(shape, |kernels, y| kernels.product(product, y, false)), ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 2>) {
        let ([x, w], [dx, dw]) = (cx.inputs, cx.grads);
        product_backward(x, w, cx.dy, dx, dw);
    }
}

impl<T: Float> Op<T, 3> for Linear {
    type Saved = ();
    const NAME: &'static str = "linear";
    const RULE: &'static str = "dx += dy·W  dW += dyᵀ·x  db += Σ dy";

    fn forward(&self, [x, w, b]: [&Tensor<T>; 3]) -> (Tensor<T>, ()) {
        let (shape, product) = product_forward("linear", x, w);
        check_bias("linear", w, b);
        let y = x.alike(shape, |kernels, y| {
            kernels.fill_rows(b, y);
            kernels.product(product, y, true);
        });
        (y, ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 3>) {
        let ([x, w, _], [dx, dw, db]) = (cx.inputs, cx.grads);
        product_backward(x, w, cx.dy, dx, dw);
        db.write(|kernels, out, keep| kernels.sum_rows(cx.dy, out, keep));
    }
}

/// The shape of the output, and the product's `(rows, I, O)`.
#[track_caller]
fn sizes<T: Float>(op: &str, x: &Tensor<T>, w: &Tensor<T>) -> (Shape, (usize, usize, usize)) {
    let &[outer, inner] = w.shape().as_slice() else {
        panic!("{op}: the weight must be [O, I], not {}", w.shape())
    };
    let shape = x.shape();
    assert!(shape.rank() > 0 && shape.last() == inner, "{op}: inner sizes differ: {shape} · {}ᵀ", w.shape());
    (shape.resized(op, shape.rank() - 1, outer), (shape.rows(), inner, outer))
}

/// One product of matrices of rows.
fn product<'a, T: Float>(
    size: (usize, usize, usize),
    a: Factor<'a, T>,
    b: Factor<'a, T>,
) -> Product<'a, T> {
    Product { size, batch: 1, a, b, step: 0 }
}

/// `x·Wᵀ`, and the shape of what it gives.
#[track_caller]
pub(super) fn product_forward<'a, T: Float>(
    op: &str,
    x: &'a Tensor<T>,
    w: &'a Tensor<T>,
) -> (Shape, Product<'a, T>) {
    let (shape, size) = sizes(op, x, w);
    (shape, product(size, Factor::of(x), Factor::of(w).t()))
}

#[track_caller]
pub(super) fn check_bias<T: Float>(op: &str, w: &Tensor<T>, b: &Tensor<T>) {
    let outputs = w.shape()[0];
    assert!(b.shape() == [outputs].into(), "{op}: the bias of {} must be [{outputs}]", w.shape());
}

pub(super) fn product_backward<T: Float>(
    x: &Tensor<T>,
    w: &Tensor<T>,
    dy: &Tensor<T>,
    dx: &mut Slot<T>,
    dw: &mut Slot<T>,
) {
    let (count, inner, outer) = sizes("linear", x, w).1;
    let [x, w, dy] = [x, w, dy].map(Factor::of);
    dx.write(|kernels, out, keep| kernels.product(product((count, outer, inner), dy, w), out, keep));
    dw.write(|kernels, out, keep| kernels.product(product((outer, count, inner), dy.t(), x), out, keep));
}

impl<'t, T: Float> Var<'t, T> {
    /// `x·Wᵀ + b`: `[.., I]` to `[.., O]` by a weight `[O, I]` and, where there is one, a bias `[O]`.
    ///
    /// # Panics
    /// Where the shapes do not fit.
    #[track_caller]
    pub fn linear(self, weight: Self, bias: Option<Self>) -> Self {
        match bias {
            Some(bias) => self.tape.apply(Linear, [self, weight, bias]),
            None => self.tape.apply(Linear, [self, weight]),
        }
    }

    /// The same by parameters. Where nothing is recorded, the weight is read in an order that suits few rows
    /// ([`Panels`](crate::kernels::cpu::panels::Panels)), and a row's result does not depend on how many there are.
    ///
    /// # Panics
    /// Where the shapes do not fit.
    #[track_caller]
    pub fn linear_by(self, weight: &Param<T>, bias: Option<&Param<T>>) -> Self {
        let tape = self.tape;
        // What has no inputs cannot be put in order.
        if tape.records() || weight.value().shape().last() == 0 {
            return self.linear(tape.param(weight), bias.map(|bias| tape.param(bias)));
        }
        let x = self.value();
        let (shape, _) = sizes("linear", &x, weight.value());
        if let Some(bias) = bias {
            check_bias("linear", weight.value(), bias.value());
        }
        tape.computed("linear", x.alike(shape, |kernels, y| kernels.linear_by(&x, weight, bias, y)))
    }
}

cases! {
    "linear" [[2, 3, 4], [5, 4], [5]] |tape, x, w, b| x.linear(w, Some(b));
    "linear, no bias" [[3, 4], [2, 4]] |tape, x, w| x.linear(w, None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tape;

    /// Whole numbers, so that every order of summing gives the same.
    #[test]
    fn without_a_record_the_product_is_the_same_also_after_the_weight_has_changed() {
        let whole = |shape: [usize; 2]| Tensor::<f32>::from_fn(shape, |i| (i * 7 % 11) as f32);
        let (x, mut weight) = (whole([3, 5]), Param::new(whole([70, 5])));
        let bias = Param::new(Tensor::from_fn([70], |i| i as f32));
        let on = |tape: Tape, weight: &Param| tape.constant(x.clone()).linear_by(weight, Some(&bias)).value();
        let first = on(Tape::infer(), &weight);
        assert_eq!(first, on(Tape::eval(), &weight));
        weight.value_mut().make_mut()[4] += 1.0;
        let second = on(Tape::infer(), &weight);
        assert_eq!(second, on(Tape::eval(), &weight));
        assert_ne!(first, second);
    }
}
