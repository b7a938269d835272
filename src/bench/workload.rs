//! What is measured.

use anyhow::Result;
use autograd::rng::Stream;
use clap::ValueEnum;
use nn::{Dropouts, NormPlacement, Preset, TransformerConfig};

use serde::Serialize;

use crate::config::{Purpose, memory};
use crate::data::batch::Example;

/// A model and the sizes of its batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The model's size, which is also the workload's name.
    pub preset: Preset,
    /// Words of the joint vocabulary.
    pub vocab: usize,
    /// Sentences in a batch.
    pub sentences: usize,
    /// Source tokens of the longest, the end included.
    pub source_length: usize,
    /// Target tokens of the longest, the end included.
    pub target_length: usize,
    /// What there is twice as much of as in the workload of this name.
    pub doubled: Option<Double>,
}

/// A size to double, to see how cost grows with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Double {
    /// Sentences of a batch
    Tokens,
    /// Layers on both sides
    Layers,
    /// d_model, with as many heads of the same size and the feed-forward network in proportion
    Width,
    /// Words of the vocabulary
    Vocab,
}

/// Ids below this are not words.
const FIRST_WORD: usize = 4;

impl Workload {
    /// The workload of this name.
    pub fn named(preset: Preset) -> Self {
        let (vocab, sentences, length) = match preset {
            Preset::Tiny => (10_000, 64, 24),
            Preset::Small => (8_000, 32, 32),
            Preset::Base => (16_000, 8, 32),
        };
        Self { preset, vocab, sentences, source_length: length, target_length: length, doubled: None }
    }

    /// The same with twice as much of something.
    #[must_use]
    pub fn doubled(self, what: Double) -> Self {
        let twice = |size: usize, double| if what == double { 2 * size } else { size };
        Self {
            vocab: twice(self.vocab, Double::Vocab),
            sentences: twice(self.sentences, Double::Tokens),
            doubled: Some(what),
            ..self
        }
    }

    /// The model: as in "Attention is all you need" (post-norm, ReLU, sinusoidal positions, one table for all
    /// embeddings), with `dropout` in every place where the common implementations drop: after sub-layers and
    /// embeddings, of attention weights, and inside the feed-forward network.
    pub fn model(&self, dropout: f64) -> TransformerConfig {
        let config = self.preset.config(self.vocab, self.vocab);
        let layers = if self.doubled == Some(Double::Layers) { 2 } else { 1 };
        let width = if self.doubled == Some(Double::Width) { 2 } else { 1 };
        TransformerConfig {
            norm: NormPlacement::Post,
            dropout: Dropouts { attention: dropout, activation: dropout, ..Dropouts::all(dropout) },
            encoder_layers: layers * config.encoder_layers,
            decoder_layers: layers * config.decoder_layers,
            d_model: width * config.d_model,
            ffn: width * config.ffn,
            heads: width * config.heads,
            ..config
        }
    }

    /// Looks whether there is memory for the model, to be trained or to decode with.
    ///
    /// # Errors
    /// One line that says what it would take and what there is.
    pub fn weigh(&self, training: bool) -> Result<()> {
        let purpose = if training { Purpose::Training { averaged: false } } else { Purpose::Reading };
        memory::weigh(&self.model(0.0), purpose)
    }

    /// A batch of random sentences. The first has full length on both sides; of the others each side is shorter by
    /// anything from 0 to 40 %, evenly, so that about 20 % of all positions are padding at the ends of rows.
    pub fn batch(&self, stream: &mut Stream) -> Vec<Example> {
        let mut side = |length: usize, row: usize| {
            let spread = (0.4 * length as f64).round() as usize;
            let padding = if row == 0 { 0 } else { below(spread + 1, stream) };
            self.sentence(length - padding, stream)
        };
        (0..self.sentences)
            .map(|row| Example {
                source: side(self.source_length, row),
                target: side(self.target_length, row),
            })
            .collect()
    }

    /// Sources of full length, to be translated.
    pub fn sources(&self, count: usize, stream: &mut Stream) -> Vec<Vec<u32>> {
        (0..count).map(|_| self.sentence(self.source_length, stream)).collect()
    }

    fn sentence(&self, length: usize, stream: &mut Stream) -> Vec<u32> {
        (0..length).map(|_| (FIRST_WORD + below(self.vocab - FIRST_WORD, stream)) as u32).collect()
    }
}

/// A number from 0 to `limit − 1`.
fn below(limit: usize, stream: &mut Stream) -> usize {
    (stream.bits() % limit as u64) as usize
}

#[cfg(test)]
mod tests {
    use autograd::Parameters;
    use nn::{Init, Transformer};

    use super::*;
    use crate::data::batch::collate;

    #[test]
    fn a_fifth_of_all_positions_is_padding() {
        for preset in [Preset::Tiny, Preset::Small, Preset::Base] {
            let workload = Workload::named(preset);
            let mut stream = Stream::new(1);
            let mut useful = 0.0;
            for _ in 0..50 {
                let examples = workload.batch(&mut stream);
                let batch = collate(&examples, &(0..workload.sentences).collect::<Vec<_>>());
                assert_eq!((batch.rows, batch.source_width), (workload.sentences, workload.source_length));
                assert_eq!(batch.target_width, workload.target_length);
                useful += batch.useful_fraction() / 50.0;
            }
            assert!((useful - 0.8).abs() < 0.03, "{preset}: {useful}");
        }
    }

    #[test]
    fn what_is_doubled_costs_what_it_should() {
        let flops = |workload: Workload| {
            let lengths = vec![(24, 24); workload.sentences];
            super::super::training_flops(&workload.model(0.1), lengths)
        };
        let tiny = Workload::named(Preset::Tiny);
        let grows = |what| flops(tiny.doubled(what)) / flops(tiny);
        assert_eq!(grows(Double::Tokens), 2.0);
        // The output layer is half of the arithmetic, and has nothing to do with the number of layers.
        assert!((grows(Double::Layers) + grows(Double::Vocab) - 3.0).abs() < 1e-12);
        assert!(grows(Double::Layers) > 1.4 && grows(Double::Vocab) > 1.4);
        // Twice the columns of the output layer, four times the projections.
        assert!((2.5..3.5).contains(&grows(Double::Width)));
    }

    #[test]
    fn the_models_have_the_sizes_they_are_known_by() {
        for (preset, millions) in [(Preset::Tiny, 2.6), (Preset::Small, 7.6)] {
            let config = Workload::named(preset).model(0.1);
            let model: Transformer = Transformer::new(&config, &mut Init::seeded(1));
            let count = model.parameter_count() as f64 / 1e6;
            assert!((count - millions).abs() < 0.05, "{preset}: {count} million");
        }
    }
}
