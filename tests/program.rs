//! The program as a user meets it: what it says to bad input, and that a training that was stopped goes on exactly.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use gradus::checkpoint::{Array, Checkpoint};
use tempfile::TempDir;

pub(crate) fn gradus(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    command
}

pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    gradus(folder, arguments).output().unwrap()
}

/// Runs what must fail: one clear line on standard error, nothing on standard output, and no panic.
pub(crate) fn complaint(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{arguments:?} printed a result");
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{arguments:?}: more than one line: {stderr}");
    assert!(stderr.starts_with("gradus: "), "{stderr}");
    stderr
}

/// A model and data so small that a step takes a few milliseconds.
pub(crate) fn small_project() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    let (mut source, mut target) = (String::new(), String::new());
    for i in 0..120 {
        let line: Vec<&str> = (0..2 + i % 5).map(|k| words[(i * 7 + k * 3) % words.len()]).collect();
        source.push_str(&format!("{}.\n", line.join(" ")));
        target.push_str(&format!("{}.\n", line.iter().rev().copied().collect::<Vec<_>>().join(" ")));
    }
    fs::write(folder.path().join("a.txt"), source).unwrap();
    fs::write(folder.path().join("b.txt"), target).unwrap();
    fs::write(
        folder.path().join("small.toml"),
        r#"
        [data]
        source = "a.txt"
        target = "b.txt"
        [tokenizer]
        vocab_size = 80
        [model]
        d_model = 16
        ffn = 32
        heads = 2
        encoder_layers = 1
        decoder_layers = 1
        [train]
        batch_tokens = 200
        accumulate = 2
        log_every = 5
        validate_every = 70
        validate_sentences = 4
        "#,
    )
    .unwrap();
    folder
}

pub(crate) fn weights(folder: &Path, run: &str) -> std::collections::BTreeMap<String, Array> {
    Checkpoint::load(&folder.join(run).join("checkpoints/last.gradus")).unwrap().weights
}

#[test]
fn a_training_that_was_stopped_goes_on_bit_for_bit() {
    let project = small_project();
    let folder = project.path();
    let whole = run(
        folder,
        &["train", "--config", "small.toml", "--out", "whole", "--steps", "400", "--threads", "1"],
    );
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stderr));
    for threads in ["1", "2"] {
        let name = format!("stopped-{threads}");
        let arguments =
            ["train", "--config", "small.toml", "--out", &name, "--steps", "400", "--threads", threads];
        let mut child =
            gradus(folder, &arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Somewhere in the middle of a pass over the text, after the first lines of metrics.
        let metrics = folder.join(&name).join("metrics.jsonl");
        let deadline = Instant::now() + Duration::from_secs(60);
        while fs::read_to_string(&metrics).unwrap_or_default().lines().count() < 3 {
            assert!(Instant::now() < deadline, "the training does not begin");
            std::thread::yield_now();
        }
        assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(&format!("go on with: gradus train --resume {name}")), "{stderr}");
        let stopped = Checkpoint::load(&folder.join(&name).join("checkpoints/last.gradus")).unwrap();
        let step = stopped.training.unwrap().progress.step;
        assert!((15..400).contains(&step), "stopped at step {step}");

        let resumed = run(folder, &["train", "--resume", &name]);
        assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
        assert_eq!(weights(folder, &name), weights(folder, "whole"), "{threads} threads");
        let lines = |run: &str| -> Vec<(u64, String)> {
            let text = fs::read_to_string(folder.join(run).join("metrics.jsonl")).unwrap();
            let records = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
            let records = records.filter(|record| record["kind"] == "train");
            records.map(|record| (record["step"].as_u64().unwrap(), record["loss"].to_string())).collect()
        };
        assert_eq!(lines(&name), lines("whole"), "the record of losses has no seam");
    }
}

