//! Claims: a training can begin where another stands, with parts of it held still.

use std::fs;

use super::{checkpoint, done, set, train};
use crate::program::{complaint, small_project};

#[test]
fn what_begins_with_a_whole_checkpoint_goes_on_as_it_would_have() {
    let project = small_project();
    let folder = project.path();
    set(folder, &[("ema", "0.9"), ("validate_every", "10"), ("keep", "9")]);
    train(folder, "first", &["--steps", "40"]);
    let from = "first/checkpoints/step-000020.gradus";
    let said = done(folder, &["train", "--init-from", from, "--out", "second", "--steps", "40"]);
    assert!(said.contains("begins with first/checkpoints/step-000020.gradus after step 20"), "{said}");
    let [first, second] = ["first", "second"].map(|name| checkpoint(folder, name, "last.gradus"));
    assert!(first.weights == second.weights && first.training_weights() == second.training_weights());
    assert_eq!(first.training.unwrap().moments, second.training.unwrap().moments);
}

#[test]
fn what_is_reset_begins_anew() {
    let project = small_project();
    let folder = project.path();
    set(folder, &[("validate_every", "10")]);
    train(folder, "first", &["--steps", "20", "--keep", "1"]);
    let from = ["train", "--init-from", "first/checkpoints/last.gradus"];
    let begin = |name: &str, more: &[&str]| {
        done(folder, &[&from[..], &["--out", name, "--validate-every", "100"], more].concat());
        checkpoint(folder, name, "last.gradus").training.unwrap()
    };
    let kept = begin("kept", &["--steps", "25"]);
    assert_eq!((kept.adam_steps, kept.progress.step), (25, 25));
    let optimizer = begin("optimizer", &["--steps", "25", "--reset", "optimizer"]);
    assert_eq!((optimizer.adam_steps, optimizer.progress.step), (5, 25));
    let schedule = begin("schedule", &["--steps", "5", "--reset", "schedule"]);
    assert_eq!((schedule.adam_steps, schedule.progress.step), (25, 5));
    let all = begin("all", &["--steps", "5", "--reset", "optimizer,schedule,best,data"]);
    assert_eq!((all.adam_steps, all.progress.step, all.progress.epoch), (5, 5, 2));
    assert_eq!(all.recent.len(), 1, "weights of the first training are averaged with those of the second");
    assert!(kept.recent.len() > 1);
    // A finished model is weights and nothing else.
    let said = done(folder, &["train", "--init-from", "first", "--out", "model", "--steps", "3"]);
    assert!(said.contains("first/checkpoints/model.gradus, which holds no more"), "{said}");

    let half: String = fs::read_to_string(folder.join("a.txt"))
        .unwrap()
        .lines()
        .take(60)
        .map(|l| format!("{l}\n"))
        .collect();
    fs::write(folder.join("half.txt"), half).unwrap();
    let text = ["--src", "half.txt", "--tgt", "half.txt", "--out", "half", "--steps", "30"];
    let other = complaint(folder, &[&from[..], &text].concat());
    assert!(other.contains("last.gradus: it was trained on another text: --reset data"), "{other}");
    assert!(!folder.join("half").exists(), "a run that did not begin has left a folder");
    done(folder, &[&from[..], &text, &["--reset", "data"]].concat());
    let metric = complaint(folder, &[&from[..], &["--out", "x", "--best", "loss"]].concat());
    assert!(metric.contains("--reset best"), "{metric}");
    set(folder, &[("batch_tokens", "300")]);
    let batches = complaint(folder, &[&from[..], &["--config", "small.toml", "--out", "x"]].concat());
    assert!(batches.contains("another train.seed or train.batch_tokens: --reset data"), "{batches}");
    let settings = fs::read_to_string(folder.join("small.toml")).unwrap();
    fs::write(folder.join("small.toml"), settings.replace("ffn = 32", "ffn = 24")).unwrap();
    let shape = complaint(folder, &[&from[..], &["--config", "small.toml", "--out", "x"]].concat());
    assert!(shape.contains("[32, 16] in the checkpoint and [24, 16] in the model"), "{shape}");
}

#[test]
fn frozen_parameters_stay_as_they_were() {
    let project = small_project();
    let folder = project.path();
    set(folder, &[("weight_decay", "0.1"), ("freeze", "[\"encoder.*\", \"*.q_proj.weight\"]")]);
    let said = train(folder, "run", &["--steps", "10"]);
    let audit = said.lines().find(|line| line.starts_with("audit: ")).unwrap();
    assert!(audit.contains("parameters reached, 20 frozen"), "{audit}");
    let before = checkpoint(folder, "run", "last.gradus");
    done(folder, &["train", "--resume", "run", "--steps", "30"]);
    let after = checkpoint(folder, "run", "last.gradus");
    let moments = after.training.as_ref().unwrap().moments.clone();
    for (path, weights) in &after.weights {
        let frozen = path.starts_with("encoder.") || path.ends_with("q_proj.weight");
        assert_eq!(*weights == before.weights[path], frozen, "{path}");
        assert_eq!(moments.contains_key(path), !frozen, "{path}");
    }
    let all = complaint(folder, &["train", "--config", "small.toml", "--out", "x", "--freeze", "*"]);
    assert!(all.contains("train.freeze leaves no parameter to train"), "{all}");
    assert!(!folder.join("x").exists());
}

#[test]
fn a_failed_audit_leaves_no_folder_that_was_not_there_before() {
    let project = small_project();
    let folder = project.path();
    train(folder, "run", &["--steps", "3"]);
    let mut model = checkpoint(folder, "run", "model.gradus");
    model.weights.get_mut("decoder.layers.0.feed_forward.linear2.weight").unwrap().data.fill(0.0);
    model.save(&folder.join("dead.gradus")).unwrap();
    fs::create_dir(folder.join("mine")).unwrap();
    for out in ["new", "mine"] {
        let arguments = ["train", "--init-from", "dead.gradus", "--out", out, "--steps", "3"];
        let output = crate::program::run(folder, &arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("linear1.weight is zero to rounding"), "{stderr}");
    }
    assert!(!folder.join("new").exists() && folder.join("mine").exists());
    done(folder, &["train", "--init-from", "dead.gradus", "--out", "new", "--steps", "3", "--no-audit"]);
}
