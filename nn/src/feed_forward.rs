//! The position-wise network.

use autograd::{Float, Var, parameters};

use crate::config::{Activation, TransformerConfig};
use crate::dropout::Dropout;
use crate::init::Init;
use crate::linear::Linear;

/// `linear2(dropout(activation(linear1(x))))`: D to F and back, each position for itself (Vaswani et al., 2017, §3.3).
#[derive(Clone, Debug)]
pub struct FeedForward<T: Float = f32> {
    /// D to F.
    pub linear1: Linear<T>,
    /// F to D.
    pub linear2: Linear<T>,
    /// What stands between them.
    pub activation: Activation,
    /// Of the inner layer.
    pub dropout: Dropout,
}

parameters!(FeedForward { linear1, linear2 });

impl<T: Float> FeedForward<T> {
    /// The network of this model.
    ///
    /// # Panics
    /// Where the configuration is not valid ([`TransformerConfig::validate`]).
    #[track_caller]
    pub fn new(config: &TransformerConfig, init: &mut Init) -> Self {
        config.demand_valid("feed_forward");
        Self {
            linear1: Linear::new(config.d_model, config.ffn, init),
            linear2: Linear::new(config.ffn, config.d_model, init),
            activation: config.activation,
            dropout: Dropout { p: config.dropout.activation },
        }
    }

    /// `[.., D]` to `[.., D]`.
    #[track_caller]
    pub fn forward<'t>(&self, x: Var<'t, T>) -> Var<'t, T> {
        let inner = match self.activation {
            Activation::Relu => self.linear1.forward_relu(x),
            Activation::Gelu => self.linear1.forward(x).gelu(),
            Activation::Silu => self.linear1.forward(x).silu(),
        }; // [.., F]
        self.linear2.forward(self.dropout.forward(inner)) // [.., D]
    }
}
