//! What a Transformer is made of.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The sizes and choices that define a Transformer.
///
/// ```
/// use nn::{Preset, TransformerConfig};
/// let config = TransformerConfig { dropout: nn::Dropouts::all(0.3), ..Preset::Tiny.config(10_000, 10_000) };
/// assert_eq!((config.d_model, config.heads), (128, 4));
/// config.validate().unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformerConfig {
    /// Source vocabulary.
    pub source_vocab: usize,
    /// Target vocabulary.
    pub target_vocab: usize,
    /// D, the width of the model.
    pub d_model: usize,
    /// F, the width of the feed-forward network's inner layer.
    pub ffn: usize,
    /// H, the number of attention heads; must divide D.
    pub heads: usize,
    /// Layers of the encoder.
    pub encoder_layers: usize,
    /// Layers of the decoder.
    pub decoder_layers: usize,
    /// Where layer normalisation stands.
    pub norm: NormPlacement,
    /// The non-linearity of the feed-forward network.
    pub activation: Activation,
    /// Which embeddings are one and the same table.
    pub tied: Tied,
    /// How positions are told apart.
    pub positions: Positions,
    /// The longest sentence learned positions can hold; sinusoidal ones have no limit.
    pub max_length: usize,
    /// How much is dropped in training, and where.
    pub dropout: Dropouts,
    /// How weights are drawn at first.
    pub init: InitScheme,
    /// ε of layer normalisation.
    pub norm_epsilon: f64,
}

impl TransformerConfig {
    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// One line naming the setting that is wrong.
    pub fn validate(&self) -> Result<(), String> {
        let sizes = [
            ("source_vocab", self.source_vocab),
            ("target_vocab", self.target_vocab),
            ("d_model", self.d_model),
            ("ffn", self.ffn),
            ("heads", self.heads),
            ("encoder_layers", self.encoder_layers),
            ("decoder_layers", self.decoder_layers),
            ("max_length", self.max_length),
        ];
        if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(format!("{name} must not be 0"));
        }
        if !self.d_model.is_multiple_of(self.heads) {
            return Err(format!("heads = {} does not divide d_model = {}", self.heads, self.d_model));
        }
        if !self.d_model.is_multiple_of(2) {
            return Err(format!(
                "d_model = {} must be even: positions are pairs of sine and cosine",
                self.d_model
            ));
        }
        if self.tied == Tied::All && self.source_vocab != self.target_vocab {
            return Err(format!(
                "tied = \"all\" needs one vocabulary for both sides, not {} and {}",
                self.source_vocab, self.target_vocab
            ));
        }
        let Dropouts { residual, attention, activation, embedding } = self.dropout;
        let shares = [
            ("dropout.residual", residual),
            ("dropout.attention", attention),
            ("dropout.activation", activation),
            ("dropout.embedding", embedding),
        ];
        if let Some((name, p)) = shares.iter().find(|(_, p)| !(0.0..1.0).contains(p)) {
            return Err(format!("{name} = {p} is not in [0, 1)"));
        }
        Ok(())
    }
}

/// Where layer normalisation stands in a residual block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NormPlacement {
    /// `x + f(norm(x))`: gradients reach every layer undiminished (Xiong et al., 2020).
    Pre,
    /// `norm(x + f(x))`, as in the paper.
    Post,
}

/// The non-linearity of the feed-forward network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// max(x, 0), as in the paper.
    Relu,
    /// Gaussian error linear unit.
    Gelu,
    /// x·σ(x)
    Silu,
}

/// Which embeddings are one and the same table (Press and Wolf, 2017).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tied {
    /// Three tables.
    None,
    /// The target embedding is the output projection.
    Target,
    /// Source embedding, target embedding and output projection are one; needs a joint vocabulary.
    All,
}

/// How positions are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Positions {
    /// Sines and cosines of geometrically spaced wavelengths, as in the paper.
    Sinusoidal,
    /// A trained table.
    Learned,
}

/// How weight matrices are drawn at first. Embeddings are always normal with deviation `1/√D`, biases zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InitScheme {
    /// Even over `±√(6/(inputs + outputs))` (Glorot and Bengio, 2010).
    Xavier,
    /// Normal with deviation 0.02.
    Normal,
}

/// The share of entries dropped in training, by place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropouts {
    /// Of the output of every sub-layer, before it is added.
    pub residual: f64,
    /// Of attention weights.
    pub attention: f64,
    /// Of the feed-forward network's inner layer.
    pub activation: f64,
    /// Of the sums of embeddings and positions.
    pub embedding: f64,
}

impl Dropouts {
    /// The paper's: one share for sub-layers and embeddings, nothing elsewhere.
    pub fn all(share: f64) -> Self {
        Self { residual: share, attention: 0.0, activation: 0.0, embedding: share }
    }
}

/// Named sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// D 128, F 256, 4 heads, 4 + 4 layers.
    Tiny,
    /// D 256, F 1024, 8 heads, 3 + 3 layers.
    Small,
    /// D 512, F 2048, 8 heads, 6 + 6 layers: the paper's base model.
    Base,
}

impl Preset {
    /// The configuration of this size for these vocabularies; embeddings are all tied where the vocabularies are of one
    /// size, target and output where not.
    pub fn config(self, source_vocab: usize, target_vocab: usize) -> TransformerConfig {
        let (d_model, ffn, heads, layers) = match self {
            Self::Tiny => (128, 256, 4, 4),
            Self::Small => (256, 1024, 8, 3),
            Self::Base => (512, 2048, 8, 6),
        };
        TransformerConfig {
            source_vocab,
            target_vocab,
            d_model,
            ffn,
            heads,
            encoder_layers: layers,
            decoder_layers: layers,
            norm: NormPlacement::Pre,
            activation: Activation::Relu,
            tied: if source_vocab == target_vocab { Tied::All } else { Tied::Target },
            positions: Positions::Sinusoidal,
            max_length: 1024,
            dropout: Dropouts::all(0.1),
            init: InitScheme::Xavier,
            norm_epsilon: 1e-5,
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tiny => "tiny",
            Self::Small => "small",
            Self::Base => "base",
        })
    }
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "tiny" => Ok(Self::Tiny),
            "small" => Ok(Self::Small),
            "base" => Ok(Self::Base),
            _ => Err(format!("no preset \"{name}\"; there are tiny, small and base")),
        }
    }
}
