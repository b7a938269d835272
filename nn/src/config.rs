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
    /// The number of entries in all parameters of a model of these sizes, without making one; `None` where it is beyond what
    /// 64 bits hold. [`Parameters::parameter_count`](autograd::Parameters::parameter_count) of the model is the same number.
    ///
    /// ```
    /// use autograd::Parameters;
    /// use nn::{Init, Preset, Transformer};
    /// let config = Preset::Tiny.config(500, 500);
    /// let model: Transformer = Transformer::new(&config, &mut Init::seeded(1));
    /// assert_eq!(config.parameter_count(), Some(model.parameter_count() as u64));
    /// ```
    pub fn parameter_count(&self) -> Option<u64> {
        let [d, f] = [self.d_model, self.ffn].map(size);
        let norm = d.checked_mul(2)?;
        // Four projections, each with its bias.
        let attention = linear(d, d)?.checked_mul(4)?;
        let feed_forward = linear(d, f)?.checked_add(linear(f, d)?)?;
        let layer = |attentions: u64, norms: u64| {
            let attentions = attention.checked_mul(attentions)?;
            attentions.checked_add(norm.checked_mul(norms)?)?.checked_add(feed_forward)
        };
        let last_norm = if self.norm == NormPlacement::Pre { norm } else { 0 };
        let stack =
            |layers, layer: u64| size(layers).checked_mul(layer).and_then(|all| all.checked_add(last_norm));
        let encoder = stack(self.encoder_layers, layer(1, 2)?)?;
        let decoder = stack(self.decoder_layers, layer(2, 3)?)?;
        let positions = if self.positions == Positions::Learned { self.position_entries()? } else { 0 };
        [self.word_entries()?, positions, encoder, decoder].into_iter().try_fold(0, u64::checked_add)
    }

    /// The bytes that a model of these sizes takes in `f32`, parameters and tables of positions, without making one; `None`
    /// where they are beyond what 64 bits hold. A training takes some four times as much, and what its batches need.
    pub fn model_bytes(&self) -> Option<u64> {
        let sines = if self.positions == Positions::Sinusoidal { self.position_entries()? } else { 0 };
        self.parameter_count()?.checked_add(sines)?.checked_mul(size_of::<f32>() as u64)
    }

    /// The entries of the tables of words.
    fn word_entries(&self) -> Option<u64> {
        let [source, target] = [self.source_vocab, self.target_vocab].map(size);
        let rows = match self.tied {
            Tied::All => target,
            Tied::Target => source.checked_add(target)?,
            Tied::None => source.checked_add(target.checked_mul(2)?)?,
        };
        rows.checked_mul(size(self.d_model))
    }

    /// The entries of the tables of positions, one of each side.
    fn position_entries(&self) -> Option<u64> {
        size(self.max_length).checked_mul(2)?.checked_mul(size(self.d_model))
    }

    /// Checks that the sizes fit together, and that a computer could count what they take. Whether this one has the memory
    /// is for the caller to ask ([`model_bytes`](Self::model_bytes)).
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
        // Words, positions and lengths are numbers of 32 bits.
        let counted = ["source_vocab", "target_vocab", "max_length"];
        if let Some((name, size)) =
            sizes.iter().find(|(name, size)| counted.contains(name) && *size > u32::MAX as usize)
        {
            return Err(format!("{name} = {size} is more than 32 bits can number"));
        }
        // Twice for `f64`, in which gradients are checked.
        let addressable = |bytes: &u64| bytes.checked_mul(2).is_some_and(|bytes| bytes <= isize::MAX as u64);
        if self.model_bytes().filter(addressable).is_none() {
            let (name, size) = sizes.into_iter().max_by_key(|(_, size)| *size).unwrap_or_default();
            return Err(format!(
                "{name} = {size} makes a model of more parameters than memory has addresses"
            ));
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
        let epsilon = self.norm_epsilon as f32;
        if !(epsilon > 0.0 && epsilon.is_finite()) {
            return Err(format!("norm_epsilon = {} is not a positive number of 32 bits", self.norm_epsilon));
        }
        Ok(())
    }
}

impl TransformerConfig {
    /// # Panics
    /// Where it is not valid, in the name of what is to be made of it.
    #[track_caller]
    pub(crate) fn demand_valid(&self, layer: &str) {
        if let Err(error) = self.validate() {
            panic!("{layer}: {error}");
        }
    }
}

/// The entries of a [`Linear`](crate::Linear) with its bias.
fn linear(inputs: u64, outputs: u64) -> Option<u64> {
    inputs.checked_add(1)?.checked_mul(outputs)
}

