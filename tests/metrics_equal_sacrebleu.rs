//! Claim: BLEU and chrF are those of sacreBLEU, in every number, in the printed line and in the signature.
//!
//! `golden/sacrebleu/make.py` wrote what sacreBLEU computes.

use std::collections::BTreeMap;

use gradus::metrics::{
    Bleu, BleuOptions, BleuStats, Bootstrap, Chrf, ChrfOptions, ChrfStats, Interval, Metric, Tokenize, bleu,
    chrf, p_value,
};
use serde::Deserialize;

/// The arithmetic is the same, so only the last bits of logarithms and exponentials may differ.
const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
struct Golden {
    sacrebleu: String,
    cases: Vec<Case>,
    bootstrap: Vec<Resampled>,
}

#[derive(Deserialize)]
struct Resampled {
    seed: u64,
    samples: usize,
    hypotheses: Vec<String>,
    baseline: Vec<String>,
    references: Vec<String>,
    results: BTreeMap<String, ExpectedBootstrap>,
}

#[derive(Deserialize)]
struct ExpectedBootstrap {
    line: String,
    signature: String,
    baseline: f64,
    p: f64,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    hypotheses: Vec<String>,
    references: Vec<String>,
    hypotheses_13a: Vec<String>,
    bleu: ExpectedBleu,
    bleu_lowercase: ExpectedBleu,
    bleu_none: ExpectedBleu,
    bleu_char: ExpectedBleu,
    chrf: Expected,
    chrf_plus_plus: Expected,
    chrf_plus_plus_lowercase: Expected,
    chrf_whitespace: Expected,
    chrf_beta_3: Expected,
}

#[derive(Deserialize)]
struct Expected {
    score: f64,
    line: String,
    signature: String,
}

#[derive(Deserialize)]
struct ExpectedBleu {
    #[serde(flatten)]
    common: Expected,
    precisions: [f64; 4],
    brevity_penalty: f64,
    counts: [usize; 4],
    totals: [usize; 4],
    hypothesis_length: usize,
    reference_length: usize,
}

impl Golden {
    fn read() -> Self {
        let golden: Self = serde_json::from_str(include_str!("golden/sacrebleu/cases.json"))
            .expect("the golden file has the layout that make.py writes");
        assert!(golden.cases.len() >= 50, "only {} cases are left", golden.cases.len());
        golden
    }
}

impl Expected {
    fn signature(&self, sacrebleu: &str) -> String {
        with_our_version(&self.signature, sacrebleu)
    }
}

/// sacreBLEU's signature with our version in place of its own, which must be the version of the golden file.
fn with_our_version(signature: &str, sacrebleu: &str) -> String {
    let (choices, version) = signature.rsplit_once("version:").expect("a signature ends in a version");
    assert_eq!(version, sacrebleu);
    format!("{choices}version:gradus-{}", env!("CARGO_PKG_VERSION"))
}

/// The largest deviation met so far, and where.
#[derive(Default)]
struct Worst {
    deviation: f64,
    place: String,
}

impl Worst {
    #[track_caller]
    fn compare(&mut self, place: &str, ours: f64, theirs: f64) {
        let deviation = (ours - theirs).abs();
        assert!(deviation <= TOLERANCE, "{place}: {ours} here, {theirs} by sacreBLEU");
        if deviation > self.deviation {
            *self = Self { deviation, place: place.to_owned() };
        }
    }

    fn report(&self) {
        println!("the worst deviation from sacreBLEU is {:e} ({})", self.deviation, self.place);
    }
}

#[test]
fn tokens_of_13a_are_those_of_sacrebleu() {
    for case in Golden::read().cases {
        for (hypothesis, tokens) in case.hypotheses.iter().zip(&case.hypotheses_13a) {
            assert_eq!(Tokenize::V13a.apply(hypothesis), *tokens, "{}: {hypothesis:?}", case.name);
        }
    }
}

