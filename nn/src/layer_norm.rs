//! Layer normalisation.

use autograd::{Float, Param, Var, parameters};

use crate::init::Init;

/// `γ ∘ (x − mean) / √(var + ε) + β` along the last axis (Ba, Kiros and Hinton, 2016).
#[derive(Clone, Debug)]
pub struct LayerNorm<T: Float = f32> {
    /// γ `[D]`, ones at first.
    pub gamma: Param<T>,
    /// β `[D]`, zeros at first.
    pub beta: Param<T>,
    /// ε
    pub epsilon: f64,
}

parameters!(LayerNorm { gamma, beta });

impl<T: Float> LayerNorm<T> {
    /// The identity on normalised rows of this width.
    ///
    /// # Panics
    /// Where the width is 0, or ε is negative or not finite.
    #[track_caller]
    pub fn new(width: usize, epsilon: f64, init: &mut Init) -> Self {
        assert!(
            epsilon >= 0.0 && T::of(epsilon).is_finite(),
            "layer_norm: ε = {epsilon} is not a finite number from 0 up"
        );
        Self { gamma: init.constant(width, 1.0), beta: init.constant(width, 0.0), epsilon }
    }

    /// The same with γ at `gain` at first.
    ///
    /// # Panics
    /// Where the gain is not finite.
    #[must_use]
    #[track_caller]
    pub fn with_gain(mut self, gain: f64) -> Self {
        assert!(T::of(gain).is_finite(), "layer_norm: a gain of {gain} is not finite");
        self.gamma.value_mut().make_mut().fill(T::of(gain));
        self
    }

    /// Normalises every row.
    #[track_caller]
    pub fn forward<'t>(&self, x: Var<'t, T>) -> Var<'t, T> {
        let tape = x.tape();
        x.layer_norm(tape.param(&self.gamma), tape.param(&self.beta), self.epsilon)
    }

    /// Of `x + dropout(a)`: the end of a post-norm sub-layer. Any shape `[.., D]` to the same shape.
    #[track_caller]
    pub(crate) fn after_residual<'t>(&self, x: Var<'t, T>, a: Var<'t, T>, p: f64) -> Var<'t, T> {
        let tape = x.tape();
        if !tape.records() {
            return self.forward(x + a);
        }
        x.residual_layer_norm(a, p, tape.param(&self.gamma), tape.param(&self.beta), self.epsilon)
    }
}
