//! A range of one axis.

use std::ops::Range;

use crate::kernels::Layout;
use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Shape, Tensor};

/// The entries whose index along `axis` lies in `range`.
#[derive(Debug)]
pub struct Slice {
    /// The axis.
    pub axis: usize,
    /// The indices that are kept.
    pub range: Range<usize>,
}

impl Slice {
    /// How the entries of the range are walked in an input of this shape.
    fn walk(&self, x: Shape) -> Layout {
        let strides = x.strides();
        Layout { start: self.range.start * strides[self.axis], strides }
    }
}

impl<T: Float> Op<T, 1> for Slice {
    type Saved = ();
    const NAME: &'static str = "slice";
    const RULE: &'static str = "dx[range] += dy";

    fn forward(&self, [x]: [&Tensor<T>; 1]) -> (Tensor<T>, ()) {
        let (axis, range, shape) = (self.axis, &self.range, x.shape());
        assert!(
            axis < shape.rank() && range.start <= range.end && range.end <= shape[axis],
            "slice: {range:?} of axis {axis} is not within {shape}"
        );
        let part = shape.resized("slice", axis, range.len());
        let y = x.alike(part, |kernels, y| {
            kernels.copy(part, (x, self.walk(shape)), (y, Layout::rows(part)), false);
        });
        (y, ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 1>) {
        let ([x], [dx]) = (cx.inputs, cx.grads);
        dx.write(|kernels, out, keep| {
            if !keep {
                kernels.fill(T::ZERO, out);
            }
            let part = cx.dy.shape();
            kernels.copy(part, (cx.dy, Layout::rows(part)), (out, self.walk(x.shape())), true);
        });
    }
}

impl<'t, T: Float> Var<'t, T> {
    /// The entries whose index along `axis` lies in `range`.
    ///
    /// # Panics
    /// Where there is no such axis, or the range is not within it.
    #[track_caller]
    pub fn slice(self, axis: usize, range: Range<usize>) -> Self {
        self.tape.apply(Slice { axis, range }, [self])
    }
}

cases! {
    "slice" [[2, 5, 3]] |tape, x| x.slice(1, 1..4);
    "slice, overlapping" [[5]] |tape, x| x.slice(0, 0..3) * x.slice(0, 2..5);
}
