//! A range of one axis.

use std::ops::Range;

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
    /// For each run of entries that stay together: where it lies in `x`.
    fn runs(&self, x: Shape) -> impl Iterator<Item = Range<usize>> {
        let outer: usize = x[..self.axis].iter().product();
        let inner: usize = x[self.axis + 1..].iter().product();
        let (size, range) = (x[self.axis], self.range.clone());
        (0..outer).map(move |i| (i * size + range.start) * inner..(i * size + range.end) * inner)
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
        let y = Tensor::fill_with(shape.with(axis, range.len()), |y| {
            let mut start = 0;
            for run in self.runs(shape) {
                let end = start + run.len();
                y[start..end].copy_from_slice(&x.as_slice()[run]);
                start = end;
            }
        });
        (y, ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 1>) {
        let ([x], [dx]) = (cx.inputs, cx.grads);
        dx.accumulate(|out, keep| {
            if !keep {
                out.fill(T::ZERO);
            }
            let mut start = 0;
            for run in self.runs(x.shape()) {
                let end = start + run.len();
                for (out, &dy) in out[run].iter_mut().zip(&cx.dy.as_slice()[start..end]) {
                    *out += dy;
                }
                start = end;
            }
        });
    }
}

impl<'t, T: Float> Var<'t, T> {
    /// The entries whose index along `axis` lies in `range`.
    #[track_caller]
    pub fn slice(self, axis: usize, range: Range<usize>) -> Self {
        self.tape.apply(Slice { axis, range }, [self])
    }
}

cases! {
    "slice" [[2, 5, 3]] |tape, x| x.slice(1, 1..4);
    "slice, overlapping" [[5]] |tape, x| x.slice(0, 0..3) * x.slice(0, 2..5);
}
