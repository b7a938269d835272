//! A sub-layer with its way around.

use autograd::{Float, Var};

use crate::config::{NormPlacement, TransformerConfig};
use crate::dropout::Dropout;
use crate::layer_norm::LayerNorm;

/// How a sub-layer `f` is wrapped: `x + dropout(f(norm(x)))` or `norm(x + dropout(f(x)))`.
#[derive(Clone, Copy, Debug)]
pub struct Residual {
    /// Where the normalisation stands.
    pub placement: NormPlacement,
    /// Of `f`'s output.
    pub dropout: Dropout,
}

impl Residual {
    /// The wrapping of this model.
    pub fn new(config: &TransformerConfig) -> Self {
        Self { placement: config.norm, dropout: Dropout { p: config.dropout.residual } }
    }

    /// Runs `f` with its way around.
    ///
    /// # Panics
    /// Where the probability of dropout is not in [0, 1), or `f` gives another shape than it gets.
    #[track_caller]
    pub fn around<'t, T: Float>(
        &self,
        x: Var<'t, T>,
        norm: &LayerNorm<T>,
        f: impl FnOnce(Var<'t, T>) -> Var<'t, T>,
    ) -> Var<'t, T> {
        self.dropout.check();
        match self.placement {
            NormPlacement::Pre => x.residual(f(norm.forward(x)), self.dropout.p),
            NormPlacement::Post => norm.after_residual(x, f(x), self.dropout.p),
        }
    }
}
