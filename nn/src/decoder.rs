//! The decoder: writes the target, one position after the other.

use autograd::{Float, ParamId, Var, parameters};

use crate::attention::MultiHeadAttention;
use crate::cache::{DecoderCache, LayerCache, Rows};
use crate::config::{NormPlacement, TransformerConfig};
use crate::feed_forward::FeedForward;
use crate::init::Init;
use crate::layer_norm::LayerNorm;
use crate::mask::Mask;
use crate::residual::Residual;

/// Causal self-attention, attention over the encoder's output, and the feed-forward network, each with its way around.
#[derive(Clone, Debug)]
pub struct DecoderLayer<T: Float = f32> {
    /// Every target position looks at itself and those before.
    pub self_attn: MultiHeadAttention<T>,
    /// The norm of the self-attention.
    pub self_attn_norm: LayerNorm<T>,
    /// Every target position looks at the source.
    pub cross_attn: MultiHeadAttention<T>,
    /// The norm of the cross-attention.
    pub cross_attn_norm: LayerNorm<T>,
    /// The network.
    pub feed_forward: FeedForward<T>,
    /// The norm of the network.
    pub feed_forward_norm: LayerNorm<T>,
    /// How the three are wrapped.
    pub residual: Residual,
}

parameters!(DecoderLayer {
    self_attn,
    self_attn_norm,
    cross_attn,
    cross_attn_norm,
    feed_forward,
    feed_forward_norm,
});

impl<T: Float> DecoderLayer<T> {
    /// A layer of this model.
    ///
    /// # Panics
    /// Where the configuration is not valid ([`TransformerConfig::validate`]).
    #[track_caller]
    pub fn new(config: &TransformerConfig, init: &mut Init) -> Self {
        config.demand_valid("decoder");
        let norm = |init: &mut Init| LayerNorm::new(config.d_model, config.norm_epsilon, init);
        Self {
            self_attn: MultiHeadAttention::new(config, init),
            self_attn_norm: norm(init),
            cross_attn: MultiHeadAttention::new(config, init),
            cross_attn_norm: norm(init),
            feed_forward: FeedForward::new(config, init),
            feed_forward_norm: norm(init),
            residual: Residual::new(config),
        }
    }

    /// `x [B, T, D]` over `memory [B, S, D]`: `[B, T, D]`.
    #[track_caller]
    pub fn forward<'t>(
        &self,
        x: Var<'t, T>,
        memory: Var<'t, T>,
        mask: &Mask,
        memory_mask: &Mask,
    ) -> Var<'t, T> {
        self.sublayers(
            x,
            |x| self.self_attn.forward(x, x, x, mask),
            |x| self.cross_attn.forward(x, memory, memory, memory_mask),
        )
    }

    /// The next position `x [R, D]` of every row, the earlier ones being in `cache`: `[R, D]`.
    #[track_caller]
    pub fn step<'t>(&self, x: Var<'t, T>, cache: &mut LayerCache<T>, rows: &Rows) -> Var<'t, T> {
        let LayerCache { own, memory } = cache;
        self.sublayers(
            x,
            |x| self.self_attn.step_self(x, own, rows),
            |x| self.cross_attn.step_memory(x, memory, rows),
        )
    }

    #[track_caller]
    pub(crate) fn sublayers<'t>(
        &self,
        x: Var<'t, T>,
        self_attn: impl FnOnce(Var<'t, T>) -> Var<'t, T>,
        cross_attn: impl FnOnce(Var<'t, T>) -> Var<'t, T>,
    ) -> Var<'t, T> {
        let x = self.residual.around(x, &self.self_attn_norm, self_attn);
        let x = self.residual.around(x, &self.cross_attn_norm, cross_attn);
        self.residual.around(x, &self.feed_forward_norm, |x| self.feed_forward.forward(x))
    }
}

/// γ of the last norm at first. Logits of full size would make a fresh model surer than a guess, most of all of the word
/// it has just seen, whose own vector the residual path carries to a tied output.
const LAST_GAIN: f64 = 0.5;

