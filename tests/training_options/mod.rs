//! What a user can ask of a training, through the program.

mod begin;
mod checkpoints;
mod elsewhere;
mod interchange;
mod limits;
mod moved;

use std::fs;
use std::path::Path;
use std::process::Output;

use gradus::checkpoint::Checkpoint;
use serde_json::Value;

use crate::program::run;

/// Runs what must work; what it said.
fn done(folder: &Path, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = run(folder, arguments);
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(status.success(), "{arguments:?}: {stderr}");
    stderr + &String::from_utf8(stdout).unwrap()
}

/// Trains with `small.toml` into the folder `name`; what it said.
fn train(folder: &Path, name: &str, more: &[&str]) -> String {
    done(folder, &[&["train", "--config", "small.toml", "--out", name], more].concat())
}

/// Puts lines at the end of the `[train]` section of `small.toml`, in place of settings of the same names.
fn set(folder: &Path, settings: &[(&str, &str)]) {
    let path = folder.join("small.toml");
    let mut text = fs::read_to_string(&path).unwrap();
    for (key, value) in settings {
        let set = |line: &&str| !line.trim_start().starts_with(&format!("{key} ="));
        text = text.lines().filter(set).map(|line| format!("{line}\n")).collect();
        text.push_str(&format!("{key} = {value}\n"));
    }
    fs::write(path, text).unwrap();
}

fn checkpoint(folder: &Path, name: &str, file: &str) -> Checkpoint {
    Checkpoint::load(&folder.join(name).join("checkpoints").join(file)).unwrap()
}

/// The lines of `metrics.jsonl` of one kind.
fn records(folder: &Path, name: &str, kind: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder.join(name).join("metrics.jsonl")).unwrap();
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(|record| record["kind"] == kind).collect()
}

fn steps(records: &[Value]) -> Vec<u64> {
    records.iter().map(|record| record["step"].as_u64().unwrap()).collect()
}
