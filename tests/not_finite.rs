//! Claims: numbers that are not finite are traced to where they arise, never reach a checkpoint, and can be passed over.

use std::fs;
use std::path::Path;
use std::process::Output;

use gradus::checkpoint::Checkpoint;
use gradus::data::tokenizer::Tokenizer;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{run, small_project, weights};

fn last(folder: &Path, name: &str) -> std::path::PathBuf {
    folder.join(name).join("checkpoints/last.gradus")
}

fn last_line(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned()
}

/// A run of ten steps, one of whose words, in a few sentences, has a vector so large that it overflows when it is read.
fn poisoned() -> TempDir {
    let project = small_project();
    let folder = project.path();
    let text = fs::read_to_string(folder.join("a.txt")).unwrap().replacen("one", "zzz", 1);
    fs::write(folder.join("a.txt"), text).unwrap();
    let settings = fs::read_to_string(folder.join("small.toml")).unwrap();
    fs::write(folder.join("small.toml"), settings.replace("[model]", "[model]\ntied = \"none\"")).unwrap();
    let trained = run(folder, &["train", "--config", "small.toml", "--out", "run", "--steps", "10"]);
    assert!(trained.status.success(), "{}", last_line(&trained));
    let mut checkpoint = Checkpoint::load(&last(folder, "run")).unwrap();
    let tokenizer = Tokenizer::from_json(&checkpoint.source_tokenizer).unwrap();
    let others = tokenizer.encode("one two three four five six seven eight nine ten.");
    let table = checkpoint.weights.get_mut("source_embedding.weight").unwrap();
    let rare: Vec<u32> = tokenizer.encode("zzz").into_iter().filter(|id| !others.contains(id)).collect();
    assert!(!rare.is_empty());
    for id in rare {
        table.data[16 * id as usize..][..16].fill(f32::MAX);
    }
    checkpoint.save(&last(folder, "run")).unwrap();
    project
}

#[test]
fn a_step_that_overflows_ends_training_and_names_where() {
    let project = poisoned();
    let folder = project.path();
    let before = fs::read(last(folder, "run")).unwrap();
    let output = run(folder, &["train", "--resume", "run", "--steps", "40"]);
    assert_eq!(output.status.code(), Some(1));
    let said = last_line(&output);
    for part in
        ["gradus: step 1", "in part ", "the forward pass of #", " scale [", "] → [", ".rs:", "give inf"]
    {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
    assert!(said.contains("run/checkpoints/last.gradus is as it was after step 10"), "{said}");
    assert!(fs::read(last(folder, "run")).unwrap() == before, "the last good checkpoint was touched");
}

#[test]
fn steps_that_overflow_can_be_left_out_and_are_counted_over_all_parts_of_a_run() {
    let project = poisoned();
    let folder = project.path();
    let copy = folder.join("parts");
    fs::create_dir_all(copy.join("checkpoints")).unwrap();
    for entry in ["checkpoints/last.gradus", "checkpoints/best.gradus"] {
        fs::copy(folder.join("run").join(entry), copy.join(entry)).unwrap();
    }
    let resume = |name: &str, steps: &str| -> Value {
        let arguments = ["train", "--resume", name, "--steps", steps, "--skip-nonfinite", "--json"];
        let output = run(folder, &arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        assert!(stderr.contains("the step is left out"), "{stderr}");
        serde_json::from_str(String::from_utf8(output.stdout).unwrap().lines().last().unwrap()).unwrap()
    };
    let whole = resume("run", "40");
    let first = resume("parts", "25");
    let second = resume("parts", "40");
    let skipped = |summary: &Value| summary["skipped"].as_u64().unwrap();
    assert!((2..20).contains(&skipped(&whole)), "{whole}");
    assert!(0 < skipped(&first) && skipped(&first) < skipped(&whole));
    assert_eq!(skipped(&second), skipped(&whole), "the count goes on with the run");
    assert!(weights(folder, "run") == weights(folder, "parts"), "a resumed training is another one");
    let training = Checkpoint::load(&last(folder, "run")).unwrap().training.unwrap();
    assert_eq!(training.progress.step, 40);
    assert_eq!(training.adam_steps, 40 - skipped(&whole), "the optimiser took a step that was left out");
    let metrics = fs::read_to_string(folder.join("run/metrics.jsonl")).unwrap();
    assert_eq!(metrics.matches("\"kind\":\"skip\"").count() as u64, skipped(&whole));
}

#[test]
fn a_rate_that_makes_nothing_but_nonsense_ends_the_training_skip_or_not() {
    for (more, expected) in [
        (&[][..], "is the first to give"),
        (&["--skip-nonfinite"], "step 21: 20 steps in a row were left out"),
    ] {
        let project = small_project();
        let folder = project.path();
        let arguments =
            ["train", "--config", "small.toml", "--out", "run", "--steps", "50", "--rate", "1e30"];
        let output = run(folder, &[&arguments[..], &["--warmup", "1"], more].concat());
        assert_eq!(output.status.code(), Some(1));
        let said = last_line(&output);
        assert!(said.contains(expected) && said.contains("a lower rate may help"), "{said}");
        // What is saved is whole: numbers, if no good ones.
        assert_eq!(Checkpoint::load(&last(folder, "run")).is_ok(), !more.is_empty(), "{said}");
    }
}

#[test]
fn a_training_of_which_most_steps_were_left_out_is_no_success() {
    let project = small_project();
    let folder = project.path();
    let arguments = ["train", "--config", "small.toml", "--out", "run", "--steps", "10", "--rate", "1e30"];
    let output = run(folder, &[&arguments[..], &["--warmup", "1", "--skip-nonfinite"]].concat());
    assert_eq!(output.status.code(), Some(1));
    let said = last_line(&output);
    assert!(said.contains("9 of 10 steps were left out"), "{said}");
    assert!(
        !String::from_utf8_lossy(&output.stderr).contains("the best so far"),
        "NaN is better than nothing"
    );
    // What there is can be looked at.
    let report = run(folder, &["report", "run"]);
    assert!(report.status.success(), "{}", String::from_utf8_lossy(&report.stderr));
}
