//! Claim: the log-probabilities of given targets are those that a search reports for them, and those that training
//! minimises.

use gradus::autograd::Tape;
use gradus::decode::{Batching, Search, score, score_all, search};
use gradus::nn::{Init, NormPlacement, Objective, Sentences, Transformer};

use super::SPECIALS;
use super::lively::{Lively, random_sources, tiny};

#[test]
fn a_target_has_the_log_probability_that_the_search_gave_it_to_the_last_bit() {
    let model: Lively<f32> = Lively::new(NormPlacement::Pre, 9);
    let sources = random_sources(40, 14, 5);
    for beam in [1, 4] {
        let options = Search { beam, nbest: beam, ..Search::default() };
        let found = search(&model, &sources, SPECIALS, &options);
        let pairs: Vec<(Vec<u32>, Vec<u32>)> = sources
            .iter()
            .zip(&found)
            .flat_map(|(source, found)| found.iter().map(|found| (source.clone(), found.tokens.clone())))
            .map(|(source, target)| (source, [&target[..], &[SPECIALS.eos]].concat()))
            .collect();
        let expected: Vec<f64> = found.iter().flatten().map(|found| found.log_prob).collect();
        for (tokens, sentences, threads) in [(100, 99, 1), (1000, 1, 1), (1000, 64, 2)] {
            let batching = Batching { tokens, sentences, threads };
            let scores = score_all(&model, &pairs, SPECIALS, &batching, |_| ());
            assert!(scores.iter().zip(&pairs).all(|(scores, (_, target))| scores.len() == target.len()));
            let sums: Vec<f64> = scores.iter().map(|scores| scores.iter().sum()).collect();
            assert_eq!(sums, expected);
        }
    }
}

#[test]
fn the_sum_is_the_loss_that_training_minimises() {
    let model: Transformer<f64> = Transformer::new(&tiny(NormPlacement::Post), &mut Init::seeded(4));
    let (sources, targets) = (random_sources(12, 9, 1), random_sources(12, 9, 2));
    let pairs: Vec<_> = sources.iter().cloned().zip(targets.iter().cloned()).collect();
    let scores = score(&model, &pairs, SPECIALS);
    let begun: Vec<Vec<u32>> =
        targets.iter().map(|target| [&[SPECIALS.bos], &target[..target.len() - 1]].concat()).collect();
    let (source, target_in) = (Sentences::new(&sources, SPECIALS.pad), Sentences::new(&begun, SPECIALS.pad));
    let objective = Objective { smoothing: 0.0, ignore: Some(SPECIALS.pad), weight: 1.0 };
    let tape = Tape::infer();
    let target_out = Sentences::new(&targets, SPECIALS.pad).ids;
    let loss = model.loss(&tape, &source, &target_in, &target_out, &objective).value().item();
    let sum: f64 = scores.iter().flatten().sum();
    assert!((loss + sum).abs() < 1e-11 * loss, "{loss} {sum}");
    assert!(score::<_, Vec<u32>>(&model, &[], SPECIALS).is_empty());
}