/// A stack of decoder layers.
#[derive(Clone, Debug)]
pub struct Decoder<T: Float = f32> {
    /// The layers, first to last.
    pub layers: Vec<DecoderLayer<T>>,
    /// With pre-norm layers nothing has normalised the last sum yet.
    pub norm: Option<LayerNorm<T>>,
}

parameters!(Decoder { layers, norm });

impl<T: Float> Decoder<T> {
    /// The decoder of this model.
    ///
    /// # Panics
    /// Where the configuration is not valid ([`TransformerConfig::validate`]).
    #[track_caller]
    pub fn new(config: &TransformerConfig, init: &mut Init) -> Self {
        config.demand_valid("decoder");
        let mut layers: Vec<_> =
            (0..config.decoder_layers).map(|_| DecoderLayer::new(config, init)).collect();
        let norm = || LayerNorm::new(config.d_model, config.norm_epsilon, init).with_gain(LAST_GAIN);
        let norm = (config.norm == NormPlacement::Pre).then(norm);
        if let (None, Some(last)) = (&norm, layers.last_mut()) {
            last.feed_forward_norm = last.feed_forward_norm.clone().with_gain(LAST_GAIN);
        }
        Self { layers, norm }
    }

    /// `x [B, T, D]` over `memory [B, S, D]`: `[B, T, D]`. `mask` is for target positions among each other,
    /// `memory_mask` for source positions.
    #[track_caller]
    pub fn forward<'t>(
        &self,
        x: Var<'t, T>,
        memory: Var<'t, T>,
        mask: &Mask,
        memory_mask: &Mask,
    ) -> Var<'t, T> {
        let x = self.layers.iter().fold(x, |x, layer| layer.forward(x, memory, mask, memory_mask));
        self.norm.as_ref().map_or(x, |norm| norm.forward(x))
    }

    /// An empty cache for targets of `memory [B, S, D]`.
    ///
    /// # Panics
    /// Where the memory has another shape, or there are not B lengths of at most S.
    #[track_caller]
    pub fn start(&self, memory: Var<'_, T>, source_lengths: &[usize]) -> DecoderCache<T> {
        let shape = memory.shape();
        let [rows, width, _] = *shape else { panic!("decoder: memory must be [B, S, D], not {shape}") };
        let fits = rows == source_lengths.len() && source_lengths.iter().all(|&length| length <= width);
        assert!(fits, "decoder: lengths {source_lengths:?} do not fit a memory of {shape}");
        let places = rows.checked_mul(width).and_then(|places| u32::try_from(places).ok());
        assert!(places.is_some(), "decoder: a memory of {shape} has more places than 32 bits number");
        let mut memories = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            memories.push(layer.cross_attn.project_memory(memory));
        }
        DecoderCache::new(self.owner(), memories.into_iter(), source_lengths, width)
    }

    /// What tells this decoder from others.
    fn owner(&self) -> Option<ParamId> {
        self.layers.first().map(|layer| layer.self_attn.q_proj.weight.id())
    }

    /// The next position `x [R, D]` of every row: `[R, D]`.
    ///
    /// # Panics
    /// Where the cache is of another decoder, a copy of this one among them, or has another number of rows.
    #[track_caller]
    pub fn step<'t>(&self, x: Var<'t, T>, cache: &mut DecoderCache<T>) -> Var<'t, T> {
        let same = cache.owner == self.owner() && cache.layers.len() == self.layers.len();
        assert!(same, "decoder: this cache was started by another decoder");
        let (rows, shape) = (cache.rows.count(), x.shape());
        assert!(
            shape.rank() == 2 && shape[0] == rows,
            "decoder: the next position of {rows} rows must be [{rows}, D], not {shape}"
        );
        cache.rows.push();
        let layers = self.layers.iter().zip(&mut cache.layers);
        let x = layers.fold(x, |x, (layer, cache_of_layer)| layer.step(x, cache_of_layer, &cache.rows));
        self.norm.as_ref().map_or(x, |norm| norm.forward(x))
    }
}
