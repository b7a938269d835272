//! Claim: what is drawn is as probable as the model says, within what the options leave.

use std::collections::HashMap;

use gradus::decode::{Hypothesis, Sampling, Search, search};

use super::SPECIALS;
use super::toy::{Toy, log_softmax, random_scores};

/// Of a source's random scores for six tokens: what is drawn, at most three words and the end.
fn draw(count: usize, sampling: Sampling) -> Vec<Hypothesis> {
    let options = Search { nbest: count, max_ratio: 0.0, max_extra: 4, ..Search::sampled(sampling) };
    let scores = random_scores(6, 77);
    search(&Toy(&scores), &[[7, 2]], SPECIALS, &options).remove(0)
}

/// The log-probability of every token of a target and of its end.
fn log_probs(tokens: &[u32]) -> Vec<f64> {
    let scores = random_scores(6, 77);
    let of = |(i, &next): (usize, &u32)| log_softmax(&scores(7, &tokens[..i]))[next as usize];
    tokens.iter().chain(&[SPECIALS.eos]).enumerate().map(of).collect()
}

#[test]
fn targets_come_as_often_as_they_are_probable() {
    const DRAWS: usize = 20_000;
    let mut counts: HashMap<Vec<u32>, usize> = HashMap::new();
    for found in draw(DRAWS, Sampling::default()) {
        let sum: f64 = log_probs(&found.tokens).iter().sum();
        assert!((found.log_prob - sum).abs() < 1e-12, "{found:?} has the log-probability {sum}");
        assert_eq!(found.score, Search::default().score(found.log_prob, found.tokens.len() + 1));
        *counts.entry(found.tokens).or_default() += 1;
    }
    // The first two words, of those targets that have as many: six tokens, of which two are never drawn, so that what
    // is drawn is the model's distribution over the rest.
    let scores = random_scores(6, 77);
    let share = |before: &[u32], next: u32| {
        let all = log_softmax(&scores(7, before));
        let of = |token: u32| all[token as usize].exp();
        of(next) / [2, 3, 4, 5].map(of).iter().sum::<f64>()
    };
    let mut seen = 0;
    for first in 3..6 {
        for second in 3..6 {
            let expected = DRAWS as f64 * share(&[], first) * share(&[first], second);
            let begins = |tokens: &&Vec<u32>| tokens.starts_with(&[first, second]);
            let count: usize =
                counts.iter().filter(|(tokens, _)| begins(tokens)).map(|(_, count)| count).sum();
            // Five standard deviations of a count.
            assert!((count as f64 - expected).abs() < 5.0 * expected.sqrt(), "{count} is not {expected}");
            seen += usize::from(count > 100);
        }
    }
    assert!(seen > 5, "a test of something that happens");
}

#[test]
fn fewer_draws_are_the_first_of_more_and_another_seed_gives_others() {
    let five = draw(5, Sampling::default());
    assert_eq!(draw(2, Sampling::default()), five[..2]);
    assert!(five.iter().any(|found| *found != five[0]), "draws of one source differ");
    assert_ne!(draw(5, Sampling { seed: 2, ..Sampling::default() }), five);
    let second = Sampling { first: 1, ..Sampling::default() };
    assert_ne!(draw(5, second), five, "the next source has draws of its own");
}

#[test]
fn the_coldest_and_the_narrowest_draws_are_the_greedy_search() {
    let greedy = Search { max_ratio: 0.0, max_extra: 4, ..Search::greedy() };
    let expected = search(&Toy(random_scores(6, 77)), &[[7, 2]], SPECIALS, &greedy).remove(0);
    let own = Sampling::default();
    for sampling in [
        Sampling { temperature: 1e-3, ..own.clone() },
        Sampling { top_k: 1, ..own.clone() },
        Sampling { top_p: 1e-9, ..own },
    ] {
        assert_eq!(draw(1, sampling.clone()), expected, "{sampling:?}");
    }
}