#[test]
fn a_finished_training_translates_and_is_scored() {
    let project = small_project();
    let folder = project.path();
    let trained =
        run(folder, &["train", "--config", "small.toml", "--out", "run", "--steps", "10", "--json"]);
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    let stdout = String::from_utf8(trained.stdout).unwrap();
    let summary: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!(summary["steps"], 10);
    assert_eq!(summary["run"], "run");
    for file in ["config.toml", "tokenizer.json", "metrics.jsonl", "checkpoints/model.gradus"] {
        assert!(folder.join("run").join(file).is_file(), "{file}");
    }
    fs::write(folder.join("in.txt"), "one two.\r\n\nten\n").unwrap();
    let translated = run(folder, &["translate", "--model", "run", "--input", "in.txt"]);
    assert!(translated.status.success(), "{}", String::from_utf8_lossy(&translated.stderr));
    let translations = String::from_utf8(translated.stdout).unwrap();
    assert_eq!(translations.lines().count(), 3, "a line for each line");
    assert_eq!(translations.lines().nth(1), Some(""), "a blank line for a blank line");
    let scored = run(folder, &["evaluate", "--model", "run", "--src", "a.txt", "--ref", "b.txt", "--json"]);
    let result: serde_json::Value =
        serde_json::from_str(String::from_utf8(scored.stdout).unwrap().lines().last().unwrap()).unwrap();
    assert!(result["bleu"].is_number() && result["bleu_signature"].as_str().unwrap().contains("tok:13a"));

    let again = complaint(folder, &["train", "--config", "small.toml", "--out", "run", "--steps", "10"]);
    assert!(again.contains("run: holds a run already"), "{again}");
    let other = complaint(folder, &["train", "--resume", "run", "--preset", "base"]);
    assert!(other.contains("model.preset is \"tiny\" in this run, not \"base\""), "{other}");
    fs::write(folder.join("a.txt"), fs::read_to_string(folder.join("a.txt")).unwrap().replace("six", "ten"))
        .unwrap();
    let changed = complaint(folder, &["train", "--resume", "run", "--steps", "20"]);
    assert!(changed.contains("the training text is not the one this run began with"), "{changed}");
}

#[test]
fn bad_text_is_named_by_file_and_line() {
    let project = small_project();
    let folder = project.path();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
    write("short.txt", b"one\ntwo\n");
    write("latin1.txt", b"one\n\xe9t\xe9\n");
    write("empty.txt", b"");
    let long = format!("{}\n", "word ".repeat(400));
    write("long.txt", long.repeat(3).as_bytes());
    let train = |source: &str, target: &str| {
        complaint(folder, &["train", "--src", source, "--tgt", target, "--steps", "1", "--out", "x"])
    };
    assert!(train("none.txt", "b.txt").contains("none.txt: cannot read: No such file"));
    let counts = train("a.txt", "short.txt");
    assert!(counts.contains("a.txt has 120 lines, but short.txt has 2"), "{counts}");
    assert!(train("latin1.txt", "short.txt").contains("latin1.txt:2: not valid UTF-8"));
    assert!(train("empty.txt", "empty.txt").contains("empty.txt: is empty"));
    let long = train("long.txt", "long.txt");
    assert!(long.contains("pairs are longer than 128 tokens"), "{long}");
    assert!(!folder.join("x").exists(), "nothing was begun");
}

#[test]
fn bad_settings_and_folders_are_named() {
    let project = small_project();
    let folder = project.path();
    fs::write(folder.join("bad.toml"), "[train]\nlearning_speed = 1\n").unwrap();
    let unknown = complaint(folder, &["train", "--config", "bad.toml"]);
    assert!(unknown.contains("bad.toml: line 2: unknown field `learning_speed`"), "{unknown}");
    let lone = complaint(folder, &["train", "--src", "a.txt"]);
    assert!(lone.contains("--src needs --tgt"), "{lone}");
    // A file where the folder should be stands for every folder that cannot be written.
    let blocked =
        complaint(folder, &["train", "--config", "small.toml", "--out", "a.txt/run", "--steps", "1"]);
    assert!(blocked.contains("a.txt/run: cannot make the folder"), "{blocked}");
    let nowhere = complaint(folder, &["translate", "--model", "nowhere"]);
    assert!(nowhere.contains("nowhere: no such folder"), "{nowhere}");
    let heads = folder.join("heads.toml");
    fs::write(
        &heads,
        fs::read_to_string(folder.join("small.toml")).unwrap().replace("heads = 2", "heads = 3"),
    )
    .unwrap();
    let heads = complaint(folder, &["train", "--config", "heads.toml", "--steps", "1", "--out", "h"]);
    assert!(heads.contains("heads = 3 does not divide d_model = 16"), "{heads}");
}

