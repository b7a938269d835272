//! Claims: a run goes on from any working folder, with whatever of it is named; what is not found is said with its places.

use std::fs;

use super::{checkpoint, done, train};
use crate::program::{complaint, small_project};

#[test]
fn a_run_goes_on_from_another_working_folder() {
    let project = small_project();
    let folder = project.path();
    train(folder, "whole", &["--steps", "20"]);
    train(folder, "runs/part", &["--steps", "10"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let run = folder.join("runs/part");
    done(elsewhere.path(), &["train", "--resume", run.to_str().unwrap(), "--steps", "15"]);
    // The paths of its text are as they were.
    let config = checkpoint(folder, "runs/part", "last.gradus").config;
    assert!(config.contains("source = \"a.txt\""), "{config}");
    done(&run, &["train", "--resume", ".", "--steps", "20"]);
    let weights = |name: &str| checkpoint(folder, name, "last.gradus").weights;
    assert!(weights("whole") == weights("runs/part"), "another end");
    done(elsewhere.path(), &["gradcheck", "--truth", "--model", run.to_str().unwrap(), "--json"]);
    done(elsewhere.path(), &["doctor", "--model", run.to_str().unwrap()]);
    let from = ["train", "--init-from", run.to_str().unwrap(), "--out", "new", "--steps", "2"];
    done(elsewhere.path(), &from);
    done(folder, &["train", "--resume", elsewhere.path().join("new").to_str().unwrap(), "--steps", "4"]);
}

#[test]
fn text_that_is_found_nowhere_is_named_with_the_places() {
    let project = small_project();
    let folder = project.path();
    train(folder, "run", &["--steps", "2"]);
    let elsewhere = tempfile::tempdir().unwrap();
    fs::rename(folder.join("run"), elsewhere.path().join("moved")).unwrap();
    let said = complaint(elsewhere.path(), &["train", "--resume", "moved", "--steps", "4"]);
    let here = fs::canonicalize(elsewhere.path()).unwrap();
    for part in
        ["a.txt: cannot read: there is nothing at this relative path", "in moved and the folders", "--src"]
    {
        assert!(said.contains(part), "{said}");
    }
    assert!(said.contains(&format!("working folder {}", here.display())), "{said}");
}

#[test]
fn a_checkpoint_in_the_place_of_its_run_is_taken_for_it_or_called_what_it_is() {
    let project = small_project();
    let folder = project.path();
    train(folder, "run", &["--steps", "4", "--keep", "1"]);
    done(folder, &["train", "--resume", "run/checkpoints/last.gradus", "--steps", "6"]);
    assert_eq!(checkpoint(folder, "run", "last.gradus").training.unwrap().progress.step, 6);
    for name in ["best", "model"] {
        let path = format!("run/checkpoints/{name}.gradus");
        let said = complaint(folder, &["train", "--resume", &path, "--steps", "8"]);
        assert!(said.contains(&format!("{path}: --resume run goes on from the last checkpoint")), "{said}");
        assert!(said.contains(&format!("--init-from {path}")), "{said}");
    }
    let other = complaint(folder, &["train", "--resume", "a.txt", "--steps", "8"]);
    assert!(other.contains("a.txt: is a file; --resume takes the folder of a run"), "{other}");
    let truth = complaint(folder, &["gradcheck", "--truth", "--model", "run/checkpoints/last.gradus"]);
    assert!(truth.contains("last.gradus: is a file, not the folder of a run"), "{truth}");
}
