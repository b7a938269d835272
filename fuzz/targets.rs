//! What bytes from elsewhere are given to: one function for each kind of file, which says whether it took them for one.
//!
//! Programs of cargo-fuzz call these, and so does `tests/fuzzing.rs`, which needs no other toolchain.

use std::fmt::Display;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use gradus::autograd::Parameters;
use gradus::checkpoint::{Checkpoint, framed, load_moments, load_weights};
use gradus::config::Config;
use gradus::data::batch::Example;
use gradus::data::corpus::{Files, read_lines};
use gradus::data::tokenizer::{EOS, Tokenizer};
use gradus::interchange::from_safetensors;
use gradus::nn::{Init, Transformer, TransformerConfig};
use gradus::train::step::{StepOptions, step};
use gradus::train::{Mean, tokenizers_of};
use tempfile::NamedTempFile;

/// A function and what it may take.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&[u8]) -> bool,
    /// Memory that any input may take, in bytes.
    pub(crate) memory: usize,
    /// Memory that each byte of an input may take besides.
    pub(crate) memory_per_byte: usize,
    /// Of a thousand executions of all targets, those of this one: what takes longer is run less often.
    pub(crate) share: u64,
}

const MIB: usize = 1 << 20;

/// All targets.
pub(crate) const TARGETS: [Target; 7] = [
    // A byte may be a path's, whose tensor has a shape and one entry. Of the rest the tokenizer is the most.
    Target { name: "checkpoint", run: checkpoint, memory: 32 * MIB, memory_per_byte: 128, share: 50 },
    // The crate keeps room for 10,000 words, and a table for every byte of a unigram model's pieces.
    Target { name: "tokenizer", run: tokenizer, memory: 32 * MIB, memory_per_byte: 1024, share: 25 },
    Target { name: "config", run: config, memory: 32 * MIB, memory_per_byte: 256, share: 145 },
    Target { name: "safetensors", run: safetensors, memory: MIB, memory_per_byte: 256, share: 200 },
    // Of gzip, a byte holds a thousand; of lines, a byte may be one. Half of the memory is what a reader keeps free.
    Target { name: "lines", run: lines, memory: 8 * MIB, memory_per_byte: 128 * 1032, share: 180 },
    Target { name: "tsv", run: tsv, memory: 8 * MIB, memory_per_byte: 128 * 1032, share: 200 },
    Target { name: "jsonl", run: jsonl, memory: 8 * MIB, memory_per_byte: 128 * 1032, share: 200 },
];

/// What is refused is refused for a reason. That it is printed as one line, without control characters, is for the program.
fn refused(error: impl Display) -> bool {
    assert!(!format!("{error:#}").trim().is_empty(), "an empty message");
    false
}

/// A checkpoint, or the payload of one: all that a resumed training makes of it, and a step.
pub(crate) fn checkpoint(bytes: &[u8]) -> bool {
    let with_header = if bytes.starts_with(b"GRADUS") { bytes.to_vec() } else { framed(bytes) };
    let checkpoint = match Checkpoint::from_bytes(&with_header) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return refused(error),
    };
    match resumed(&checkpoint) {
        Ok(()) => true,
        Err(error) => refused(error),
    }
}

fn resumed(checkpoint: &Checkpoint) -> anyhow::Result<()> {
    let config = Config::from_toml(&checkpoint.config)?;
    let (source, target) = tokenizers_of(checkpoint)?;
    let (architecture, _) =
        config.model.resolve(source.vocab_size(), target.vocab_size(), config.tokenizer.joint)?;
    let mut model: Transformer = Transformer::new(&architecture, &mut Init::seeded(0));
    load_weights(&mut model, &checkpoint.weights)?;
    load_weights(&mut model, checkpoint.training_weights())?;
    let Some(training) = &checkpoint.training else { return Ok(()) };
    let mut adam = config.train.adam();
    load_moments(&mut adam, &model, &training.moments)?;
    adam.steps = training.adam_steps;
    let mut mean = Mean::default();
    training.recent.iter().try_for_each(|weights| mean.add(weights))?;
    mean.finish();
    training.spikes.clone().take(1.0, 1.0);
    let next = training.progress.step + 1;
    let options = StepOptions {
        shards: 1,
        threads: 1,
        smoothing: config.train.smoothing,
        r_drop: config.train.r_drop,
        clip: config.train.clip,
        profile: false,
    };
    if architecture.max_length < 4 {
        return Ok(());
    }
    let examples = [Example { source: vec![4, EOS], target: vec![4, 4, EOS] }];
    let examples =
        if source.vocab_size().min(target.vocab_size()) > 4 { &examples[..] } else { return Ok(()) };
    step(&mut model, &mut adam, examples, &[vec![0]], &options, config.train.schedule.rate(next), next);
    Ok(())
}

