//! Claims: the last checkpoints are kept by name, their mean is a model, and the moving average is what translates.

use std::fs;

use gradus::checkpoint::{Array, Checkpoint};

use super::{checkpoint, done, set, train};
use crate::program::{complaint, small_project};

#[test]
fn the_last_checkpoints_are_kept_and_averaged() {
    let project = small_project();
    let folder = project.path();
    train(folder, "run", &["--steps", "50", "--save-every", "10", "--keep", "3"]);
    let files = |name: &str| -> Vec<String> {
        let files = fs::read_dir(folder.join(name).join("checkpoints")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.starts_with("step-")).collect();
        names.sort();
        names
    };
    assert_eq!(files("run"), ["step-000030.gradus", "step-000040.gradus", "step-000050.gradus"]);

    let said = done(folder, &["average", "--last", "2", "run", "--out", "mean.gradus"]);
    assert!(said.contains("the mean of 2 checkpoints is in mean.gradus"), "{said}");
    let mean = Checkpoint::load(&folder.join("mean.gradus")).unwrap();
    assert!(mean.training.is_none());
    let parts =
        ["step-000040.gradus", "step-000050.gradus"].map(|file| checkpoint(folder, "run", file).weights);
    for (path, Array { data, .. }) in &mean.weights {
        let [a, b] = parts.each_ref().map(|part| &part[path].data);
        let expected: Vec<f32> =
            a.iter().zip(b).map(|(a, b)| ((f64::from(*a) + f64::from(*b)) / 2.0) as f32).collect();
        assert_eq!(*data, expected, "{path}");
    }
    assert_ne!(mean.weights, parts[0]);
    let named = ["run/checkpoints/step-000040.gradus", "run/checkpoints/step-000050.gradus"];
    done(folder, &["average", named[0], named[1], "--out", "named.gradus"]);
    assert_eq!(Checkpoint::load(&folder.join("named.gradus")).unwrap(), mean);
    let translated = done(folder, &["translate", "--model", "mean.gradus", "--input", "a.txt"]);
    assert_eq!(translated.lines().count(), 120);

    let few = complaint(folder, &["average", "--last", "4", "run", "--out", "x.gradus"]);
    assert!(few.contains("run: has kept 3 checkpoints, not 4"), "{few}");
    let two = complaint(folder, &["average", "--last", "1", "run", "run", "--out", "x.gradus"]);
    assert!(two.contains("--last goes with the folder of one run"), "{two}");
    let gone = complaint(folder, &["average", named[0], "none.gradus", "--out", "x.gradus"]);
    assert!(gone.contains("none.gradus: cannot read"), "{gone}");
    let settings = fs::read_to_string(folder.join("small.toml")).unwrap();
    fs::write(folder.join("small.toml"), settings.replace("ffn = 32", "ffn = 24")).unwrap();
    train(folder, "other", &["--steps", "2"]);
    let other =
        complaint(folder, &["average", named[0], "other/checkpoints/last.gradus", "--out", "x.gradus"]);
    assert!(
        other.contains("other/checkpoints/last.gradus: ") && other.contains("[24] here and [32]"),
        "{other}"
    );
    assert!(!folder.join("x.gradus").exists());
}

#[test]
fn the_moving_average_is_validated_and_saved_and_does_not_touch_the_training() {
    let project = small_project();
    let folder = project.path();
    set(folder, &[("average", "1")]);
    let more = ["--steps", "40", "--validate-every", "20"];
    train(folder, "plain", &more);
    train(folder, "averaged", &[&more[..], &["--ema", "0.9"]].concat());
    let plain = checkpoint(folder, "plain", "last.gradus");
    let averaged = checkpoint(folder, "averaged", "last.gradus");
    assert!(plain.training.as_ref().unwrap().averaged.is_none());
    assert_eq!(plain.weights, *averaged.training_weights(), "averaging has changed the steps");
    assert_ne!(plain.weights, averaged.weights);
    let model = checkpoint(folder, "averaged", "model.gradus").weights;
    assert!(model == checkpoint(folder, "averaged", "best.gradus").weights);
    assert!(model != checkpoint(folder, "plain", "model.gradus").weights);
}

