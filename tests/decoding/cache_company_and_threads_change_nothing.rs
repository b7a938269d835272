//! Claim: what a search finds with a Transformer depends neither on the cache, nor on the other sentences of the batch,
//! nor on the number of threads.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use gradus::autograd::rng::Stream;
use gradus::autograd::{Float, Tape, Tensor};
use gradus::decode::{Batching, Hypothesis, NextToken, Sampling, Search, search, translate_all};
use gradus::nn::{Init, NormPlacement, Positions, Sentences, Transformer, TransformerConfig};

use super::lively::{Lively, random_sources, tiny};
use super::{SPECIALS, assert_same};

/// That a test sees words and lengths of many kinds, not one word repeated up to the limit.
#[track_caller]
fn assert_lively(found: &[Vec<Hypothesis>]) {
    let all = || found.iter().flatten().map(|hypothesis| &hypothesis.tokens);
    let lengths: HashSet<usize> = all().map(Vec::len).collect();
    let words: HashSet<u32> = all().flatten().copied().collect();
    assert!(lengths.len() > 5 && words.len() > 8, "lengths {lengths:?}, words {words:?}");
}

#[test]
fn scores_with_the_cache_are_those_without_it() {
    const STEPS: usize = 40;
    for (norm, positions) in [
        (NormPlacement::Pre, Positions::Sinusoidal),
        (NormPlacement::Post, Positions::Sinusoidal),
        (NormPlacement::Pre, Positions::Learned),
    ] {
        let config = TransformerConfig { positions, ..tiny(norm) };
        let model: Transformer<f64> = Transformer::new(&config, &mut Init::seeded(5));
        let sources = [vec![7, 8, 9, 10, 11, 12, 2], vec![2], vec![20, 21, 2]];
        let sources_of = |rows: &[usize]| {
            let sources: Vec<_> = rows.iter().map(|&row| &sources[row]).collect();
            Sentences::new(&sources, SPECIALS.pad)
        };
        let mut stream = Stream::new(6);
        let mut rows = vec![0, 1, 2];
        let mut targets = vec![vec![]; 3];
        let mut cache = model.start(&sources_of(&rows));
        for step in 0..STEPS {
            for target in &mut targets {
                target.push((stream.uniform() * 40.0) as u32);
            }
            let last: Vec<u32> = targets.iter().map(|target| target[step]).collect();
            let cached = model.step(&last, &mut cache);
            // A tape that records multiplies in another way than the cached steps do.
            let tape = Tape::eval();
            // All sources at once, so that the short ones are padded without the cache as well as with it.
            let whole = model.forward(&tape, &sources_of(&rows), &Sentences::new(&targets, SPECIALS.pad));
            for (row, cached) in cached.as_slice().chunks(40).enumerate() {
                let whole = &whole.value();
                let whole = &whole.as_slice()[(row * (step + 1) + step) * 40..][..40];
                for (a, b) in cached.iter().zip(whole) {
                    assert!((a - b).abs() < 1e-12, "step {step}, row {row}: {a} {b}");
                }
            }
            if step % 7 == 3 {
                let picks: Vec<usize> = [2, 0, 2, 1][step % 2..].to_vec();
                cache.select(&picks.iter().map(|&i| i % rows.len()).collect::<Vec<_>>());
                targets = picks.iter().map(|&i| targets[i % rows.len()].clone()).collect();
                rows = picks.iter().map(|&i| rows[i % rows.len()]).collect();
            }
        }
    }
}

/// A Transformer without a cache: every step reads everything again.
struct Uncached(Lively<f64>);

impl NextToken for Uncached {
    type Number = f64;
    type State = Vec<(Vec<u32>, Vec<u32>)>;

    fn start(&self, sources: &Sentences) -> Self::State {
        let rows = sources.ids.as_slice().chunks(sources.width());
        rows.zip(&*sources.lengths).map(|(row, &length)| (row[..length].to_vec(), Vec::new())).collect()
    }

    fn step(&self, tokens: &[u32], state: &mut Self::State) -> Tensor<f64> {
        let mut scores = Vec::new();
        for (&token, (source, target)) in tokens.iter().zip(state) {
            target.push(token);
            let (source, target) = (Sentences::new(&[&*source], 1), Sentences::new(&[&*target], 1));
            let all = self.0.0.forward(&Tape::eval(), &source, &target).value();
            scores.extend_from_slice(&all.as_slice()[all.len() - 40..]);
        }
        Lively::enliven(Tensor::new([tokens.len(), 40], scores))
    }

