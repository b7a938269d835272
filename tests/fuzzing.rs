//! Claims: whatever the bytes of a file, it is taken or refused in one line: no panic, no more memory than a target says,
//! no hang.
//!
//! The targets are those of `fuzz/`, which libFuzzer runs where a nightly toolchain is; here they are given mutations of
//! the same corpus. What is made of a seed is the same every time. A program of its own, because memory is counted by
//! replacing the allocator.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(unsafe_code, reason = "an allocator is unsafe to write")]

#[path = "fuzzing/memory.rs"]
mod memory;
#[path = "fuzzing/mutate.rs"]
mod mutate;
#[path = "fuzzing/run.rs"]
mod run;
#[path = "fuzzing/seeds.rs"]
mod seeds;
#[path = "../fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use gradus::autograd::rng::{Stream, derive};
use gradus::checkpoint::{Checkpoint, framed};
use run::fuzz;
use targets::{TARGETS, Target};

#[test]
fn checkpoints_resume_or_are_refused() {
    fuzz("checkpoint");
}

#[test]
fn tokenizers_encode_or_are_refused() {
    fuzz("tokenizer");
}

#[test]
fn configurations_resolve_or_are_refused() {
    fuzz("config");
}

#[test]
fn safetensors_become_weights_or_are_refused() {
    fuzz("safetensors");
}

#[test]
fn texts_are_read_or_refused() {
    fuzz("lines");
}

#[test]
fn tab_separated_pairs_are_read_or_refused() {
    fuzz("tsv");
}

#[test]
fn json_lines_are_read_or_refused() {
    fuzz("jsonl");
}

#[test]
fn every_target_is_a_program_of_cargo_fuzz() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for Target { name, .. } in TARGETS {
        let program = fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("targets::{name}(bytes)")), "{name}");
        assert!(
            manifest.contains(&format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"")),
            "{name}"
        );
    }
    assert_eq!(fs::read_dir(folder.join("fuzz_targets")).unwrap().count(), TARGETS.len());
}

#[test]
fn the_corpus_is_of_this_format() {
    let corpus = seeds::folder("checkpoint");
    if std::env::var_os("GRADUS_FUZZ_WRITE_CORPUS").is_some() {
        for (name, payload) in seeds::checkpoints() {
            fs::write(corpus.join(name), payload).unwrap();
        }
    }
    for (name, payload) in seeds::checkpoints() {
        let stored = fs::read(corpus.join(name)).unwrap();
        // Weights are drawn by functions of this machine's mathematics, which may differ in their last bit.
        assert_eq!(stored.len(), payload.len(), "{name}: GRADUS_FUZZ_WRITE_CORPUS=1 writes it anew");
        assert!(targets::checkpoint(&stored), "{name}: GRADUS_FUZZ_WRITE_CORPUS=1 writes it anew");
    }
}

/// The number of entries that a hostile file claims, and the memory that may be taken for it.
const CLAIMED: u64 = 1_000_000_000_000;
const TAKEN: usize = 10_000_000;

#[test]
fn a_length_of_a_checkpoint_that_nothing_stands_behind_takes_no_memory() {
    let claim = [&[253][..], &CLAIMED.to_le_bytes()].concat();
    for (name, payload) in seeds::checkpoints() {
        let mut refused = 0;
        let tried: Vec<usize> = (0..payload.len().min(400)).chain((400..payload.len()).step_by(17)).collect();
        for &place in &tried {
            let forged = framed(&[&payload[..place], &claim, &payload[place + 1..]].concat());
            let (read, peak) = memory::peak_of(|| Checkpoint::from_bytes(&forged).is_ok());
            refused += usize::from(!read);
            assert!(peak < TAKEN, "{name}: {peak} bytes were taken for a length at byte {place}");
        }
        assert!(refused > tried.len() / 3, "{name}: {refused} of {} were refused", tried.len());
    }
}

#[test]
fn mutations_are_functions_of_their_seed() {
    let pool = [b"one two 300\n".to_vec(), b"{\"a\": 1}".to_vec()];
    let made = |seed| -> Vec<Vec<u8>> {
        (0..200).map(|number| mutate::mutated(&pool, &mut Stream::new(derive(seed, number)))).collect()
    };
    assert_eq!(made(1), made(1));
    assert_ne!(made(1), made(2));
    let mut different = made(1);
    different.sort();
    different.dedup();
    assert!(different.len() > 150, "{} of 200 are different", different.len());
}

#[test]
fn a_place_that_the_training_text_has_not_is_refused() {
    let project = tempfile::tempdir().unwrap();
    let folder = project.path();
    let lines = |words: [&str; 3]| {
        (0..60).map(|i| format!("{} {}\n", words[i % 3], words[i / 20])).collect::<String>()
    };
    fs::write(folder.join("a.txt"), lines(["one", "two", "three"])).unwrap();
    fs::write(folder.join("b.txt"), lines(["un", "deux", "trois"])).unwrap();
    let settings = "[data]\nsource = \"a.txt\"\ntarget = \"b.txt\"\n[tokenizer]\nvocab_size = 40\n[model]\nd_model = 8\n\
                    ffn = 8\nheads = 2\nencoder_layers = 1\ndecoder_layers = 1\n[train]\nbatch_tokens = 60\nthreads = 1\n";
    fs::write(folder.join("small.toml"), settings).unwrap();
    let gradus = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
        let output = command.current_dir(folder).args(arguments).stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = gradus(&["train", "--config", "small.toml", "--steps", "2", "--out", "run"]);
    assert_eq!(code, Some(0), "{said}");
    let last = folder.join("run/checkpoints/last.gradus");
    let saved = Checkpoint::load(&last).unwrap();
    for (batch, epoch) in [(5000, 0), (1 << 53, 1 << 53)] {
        let mut forged = saved.clone();
        let progress = &mut forged.training.as_mut().unwrap().progress;
        (progress.batch, progress.epoch) = (batch, epoch);
        forged.save(&last).unwrap();
        for command in [
            &["train", "--resume", "run", "--steps", "4"][..],
            &[
                "train",
                "--config",
                "small.toml",
                "--init-from",
                "run/checkpoints/last.gradus",
                "--out",
                "other",
            ],
        ] {
            let (code, said) = gradus(command);
            assert_eq!(code, Some(1), "{said}");
            let expected = format!("last.gradus: stands at batch {batch} of epoch {epoch}, which has ");
            assert!(said.lines().count() == 1 && said.contains(&expected), "{said}");
        }
    }
}
