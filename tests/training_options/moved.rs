//! Claim: a run that is stopped, moved and resumed ends as if it had never stopped, bit for bit, with all that a training
//! may carry along: patience, a moving average, a schedule that ends with the training, checkpoints that are kept.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gradus::checkpoint::{Checkpoint, Training};

use super::{checkpoint, done, records, set, steps};
use crate::program::{gradus, small_project};

/// Starts a training and asks it to stop once `lines` lines of metrics are written.
fn stopped(folder: &Path, name: &str, arguments: &[&str], lines: usize) {
    let child = gradus(folder, &[&["train", "--out", name], arguments].concat())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let metrics = folder.join(name).join("metrics.jsonl");
    let deadline = Instant::now() + Duration::from_secs(120);
    while fs::read_to_string(&metrics).unwrap_or_default().lines().count() < lines {
        assert!(Instant::now() < deadline, "the training does not begin");
        std::thread::yield_now();
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What must be the same, bit for bit; not the seconds, which no two trainings share.
fn essence(checkpoint: Checkpoint) -> impl PartialEq {
    let Training { averaged, adam_steps, moments, progress: p, recent, spikes, data_checksum, .. } =
        checkpoint.training.unwrap();
    assert!(averaged.as_ref().is_some_and(|(weights, _)| *weights != checkpoint.weights));
    let place = (p.step, p.epoch, p.batch, p.best.map(f64::to_bits), p.since_best, p.target_tokens);
    (checkpoint.weights, averaged, adam_steps, moments, place, (recent, spikes, data_checksum))
}

fn assert_same_end(whole: (&Path, &str), parts: (&Path, &str)) {
    let last = |(folder, name)| checkpoint(folder, name, "last.gradus");
    let model = |(folder, name)| checkpoint(folder, name, "model.gradus").weights;
    assert!(essence(last(whole)) == essence(last(parts)), "another end");
    assert!(model(whole) == model(parts), "another finished model");
    for kind in ["train", "valid"] {
        let of = |(folder, name)| -> Vec<_> {
            let records = records(folder, name, kind);
            records.into_iter().map(|r| (r["step"].clone(), r["loss"].clone(), r["bleu"].clone())).collect()
        };
        assert_eq!(of(whole), of(parts), "the record of {kind} has a seam");
    }
}

#[test]
fn a_stopped_run_in_another_folder_with_its_text_goes_on_bit_for_bit() {
    let project = small_project();
    let folder = project.path();
    set(
        folder,
        &[
            ("schedule", "{ kind = \"linear\", peak = 0.01, warmup = 10 }"),
            ("steps", "600"),
            ("validate_every", "20"),
            ("ema", "0.9"),
            ("patience", "3"),
            ("best", "\"chrf\""),
            ("keep", "2"),
        ],
    );
    let arguments = ["--config", "small.toml", "--threads", "1"];
    done(folder, &[&["train", "--out", "whole"], &arguments[..]].concat());
    let end = checkpoint(folder, "whole", "last.gradus").training.unwrap().progress;
    assert!(end.step < 600 && end.since_best == 3, "patience has not ended it: {end:?}");

    stopped(folder, "stopped", &arguments, 5);
    let progress = checkpoint(folder, "stopped", "last.gradus").training.unwrap().progress;
    assert!((15..end.step).contains(&progress.step), "stopped at step {}", progress.step);
    // The paths of the text are relative, so it moves along.
    let elsewhere = tempfile::tempdir().unwrap();
    for name in ["stopped", "a.txt", "b.txt"] {
        fs::rename(folder.join(name), elsewhere.path().join(name)).unwrap();
    }
    done(elsewhere.path(), &["train", "--resume", "stopped", "--threads", "2"]);
    assert_same_end((folder, "whole"), (elsewhere.path(), "stopped"));
    let names = |folder: &Path, name: &str| -> Vec<_> {
        let files = fs::read_dir(folder.join(name).join("checkpoints")).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(folder, "whole"), names(elsewhere.path(), "stopped"));
    assert_eq!(names(folder, "whole").len(), 5, "best, last, model and two kept");
}

#[test]
fn a_stopped_run_goes_on_with_text_that_lies_elsewhere() {
    let project = small_project();
    let folder = project.path();
    set(folder, &[("ema", "0.99"), ("steps", "150")]);
    let arguments = ["--config", "small.toml", "--threads", "2"];
    done(folder, &[&["train", "--out", "whole"], &arguments[..]].concat());
    stopped(folder, "stopped", &arguments, 3);
    let elsewhere = tempfile::tempdir().unwrap();
    fs::rename(folder.join("stopped"), elsewhere.path().join("moved")).unwrap();
    let [source, target] = ["a.txt", "b.txt"].map(|name| folder.join(name).display().to_string());
    done(elsewhere.path(), &["train", "--resume", "moved", "--src", &source, "--tgt", &target]);
    assert_same_end((folder, "whole"), (elsewhere.path(), "moved"));
}

#[test]
fn a_stopped_run_on_the_built_in_corpus_goes_on_bit_for_bit_anywhere() {
    let project = tempfile::tempdir().unwrap();
    let folder = project.path();
    fs::write(
        folder.join("tiny.toml"),
        "[tokenizer]\nvocab_size = 300\n[model]\nd_model = 16\nffn = 32\nheads = 2\nencoder_layers = 1\n\
         decoder_layers = 1\n[train]\nsteps = 60\nbatch_tokens = 400\nlog_every = 5\nvalidate_every = 25\n\
         validate_sentences = 4\nema = 0.9\nschedule = { kind = \"cosine\", peak = 0.01, warmup = 5 }\n",
    )
    .unwrap();
    let arguments = ["--config", "tiny.toml", "--threads", "1"];
    done(folder, &[&["train", "--out", "whole"], &arguments[..]].concat());
    stopped(folder, "stopped", &arguments, 3);
    let elsewhere = tempfile::tempdir().unwrap();
    let moved = elsewhere.path().join("moved");
    fs::rename(folder.join("stopped"), &moved).unwrap();
    done(elsewhere.path(), &["train", "--resume", moved.to_str().unwrap()]);
    assert_same_end((folder, "whole"), (elsewhere.path(), "moved"));
    let config = fs::read_to_string(folder.join("whole/config.toml")).unwrap();
    assert!(config.contains("total = 60"), "the schedule ends with the training: {config}");
    assert_eq!(steps(&records(folder, "whole", "valid")), [25, 50, 60]);
}
