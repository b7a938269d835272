//! Claims: every public function of the program that says where it panics does so there, in words that name what is wrong, at
//! the line of its caller.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;

use gradus::autograd::{Device, Tape, Tensor};
use gradus::bench::{Spread, TrainOptions, Workload, bench_training};
use gradus::data::tokenizer::{Tokenizer, TokenizerConfig};
use gradus::decode::{Batching, Search, Translator, score, score_all, search, translate_all};
use gradus::metrics::{BleuOptions, Bootstrap, ChrfOptions, ChrfStats, Counts, Metric, bleu, chrf, p_value};
use gradus::nn::{Init, Positions, Preset, Transformer, TransformerConfig};
use gradus::teach::attention::AttentionMaps;
use gradus::teach::microscope::Microscope;

/// `(file:function, what is said, the call)`
type Row = (&'static str, &'static str, fn());

const NONE: [&str; 0] = [];
const TOO_MANY: Bootstrap = Bootstrap { samples: Bootstrap::MOST_SAMPLES + 1, seed: 1 };

fn model() -> Transformer {
    let config = TransformerConfig {
        d_model: 4,
        ffn: 4,
        heads: 1,
        encoder_layers: 1,
        decoder_layers: 1,
        positions: Positions::Learned,
        max_length: 3,
        ..Preset::Tiny.config(9, 9)
    };
    Transformer::new(&config, &mut Init::seeded(1))
}

fn tokenizer() -> Tokenizer {
    let config = TokenizerConfig { vocab_size: 40, ..TokenizerConfig::default() };
    Tokenizer::train(["a man has a hat", "the man has the hat"].iter(), &config).unwrap()
}

fn counts() -> Counts {
    Metric::Bleu(BleuOptions::default()).counts(&["a b"], &["a b"])
}

/// Counts of words beside those of characters, which others have not.
fn of_other_orders() -> [ChrfStats; 2] {
    [ChrfOptions::default(), ChrfOptions::plus_plus()]
        .map(|options| ChrfStats::of_sentence("a b", "a b", &options))
}

const NO_THREADS: Batching = Batching { tokens: 9, sentences: 9, threads: 0 };

const TABLE: &[Row] = &[
    ("metrics/bootstrap.rs:scores", "bootstrap: 1000001 samples are more than 1000000", || {
        TOO_MANY.scores(1, |_| 0.0);
    }),
    ("metrics/bootstrap.rs:p_value", "samples are compared in pairs", || {
        p_value(&[1.0], &[], 0.5);
    }),
    ("metrics/metric.rs:counts", "1 hypotheses but 0 references", || {
        Metric::Bleu(BleuOptions::default()).counts(&["a"], &NONE);
    }),
    ("metrics/metric.rs:bootstrap", "bootstrap: 1000001 samples are more than 1000000", || {
        counts().bootstrap(&TOO_MANY);
    }),
    ("metrics/chrf.rs:chrf", "1 hypotheses but 0 references", || {
        chrf(&["a"], &NONE, &ChrfOptions::default());
    }),
    ("metrics/chrf.rs:add_assign", "orders of n-grams cannot be added to counts of", || {
        let [mut a, b] = of_other_orders();
        a += &b;
    }),
    ("metrics/chrf.rs:add", "orders of n-grams cannot be added to counts of", || {
        let [a, b] = of_other_orders();
        let _ = a + &b;
    }),
    ("metrics/bleu.rs:bleu", "1 hypotheses but 0 references", || {
        bleu(&["a"], &NONE, &BleuOptions::default());
    }),
    ("decode/batches.rs:translate_all", "translate_all: beam must not be 0", || {
        let options = Search { beam: 0, ..Search::default() };
        translate_all(&model(), &[[5, 2]], Translator::SPECIALS, &options, &Batching::default(), |_| ());
    }),
    ("decode/batches.rs:translate_all", "decode: there must be at least one thread", || {
        translate_all(&model(), &[[5, 2]], Translator::SPECIALS, &Search::greedy(), &NO_THREADS, |_| ());
    }),
    ("decode/mod.rs:search", "search: beam must not be 0", || {
        let options = Search { beam: 0, ..Search::default() };
        search(&model(), &[[5, 2]], Translator::SPECIALS, &options);
    }),
    ("decode/score.rs:score", "score: a target of 4 tokens is too long for the model", || {
        score(&model(), &[(vec![5, 2], vec![5, 5, 5, 2])], Translator::SPECIALS);
    }),
    ("decode/score.rs:score", "score: a target has no tokens, not even the end", || {
        score(&model(), &[(vec![5, 2], vec![])], Translator::SPECIALS);
    }),
    ("decode/score.rs:score_all", "decode: there must be at least one thread", || {
        score_all(&model(), &[([5, 2], [5, 2])], Translator::SPECIALS, &NO_THREADS, |_| ());
    }),
    ("teach/microscope/record.rs:record", "is not a scalar", || {
        let tape = Tape::eval();
        let x = tape.input(Tensor::full([2], 1.0));
        let _ = Microscope::record(&tape, x.scale(2.0));
    }),
    ("teach/attention/mod.rs:new", "are more than the 3 learned", || {
        let tokenizer = tokenizer();
        AttentionMaps::new(&model(), (&tokenizer, &tokenizer), &[5, 5, 5, 5], &[5]);
    }),
    ("bench/mod.rs:of", "spread: there must be at least one measurement", || {
        Spread::of(&[]);
    }),
    ("bench/train.rs:bench_training", "bench: there are no steps to time", || {
        let workload = Workload::named(Preset::Tiny);
        let (device, graphs, dropout, profile) = (Device::Cpu, false, 0.0, false);
        let options =
            TrainOptions { workload, device, threads: 1, graphs, dropout, warmup: 0, steps: 0, profile };
        bench_training(&options, |_| ());
    }),
];

