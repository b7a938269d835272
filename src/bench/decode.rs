//! Decoding.

use std::time::Instant;

use autograd::rng::Stream;
use autograd::{Device, Tensor};
use nn::{DecoderCache, Init, Sentences, Transformer};
use serde::Serialize;

use super::{Spread, Workload};
use crate::data::tokenizer::{BOS, EOS, PAD};
use crate::decode::{Batching, NextToken, Search, Specials, translate_all};

/// Tokens of every target, the end included.
const STEPS: usize = 32;

/// What was measured of one way to decode.
#[derive(Clone, Debug, Serialize)]
pub struct DecodeReport {
    /// Sentences at a time.
    pub batch: usize,
    /// Width of the beam; 1 is greedy.
    pub beam: usize,
    /// Steps of every sentence.
    pub steps: usize,
    /// How often the batch was decoded with the clock on.
    pub samples: usize,
    /// Sentences a second.
    pub sentences_per_s: Spread,
}

/// Times the program's own search: greedy and with a beam of 4, for one sentence and for 32, with exactly 32 steps each.
/// A batch is spread over `threads` threads. `progress` is told what is done after each of the four.
pub fn bench_decoding(
    workload: &Workload,
    device: &Device,
    threads: usize,
    mut progress: impl FnMut(&DecodeReport),
) -> Vec<DecodeReport> {
    let mut model = Forced(Transformer::new(&workload.model(0.0), &mut Init::seeded(1)));
    model.0.move_to(device);
    let mut reports = Vec::new();
    for (batch, beam) in [(1, 1), (1, 4), (32, 1), (32, 4)] {
        let sources = workload.sources(batch, &mut Stream::new(4));
        let report = measure(&model, &sources, beam, threads);
        progress(&report);
        reports.push(report);
    }
    reports
}

/// Decodes the sources at least five times, and up to thirty times within four seconds.
fn measure(model: &Forced, sources: &[Vec<u32>], beam: usize, threads: usize) -> DecodeReport {
    let (mut seconds, mut total) = (Vec::new(), 0.0);
    while seconds.len() < 5 || seconds.len() < 30 && total < 4.0 {
        let start = Instant::now();
        decode(model, sources, beam, threads);
        // The first warms up.
        if total > 0.0 {
            seconds.push(start.elapsed().as_secs_f64());
        }
        total += start.elapsed().as_secs_f64();
    }
    DecodeReport {
        batch: sources.len(),
        beam,
        steps: STEPS,
        samples: seconds.len(),
        sentences_per_s: Spread::of(&seconds).rate(sources.len() as f64),
    }
}

/// The targets of the sources, without their ends.
fn decode(model: &Forced, sources: &[Vec<u32>], beam: usize, threads: usize) -> Vec<Vec<u32>> {
    let search = Search { beam, max_ratio: STEPS as f64, max_length: STEPS, ..Search::default() };
    let specials = Specials { bos: BOS, eos: EOS, pad: PAD };
    // One batch for every thread.
    let longest = sources.iter().map(Vec::len).max().unwrap_or(0);
    let tokens = sources.len().div_ceil(threads) * longest;
    let batching = Batching { tokens, threads, ..Batching::default() };
    let found = translate_all(model, sources, specials, &search, &batching, |_| ());
    found.into_iter().flatten().map(|hypothesis| hypothesis.tokens).collect()
}

/// A model that does not end before the last step, so that all decoding is the same amount of work.
struct Forced(Transformer);

impl NextToken for Forced {
    type Number = f32;
    type State = DecoderCache;

    fn start(&self, sources: &Sentences) -> DecoderCache {
        NextToken::start(&self.0, sources)
    }

    fn step(&self, tokens: &[u32], state: &mut DecoderCache) -> Tensor<f32> {
        let mut scores = NextToken::step(&self.0, tokens, state);
        if state.length() < STEPS {
            let vocab = self.0.config.target_vocab;
            for row in scores.make_mut().chunks_exact_mut(vocab) {
                row[EOS as usize] = f32::NEG_INFINITY;
            }
        }
        scores
    }

    fn select(&self, state: &mut DecoderCache, rows: &[usize]) {
        NextToken::select(&self.0, state, rows);
    }
}

#[cfg(test)]
mod tests {
    use nn::{Preset, TransformerConfig};

    use super::*;

    #[test]
    fn every_target_has_all_its_steps() {
        let config = TransformerConfig { d_model: 16, ffn: 16, ..Preset::Tiny.config(12, 12) };
        let model = Forced(Transformer::new(&config, &mut Init::seeded(1)));
        let sources = [vec![5, 6, 7], vec![8]];
        for (beam, threads) in [(1, 1), (4, 1), (4, 2)] {
            let targets = decode(&model, &sources, beam, threads);
            let lengths: Vec<usize> = targets.iter().map(Vec::len).collect();
            assert_eq!(lengths, [STEPS - 1; 2], "beam {beam}: 31 words and the end");
        }
    }
}
