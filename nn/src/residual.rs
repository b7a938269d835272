//! A sub-layer with its way around.

use autograd::{Float, Var};

use crate::config::{NormPlacement, TransformerConfig};
use crate::layer_norm::LayerNorm;

/// How a sub-layer `f` is wrapped: `x + dropout(f(norm(x)))` or `norm(x + dropout(f(x)))`.
#[derive(Clone, Copy, Debug)]
pub struct Residual {
    /// Where the normalisation stands.
    pub placement: NormPlacement,
    /// The share of `f`'s output that is dropped.
    pub dropout: f64,
}

impl Residual {
    /// The wrapping of this model.
    pub fn new(config: &TransformerConfig) -> Self {
        Self { placement: config.norm, dropout: config.dropout.residual }
    }

    /// Runs `f` with its way around.
    #[track_caller]
    pub fn around<'t, T: Float>(
        &self,
        x: Var<'t, T>,
        norm: &LayerNorm<T>,
        f: impl FnOnce(Var<'t, T>) -> Var<'t, T>,
    ) -> Var<'t, T> {
        match self.placement {
            NormPlacement::Pre => x + f(norm.forward(x)).dropout(self.dropout),
            NormPlacement::Post => norm.forward(x + f(x).dropout(self.dropout)),
        }
    }
}
