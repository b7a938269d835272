//! Settings of the model.

use anyhow::{Result, anyhow, bail};
use nn::{Activation, Dropouts, InitScheme, NormPlacement, Positions, Preset, Tied, TransformerConfig};
use serde::{Deserialize, Serialize};

use super::limits;

/// What is trained: a preset, and what differs from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are those of nn::TransformerConfig, which documents them")]
pub struct ModelConfig {
    /// The named size that the rest starts from.
    pub preset: Preset,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub d_model: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ffn: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heads: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder_layers: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoder_layers: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub norm: Option<NormPlacement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tied: Option<Tied>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positions: Option<Positions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<InitScheme>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub norm_epsilon: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropout: Option<Dropouts>,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            preset: Preset::Tiny,
            d_model: None,
            ffn: None,
            heads: None,
            encoder_layers: None,
            decoder_layers: None,
            norm: None,
            activation: None,
            tied: None,
            positions: None,
            max_length: None,
            init: None,
            norm_epsilon: None,
            dropout: None,
        }
    }
}

impl ModelConfig {
    /// Columns of one head of attention; `None` where there is no head.
    pub fn head_size(&self) -> Option<usize> {
        let preset = self.preset.config(1, 1);
        self.d_model.unwrap_or(preset.d_model).checked_div(self.heads.unwrap_or(preset.heads))
    }

    /// The model's configuration for these vocabularies, and this with every choice filled in. Whether there is memory for it is
    /// for [`Config::architecture`](super::Config::architecture) to say.
    ///
    /// # Errors
    /// One line naming the setting that does not fit.
    pub fn resolve(
        &self,
        source_vocab: usize,
        target_vocab: usize,
        joint: bool,
    ) -> Result<(TransformerConfig, Self)> {
        let mut preset = self.preset.config(source_vocab, target_vocab);
        if !joint {
            // Vocabularies of one size are not yet one vocabulary.
            preset.tied = Tied::Target;
        }
        let config = TransformerConfig {
            source_vocab,
            target_vocab,
            d_model: self.d_model.unwrap_or(preset.d_model),
            ffn: self.ffn.unwrap_or(preset.ffn),
            heads: self.heads.unwrap_or(preset.heads),
            encoder_layers: self.encoder_layers.unwrap_or(preset.encoder_layers),
            decoder_layers: self.decoder_layers.unwrap_or(preset.decoder_layers),
            norm: self.norm.unwrap_or(preset.norm),
            activation: self.activation.unwrap_or(preset.activation),
            tied: self.tied.unwrap_or(preset.tied),
            positions: self.positions.unwrap_or(preset.positions),
            max_length: self.max_length.unwrap_or(preset.max_length),
            dropout: self.dropout.unwrap_or(preset.dropout),
            init: self.init.unwrap_or(preset.init),
            norm_epsilon: self.norm_epsilon.unwrap_or(preset.norm_epsilon),
        };
        if config.tied == Tied::All && !joint {
            bail!("model.tied = \"all\" needs a joint vocabulary");
        }
        within_limits(&config)?;
        config.validate().map_err(|error| anyhow!("model.{error}"))?;
        let filled = Self {
            preset: self.preset,
            d_model: Some(config.d_model),
            ffn: Some(config.ffn),
            heads: Some(config.heads),
            encoder_layers: Some(config.encoder_layers),
            decoder_layers: Some(config.decoder_layers),
            norm: Some(config.norm),
            activation: Some(config.activation),
            tied: Some(config.tied),
            positions: Some(config.positions),
            max_length: Some(config.max_length),
            init: Some(config.init),
            norm_epsilon: Some(config.norm_epsilon),
            dropout: Some(config.dropout),
        };
        Ok((config, filled))
    }
}

/// What no model is meant to be, whatever memory there is.
fn within_limits(config: &TransformerConfig) -> Result<()> {
    let counts = [
        ("model.d_model", config.d_model, limits::MAX_WIDTH),
        ("model.ffn", config.ffn, limits::MAX_FFN),
        ("model.heads", config.heads, limits::MAX_WIDTH),
        ("model.encoder_layers", config.encoder_layers, limits::MAX_LAYERS),
        ("model.decoder_layers", config.decoder_layers, limits::MAX_LAYERS),
        ("model.max_length", config.max_length, limits::MAX_WIDTH),
    ];
    counts.into_iter().try_for_each(|(key, count, most)| limits::count(key, count, most))?;
    let Dropouts { residual, attention, activation, embedding } = config.dropout;
    let shares = [
        ("model.dropout.residual", residual),
        ("model.dropout.attention", attention),
        ("model.dropout.activation", activation),
        ("model.dropout.embedding", embedding),
    ];
    shares.into_iter().try_for_each(|(key, share)| limits::share(key, share))?;
    limits::epsilon("model.norm_epsilon", config.norm_epsilon)
}
