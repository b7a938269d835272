//! A small Transformer that says different things, without having been trained.

use gradus::autograd::rng::Stream;
use gradus::autograd::{Float, Tensor};
use gradus::decode::NextToken;
use gradus::nn::{Init, NormPlacement, Preset, Sentences, Tied, Transformer, TransformerConfig};

use super::SPECIALS;

pub(super) fn tiny(norm: NormPlacement) -> TransformerConfig {
    TransformerConfig {
        d_model: 16,
        ffn: 32,
        heads: 2,
        encoder_layers: 2,
        decoder_layers: 2,
        norm,
        // A random model whose output is the embedding says the same word again and again.
        tied: Tied::None,
        ..Preset::Tiny.config(40, 40)
    }
}

/// A random Transformer that talks: words vary, and sentences end at all lengths.
pub(super) struct Lively<T: Float>(pub(super) Transformer<T>);

impl<T: Float> Lively<T> {
    pub(super) fn new(norm: NormPlacement, seed: u64) -> Self {
        Self(Transformer::new(&tiny(norm), &mut Init::seeded(seed)))
    }

    /// Sharper than the scores of weights not yet trained, and the end likelier.
    pub(super) fn enliven(mut scores: Tensor<T>) -> Tensor<T> {
        for row in scores.make_mut().chunks_exact_mut(40) {
            row.iter_mut().for_each(|score| *score *= T::of(6.0));
            row[SPECIALS.eos as usize] += T::of(1.0);
        }
        scores
    }
}

impl<T: Float> NextToken for Lively<T> {
    type Number = T;
    type State = <Transformer<T> as NextToken>::State;

    fn start(&self, sources: &Sentences) -> Self::State {
        self.0.start(sources)
    }

    fn step(&self, tokens: &[u32], state: &mut Self::State) -> Tensor<T> {
        Self::enliven(self.0.step(tokens, state))
    }

    fn select(&self, state: &mut Self::State, rows: &[usize]) {
        self.0.select(state, rows);
    }
}

/// Sources of 1 to `longest` tokens, each with the end.
pub(super) fn random_sources(count: usize, longest: usize, seed: u64) -> Vec<Vec<u32>> {
    let mut stream = Stream::new(seed);
    let mut below = |n: usize| (stream.uniform() * n as f64) as usize;
    let mut source = || (0..below(longest)).map(|_| 3 + below(37) as u32).chain([2]).collect();
    (0..count).map(|_| source()).collect()
}