/// `tokenizer.json`, and texts that it cuts.
pub(crate) fn tokenizer(bytes: &[u8]) -> bool {
    let Ok(json) = std::str::from_utf8(bytes) else { return false };
    let tokenizer = match Tokenizer::from_json(json) {
        Ok(tokenizer) => tokenizer,
        Err(error) => return refused(error),
    };
    for text in [
        "",
        "The man's hat, isn't it?",
        " </s> \u{ad}a▁\u{301}\u{fb01} <unk><pad>",
        "漢字\u{1f468}\u{200d}\u{1f469} 12",
    ] {
        let ids = tokenizer.encode(text);
        assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()), "{ids:?} of {text:?}");
        tokenizer.decode(&ids);
        tokenizer.normalise(text);
    }
    true
}

/// `config.toml`, with all that is filled in before a training begins, and the model where it is small.
pub(crate) fn config(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let mut config = match Config::from_toml(text) {
        Ok(config) => config,
        Err(error) => return refused(error),
    };
    if let Err(error) = config.validate() {
        return refused(error);
    }
    config.fill_defaults();
    if let Err(error) = config.fill_schedule(10) {
        return refused(error);
    }
    let (architecture, resolved) = match config.model.resolve(20, 20, config.tokenizer.joint) {
        Ok(resolved) => resolved,
        Err(error) => return refused(error),
    };
    config.model = resolved;
    let written = config.to_toml().expect("a configuration of a text can be written as text");
    let again = Config::from_toml(&written).and_then(|read| read.to_toml());
    assert!(again.is_ok_and(|again| again == written), "{written}");
    let TransformerConfig { d_model, ffn, encoder_layers, decoder_layers, max_length, .. } = architecture;
    if [d_model, ffn].iter().all(|&size| size <= 64)
        && encoder_layers.max(decoder_layers) <= 2
        && max_length <= 64
    {
        let model: Transformer = Transformer::new(&architecture, &mut Init::seeded(0));
        assert!(model.parameter_count() > 0);
    }
    for step in [1, 1000, u64::MAX >> 11] {
        config.train.schedule.rate(step);
    }
    true
}

/// `model.safetensors`.
pub(crate) fn safetensors(bytes: &[u8]) -> bool {
    match from_safetensors(bytes) {
        Ok(weights) => {
            for (path, array) in &weights {
                assert_eq!(array.shape.iter().product::<usize>(), array.data.len(), "{path}");
                assert!(array.data.iter().all(|entry| entry.is_finite()), "{path}");
            }
            true
        }
        Err(error) => refused(error),
    }
}

/// What a text begins with that is to be compressed first: a fuzzer does not find the checksum of a gzip file.
const COMPRESS: &[u8] = b"GZIP:";

/// Calls `read` with a file that holds these bytes.
fn with_file(bytes: &[u8], read: impl FnOnce(&Path) -> bool) -> bool {
    thread_local! {
        static FILE: NamedTempFile = {
            let memory = Path::new("/dev/shm");
            let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
            NamedTempFile::new_in(folder).expect("a temporary file can be made")
        };
    }
    FILE.with(|file| {
        let written = (|| {
            let mut file = file.as_file();
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            match bytes.strip_prefix(COMPRESS) {
                Some(text) => {
                    let mut encoder = GzEncoder::new(file, Compression::fast());
                    encoder.write_all(text)?;
                    encoder.finish().map(|_| ())
                }
                None => file.write_all(bytes),
            }
        })();
        written.expect("a temporary file can be written");
        read(file.path())
    })
}

fn scanned(files: &Files) -> bool {
    match files.scan() {
        Ok(corpus) => {
            assert_eq!(corpus.pairs.len(), corpus.lines.len());
            let blank = |text: &str| text.trim().is_empty();
            assert!(corpus.pairs.iter().all(|pair| !blank(&pair.source) && !blank(&pair.target)));
            corpus.faults.iter().for_each(|fault| _ = refused(fault));
            corpus.faults.is_empty()
        }
        Err(error) => refused(error),
    }
}

/// Lines of text: UTF-8, UTF-16, gzip.
pub(crate) fn lines(bytes: &[u8]) -> bool {
    with_file(bytes, |path| {
        if let Ok(lines) = read_lines(path) {
            assert!(lines.iter().all(|line| !line.contains('\n')));
        }
        scanned(&Files::Parallel { source: path.to_owned(), target: path.to_owned() })
    })
}

/// Pairs with tabs.
pub(crate) fn tsv(bytes: &[u8]) -> bool {
    with_file(bytes, |path| scanned(&Files::Tsv(path.to_owned())))
}

/// Pairs as JSON lines.
pub(crate) fn jsonl(bytes: &[u8]) -> bool {
    with_file(bytes, |path| {
        let (source_key, target_key) = ("en".to_owned(), "translation.de".to_owned());
        scanned(&Files::Jsonl { path: path.to_owned(), source_key, target_key })
    })
}
