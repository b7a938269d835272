//! Claims: no command panics because its output cannot be written; a training goes on without its log; and signals do what
//! their senders mean.

#![cfg(unix)]

use std::fs::{self, OpenOptions};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use gradus::checkpoint::Checkpoint;
use tempfile::TempDir;

use crate::program::{gradus, run, small_project, weights};

/// A project with a trained run, an export and two texts.
fn trained() -> TempDir {
    let project = small_project();
    let folder = project.path();
    for arguments in [
        &["train", "--config", "small.toml", "--out", "run", "--steps", "4"][..],
        &["export", "--model", "run", "--out", "exported"],
    ] {
        let output = run(folder, arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    project
}

/// Every command that ends by itself, with something to print.
const COMMANDS: [&str; 26] = [
    "train --config small.toml --steps 2 --out a",
    "train --config small.toml --steps 2 --out b --json",
    "translate --model run --input a.txt --max-length 3",
    "translate --model run --input a.txt --max-length 3 --json",
    "evaluate --hyp a.txt --ref b.txt",
    "evaluate --hyp a.txt --ref b.txt --json",
    "evaluate --model run --src a.txt --ref b.txt --max-length 3 --out -",
    "score --model run --src a.txt --tgt b.txt",
    "score --model run --src a.txt --tgt b.txt --json",
    "attention --model run --source one --out attention.html",
    "attention --model run --source one --out -",
    "attention --model run --source one --json",
    "export --model run --out e",
    "import exported --out i",
    "average run/checkpoints/best.gradus --out mean.gradus",
    "doctor --config small.toml",
    "doctor --config small.toml --json",
    "gradcheck softmax",
    "gradcheck --plant list",
    "bench --only train --steps 1 --warmup 0 --threads 1",
    "report run",
    "tape",
    "tape --json",
    "microscope --model run --source one --target two --out m.html",
    "--help",
    "train --help",
];

fn with_streams(folder: &Path, command: &str, stdout: Stdio, stderr: Stdio) -> Output {
    let arguments: Vec<&str> = command.split(' ').collect();
    gradus(folder, &arguments).stdout(stdout).stderr(stderr).output().unwrap()
}

fn full() -> Stdio {
    Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap())
}

/// The end of a pipe to write to that nobody reads.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    Stdio::from(writer)
}

/// The files that a command makes, so that it can be given again.
fn clean(folder: &Path) {
    for name in ["a", "b", "e", "i"] {
        let _ = fs::remove_dir_all(folder.join(name));
    }
}

/// A training whose result cannot be printed is saved all the same.
#[track_caller]
fn assert_saved(folder: &Path, command: &str) {
    if command.contains("--steps 2 --out a") {
        assert!(folder.join("a/checkpoints/model.gradus").is_file(), "{command}");
    }
}

#[test]
fn a_full_disk_behind_standard_output_is_one_line_and_exit_code_1() {
    if !Path::new("/dev/full").exists() {
        return eprintln!("skipped: no /dev/full");
    }
    let project = trained();
    for command in COMMANDS {
        clean(project.path());
        let output = with_streams(project.path(), command, full(), Stdio::piped());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{command}: {stderr}");
        assert_saved(project.path(), command);
        assert!(!stderr.contains("panicked"), "{command}: {stderr}");
        if !command.contains("--help") {
            let last = stderr.lines().last().unwrap_or_default();
            assert!(
                last.starts_with("gradus: standard output: cannot write: No space left"),
                "{command}: {stderr}"
            );
        }
    }
}

