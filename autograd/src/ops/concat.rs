//! Tensors one after the other along an axis.

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
    /// The number of blocks that alternate between the inputs, and the entries that input `x` puts in each.
    fn blocks(&self, x: Shape) -> (usize, usize) {
        (x[..self.axis].iter().product(), x[self.axis..].iter().product())
    }
}

impl<T: Float, const N: usize> Op<T, N> for Concat {
    type Saved = ();
    const NAME: &'static str = "concat";
    const RULE: &'static str = "dxᵢ += the part of dy that xᵢ gave";

    fn forward(&self, inputs: [&Tensor<T>; N]) -> (Tensor<T>, ()) {
        let (axis, first) = (self.axis, inputs[0].shape());
        assert!(axis < first.rank(), "concat: no axis {axis} in {first}");
        let mut size = 0;
        for x in inputs {
            let fits =
                x.shape().rank() == first.rank() && x.shape().with(axis, 1) == first.with(axis, 1);
            assert!(fits, "concat: {} does not continue {first} along axis {axis}", x.shape());
            size += x.shape()[axis];
        }
        let shape = first.with(axis, size);
        let y = Tensor::fill_with(shape, |y| {
            let row = self.blocks(shape).1;
            let mut start = 0;
            for x in inputs {
                let (count, width) = self.blocks(x.shape());
                for i in 0..count {
                    y[i * row + start..][..width].copy_from_slice(&x.as_slice()[i * width..][..width]);
                }
                start += width;
            }
        });
        (y, ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, N>) {
        let row = self.blocks(cx.dy.shape()).1;
        let mut start = 0;
        for (x, dx) in cx.inputs.iter().zip(cx.grads) {
            let (count, width) = self.blocks(x.shape());
            dx.accumulate(|out, keep| {
                for i in 0..count {
                    let dy = &cx.dy.as_slice()[i * row + start..][..width];
                    for (out, &dy) in out[i * width..][..width].iter_mut().zip(dy) {
                        *out = if keep { *out + dy } else { dy };
                    }
                }
            });
            start += width;
        }
    }
}

impl<'t, T: Float> Var<'t, T> {
    /// This and `other` one after the other along `axis`.
    #[track_caller]
    pub fn concat(self, other: Self, axis: usize) -> Self {
        self.tape.apply(Concat { axis }, [self, other])
    }
}

cases! {
    "concat" [[2, 3, 2], [2, 1, 2]] |tape, a, b| a.concat(b, 1);
    "concat, three" [[2, 3], [2, 1], [2, 2]] |tape, a, b, c| tape.apply(Concat { axis: 1 }, [a, b, c]);
}