#[test]
fn damaged_checkpoints_are_told_apart() {
    let project = small_project();
    let folder = project.path();
    let trained = run(folder, &["train", "--config", "small.toml", "--out", "run", "--steps", "2"]);
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    let model = folder.join("run/checkpoints/model.gradus");
    let good = fs::read(&model).unwrap();
    let translate = |bytes: &[u8]| {
        fs::write(folder.join("x.gradus"), bytes).unwrap();
        complaint(folder, &["translate", "--model", "x.gradus"])
    };
    assert!(translate(&good[..good.len() / 2]).contains("x.gradus: truncated"));
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 4;
    assert!(translate(&flipped).contains("x.gradus: corrupted"));
    let mut newer = good.clone();
    newer[8] += 1;
    assert!(translate(&newer).contains("written in format 3"));
    assert!(translate(b"not this at all").contains("not a Gradus checkpoint"));
    let mut checkpoint = Checkpoint::load(&model).unwrap();
    let path = "encoder.layers.0.self_attn.q_proj.weight";
    checkpoint.weights.insert(path.to_owned(), Array { shape: vec![2, 3], data: vec![0.0; 6] });
    checkpoint.save(&folder.join("shape.gradus")).unwrap();
    let shape = complaint(folder, &["translate", "--model", "shape.gradus"]);
    assert!(
        shape.contains(path) && shape.contains("[2, 3] in the checkpoint and [16, 16] in the model"),
        "{shape}"
    );
}

#[test]
fn gradcheck_prints_a_row_for_everything() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["gradcheck", "linear", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = rows.as_array().unwrap();
    assert!(rows.iter().any(|row| row["name"] == "linear" && row["kind"] == "op"));
    assert!(rows.iter().any(|row| row["name"] == "linear" && row["kind"] == "layer"));
    for row in rows {
        assert!(row["inputs"].as_u64().unwrap() >= 1 && row["ok"] == true, "{row}");
        assert!(
            row["worst_error"].as_f64().unwrap() <= 1e-8 && row["duality_error"].as_f64().unwrap() <= 1e-12
        );
        assert!(row["noise_floor"].is_number());
    }
    // A wrong rule is found in the op and in every layer that uses it.
    let planted = ["gradcheck", "softmax", "--plant", "softmax: no inner product"];
    let output = run(folder.path(), &planted);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("WRONG") && text.contains("mismatch") && text.contains("the rule of softmax"),
        "{text}"
    );
    assert!(complaint(folder.path(), &["gradcheck", "--plant", "softmax"]).contains("--plant list"));
    assert!(
        complaint(folder.path(), &["gradcheck", "sigmoid"]).contains("nothing has \"sigmoid\" in its name")
    );
}

#[test]
fn a_device_that_is_not_there_is_said_in_one_line() {
    let project = small_project();
    let train = ["train", "--config", "small.toml", "--device"];
    for (name, reason) in [("cuda", "cuda:0: "), ("cuda:7", "cuda:7: "), ("gpu", "gpu: no such device")] {
        if name.starts_with("cuda") && cfg!(feature = "cuda") {
            continue; // There may be one.
        }
        let said = complaint(project.path(), &[&train[..], &[name]].concat());
        assert!(said.contains(&format!("--device {reason}")), "{said}");
    }
    let said = complaint(project.path(), &[&train[..], &["cpu", "--precision", "tf32"]].concat());
    assert!(said.contains("--precision tf32: only a card multiplies so"), "{said}");
    assert!(!project.path().join("runs").exists(), "nothing was begun");
}