#[test]
fn standard_error_that_cannot_be_written_changes_nothing() {
    if !Path::new("/dev/full").exists() {
        return eprintln!("skipped: no /dev/full");
    }
    let project = trained();
    for stderr in [full, closed] {
        for command in COMMANDS {
            clean(project.path());
            let output = with_streams(project.path(), command, Stdio::piped(), stderr());
            assert_eq!(output.status.code(), Some(0), "{command}");
            assert!(!output.stdout.is_empty(), "{command}");
        }
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_no_command_by_a_panic_or_a_signal() {
    let project = trained();
    for command in COMMANDS {
        clean(project.path());
        let output = with_streams(project.path(), command, closed(), Stdio::piped());
        let stderr = String::from_utf8(output.stderr).unwrap();
        let expected = if command.contains("--help") { 1 } else { 0 };
        assert_eq!(output.status.code(), Some(expected), "{command}: {stderr}");
        assert_saved(project.path(), command);
        assert!(!stderr.contains("gradus:") && !stderr.contains("panicked"), "{command}: {stderr}");
    }
}

/// A training that ends when it is told to.
const ENDLESS: [&str; 8] =
    ["train", "--config", "small.toml", "--out", "run", "--steps", "1000000", "--no-audit"];

fn wait_until(child: &mut Child, what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        assert!(child.try_wait().unwrap().is_none(), "the training has ended");
        std::thread::yield_now();
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// The steps that the log says are done.
fn logged(folder: &Path) -> usize {
    fs::read_to_string(folder.join("run/metrics.jsonl")).unwrap_or_default().lines().count()
}

#[test]
fn each_signal_saves_and_the_exit_code_is_that_of_an_interrupt() {
    for name in ["-INT", "-TERM", "-HUP"] {
        let project = small_project();
        let folder = project.path();
        let mut child = gradus(folder, &ENDLESS).stderr(Stdio::null()).spawn().unwrap();
        wait_until(&mut child, "no step", || logged(folder) > 1);
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(130), "{name}");
        assert!(!weights(folder, "run").is_empty());
    }
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    for name in ["HUP", "INT"] {
        let project = small_project();
        let folder = project.path();
        // As `nohup` does, and a shell with what it starts in the background.
        let script = format!("trap '' {name}; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.current_dir(folder).args(["-c", &script, env!("CARGO_BIN_EXE_gradus")]).args(ENDLESS);
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until(&mut child, "no step", || logged(folder) > 1);
        signal(&child, &format!("-{name}"));
        let before = logged(folder);
        wait_until(&mut child, "it goes on", || logged(folder) > before + 2);
        // Others are heeded as ever.
        signal(&child, "-TERM");
        assert_eq!(child.wait().unwrap().code(), Some(130), "{name}");
    }
}

#[test]
fn before_the_first_step_one_signal_ends_the_program_and_leaves_nothing() {
    let project = small_project();
    let folder = project.path();
    // A text that nobody writes: whoever reads it waits.
    let fifo = folder.join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let arguments = ["train", "--src", "fifo", "--tgt", "b.txt", "--out", "run"];
    let mut child = gradus(folder, &arguments).stderr(Stdio::piped()).spawn().unwrap();
    wait_until(&mut child, "no folder", || folder.join("run/checkpoints").exists());
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "stopped before the first step; there is nothing to save\n");
    assert!(!folder.join("run").exists(), "the folder that was made for it is gone");
}

#[test]
fn a_terminal_that_is_closed_ends_a_training_as_an_interrupt_does() {
    use portable_pty::{CommandBuilder, PtySize, native_pty_system};
    let project = small_project();
    let folder = project.path();
    let pair = native_pty_system().openpty(PtySize::default()).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_gradus"));
    command.cwd(folder);
    command.args(ENDLESS);
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let deadline = Instant::now() + Duration::from_secs(60);
    while logged(folder) < 2 {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "no step");
        std::thread::yield_now();
    }
    // The kernel sends SIGHUP; from then on nothing can be written.
    drop(pair.master);
    assert_eq!(child.wait().unwrap().exit_code(), 130);
    let last = Checkpoint::load(&folder.join("run/checkpoints/last.gradus")).unwrap();
    assert!(last.training.unwrap().progress.step > 0);
}

#[test]
fn a_log_on_a_full_disk_ends_no_training() {
    if !Path::new("/dev/full").exists() {
        return eprintln!("skipped: no /dev/full");
    }
    let project = small_project();
    let folder = project.path();
    let arguments = ["train", "--config", "small.toml", "--out", "run", "--steps", "20"];
    let logged = gradus(folder, &arguments).output().unwrap();
    assert!(logged.status.success());
    fs::rename(folder.join("run"), folder.join("logged")).unwrap();
    let unlogged = gradus(folder, &arguments).stderr(full()).output().unwrap();
    assert!(unlogged.status.success());
    assert_eq!(weights(folder, "run"), weights(folder, "logged"));
}

#[test]
fn control_characters_of_a_corpus_reach_no_terminal() {
    let project = small_project();
    let folder = project.path();
    let line = "\u{1b}]0;owned\u{7} red \u{1b}[31m \u{9b}31m .\n";
    fs::write(folder.join("e.txt"), line.repeat(30)).unwrap();
    let arguments = [
        "train",
        "--src",
        "e.txt",
        "--tgt",
        "e.txt",
        "--config",
        "small.toml",
        "--steps",
        "4",
        "--out",
        "c\nd",
    ];
    let output = run(folder, &arguments);
    let text = String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("red"), "samples are shown: {text}");
    assert!(!text.contains(['\u{1b}', '\u{7}', '\u{9b}']), "{text:?}");
    // A line end in a name splits no message.
    let refused = crate::program::complaint(folder, &arguments);
    assert!(refused.contains("c\\nd: holds a run already"), "{refused}");
}
