//! `y = layer_norm(x + dropout(a))`: the end of a post-norm sub-layer.

use super::dropout::{Dropout, check_probability};
use super::layer_norm::{check, moments};
use super::residual::around;
use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Key, Tensor};

/// [`layer_norm`](Var::layer_norm) of `h = x + m ∘ a / (1 − p)`, where each entry of `m` is 0 with probability `p` and 1
/// otherwise; the explained twin is [`dropout`](Var::dropout), `+` and `layer_norm`. Inputs `x [.., n]`, `a [.., n]`,
/// `γ [n]`, `β [n]`.
#[derive(Debug)]
pub struct ResidualLayerNorm {
    /// The probability that an entry of `a` is dropped; 0 for none.
    pub p: f64,
    /// The key of the random numbers.
    pub key: Key,
    /// ε, added to the variance.
    pub epsilon: f64,
}

impl<T: Float> Op<T, 4> for ResidualLayerNorm {
    /// `h`, and the mean and `1/√(var + ε)` of each of its rows.
    type Saved = (Tensor<T>, [Tensor<T>; 2]);
    const NAME: &'static str = "residual_layer_norm";
    const RULE: &'static str =
        "dh = rstd·(g − mean(g) − ĥ·mean(g∘ĥ)), g = γ∘dy  dx += dh  da += m ∘ dh / (1 − p)  dγ += Σ dy∘ĥ  dβ += Σ dy";

    fn forward(&self, [x, a, gamma, beta]: [&Tensor<T>; 4]) -> (Tensor<T>, Self::Saved) {
        around("residual_layer_norm", x.shape(), a.shape());
        check("residual_layer_norm", x, [gamma, beta], self.epsilon);
        check_probability("residual_layer_norm", self.p);
        let mut h = x.alike(x.shape(), |_, _| {});
        let mut moments = moments(x);
        let y = x.alike(x.shape(), |kernels, y| {
            let drop = (self.p, &self.key);
            kernels.residual_layer_norm([x, a], drop, [gamma, beta], self.epsilon, [&mut h, y], moments.each_mut());
        });
        (y, (h, moments))
    }

    fn backward(&self, (h, moments): &Self::Saved, cx: Backward<'_, T, 4>) {
        let ([_, _, gamma, _], [dx, da, dgamma, dbeta], dy) = (cx.inputs, cx.grads, cx.dy);
        let (moments, drop, kernels) = (moments.each_ref(), (self.p, &self.key), dy.kernels());
        let gradients = [dx.open_tensor(), da.open_tensor()];
        kernels.residual_layer_norm_backward((h, gamma), moments, dy, drop, gradients);
        kernels.layer_norm_parameters(h, moments, dy, [dgamma.open_tensor(), dbeta.open_tensor()]);
    }
}

impl<'t, T: Float> Var<'t, T> {
    /// `layer_norm(x + dropout(a))` along the last axis; dropout drops on a training tape only.
    ///
    /// # Panics
    /// Where `p` is not in `[0, 1)`, the shapes do not fit, or `epsilon` is negative or not finite.
    #[track_caller]
    pub fn residual_layer_norm(self, a: Self, p: f64, gamma: Self, beta: Self, epsilon: f64) -> Self {
        around("residual_layer_norm", self.shape(), a.shape());
        if self.tape.explains() {
            return (self + a.dropout(p)).layer_norm(gamma, beta, epsilon);
        }
        let Dropout { p, key } = Dropout::new(p, self.tape.next_key());
        let p = if self.tape.is_training() { p } else { 0.0 };
        let y = self.tape.apply(ResidualLayerNorm { p, key, epsilon }, [self, a, gamma, beta]);
        self.tape.fused(if p > 0.0 { 2 } else { 1 });
        y
    }
}

cases! {
    "residual_layer_norm" [[4, 10], [4, 10], [10], [10]] |tape, x, a, gamma, beta| {
        x.residual_layer_norm(a, 0.3, gamma, beta, 1e-5)
    }, explained: {
        let dropped = tape.apply(Dropout { p: 0.3, key: tape.next_key() }, [a]);
        (x + dropped).layer_norm(gamma, beta, 1e-5)
    };
    "residual_layer_norm, nothing dropped" [[2, 3, 5], [2, 3, 5], [5], [5]] |tape, x, a, gamma, beta| {
        x.residual_layer_norm(a, 0.0, gamma, beta, 1e-5)
    }, explained: (x + a).layer_norm(gamma, beta, 1e-5);
}