/// Rounded products train as exact ones do but for roundings, and a run that was trained so says so ever after.
#[test]
fn rounded_products_are_near_the_truth() {
    let project = small_project();
    let folder = project.path();
    let train = ["train", "--config", "small.toml", "--steps", "6", "--precision", "bf16"];
    let trained = run(folder, &[&train[..], &["--out", "run", "--threads", "1"]].concat());
    let said = String::from_utf8_lossy(&trained.stderr);
    if said.contains("this processor has no instructions for it") {
        println!("SKIPPED bf16: this processor has no instructions for it");
        return;
    }
    assert!(trained.status.success(), "{said}");
    run(folder, &[&train[..], &["--out", "again", "--threads", "2"]].concat());
    assert_eq!(weights(folder, "run"), weights(folder, "again"), "whatever the threads");
    let worst = |options: &[&str]| {
        let output = run(folder, &[&["gradcheck", "--truth", "--model", "run", "--json"], options].concat());
        let truth: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let drift = |row: &serde_json::Value| row["drift"].as_f64().unwrap();
        let worst = truth["parameters"].as_array().unwrap().iter().map(drift).fold(0.0, f64::max);
        (truth["precision"].as_str().unwrap().to_owned(), worst)
    };
    let (exact, rounded) = (worst(&["--precision", "f32"]), worst(&[]));
    assert!(exact.0 == "f32" && exact.1 < 1e-4, "{exact:?}");
    // Each factor is off by up to 2⁻⁹, and a gradient is a sum of many products.
    assert!(rounded.0 == "bf16" && rounded.1 > 1e-3 && rounded.1 < 0.1, "{rounded:?}");
    let translate = |options: &[&str]| {
        let translate =
            ["translate", "--model", "run", "--input", "a.txt", "--max-length", "20", "--precision", "bf16"];
        run(folder, &[&translate[..], options].concat()).stdout
    };
    let one = translate(&["--batch", "1", "--threads", "1"]);
    assert_eq!(one.iter().filter(|&&byte| byte == b'\n').count(), 120);
    assert!(one == translate(&["--batch", "64", "--threads", "2"]), "batches and threads change nothing");
}

#[test]
fn a_benchmark_is_one_line_of_json() {
    let folder = tempfile::tempdir().unwrap();
    let options = ["bench", "--only", "train", "--steps", "1", "--warmup", "0", "--threads", "2"];
    let output = run(folder.path(), &[&options[..], &["--profile", "--json"]].concat());
    let line = String::from_utf8(output.stdout).unwrap();
    assert_eq!(line.lines().count(), 1, "{line}");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let number = |value: &serde_json::Value| value.as_f64().unwrap_or(f64::NAN);
    let step = &line["step_s"];
    assert!(
        number(&step["min"]) <= number(&step["median"]) && number(&step["median"]) <= number(&step["max"])
    );
    for key in ["target_tokens_per_s", "matmul_gflops", "share_of_peak"] {
        assert!(number(&line[key]) > 0.0, "{key} in {line}");
    }
    // A batch of the tiny workload has 64 sentences of up to 24 target tokens, a fifth of which is padding.
    let tokens = number(&line["target_tokens_per_s"]) * number(&step["median"]);
    assert!((1100.0..1400.0).contains(&tokens), "{tokens}");
    if cfg!(target_os = "linux") {
        assert!(number(&line["peak_memory_mib"]) > number(&line["memory_before_mib"]));
    }
    // Shares of all rows are parts of one whole.
    let shares: f64 = line["profile"].as_array().unwrap().iter().map(|row| number(&row["share"])).sum();
    assert!((shares - 1.0).abs() < 1e-9, "{shares}");
    assert!(complaint(folder.path(), &["bench", "--steps", "0"]).contains("--steps"));
}

#[test]
fn a_step_of_a_training_is_held_to_the_truth() {
    let project = small_project();
    let folder = project.path();
    let trained = run(folder, &["train", "--config", "small.toml", "--out", "run", "--steps", "6"]);
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    let output = run(folder, &["gradcheck", "--truth", "--model", "run", "--step", "5", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let truth: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((truth["step"].as_u64(), truth["weights_after"].as_u64()), (Some(5), Some(6)));
    let parameters = truth["parameters"].as_array().unwrap();
    assert_eq!(parameters.len(), weights(folder, "run").len(), "a row for every parameter");
    for row in parameters {
        assert!(row["path"].is_string() && row["drift"].as_f64().unwrap() < 1e-4, "{row}");
    }
    let table = run(folder, &["gradcheck", "--truth", "--model", "run"]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.starts_with("step 7: ") && table.contains("encoder.norm.gamma"), "{table}");

    let beyond = complaint(folder, &["gradcheck", "--truth", "--model", "run", "--step", "8"]);
    assert!(beyond.contains("saved after step 6: step 8 is beyond the next one"), "{beyond}");
    let nowhere = complaint(folder, &["gradcheck", "--truth", "--model", "nowhere"]);
    assert!(nowhere.contains("nowhere: no such folder"), "{nowhere}");
    fs::remove_file(folder.join("b.txt")).unwrap();
    let gone = complaint(folder, &["gradcheck", "--truth", "--model", "run"]);
    assert!(gone.contains("b.txt: cannot read"), "{gone}");
}
