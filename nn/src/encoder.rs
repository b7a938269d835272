//! The encoder: reads the source.

use autograd::{Float, Var, parameters};

use crate::attention::MultiHeadAttention;
use crate::config::{NormPlacement, TransformerConfig};
use crate::feed_forward::FeedForward;
use crate::init::Init;
use crate::layer_norm::LayerNorm;
use crate::mask::Mask;
use crate::residual::Residual;

/// Self-attention, then the feed-forward network, each with its way around.
#[derive(Clone, Debug)]
pub struct EncoderLayer<T: Float = f32> {
    /// Every source position looks at every other.
    pub self_attn: MultiHeadAttention<T>,
    /// The norm of the self-attention.
    pub self_attn_norm: LayerNorm<T>,
    /// The network.
    pub feed_forward: FeedForward<T>,
    /// The norm of the network.
    pub feed_forward_norm: LayerNorm<T>,
    /// How both are wrapped.
    pub residual: Residual,
}

parameters!(EncoderLayer { self_attn, self_attn_norm, feed_forward, feed_forward_norm });

impl<T: Float> EncoderLayer<T> {
    /// A layer of this model.
    ///
    /// # Panics
    /// Where the configuration is not valid ([`TransformerConfig::validate`]).
    #[track_caller]
    pub fn new(config: &TransformerConfig, init: &mut Init) -> Self {
        config.demand_valid("encoder");
        let norm = |init: &mut Init| LayerNorm::new(config.d_model, config.norm_epsilon, init);
        Self {
            self_attn: MultiHeadAttention::new(config, init),
            self_attn_norm: norm(init),
            feed_forward: FeedForward::new(config, init),
            feed_forward_norm: norm(init),
            residual: Residual::new(config),
        }
    }

    /// `[B, S, D]` to `[B, S, D]`.
    #[track_caller]
    pub fn forward<'t>(&self, x: Var<'t, T>, mask: &Mask) -> Var<'t, T> {
        self.sublayers(x, |x| self.self_attn.forward(x, x, x, mask))
    }

    #[track_caller]
    pub(crate) fn sublayers<'t>(
        &self,
        x: Var<'t, T>,
        self_attn: impl FnOnce(Var<'t, T>) -> Var<'t, T>,
    ) -> Var<'t, T> {
        let x = self.residual.around(x, &self.self_attn_norm, self_attn);
        self.residual.around(x, &self.feed_forward_norm, |x| self.feed_forward.forward(x))
    }
}

/// A stack of encoder layers.
#[derive(Clone, Debug)]
pub struct Encoder<T: Float = f32> {
    /// The layers, first to last.
    pub layers: Vec<EncoderLayer<T>>,
    /// With pre-norm layers nothing has normalised the last sum yet.
    pub norm: Option<LayerNorm<T>>,
}

parameters!(Encoder { layers, norm });

impl<T: Float> Encoder<T> {
    /// The encoder of this model.
    ///
    /// # Panics
    /// Where the configuration is not valid ([`TransformerConfig::validate`]).
    #[track_caller]
    pub fn new(config: &TransformerConfig, init: &mut Init) -> Self {
        config.demand_valid("encoder");
        Self {
            layers: (0..config.encoder_layers).map(|_| EncoderLayer::new(config, init)).collect(),
            norm: (config.norm == NormPlacement::Pre)
                .then(|| LayerNorm::new(config.d_model, config.norm_epsilon, init)),
        }
    }

    /// `[B, S, D]` to `[B, S, D]`, where `mask` keeps the words and not the padding.
    #[track_caller]
    pub fn forward<'t>(&self, x: Var<'t, T>, mask: &Mask) -> Var<'t, T> {
        let x = self.layers.iter().fold(x, |x, layer| layer.forward(x, mask));
        self.norm.as_ref().map_or(x, |norm| norm.forward(x))
    }
}
