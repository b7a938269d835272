//! Claims: a training ends when it is told to, validates when it is told to, and can be made longer.

use super::{checkpoint, done, records, set, steps, train};
use crate::program::{complaint, small_project};

#[test]
fn minutes_end_a_training_with_everything_saved_and_further_limits_extend_it() {
    let project = small_project();
    let folder = project.path();
    let said = train(folder, "run", &["--minutes", "0.003"]);
    assert!(said.contains("Translate with it:"), "{said}");
    let progress = |folder| checkpoint(folder, "run", "last.gradus").training.unwrap().progress;
    let first = progress(folder);
    assert!(first.step > 0 && first.seconds >= 0.18, "{first:?}");
    done(folder, &["translate", "--model", "run", "--input", "a.txt"]);

    let more = first.step + 7;
    done(folder, &["train", "--resume", "run", "--steps", &more.to_string()]);
    assert_eq!(progress(folder).step, more);
    let epochs = progress(folder).epoch + 2;
    done(folder, &["train", "--resume", "run", "--epochs", &epochs.to_string()]);
    let third = progress(folder);
    assert_eq!((third.epoch, third.batch), (epochs, 0));
    // A limit that is behind ends at once and changes nothing.
    done(folder, &["train", "--resume", "run", "--steps", "1"]);
    assert_eq!(progress(folder), third);
}

#[test]
fn training_ends_without_a_better_score_and_goes_on_with_more_patience() {
    let project = small_project();
    let folder = project.path();
    // A rate of next to nothing: no validation is better than the first.
    set(folder, &[("schedule", "{ kind = \"constant\", rate = 1e-30 }"), ("best", "\"bleu\"")]);
    let said = train(
        folder,
        "run",
        &["--steps", "500", "--validate-every", "5", "--patience", "2", "--best", "loss"],
    );
    assert!(said.contains("no better loss in the last 2 validations: training ends"), "{said}");
    assert_eq!(steps(&records(folder, "run", "valid")), [5, 10, 15]);
    assert_eq!(said.matches("the best so far").count(), 1, "{said}");
    done(folder, &["train", "--resume", "run"]);
    assert_eq!(steps(&records(folder, "run", "valid")), [5, 10, 15], "patience is still at an end");
    done(folder, &["train", "--resume", "run", "--patience", "3"]);
    assert_eq!(steps(&records(folder, "run", "valid")), [5, 10, 15, 20]);
}

#[test]
fn validations_come_every_so_many_epochs_and_translate_with_a_beam() {
    let project = small_project();
    let folder = project.path();
    set(folder, &[("validate_every", "0"), ("validate_every_epochs", "2"), ("validate_beam", "3")]);
    train(folder, "run", &["--epochs", "5"]);
    let records = records(folder, "run", "valid");
    let epochs: Vec<_> = records.iter().map(|record| record["epoch"].as_u64().unwrap()).collect();
    assert_eq!(epochs, [2, 4, 5], "and one at the end");
    assert!(records.iter().all(|record| record["chrf"].is_number() && record["loss"].is_number()));
}

#[test]
fn a_loss_that_jumps_is_reported() {
    let project = small_project();
    let folder = project.path();
    // The rate rises so far beyond what any model can bear that the loss jumps whatever the order of sums is: with a tenth of
    // it there are spikes at some vector units and none at others.
    let said = train(folder, "run", &["--steps", "150", "--rate", "200", "--warmup", "400"]);
    let spikes = records(folder, "run", "spike");
    assert!(!spikes.is_empty() && spikes.len() <= 6, "{said}");
    for spike in spikes {
        let (step, what) = (&spike["step"], spike["what"].as_str().unwrap());
        assert!(said.contains(&format!("step {step}: a spike: {what} ")), "{said}");
        assert!(spike["value"].as_f64().unwrap() > 1.5 * spike["median"].as_f64().unwrap(), "{spike}");
    }
}

#[test]
fn two_dropouts_that_must_agree_are_another_training_from_the_first_step_on() {
    let project = small_project();
    let folder = project.path();
    let losses = |name: &str, alpha: &str| -> Vec<f64> {
        train(folder, name, &["--steps", "10", "--r-drop", alpha, "--dropout", "0.3"]);
        records(folder, name, "train").iter().map(|record| record["loss"].as_f64().unwrap()).collect()
    };
    let [none, some, more] = [("a", "0"), ("b", "1"), ("c", "9")].map(|(name, alpha)| losses(name, alpha));
    assert!(none != some && more[0] > some[0], "{none:?} {some:?} {more:?}");
}

#[test]
fn limits_and_schedules_without_sense_get_one_line() {
    let project = small_project();
    let folder = project.path();
    let wrong = |more: &[&str]| {
        complaint(
            folder,
            &[&["train", "--config", "small.toml", "--out", "x", "--steps", "9"], more].concat(),
        )
    };
    assert!(wrong(&["--patience", "0"]).contains("train.patience must not be 0"));
    assert!(wrong(&["--ema", "1.5"]).contains("train.ema = 1.5 is not in [0, 1)"));
    assert!(wrong(&["--r-drop", "nan"]).contains("train.r_drop = NaN is not a number of at least 0"));
    assert!(wrong(&["--validate-beam", "0"]).contains("train.validate_beam must not be 0"));
    assert!(wrong(&["--rate", "0"]).contains("train.schedule: peak = 0 is not a positive number"));
    let frozen = wrong(&["--freeze", "encodr.*"]);
    assert!(frozen.contains("no parameter is called \"encodr.*\"; the nearest are encoder."), "{frozen}");
    set(folder, &[("schedule", "{ kind = \"linear\", peak = 0.01, warmup = 10 }")]);
    let open = complaint(folder, &["train", "--config", "small.toml", "--out", "x", "--minutes", "1"]);
    assert!(open.contains("neither steps nor epochs says when training ends"), "{open}");
    assert!(!folder.join("x").exists(), "a run that did not begin has left a folder");
}
