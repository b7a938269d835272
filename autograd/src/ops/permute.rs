//! The axes in another order.

use crate::kernels::Layout;
use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, MAX_RANK, Shape, Tensor};

/// Axis `i` of `y` is axis `order[i]` of `x`.
#[derive(Debug)]
pub struct Permute {
    /// Where each axis of the output comes from.
    pub order: Vec<usize>,
}

impl<T: Float> Op<T, 1> for Permute {
    type Saved = ();
    const NAME: &'static str = "permute";
    const RULE: &'static str = "dx += dy, permuted back";

    fn forward(&self, [x]: [&Tensor<T>; 1]) -> (Tensor<T>, ()) {
        let mut sorted = self.order.clone();
        sorted.sort_unstable();
        assert!(
            sorted.iter().copied().eq(0..x.shape().rank()),
            "permute: {:?} does not order the axes of {}",
            self.order,
            x.shape()
        );
        (permuted(x, &self.order), ())
    }

    fn backward(&self, _: &(), cx: Backward<'_, T, 1>) {
        let [dx] = cx.grads;
        let mut back = vec![0; self.order.len()];
        for (to, &from) in self.order.iter().enumerate() {
            back[from] = to;
        }
        dx.add(&permuted(cx.dy, &back));
    }
}

fn permuted<T: Float>(x: &Tensor<T>, order: &[usize]) -> Tensor<T> {
    let (sizes, strides) = (x.shape(), x.shape().strides());
    let shape: Vec<usize> = order.iter().map(|&axis| sizes[axis]).collect();
    let shape = Shape::of("permute", &shape);
    let mut walk = Layout { start: 0, strides: [0; MAX_RANK] };
    for (to, &from) in order.iter().enumerate() {
        walk.strides[to] = strides[from];
    }
    x.alike(shape, |kernels, y| kernels.copy(shape, (x, walk), (y, Layout::rows(shape)), false))
}

impl<'t, T: Float> Var<'t, T> {
    /// The axes in another order: axis `i` of the result is axis `order[i]` of this.
    ///
    /// # Panics
    /// Where the order does not name every axis once.
    #[track_caller]
    pub fn permute(self, order: &[usize]) -> Self {
        self.tape.apply(Permute { order: order.to_vec() }, [self])
    }

    /// The last two axes swapped.
    ///
    /// # Panics
    /// Where there are no two.
    #[track_caller]
    pub fn transpose(self) -> Self {
        let rank = self.shape().rank();
        assert!(rank >= 2, "transpose: {} has no two axes", self.shape());
        let mut order: Vec<usize> = (0..rank).collect();
        order.swap(rank - 2, rank - 1);
        self.permute(&order)
    }
}

cases! {
    "permute" [[2, 3, 4]] |tape, x| x.permute(&[2, 0, 1]);
    "permute, transpose" [[2, 3, 4]] |tape, x| x.transpose();
}
