//! Claim: models that translate together are one whose next words are as probable as the mean of theirs.

use gradus::decode::{Ensemble, NextToken, Search, search};
use gradus::nn::{Init, NormPlacement, Positions, Transformer, TransformerConfig};

use super::lively::{Lively, random_sources, tiny};
use super::toy::{Toy, log_softmax, random_scores};
use super::{SPECIALS, assert_same};

#[test]
fn probabilities_are_averaged_at_every_step() {
    for seed in 0..50 {
        let [a, b] = [random_scores(8, seed), random_scores(8, 100 + seed)];
        let mean = |source, target: &[u32]| {
            let (a, b) = (log_softmax(&a(source, target)), log_softmax(&b(source, target)));
            a.iter().zip(&b).map(|(a, b)| ((a.exp() + b.exp()) / 2.0).ln()).collect()
        };
        let either = |source: u32, target: &[u32], first: bool| {
            if first { a(source, target) } else { b(source, target) }
        };
        let models =
            [true, false].map(|first| Toy(move |source: u32, target: &[u32]| either(source, target, first)));
        let options = Search { beam: 3, nbest: 3, max_ratio: 0.0, max_extra: 8, ..Search::default() };
        let sources = [[3, 2], [4, 2]];
        let found = search(&Ensemble { models: models.into() }, &sources, SPECIALS, &options);
        let expected = search(&Toy(mean), &sources, SPECIALS, &options);
        for (found, expected) in found.iter().zip(&expected) {
            assert_same(found, expected, 1e-12);
        }
    }
}

#[test]
fn one_model_is_itself_to_the_last_bit_and_twice_the_same_is_nearly() {
    let sources = random_sources(20, 12, 8);
    let options = Search { nbest: 4, ..Search::default() };
    let model = || Lively::<f32>::new(NormPlacement::Pre, 9);
    let alone = search(&model(), &sources, SPECIALS, &options);
    assert_eq!(search(&Ensemble { models: vec![model()] }, &sources, SPECIALS, &options), alone);
    let twice = search(&Ensemble { models: vec![model(), model()] }, &sources, SPECIALS, &options);
    for (twice, alone) in twice.iter().zip(&alone) {
        // Sums of some twenty log-probabilities in single precision.
        assert_same(twice, alone, 1e-4);
    }
    let other = vec![model(), Lively::new(NormPlacement::Pre, 10)];
    assert_ne!(search(&Ensemble { models: other }, &sources, SPECIALS, &options), alone);
}

#[test]
fn the_shortest_bound_of_any_model_is_that_of_all() {
    let bounded = |max_length| {
        let config =
            TransformerConfig { positions: Positions::Learned, max_length, ..tiny(NormPlacement::Pre) };
        Transformer::<f32>::new(&config, &mut Init::seeded(1))
    };
    let ensemble = Ensemble { models: vec![bounded(7), bounded(5)] };
    assert_eq!((ensemble.longest_source(), ensemble.longest_target()), (5, 5));
    let scores = search(&ensemble, &random_sources(9, 4, 7), SPECIALS, &Search::default());
    assert!(scores.iter().flatten().all(|found| found.tokens.len() < 5));
}
