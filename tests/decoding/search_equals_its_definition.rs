//! Claim: a search finds what its definition says, on models small enough for brute force.

use std::collections::HashSet;

use gradus::decode::{Hypothesis, LengthPenalty, Sampling, Search, search};

use super::toy::{Toy, log_softmax, random_scores};
use super::{SPECIALS, assert_same};

/// Sums of a few rounded logarithms in another order.
const SUMS: f64 = 1e-12;

/// Every length penalty there is.
const PENALTIES: [LengthPenalty; 6] = [
    LengthPenalty::None,
    LengthPenalty::Wu { alpha: 0.6 },
    LengthPenalty::Wu { alpha: 2.0 },
    LengthPenalty::Power { alpha: 0.5 },
    LengthPenalty::Power { alpha: 1.0 },
    LengthPenalty::Power { alpha: 1.5 },
];

/// Whether a target that begins with `tokens` may go on with `next`.
fn allowed(tokens: &[u32], next: u32, limit: usize, options: &Search) -> bool {
    if next == SPECIALS.eos {
        return tokens.len() >= options.min_length.min(limit - 1);
    }
    let n = options.no_repeat_ngram;
    let longer = [tokens, &[next]].concat();
    let repeats = n > 0
        && longer.len() > n
        && longer[..longer.len() - 1].windows(n).any(|window| window == &longer[longer.len() - n..]);
    next != SPECIALS.bos && next != SPECIALS.pad && longer.len() < limit && !repeats
}

/// Every target there is, best first.
fn brute_force(
    scores: &dyn Fn(u32, &[u32]) -> Vec<f64>,
    source: u32,
    limit: usize,
    options: &Search,
) -> Vec<Hypothesis> {
    let mut all = Vec::new();
    let mut open = vec![(Vec::new(), 0.0)];
    while let Some((tokens, sum)) = open.pop() {
        for (token, log_prob) in (0..).zip(log_softmax(&scores(source, &tokens))) {
            let log_prob = sum + log_prob;
            if !allowed(&tokens, token, limit, options) {
                continue;
            }
            if token == SPECIALS.eos {
                let score = options.score(log_prob, tokens.len() + 1);
                all.push(Hypothesis { tokens: tokens.clone(), log_prob, score });
            } else {
                open.push(([&tokens[..], &[token]].concat(), log_prob));
            }
        }
    }
    all.sort_by(|a, b| b.score.total_cmp(&a.score));
    all
}

/// The search as in a textbook: one sentence, everything sorted, nothing dropped before the limit.
fn textbook(
    scores: &dyn Fn(u32, &[u32]) -> Vec<f64>,
    source: u32,
    limit: usize,
    options: &Search,
) -> Vec<Hypothesis> {
    let mut finished = Vec::new();
    let mut live = vec![(Vec::new(), 0.0)];
    for length in 1..=limit {
        let mut candidates = Vec::new();
        for (tokens, sum) in &live {
            for (token, log_prob) in (0..).zip(log_softmax(&scores(source, tokens))) {
                if allowed(tokens, token, limit, options) {
                    candidates.push(([&tokens[..], &[token]].concat(), sum + log_prob));
                }
            }
        }
        candidates.sort_by(|a, b| b.1.total_cmp(&a.1));
        candidates.truncate(2 * options.beam);
        live.clear();
        for (mut tokens, log_prob) in candidates {
            if tokens.last() == Some(&SPECIALS.eos) {
                tokens.pop();
                finished.push(Hypothesis { tokens, log_prob, score: options.score(log_prob, length) });
            } else if live.len() < options.beam {
                live.push((tokens, log_prob));
            }
        }
    }
    finished.sort_by(|a, b| b.score.total_cmp(&a.score));
    finished
}

/// Exactly `limit` tokens for every source.
fn within(limit: usize) -> Search {
    Search { max_ratio: 0.0, max_extra: limit, ..Search::default() }
}

#[test]
fn a_beam_that_holds_everything_finds_what_brute_force_finds() {
    for seed in 0..40 {
        for (vocab, limit) in [(4, 5), (5, 5), (6, 4)] {
            let scores = random_scores(vocab, seed);
            for length_penalty in PENALTIES {
                let options = Search { beam: 100, nbest: 25, length_penalty, ..within(limit) };
                let sources = [[7, 2], [8, 2], [9, 2]];
                let found = search(&Toy(&scores), &sources, SPECIALS, &options);
                for (source, found) in sources.iter().zip(&found) {
                    let mut expected = brute_force(&scores, source[0], limit, &options);
                    expected.truncate(25);
                    assert_same(found, &expected, SUMS);
                }
            }
        }
    }
}

