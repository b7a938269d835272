//! The output projection and its cross-entropy in one, so that the logits never exist as a whole.

use super::cross_entropy::{NOTHING, check_labels, check_smoothing, mean_weight};
use crate::kernels::Labels;
use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Ids, Shape, Tensor};

/// `cross_entropy(x·Wᵀ)` for `x [.., D]` and `W [V, D]`; the explained twin is
/// [`linear`](Var::linear) then [`cross_entropy`](Var::cross_entropy).
///
/// With a vocabulary of ten thousand the logits are by far the largest tensor of a model. Rows go through in blocks:
/// logits, loss, gradient of the logits in place, and from it the block's part of `dx` and `dW`, all in the forward
/// pass; the backward pass only multiplies by `dy`.
#[derive(Debug)]
pub struct LinearCrossEntropy {
    /// The label of every row.
    pub targets: Ids,
    /// The share spread over all classes.
    pub smoothing: f64,
    /// The label whose rows do not count.
    pub ignore: Option<u32>,
    /// What the sum over rows is multiplied by.
    pub weight: f64,
    /// Whether gradients will be asked for.
    pub gradients: bool,
}

impl<T: Float> Op<T, 2> for LinearCrossEntropy {
    /// `dx` and `dW` for `dy = 1`.
    type Saved = Option<[Tensor<T>; 2]>;
    const NAME: &'static str = "linear_cross_entropy";
    const RULE: &'static str = "g = w·(softmax(x·Wᵀ) − (1 − ε)·onehot(t) − ε/V)  dx += dy·g·W  dW += dy·gᵀ·x";

    fn forward(&self, [x, w]: [&Tensor<T>; 2]) -> (Tensor<T>, Self::Saved) {
        let (shape, d) = (x.shape(), x.shape().last());
        let &[v, inner] = w.shape().as_slice() else {
            panic!("linear_cross_entropy: the weight must be [V, D], not {}", w.shape())
        };
        let fits = shape.rank() > 0 && d == inner;
        assert!(fits, "linear_cross_entropy: inner sizes differ: {shape} · {}ᵀ", w.shape());
        // Else V would be bounded by nothing.
        assert!(d > 0, "linear_cross_entropy: rows of {shape} have no entries");
        let logits = Shape::of("linear_cross_entropy", &[shape.rows(), v]);
        let leading = &shape[..shape.rank() - 1];
        check_labels("linear_cross_entropy", leading, logits, &self.targets, self.ignore);
        check_smoothing("linear_cross_entropy", self.smoothing);
        let &Self { ref targets, smoothing, ignore, weight, gradients } = self;
        let labels = Labels { targets, ignore: ignore.unwrap_or(NOTHING), smoothing, weight };
        let mut gradients = gradients.then(|| [x, w].map(|x| x.alike(x.shape(), |_, _| {})));
        let loss = x.alike([], |kernels, loss| {
            let gradients = gradients.as_mut().map(|[dx, dw]| [dx, dw]);
            kernels.linear_cross_entropy(x, w, labels, loss, gradients);
        });
        (loss, gradients)
    }

    fn backward(&self, saved: &Self::Saved, cx: Backward<'_, T, 2>) {
        let Some(saved) = saved else { unreachable!("an op without gradients is not recorded") };
        for (slot, gradient) in cx.grads.iter_mut().zip(saved) {
            // Dual numbers are equal in both parts or not at all, so a `dy` of 1 that moves is no constant 1.
            if cx.dy.device().is_cpu() && cx.dy.item() == T::ONE {
                slot.add(gradient);
            } else {
                slot.write(|kernels, out, keep| kernels.scale_by(gradient, cx.dy, out, keep));
            }
        }
    }
}

impl<'t, T: Float> Var<'t, T> {
    /// `weight_of_sum` times the summed cross-entropy of the logits `x·Wᵀ` with `targets`, as
    /// [`cross_entropy_weighted`](Self::cross_entropy_weighted) of [`linear`](Self::linear), without ever holding them all.
    ///
    /// # Panics
    /// Where either of them does.
    #[track_caller]
    pub fn linear_cross_entropy_weighted(
        self,
        weight: Self,
        targets: &Ids,
        smoothing: f64,
        ignore: Option<u32>,
        weight_of_sum: f64,
    ) -> Self {
        if self.tape.explains() {
            let logits = self.linear(weight, None);
            return logits.cross_entropy_weighted(targets, smoothing, ignore, weight_of_sum);
        }
        let (targets, gradients) = (targets.clone(), self.tape.records());
        let op = LinearCrossEntropy { targets, smoothing, ignore, weight: weight_of_sum, gradients };
        self.tape.apply(op, [self, weight])
    }

    /// The mean cross-entropy of the logits `x·Wᵀ` with `targets`, over the rows whose label is not `ignore`.
    ///
    /// # Panics
    /// Where [`linear`](Self::linear) or [`cross_entropy`](Self::cross_entropy) does.
    #[track_caller]
    pub fn linear_cross_entropy(
        self,
        weight: Self,
        targets: &Ids,
        smoothing: f64,
        ignore: Option<u32>,
    ) -> Self {
        let mean = mean_weight(targets, ignore);
        self.linear_cross_entropy_weighted(weight, targets, smoothing, ignore, mean)
    }
}

cases! {
    "linear_cross_entropy" [[2, 3, 4], [7, 4]] |tape, x, w| {
        x.linear_cross_entropy(w, &Ids::new([2, 3], [1, 0, 6, 2, 2, 0]), 0.1, Some(0)).scale(1.7)
    }, explained: {
        x.linear(w, None).cross_entropy(&Ids::new([2, 3], [1, 0, 6, 2, 2, 0]), 0.1, Some(0)).scale(1.7)
    };
    "linear_cross_entropy, several blocks" [[600, 2], [3, 2]] |tape, x, w| {
        x.linear_cross_entropy(w, &Ids::new([600], (0..600).map(|i| i % 3).collect::<Vec<_>>()), 0.1, None)
    }, explained: {
        x.linear(w, None).cross_entropy(&Ids::new([600], (0..600).map(|i| i % 3).collect::<Vec<_>>()), 0.1, None)
    };
}