/// A size as a number of 64 bits, which no machine's sizes exceed.
fn size(of: usize) -> u64 {
    of as u64
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

#[cfg(test)]
mod tests {
    use autograd::Parameters;

    use super::*;
    use crate::{Init, Transformer};

    /// A small configuration, which is valid.
    fn small() -> TransformerConfig {
        TransformerConfig { d_model: 12, ffn: 20, heads: 3, max_length: 9, ..Preset::Tiny.config(31, 31) }
    }

    #[test]
    fn parameters_are_counted_as_the_model_has_them() {
        let mut counts = Vec::new();
        for tied in [Tied::None, Tied::Target, Tied::All] {
            for norm in [NormPlacement::Pre, NormPlacement::Post] {
                for positions in [Positions::Sinusoidal, Positions::Learned] {
                    for (encoder_layers, decoder_layers, source_vocab) in [(1, 3, 17), (2, 1, 31)] {
                        let source_vocab = if tied == Tied::All { 31 } else { source_vocab };
                        let config = TransformerConfig {
                            tied,
                            norm,
                            positions,
                            encoder_layers,
                            decoder_layers,
                            source_vocab,
                            ..small()
                        };
                        let model: Transformer = Transformer::new(&config, &mut Init::seeded(1));
                        let count = config.parameter_count().unwrap();
                        assert_eq!(count, model.parameter_count() as u64, "{config:?}");
                        let sines = if positions == Positions::Sinusoidal { 2 * 9 * 12 } else { 0 };
                        assert_eq!(config.model_bytes(), Some(4 * (count + sines)), "{config:?}");
                        counts.push(count);
                    }
                }
            }
        }
        counts.sort_unstable();
        counts.dedup();
        assert_eq!(counts.len(), 24, "models differ in size: {counts:?}");
    }

    #[test]
    fn sizes_whose_products_overflow_have_no_count() {
        for config in [
            TransformerConfig { d_model: 1 << 40, ..small() },
            TransformerConfig { ffn: usize::MAX, ..small() },
            TransformerConfig { source_vocab: usize::MAX, tied: Tied::Target, ..small() },
            TransformerConfig { target_vocab: usize::MAX, tied: Tied::None, ..small() },
            TransformerConfig { encoder_layers: usize::MAX, ..small() },
            TransformerConfig { decoder_layers: usize::MAX / 100, ..small() },
            TransformerConfig { max_length: usize::MAX, positions: Positions::Learned, ..small() },
        ] {
            assert_eq!(config.parameter_count(), None, "{config:?}");
            assert_eq!(config.model_bytes(), None, "{config:?}");
            assert!(config.validate().is_err(), "{config:?}");
        }
        let sines = TransformerConfig { max_length: usize::MAX, ..small() };
        assert!(sines.parameter_count().is_some(), "sines are no parameters");
        assert_eq!(sines.model_bytes(), None, "but take memory");
    }

    #[test]
    fn settings_that_no_model_can_have_are_named() {
        let of = |change: fn(&mut TransformerConfig)| {
            let mut config = small();
            change(&mut config);
            config.validate().err().unwrap_or_default()
        };
        assert_eq!(of(|_| ()), "");
        assert_eq!(of(|c| c.heads = 5), "heads = 5 does not divide d_model = 12");
        assert_eq!(
            of(|c| c.d_model = 15),
            "d_model = 15 must be even: positions are pairs of sine and cosine"
        );
        assert_eq!(
            of(|c| c.source_vocab = 8),
            "tied = \"all\" needs one vocabulary for both sides, not 8 and 31"
        );
        for (name, change) in [
            ("source_vocab", (|c, n| c.source_vocab = n) as fn(&mut TransformerConfig, usize)),
            ("target_vocab", |c, n| c.target_vocab = n),
            ("d_model", |c, n| c.d_model = n),
            ("ffn", |c, n| c.ffn = n),
            ("heads", |c, n| c.heads = n),
            ("encoder_layers", |c, n| c.encoder_layers = n),
            ("decoder_layers", |c, n| c.decoder_layers = n),
            ("max_length", |c, n| c.max_length = n),
        ] {
            for wrong in [0, usize::MAX, 1 << 62] {
                let mut config = small();
                change(&mut config, wrong);
                let message = config.validate().unwrap_err();
                assert!(message.contains(name) && !message.contains('\n'), "{name} = {wrong}: {message}");
            }
        }
        for (name, change) in [
            ("dropout.residual", (|c, p| c.dropout.residual = p) as fn(&mut TransformerConfig, f64)),
            ("dropout.attention", |c, p| c.dropout.attention = p),
            ("dropout.activation", |c, p| c.dropout.activation = p),
            ("dropout.embedding", |c, p| c.dropout.embedding = p),
            ("norm_epsilon", |c, p| c.norm_epsilon = p),
        ] {
            for wrong in [-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX] {
                let mut config = small();
                change(&mut config, wrong);
                let message = config.validate().unwrap_err();
                assert!(message.starts_with(&format!("{name} = {wrong} is not ")), "{message}");
            }
        }
        assert_eq!(of(|c| c.norm_epsilon = 0.0), "norm_epsilon = 0 is not a positive number of 32 bits");
        assert!(of(|c| c.norm_epsilon = 1e-50).ends_with("1 is not a positive number of 32 bits"));
        assert_eq!(of(|c| c.dropout.residual = 1.0), "dropout.residual = 1 is not in [0, 1)");
    }
}
