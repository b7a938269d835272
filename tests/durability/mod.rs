//! Claims: no training is lost, whoever kills it and whenever, and whatever call to the system fails; one that goes on ends
//! with the same bits and the same files as one that was not stopped.
//!
//! The gate tries a sample. All of it, in release:
//!
//! ```text
//! GRADUS_CRASH_POINTS=all GRADUS_KILLS=1000 GRADUS_PAIRS=43 cargo test --release --test main durability -- --nocapture
//! ```

mod crash_points;
mod preload;
mod random_kills;
mod two_at_once;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;

use gradus::checkpoint::Checkpoint;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{run, small_project};

/// How often to try, from the environment.
fn count(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).map_or(otherwise, |count| count.parse().unwrap())
}

/// A project whose trainings save often and keep some of what they save: `plain`, and `rich`, with a moving average, two
/// vocabularies and text to test with.
fn project(rich: bool) -> TempDir {
    let project = small_project();
    let path = project.path().join("small.toml");
    let settings = fs::read_to_string(&path).unwrap();
    let settings = settings.replace("validate_every = 70", "validate_every = 8").replace(
        "accumulate = 2",
        "accumulate = 1\nsteps = 16\nsave_every = 4\nkeep = 2\naverage = 2\nthreads = 1\naudit = false",
    );
    let settings = match rich {
        false => settings,
        true => settings
            .replace(
                "[tokenizer]",
                "test_source = \"a.txt\"\ntest_target = \"b.txt\"\n[tokenizer]\njoint = false",
            )
            .replace("[train]", "[train]\nema = 0.9\nbest = \"loss\""),
    };
    fs::write(path, settings).unwrap();
    project
}

/// Runs what must work.
fn done(folder: &Path, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = run(folder, arguments);
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(status.success(), "{arguments:?}: {status}: {stderr}");
    stderr + &String::from_utf8(stdout).unwrap()
}

/// Goes on with the run in `folder` that was begun so, or begins it again where it had not begun.
fn recover(folder: &Path, begin: &[&str]) -> String {
    let has_begun = folder.join("run/checkpoints/last.gradus").exists();
    done(folder, if has_begun && begin[1] != "--resume" { &["train", "--resume", "run"] } else { begin })
}

/// All files below a folder by their names, times left out of them: what must be equal after a training that was stopped and
/// one that was not.
fn state(folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            let content = match name.as_str() {
                ".lock" | "report.html" => String::new(),
                name if name.ends_with(".gradus") => checkpoint(&path),
                name if name.ends_with(".jsonl") => {
                    fs::read_to_string(&path).unwrap().lines().map(|line| untimed(line) + "\n").collect()
                }
                _ => format!("{:08x}", crc32fast::hash(&fs::read(&path).unwrap())),
            };
            files.insert(name, content);
        }
    }
    files
}

/// A checkpoint without the times in it.
fn checkpoint(path: &Path) -> String {
    let mut checkpoint = Checkpoint::load(path).unwrap();
    if let Some(training) = &mut checkpoint.training {
        (training.progress.seconds, training.progress.step_seconds) = (0.0, 0.0);
        training.metrics = training.metrics.iter().map(|line| untimed(line)).collect();
    }
    // Bits, not digits: what is printed of numbers tells them apart.
    let text = format!("{checkpoint:?}");
    format!("{:08x} of {} bytes", crc32fast::hash(text.as_bytes()), text.len())
}

/// A line of metrics without times.
fn untimed(line: &str) -> String {
    let mut record: Value = serde_json::from_str(line).unwrap();
    for key in ["seconds", "tokens_per_second"] {
        record.as_object_mut().unwrap().remove(key);
    }
    record.to_string()
}

/// Panics with the first difference of two states.
#[track_caller]
fn assert_same(found: &BTreeMap<String, String>, expected: &BTreeMap<String, String>, what: &str) {
    let names = |state: &BTreeMap<String, String>| state.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "{what}: other files");
    for (name, content) in expected {
        assert_eq!(&found[name], content, "{what}: {name} differs");
    }
}
