//! Tensors one after the other along an axis.

use crate::kernels::Layout;
use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Shape, Tensor};

/// `y = [x₀; x₁; …]` along `axis`. The other axes must be the same.
#[derive(Debug)]
pub struct Concat {
    /// The axis along which they are joined.
    pub axis: usize,
}

impl Concat {
    /// How the entries that begin at `start` of the axis are walked in an output of this shape.
    fn walk(&self, y: Shape, start: usize) -> Layout {
        let strides = y.strides();
        Layout { start: start * strides[self.axis], strides }
    }
}

impl<T: Float, const N: usize> Op<T, N> for Concat {
    type Saved = ();
    const NAME: &'static str = "concat";
    const RULE: &'static str = "dxᵢ += the part of dy that xᵢ gave";

    fn forward(&self, inputs: [&Tensor<T>; N]) -> (Tensor<T>, ()) {
        let Some(joined) = inputs.first() else { panic!("concat: there is nothing to join") };
        let (axis, first) = (self.axis, joined.shape());
        assert!(axis < first.rank(), "concat: no axis {axis} in {first}");
        let mut size = 0usize;
        for x in inputs {
            let fits =
                x.shape().rank() == first.rank() && x.shape().with(axis, 1) == first.with(axis, 1);
            assert!(fits, "concat: {} does not continue {first} along axis {axis}", x.shape());
            size = size.saturating_add(x.shape()[axis]);
        }
        let shape = first.resized("concat", axis, size);
        let y = joined.alike(shape, |kernels, y| {
            let mut start = 0;
            for x in inputs {
                kernels.copy(x.shape(), (x, Layout::rows(x.shape())), (y, self.walk(shape, start)), false);
                start += x.shape()[axis];
            }
        });
        (y, ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, N>) {
        let mut start = 0;
        for (x, dx) in cx.inputs.iter().zip(cx.grads) {
            let walk = self.walk(cx.dy.shape(), start);
            dx.write(|kernels, out, keep| {
                kernels.copy(x.shape(), (cx.dy, walk), (out, Layout::rows(x.shape())), keep);
            });
            start += x.shape()[self.axis];
        }
    }
}

impl<'t, T: Float> Var<'t, T> {
    /// This and `other` one after the other along `axis`.
    ///
    /// # Panics
    /// Where there is no such axis, or the other axes differ.
    #[track_caller]
    pub fn concat(self, other: Self, axis: usize) -> Self {
        self.tape.apply(Concat { axis }, [self, other])
    }
}

cases! {
    "concat" [[2, 3, 2], [2, 1, 2]] |tape, a, b| a.concat(b, 1);
    "concat, three" [[2, 3], [2, 1], [2, 2]] |tape, a, b, c| tape.apply(Concat { axis: 1 }, [a, b, c]);
}
