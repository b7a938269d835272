//! Layer normalisation along the last axis.

use crate::op::{Backward, Op};
use crate::tape::Var;
use crate::{Float, Tensor};

/// `y = γ ∘ x̂ + β` with `x̂ = (x − mean(x)) / √(var(x) + ε)` along the last axis (Ba, Kiros and Hinton, 2016).
///
/// Inputs `x [.., n]`, `γ [n]`, `β [n]`.
#[derive(Debug)]
pub struct LayerNorm {
    /// ε, added to the variance.
    pub epsilon: f64,
}

/// Stops where γ or β does not fit the rows of `x`, or ε is none.
#[track_caller]
pub(super) fn check<T: Float>(op: &str, x: &Tensor<T>, [gamma, beta]: [&Tensor<T>; 2], epsilon: f64) {
    assert!(epsilon >= 0.0 && epsilon.is_finite(), "{op}: the epsilon {epsilon} is not a number from 0 on");
    let (shape, n) = (x.shape(), x.shape().last());
    assert!(
        gamma.shape() == [n].into() && beta.shape() == [n].into(),
        "{op}: {shape} needs γ and β of [{n}], not {} and {}",
        gamma.shape(),
        beta.shape()
    );
}

/// Room for the mean and `1/√(var + ε)` of every row of `x`, which the backward pass reads off the forward.
pub(super) fn moments<T: Float>(x: &Tensor<T>) -> [Tensor<T>; 2] {
    // Rows without entries have none, and may be more than memory could hold.
    let rows = if x.shape().last() > 0 { x.shape().rows() } else { 0 };
    [(); 2].map(|()| x.alike([rows], |_, _| {}))
}

impl<T: Float> Op<T, 3> for LayerNorm {
    /// The mean and `1/√(var + ε)` of every row.
    type Saved = [Tensor<T>; 2];
    const NAME: &'static str = "layer_norm";
    const RULE: &'static str =
        "dx += rstd·(g − mean(g) − x̂·mean(g∘x̂)), g = γ∘dy  dγ += Σ dy∘x̂  dβ += Σ dy";

    fn forward(&self, [x, gamma, beta]: [&Tensor<T>; 3]) -> (Tensor<T>, Self::Saved) {
        check("layer_norm", x, [gamma, beta], self.epsilon);
        let mut moments = moments(x);
        let y = x.alike(x.shape(), |kernels, y| {
            kernels.layer_norm(x, [gamma, beta], self.epsilon, y, moments.each_mut());
        });
        (y, moments)
    }

    fn backward(&self, moments: &Self::Saved, cx: Backward<'_, T, 3>) {
        let ([x, gamma, _], [dx, dgamma, dbeta]) = (cx.inputs, cx.grads);
        let (dy, moments) = (cx.dy, moments.each_ref());
        dx.write(|kernels, out, keep| {
            kernels.layer_norm_backward((x, gamma), moments, dy, out, keep);
        });
        let gradients = [dgamma.open_tensor(), dbeta.open_tensor()];
        x.kernels().layer_norm_parameters(x, moments, dy, gradients);
    }
}

impl<'t, T: Float> Var<'t, T> {
    /// Normalises each row along the last axis to mean 0 and variance 1, then scales by `gamma` and shifts by `beta`.
    ///
    /// # Panics
    /// Where the shapes do not fit, or `epsilon` is negative or not finite.
    #[track_caller]
    pub fn layer_norm(self, gamma: Self, beta: Self, epsilon: f64) -> Self {
        self.tape.apply(LayerNorm { epsilon }, [self, gamma, beta])
    }
}

cases! {
    "layer_norm" [[2, 3, 5], [5], [5]] |tape, x, gamma, beta| x.layer_norm(gamma, beta, 1e-5);
    "layer_norm, wide" [[3, 40], [40], [40]] |tape, x, gamma, beta| x.layer_norm(gamma, beta, 1e-5);
}
