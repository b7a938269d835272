//! Gradient norms by layer: pre-norm beside post-norm.

use std::collections::BTreeMap;

use autograd::{Gradients, Parameters};
use nn::{Init, NormPlacement, Transformer, TransformerConfig};
use serde::Serialize;

/// The norms of the gradients of a model's layers, first to last.
#[derive(Clone, Debug, Serialize)]
pub(super) struct LayerNorms {
    /// `pre` or `post`.
    placement: NormPlacement,
    /// Layers of each side.
    depth: usize,
    /// Encoder layers.
    encoder: Vec<f64>,
    /// Decoder layers.
    decoder: Vec<f64>,
}

/// A fresh model of `config` with its norms placed before and after sub-layers, as deep as it is and eight layers deep.
pub(super) fn of_fresh(
    config: &TransformerConfig,
    gradients: impl Fn(&Transformer<f64>) -> Gradients<f64>,
) -> Vec<LayerNorms> {
    let mut all = Vec::new();
    for depth in [config.encoder_layers.max(config.decoder_layers), DEEP] {
        for placement in [NormPlacement::Pre, NormPlacement::Post] {
            let config = TransformerConfig {
                norm: placement,
                encoder_layers: depth,
                decoder_layers: depth,
                ..config.clone()
            };
            let model = Transformer::new(&config, &mut Init::seeded(1));
            let gradients = gradients(&model);
            let (encoder, decoder) = by_layer(&model, &gradients);
            all.push(LayerNorms { placement, depth, encoder, decoder });
        }
    }
    all
}

/// Layers enough that what a norm does to gradients is seen.
const DEEP: usize = 8;

fn by_layer(model: &Transformer<f64>, gradients: &Gradients<f64>) -> (Vec<f64>, Vec<f64>) {
    let mut squares: [BTreeMap<usize, f64>; 2] = Default::default();
    for (path, param) in model.parameters() {
        let mut segments = path.split('.');
        let side = match segments.next() {
            Some("encoder") => 0,
            Some("decoder") => 1,
            _ => continue,
        };
        let (Some("layers"), Some(Ok(layer))) = (segments.next(), segments.next().map(str::parse)) else {
            continue;
        };
        let gradient = gradients.get(param).map_or(&[][..], |gradient| gradient.as_slice());
        *squares[side].entry(layer).or_default() += gradient.iter().map(|g| g * g).sum::<f64>();
    }
    let roots = squares.map(|side| side.into_values().map(f64::sqrt).collect());
    let [encoder, decoder] = roots;
    (encoder, decoder)
}