    fn select(&self, state: &mut Self::State, rows: &[usize]) {
        *state = rows.iter().map(|&row| state[row].clone()).collect();
    }
}

#[test]
fn a_search_with_the_cache_finds_what_one_without_finds() {
    for norm in [NormPlacement::Pre, NormPlacement::Post] {
        let model = Uncached(Lively::new(norm, 9));
        let sources = random_sources(30, 12, 4);
        for beam in [1, 4] {
            let options = Search { beam, nbest: beam, ..Search::default() };
            let found = search(&model.0, &sources, SPECIALS, &options);
            let expected = search(&model, &sources, SPECIALS, &options);
            assert_lively(&found);
            for (found, expected) in found.iter().zip(&expected) {
                // Some twenty log-probabilities, each good to 1e-13 or so.
                assert_same(found, expected, 1e-11);
            }
        }
    }
}

/// Greedy, by beam, and drawn.
fn options() -> [Search; 3] {
    let sampling = Sampling { temperature: 0.8, top_k: 30, top_p: 0.95, seed: 3, first: 0 };
    [
        Search::greedy(),
        Search { beam: 4, nbest: 4, no_repeat_ngram: 3, ..Search::default() },
        Search { nbest: 3, ..Search::sampled(sampling) },
    ]
}

/// The same in any company, to the last bit: no sum depends on what else there is in the batch.
fn check_company<T: Float>() {
    for norm in [NormPlacement::Pre, NormPlacement::Post] {
        let model: Lively<T> = Lively::new(norm, 9);
        let sources = random_sources(64, 14, 5);
        for options in options() {
            let together = search(&model, &sources, SPECIALS, &options);
            assert_lively(&together);
            for (number, (source, together)) in sources.iter().zip(&together).enumerate() {
                let sampling = options.sampling.clone().map(|own| Sampling { first: number, ..own });
                let options = Search { sampling, ..options.clone() };
                let alone = search(&model, &[source], SPECIALS, &options);
                assert_eq!(alone[0], *together);
            }
        }
    }
}

#[test]
fn a_translation_does_not_depend_on_its_company() {
    check_company::<f64>();
    check_company::<f32>();
}

#[test]
fn neither_threads_nor_batches_change_anything() {
    let model: Lively<f32> = Lively::new(NormPlacement::Pre, 10);
    let mut sources = random_sources(50, 14, 6);
    // Nothing is found for what is no source, and the numbers of the others stay.
    sources[7].clear();
    for options in options() {
        let run = |tokens, sentences, threads| {
            let done = AtomicUsize::new(0);
            let batching = Batching { tokens, sentences, threads };
            let found = translate_all(&model, &sources, SPECIALS, &options, &batching, |count| {
                done.fetch_add(count, Ordering::Relaxed);
            });
            assert_eq!(done.into_inner(), sources.len());
            found
        };
        let one = run(60, usize::MAX, 1);
        assert!(one[7].is_empty());
        assert_lively(&one);
        for (tokens, sentences, threads) in
            [(60, usize::MAX, 2), (60, 99, 5), (usize::MAX, 1, 1), (usize::MAX, 64, 1), (usize::MAX, 64, 2)]
        {
            assert_eq!(one, run(tokens, sentences, threads), "to the last bit");
        }
    }
    let nothing: [&[u32]; 0] = [];
    assert!(
        translate_all(&model, &nothing, SPECIALS, &options()[0], &Batching::default(), |_| ()).is_empty()
    );
}

#[test]
fn learned_positions_bound_the_target() {
    let config =
        TransformerConfig { positions: Positions::Learned, max_length: 6, ..tiny(NormPlacement::Pre) };
    let model: Transformer = Transformer::new(&config, &mut Init::seeded(11));
    let options = Search { nbest: 4, ..Search::default() };
    let found = search(&model, &random_sources(20, 6, 7), SPECIALS, &options);
    let longest = found.iter().flatten().map(|hypothesis| hypothesis.tokens.len()).max();
    assert_eq!(longest, Some(5), "all positions are used, and the end takes one");
}