#[test]
fn the_best_is_told_by_the_metric_that_is_named() {
    let project = small_project();
    let folder = project.path();
    for (metric, key) in [("loss", "loss"), ("bleu", "bleu"), ("chrf", "chrf")] {
        let said = train(folder, metric, &["--steps", "60", "--validate-every", "6", "--best", metric]);
        let mut best: Option<f64> = None;
        let mut count = 0;
        for record in super::records(folder, metric, "valid") {
            let score = record[key].as_f64().unwrap();
            if best.is_none_or(|best| if metric == "loss" { score < best } else { score > best }) {
                (best, count) = (Some(score), count + 1);
            }
        }
        assert_eq!(said.matches("the best so far").count(), count, "{metric}: {said}");
        let progress = checkpoint(folder, metric, "last.gradus").training.unwrap().progress;
        assert_eq!(progress.best, best, "{metric}");
    }
}

/// Turns a bit of a file.
fn damage(path: &std::path::Path) {
    let mut bytes = std::fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn of_damaged_checkpoints_an_earlier_one_is_offered_and_a_training_can_go_on_from_it() {
    let project = small_project();
    let folder = project.path();
    set(folder, &[("validate_every", "4")]);
    train(folder, "run", &["--steps", "8", "--keep", "2"]);
    let files = folder.join("run/checkpoints");
    damage(&files.join("last.gradus"));
    let said = complaint(folder, &["train", "--resume", "run"]);
    assert!(said.contains("run/checkpoints/last.gradus: corrupted"), "{said}");
    assert!(said.contains("is whole: --resume run/checkpoints/step-000008.gradus"), "{said}");
    damage(&files.join("step-000008.gradus"));
    let said = complaint(folder, &["train", "--resume", "run"]);
    assert!(said.contains("is whole: --resume run/checkpoints/step-000004.gradus"), "{said}");
    done(folder, &["train", "--resume", "run/checkpoints/step-000004.gradus", "--steps", "12"]);
    assert_eq!(checkpoint(folder, "run", "last.gradus").training.unwrap().progress.step, 12);
    checkpoint(folder, "run", "step-000008.gradus");

    // The best weights are looked at before the first step, not after the last.
    damage(&files.join("best.gradus"));
    let said = complaint(folder, &["train", "--resume", "run", "--steps", "16"]);
    assert!(said.contains("best.gradus: corrupted") && said.contains("--resume run --reset best"), "{said}");
    done(folder, &["train", "--resume", "run", "--steps", "16", "--reset", "best"]);
    checkpoint(folder, "run", "best.gradus");
    let said = complaint(folder, &["train", "--resume", "run", "--steps", "20", "--reset", "data"]);
    assert!(said.contains("--reset: only best can be reset in a run that goes on"), "{said}");
}

#[test]
fn scores_on_another_validation_text_are_not_compared_with_those_before() {
    let project = small_project();
    let folder = project.path();
    set(folder, &[("validate_every", "4"), ("best", "\"loss\"")]);
    train(folder, "run", &["--steps", "8", "--valid-src", "a.txt", "--valid-tgt", "b.txt"]);
    let before = checkpoint(folder, "run", "last.gradus").training.unwrap();
    assert_eq!(before.best_validation().unwrap().step, 8);
    // Text on which no score can be as good: its targets are those of other sources.
    std::fs::write(folder.join("c.txt"), std::fs::read_to_string(folder.join("a.txt")).unwrap()).unwrap();
    let said = done(
        folder,
        &["train", "--resume", "run", "--steps", "12", "--valid-src", "b.txt", "--valid-tgt", "c.txt"],
    );
    assert!(
        said.contains("the validation text is another one: the best score so far does not count"),
        "{said}"
    );
    let after = checkpoint(folder, "run", "last.gradus").training.unwrap();
    let (old, new) = (before.best_validation().unwrap(), after.best_validation().unwrap());
    assert!(new.step == 12 && new.checksum != old.checksum, "{new:?}");
}
