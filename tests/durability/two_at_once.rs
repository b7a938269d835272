//! Two trainings in one folder.

use std::fs;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use super::{assert_same, count, done, project, state};
use crate::program::{complaint, gradus};

/// Pairs of each kind that the gate tries.
const SAMPLE: usize = 3;

fn spawn(folder: &Path, arguments: &[&str]) -> Child {
    gradus(folder, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until a training has written a file, and is still running.
fn wait_for(child: &mut Child, file: &Path) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !file.exists() {
        assert!(
            Instant::now() < deadline && child.try_wait().unwrap().is_none(),
            "the training does not begin"
        );
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

fn ended(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn of_two_trainings_in_one_folder_one_is_refused_and_the_other_unharmed() {
    let begin = ["train", "--config", "small.toml", "--out", "run", "--steps", "200"];
    let resume = ["train", "--resume", "run", "--steps", "600"];
    let project = project(false);
    let folder = project.path();
    done(folder, &begin);
    let half = tempfile::tempdir().unwrap();
    let keep = half.path().join("run");
    let copy = |from: &Path, to: &Path| {
        let _ = fs::remove_dir_all(to);
        let copied = std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap();
        assert!(copied.success());
    };
    let run = folder.join("run");
    copy(&run, &keep);
    let begun = state(&run);
    done(folder, &resume);
    let resumed = state(&run);
    let pairs = count("GRADUS_PAIRS", SAMPLE);
    for pair in 0..pairs {
        // Two that start at once: neither is ahead.
        fs::remove_dir_all(&run).unwrap();
        let both =
            [spawn(folder, &begin), spawn(folder, &begin)].map(|child| child.wait_with_output().unwrap());
        assert_one_refused(&both);
        assert_same(&state(&run), &begun, &format!("start and start, pair {pair}"));

        // Two that go on at once.
        copy(&keep, &run);
        let both =
            [spawn(folder, &resume), spawn(folder, &resume)].map(|child| child.wait_with_output().unwrap());
        assert_one_refused(&both);
        assert_same(&state(&run), &resumed, &format!("resume and resume, pair {pair}"));

        // One that goes on, or starts, while another runs.
        fs::remove_dir_all(&run).unwrap();
        let mut child = spawn(folder, &begin);
        wait_for(&mut child, &run.join("checkpoints/last.gradus"));
        let refused = complaint(folder, &resume);
        assert!(
            refused.contains(&format!("run: in use by process {} (gradus train)", child.id())),
            "{refused}"
        );
        let other = complaint(folder, &["train", "--config", "small.toml", "--out", "run", "--seed", "2"]);
        assert!(other.contains("run: holds a run already") || other.contains("in use by"), "{other}");
        ended(child);
        assert_same(&state(&run), &begun, &format!("resume while running, pair {pair}"));
    }
    println!(
        "{pairs} pairs each of start + start, resume + resume, resume while running: one refused, one unharmed"
    );
}

/// One has ended well, and the other was refused in one line.
#[track_caller]
fn assert_one_refused(both: &[Output; 2]) {
    let refused = both.iter().filter(|output| output.status.code() == Some(1)).collect::<Vec<_>>();
    let finished = both.iter().filter(|output| output.status.success()).count();
    assert_eq!((refused.len(), finished), (1, 1), "{both:?}");
    let stderr = String::from_utf8_lossy(&refused[0].stderr);
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    // The one that comes when the other has ended finds its run.
    assert!(stderr.contains("run: in use by ") || stderr.contains("holds a run already"), "{stderr}");
}

#[test]
fn a_folder_whose_owner_was_killed_is_free() {
    let project = project(false);
    let folder = project.path();
    let begin = ["train", "--config", "small.toml", "--out", "run", "--steps", "100000"];
    let mut child = spawn(folder, &begin);
    wait_for(&mut child, &folder.join("run/checkpoints/last.gradus"));
    child.kill().unwrap();
    child.wait().unwrap();
    let step = "100000";
    let refused = complaint(folder, &["train", "--config", "small.toml", "--out", "run", "--steps", step]);
    assert!(refused.contains("run: holds a run already"), "{refused}");
    done(folder, &["train", "--resume", "run", "--steps", "4"]);
}