#[test]
fn every_call_of_the_table_panics_in_its_words_at_the_line_of_the_caller() {
    static HEARD: Mutex<Vec<(std::thread::ThreadId, String)>> = Mutex::new(Vec::new());
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let file = info.location().map_or("", |location| location.file()).to_owned();
        HEARD.lock().unwrap().push((std::thread::current().id(), file));
        usual(info);
    }));
    let mut faults = Vec::new();
    for (name, expected, call) in TABLE {
        let Err(said) = catch_unwind(AssertUnwindSafe(call)) else {
            faults.push(format!("{name}: no panic"));
            continue;
        };
        let literal = said.downcast_ref::<&str>().map(|said| (*said).to_owned());
        let said = said.downcast_ref::<String>().cloned().or(literal).unwrap_or_default();
        let mine = |heard: &&(std::thread::ThreadId, String)| heard.0 == std::thread::current().id();
        let file = HEARD.lock().unwrap().iter().rev().find(mine).map(|(_, file)| file.clone()).unwrap();
        if !said.contains(expected) || !Path::new(&file).ends_with("tests/panics.rs") {
            faults.push(format!("{name}: {said:?} in {file}, not {expected:?} here"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_public_doc_that_says_where_it_panics_is_in_the_table() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut documented = BTreeSet::new();
    let mut folders = vec![source.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|name| name == "rs") {
                let name = path.strip_prefix(&source).unwrap().to_str().unwrap().replace('\\', "/");
                documented
                    .extend(functions(&fs::read_to_string(&path).unwrap()).map(|f| format!("{name}:{f}")));
            }
        }
    }
    let tested: BTreeSet<String> = TABLE.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(documented, tested);
}

/// The public functions of a file, and those of its traits' implementations, whose doc has a section `# Panics`.
fn functions(text: &str) -> impl Iterator<Item = String> {
    let (mut found, mut says, mut of_trait) = (Vec::new(), false, false);
    for line in text.lines().map(str::trim) {
        says |= line == "/// # Panics";
        of_trait |= says && line.starts_with("impl ");
        if let Some((before, rest)) = line.split_once("fn ").filter(|_| !line.starts_with("//")) {
            if says && (before == "pub " || of_trait) {
                found.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
            }
            (says, of_trait) = (false, false);
        }
    }
    found.into_iter()
}