#[test]
fn a_narrow_beam_finds_what_the_textbook_search_finds() {
    for seed in 0..200 {
        let scores = random_scores(9, 1000 + seed);
        for beam in [2, 3, 5] {
            for length_penalty in PENALTIES {
                let options = Search { beam, nbest: beam, length_penalty, ..within(12) };
                let sources = [[3, 2], [4, 2], [5, 2], [6, 2]];
                let found = search(&Toy(&scores), &sources, SPECIALS, &options);
                for (source, found) in sources.iter().zip(&found) {
                    let mut expected = textbook(&scores, source[0], 12, &options);
                    expected.truncate(beam);
                    assert_same(found, &expected, SUMS);
                }
            }
        }
    }
}

#[test]
fn shortness_and_repetition_are_kept_out_of_every_hypothesis() {
    for seed in 0..60 {
        // Few words, so that they come again.
        let scores = random_scores(6, 4000 + seed);
        for (min_length, no_repeat_ngram) in [(0, 1), (0, 2), (0, 3), (3, 0), (8, 0), (20, 0), (4, 2)] {
            for (beam, length_penalty) in [(2, LengthPenalty::None), (4, LengthPenalty::mean())] {
                let own = Search { min_length, no_repeat_ngram, length_penalty, ..within(9) };
                let options = Search { beam, nbest: beam, ..own.clone() };
                let sources = [[3, 2], [4, 2]];
                let found = search(&Toy(&scores), &sources, SPECIALS, &options);
                for (source, found) in sources.iter().zip(&found) {
                    let mut expected = textbook(&scores, source[0], 9, &options);
                    expected.truncate(beam);
                    assert_same(found, &expected, SUMS);
                    assert!(found.iter().all(|found| found.tokens.len() >= min_length.min(8)));
                }
                let drawn = Search { nbest: 3, sampling: Some(Sampling::default()), beam: 1, ..own };
                for found in search(&Toy(&scores), &sources, SPECIALS, &drawn).iter().flatten() {
                    let tokens = &found.tokens;
                    assert!(
                        (0..tokens.len()).all(|i| allowed(&tokens[..i], tokens[i], 9, &drawn)),
                        "{found:?}"
                    );
                    assert!(tokens.len() >= min_length.min(8));
                }
            }
        }
    }
}

#[test]
fn a_beam_of_one_takes_the_most_probable_word_until_it_is_the_end() {
    for seed in 0..200 {
        let scores = random_scores(7, 2000 + seed);
        let options = Search { beam: 1, ..within(10) };
        let sources = [[3, 2], [4, 2], [5, 2]];
        let found = search(&Toy(&scores), &sources, SPECIALS, &options);
        for (source, found) in sources.iter().zip(&found) {
            let (mut tokens, mut log_prob) = (Vec::new(), 0.0);
            loop {
                let log_probs = log_softmax(&scores(source[0], &tokens));
                let next = (3..7)
                    .fold(2, |best, next| if log_probs[next] > log_probs[best] { next } else { best })
                    as u32;
                let next = if tokens.len() + 1 == 10 { SPECIALS.eos } else { next };
                log_prob += log_probs[next as usize];
                if next == SPECIALS.eos {
                    break;
                }
                tokens.push(next);
            }
            let score = options.score(log_prob, tokens.len() + 1);
            assert_same(found, &[Hypothesis { tokens, log_prob, score }], SUMS);
        }
    }
}

#[test]
fn the_best_are_sorted_distinct_and_within_the_limit() {
    for seed in 0..50 {
        // Words are much likelier than the end.
        let scores = |source, target: &[u32]| {
            let mut scores = random_scores(12, seed)(source, target);
            scores[SPECIALS.eos as usize] -= 6.0;
            scores
        };
        let options =
            Search { beam: 6, nbest: 6, max_ratio: 1.5, max_extra: 1, max_length: 9, ..Search::default() };
        let sources: Vec<Vec<u32>> = (1..10).map(|length| vec![5; length]).collect();
        for (source, found) in sources.iter().zip(search(&Toy(scores), &sources, SPECIALS, &options)) {
            let limit = ((1.5 * source.len() as f64).ceil() as usize + 1).min(9);
            assert_eq!(options.limit(source.len()), limit);
            assert_eq!(found.len(), 6);
            assert!(found.iter().all(|hypothesis| hypothesis.tokens.len() < limit));
            assert!(found.iter().flat_map(|hypothesis| &hypothesis.tokens).all(|&token| token > 2));
            assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score));
            let distinct: HashSet<_> = found.iter().map(|hypothesis| &hypothesis.tokens).collect();
            assert_eq!(distinct.len(), 6);
        }
    }
}

