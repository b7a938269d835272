//! Every call that changes files is a place to crash at.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::preload::{Fault, calls, crash, library};
use super::{assert_same, done, project, recover, state};
use crate::program::run;

/// Crash points that the gate tries of each command, spread over its whole length.
const SAMPLE: usize = 6;

/// The crash points to try of a command with so many calls: all, or a sample that is another in each of the faults.
fn points(calls: usize) -> Vec<(usize, Fault)> {
    let all = std::env::var("GRADUS_CRASH_POINTS").is_ok_and(|value| value == "all");
    let step = if all { 1 } else { calls.div_ceil(SAMPLE) };
    let of = |(k, fault)| (1 + k * step / Fault::ALL.len()..=calls).step_by(step).map(move |at| (at, fault));
    Fault::ALL.into_iter().enumerate().flat_map(of).collect()
}

/// A copy of a project.
fn copy(from: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp").arg("-a").arg(from.join(".")).arg(folder.path()).status();
    assert!(copied.unwrap().success());
    folder
}

/// Crashes a training that begins with `begin` at every point; each ends as `begin` alone does.
fn training(name: &str, original: &Path, begin: &[&str]) {
    let Some(library) = library() else { return };
    let whole = copy(original);
    let all = calls(library, whole.path(), "run", begin);
    let expected = state(&whole.path().join("run"));
    let points = points(all);
    for &(at, fault) in &points {
        let what = format!("{name}, {fault:?} at {at} of {all}");
        let folder = copy(original);
        crash(library, (folder.path(), "run"), begin, (at, fault));
        recover(folder.path(), begin);
        assert_same(&state(&folder.path().join("run")), &expected, &what);
    }
    println!(
        "{name}: {} crash points of {all} calls: each training ends with the same bits and files",
        points.len()
    );
}

#[test]
fn a_training_that_crashes_at_any_call_ends_as_if_it_had_not() {
    for (name, rich) in [("plain", false), ("rich", true)] {
        training(name, project(rich).path(), &["train", "--config", "small.toml", "--out", "run"]);
    }
}

#[test]
fn a_training_that_goes_on_crashes_at_any_call_and_ends_as_if_it_had_not() {
    let project = project(false);
    done(project.path(), &["train", "--config", "small.toml", "--out", "run", "--steps", "8"]);
    training("resume", project.path(), &["train", "--resume", "run", "--steps", "16"]);
}

#[test]
fn a_training_that_begins_with_another_crashes_at_any_call_and_ends_as_if_it_had_not() {
    let project = project(false);
    done(project.path(), &["train", "--config", "small.toml", "--out", "first", "--steps", "8"]);
    let begin = ["train", "--init-from", "first/checkpoints/last.gradus", "--out", "run", "--steps", "16"];
    training("init-from", project.path(), &begin);
}

#[test]
fn an_export_that_crashes_leaves_one_model_or_none() {
    let Some(library) = library() else { return };
    let project = project(true);
    let folder = project.path();
    done(folder, &["train", "--config", "small.toml", "--out", "old", "--steps", "4"]);
    done(folder, &["train", "--config", "small.toml", "--out", "new", "--steps", "8", "--lowercase"]);
    done(folder, &["export", "--model", "old", "--out", "e"]);
    let new = ["export", "--model", "new", "--out", "e"];
    let whole = copy(folder);
    let all = calls(library, whole.path(), "e", &new);
    let (before, after) = (state(&folder.join("e")), state(&whole.path().join("e")));
    let points = points(all);
    for &(at, fault) in &points {
        let what = format!("export, {fault:?} at {at} of {all}");
        let folder = copy(folder);
        crash(library, (folder.path(), "e"), &new, (at, fault));
        if run(folder.path(), &["import", "e", "--out", "imported"]).status.success() {
            let mut found = state(&folder.path().join("e"));
            // What nobody reads, and the next export removes.
            found.retain(|name, _| !name.starts_with('.'));
            assert!(found == before || found == after, "{what}: parts of two models");
        }
        done(folder.path(), &new);
        assert_same(&state(&folder.path().join("e")), &after, &what);
    }
    println!("export: {} crash points of {all} calls", points.len());
}

#[test]
fn an_import_and_an_average_that_crash_can_be_done_again() {
    let Some(library) = library() else { return };
    let project = project(true);
    let folder = project.path();
    done(folder, &["train", "--config", "small.toml", "--out", "old"]);
    done(folder, &["export", "--model", "old", "--out", "e"]);
    fs::create_dir(folder.join("means")).unwrap();
    for (target, arguments) in [
        ("imported", &["import", "e", "--out", "imported"][..]),
        ("means", &["average", "--last", "2", "old", "--out", "means/mean.gradus"]),
    ] {
        let whole = copy(folder);
        let all = calls(library, whole.path(), target, arguments);
        let expected = state(&whole.path().join(target));
        let points = points(all);
        for &(at, fault) in &points {
            let what = format!("{}, {fault:?} at {at} of {all}", arguments[0]);
            let folder = copy(folder);
            let output = crash(library, (folder.path(), target), arguments, (at, fault));
            // A model that is whole cannot be imported over.
            let is_there = folder.path().join("imported/checkpoints/model.gradus").exists();
            if !output.status.success() && !is_there {
                done(folder.path(), arguments);
            }
            assert_same(&state(&folder.path().join(target)), &expected, &what);
        }
        println!("{}: {} crash points of {all} calls", arguments[0], points.len());
    }
}
