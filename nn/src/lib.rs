//! Layers, up to the full Transformer of Vaswani et al., "Attention is all you need" (2017).
//!
//! The letters that shapes are written in, here and in the comments at the ends of lines:
//!
//! | letter | size of |
//! |---|---|
//! | B | the batch: sentences |
//! | S | source positions, or keys in attention |
//! | T | target positions, or queries in attention |
//! | D | the model, `d_model` |
//! | F | the feed-forward network's inner layer |
//! | H | attention heads |
//! | d | one head, D / H |
//! | V | a vocabulary |
//!
//! A layer is a struct of parameters with a `forward` that takes variables. There is no trait for forwards, because
//! they differ in their arguments; what all layers share is [`Parameters`](autograd::Parameters).

mod attention;
mod attention_weights;
mod cache;
pub mod cases;
mod config;
mod decoder;
mod dropout;
mod embedding;
mod encoder;
mod feed_forward;
mod init;
mod layer_norm;
mod linear;
mod mask;
mod pairs;
#[cfg(test)]
mod panics;
mod positional;
mod r_drop;
mod residual;
mod sentences;
mod transformer;
mod zero_by_mathematics;

pub use attention::MultiHeadAttention;
pub use attention_weights::AttentionWeights;
pub use cache::{DecoderCache, KeyValue, LayerCache, Rows};
pub use config::{
    Activation, Dropouts, InitScheme, NormPlacement, Positions, Preset, Tied, TransformerConfig,
};
pub use decoder::{Decoder, DecoderLayer};
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use encoder::{Encoder, EncoderLayer};
pub use feed_forward::FeedForward;
pub use init::Init;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use mask::Mask;
pub use pairs::PackedPairs;
pub use positional::PositionalEncoding;
pub use residual::Residual;
pub use sentences::Sentences;
pub use transformer::{Objective, Transformer};