#[test]
fn a_deterministic_model_has_one_translation() {
    // It repeats its source's token three times and gives nothing else any probability.
    let scores = |source: u32, target: &[u32]| {
        let mut scores = vec![f64::NEG_INFINITY; 10];
        scores[if target.len() < 3 { source as usize } else { 2 }] = 5.0;
        scores
    };
    let options = Search { beam: 4, nbest: 4, ..Search::default() };
    let found = search(&Toy(scores), &[[5, 2], [9, 2]], SPECIALS, &options);
    for (found, word) in found.iter().zip([5, 9]) {
        assert_eq!(*found, [Hypothesis { tokens: vec![word; 3], log_prob: 0.0, score: 0.0 }]);
    }
    // Where the limit comes first it stops, though the model says that it cannot.
    let found = search(&Toy(scores), &[[5, 2]], SPECIALS, &Search { nbest: 4, ..within(3) });
    let stopped = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    assert_eq!(found[0].len(), 1);
    assert_eq!((found[0][0].log_prob, found[0][0].score), stopped);
    assert_eq!(found[0][0].tokens, [5, 5]);
}

#[test]
fn equally_probable_words_come_in_the_order_of_their_ids() {
    let options = Search { beam: 3, nbest: 3, length_penalty: LengthPenalty::None, ..within(2) };
    let found = search(&Toy(|_, _: &[u32]| vec![0.0; 8]), &[[5, 2]], SPECIALS, &options);
    let tokens: Vec<_> = found[0].iter().map(|hypothesis| hypothesis.tokens.clone()).collect();
    assert_eq!(tokens, [vec![], vec![3], vec![4]]);
}

#[test]
fn a_model_that_gives_nan_still_ends() {
    let all = vec![f64::NAN; 8];
    let one = [&[0.0; 7][..], &[f64::NAN]].concat(); // its row has no probabilities either
    for (beam, scores) in [(1, &all), (4, &all), (1, &one), (4, &one)] {
        let options = Search { beam, ..Search::default() };
        let found = search(&Toy(|_, _: &[u32]| scores.clone()), &[[5, 2], [6, 2]], SPECIALS, &options);
        let nothing = (f64::NEG_INFINITY, &[][..]);
        assert!(
            found
                .iter()
                .all(|found| found.len() == 1 && (found[0].log_prob, &found[0].tokens[..]) == nothing)
        );
    }
}

#[test]
fn bad_settings_are_named() {
    let error = |options: Search| options.validate().err().unwrap_or_default();
    assert_eq!(error(Search { beam: 0, ..Search::default() }), "beam must not be 0");
    assert_eq!(error(Search { nbest: 5, ..Search::default() }), "nbest = 5 is not in 1..=beam, and beam = 4");
    let negative = LengthPenalty::Power { alpha: -0.5 };
    assert!(error(Search { length_penalty: negative, ..Search::default() }).starts_with("alpha = -0.5"));
    let short = Search { min_length: 9, max_length: 9, ..Search::default() };
    assert_eq!(error(short), "min_length = 9 and the end do not fit within max_length = 9");
    let sampled = |sampling| Search::sampled(sampling);
    let both = Search { beam: 5, ..sampled(Sampling::default()) };
    assert_eq!(error(both), "words are either searched for or drawn: beam = 5 does not go with sampling");
    let cold = Sampling { temperature: 0.0, ..Sampling::default() };
    assert_eq!(error(sampled(cold)), "temperature = 0 is not a number above 0");
    let none = Sampling { top_p: 0.0, ..Sampling::default() };
    assert_eq!(error(sampled(none)), "top_p = 0 is not above 0 and at most 1");
    let no_draws = Search { nbest: 0, ..sampled(Sampling::default()) };
    assert_eq!(error(no_draws), "nbest must not be 0");
    assert!(error(Search { max_ratio: f64::NAN, ..Search::default() }).starts_with("max_ratio = NaN"));
}