#[test]
fn bleu_is_that_of_sacrebleu() {
    let golden = Golden::read();
    let mut worst = Worst::default();
    for case in &golden.cases {
        let cased = BleuOptions::default();
        let variants = [
            (cased, &case.bleu),
            (BleuOptions { lowercase: true, ..cased }, &case.bleu_lowercase),
            (BleuOptions { tokenize: Tokenize::None, ..cased }, &case.bleu_none),
            (BleuOptions { tokenize: Tokenize::Char, ..cased }, &case.bleu_char),
        ];
        for (options, expected) in variants {
            let score = bleu(&case.hypotheses, &case.references, &options);
            let place = format!("{}: {}", case.name, score.signature());
            worst.compare(&place, score.score, expected.common.score);
            worst.compare(&place, score.brevity_penalty, expected.brevity_penalty);
            for (ours, theirs) in score.precisions.into_iter().zip(expected.precisions) {
                worst.compare(&place, ours, theirs);
            }
            assert_eq!((score.counts, score.totals), (expected.counts, expected.totals), "{place}");
            assert_eq!(
                (score.hypothesis_length, score.reference_length),
                (expected.hypothesis_length, expected.reference_length),
                "{place}"
            );
            assert_eq!(score.to_string(), expected.common.line, "{place}");
            assert_eq!(score.signature(), expected.common.signature(&golden.sacrebleu), "{place}");
        }
    }
    worst.report();
}

#[test]
fn chrf_is_that_of_sacrebleu() {
    let golden = Golden::read();
    let mut worst = Worst::default();
    for case in &golden.cases {
        let (plain, plus_plus) = (ChrfOptions::default(), ChrfOptions::plus_plus());
        let variants = [
            (plain, &case.chrf),
            (plus_plus, &case.chrf_plus_plus),
            (ChrfOptions { lowercase: true, ..plus_plus }, &case.chrf_plus_plus_lowercase),
            (ChrfOptions { whitespace: true, ..plain }, &case.chrf_whitespace),
            (ChrfOptions { char_order: 4, word_order: 1, beta: 3.0, ..plain }, &case.chrf_beta_3),
        ];
        for (options, expected) in variants {
            let score = chrf(&case.hypotheses, &case.references, &options);
            let place = format!("{}: {}", case.name, score.signature());
            worst.compare(&place, score.score, expected.score);
            assert_eq!(score.to_string(), expected.line, "{place}");
            assert_eq!(score.signature(), expected.signature(&golden.sacrebleu), "{place}");
        }
    }
    worst.report();
}

#[test]
fn counts_of_sentences_add_up_to_the_corpus() {
    for case in Golden::read().cases {
        let pairs = || case.hypotheses.iter().zip(&case.references).rev();

        let options = BleuOptions::default();
        let stats: BleuStats = pairs()
            .map(|(hypothesis, reference)| BleuStats::of_sentence(hypothesis, reference, &options))
            .sum();
        assert_eq!(Bleu::from_stats(&stats, &options), bleu(&case.hypotheses, &case.references, &options));

        let options = ChrfOptions::plus_plus();
        let stats = pairs().fold(ChrfStats::zero(&options), |sum, (hypothesis, reference)| {
            sum + &ChrfStats::of_sentence(hypothesis, reference, &options)
        });
        assert_eq!(Chrf::from_stats(&stats, &options), chrf(&case.hypotheses, &case.references, &options));
    }
}

#[test]
fn intervals_and_significance_are_those_of_sacrebleu() {
    let golden = Golden::read();
    assert!(golden.bootstrap.len() >= 4);
    for case in &golden.bootstrap {
        let bootstrap = Bootstrap { samples: case.samples, seed: case.seed };
        for (name, expected) in &case.results {
            let metric = match name.as_str() {
                "bleu" => Metric::Bleu(BleuOptions { lowercase: true, ..BleuOptions::default() }),
                "chrf" => Metric::Chrf(ChrfOptions::default()),
                _ => Metric::Chrf(ChrfOptions::plus_plus()),
            };
            let counts = metric.counts(&case.hypotheses, &case.references);
            let baseline = metric.counts(&case.baseline, &case.references);
            let (scores, others) = (counts.bootstrap(&bootstrap), baseline.bootstrap(&bootstrap));
            let place = format!("{name}, seed {}", case.seed);
            assert_eq!(counts.line(Some(&Interval::of(&scores))), expected.line, "{place}");
            let signature = with_our_version(&expected.signature, &golden.sacrebleu);
            assert_eq!(counts.signature(Some(&bootstrap)), signature, "{place}");
            assert!((baseline.score() - expected.baseline).abs() <= TOLERANCE, "{place}");
            let p = p_value(&scores, &others, counts.score() - baseline.score());
            if case.hypotheses == case.baseline {
                // A system compared with itself, which sacreBLEU calls significantly different from it.
                assert!((expected.p - 1.0 / (case.samples + 1) as f64).abs() <= TOLERANCE, "{place}");
                assert_eq!(p, 1.0, "{place}: no difference is not significant");
                continue;
            }
            assert!((p - expected.p).abs() <= TOLERANCE, "{place}: {p} here, {} by sacreBLEU", expected.p);
        }
    }
}
