//! Claims about text on its way in and out, as a user meets them: `gradus doctor`, formats, `gradus evaluate`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{complaint, run, small_project, weights};

/// The report as JSON, and whether nothing bars a training.
fn doctor(folder: &Path, arguments: &[&str]) -> (Value, bool) {
    let output = run(folder, &[&["doctor", "--json"], arguments].concat());
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(output.status.code(), Some(if report["ok"] == true { 0 } else { 1 }));
    let ok = report["ok"] == true;
    (report, ok)
}

/// The finding of this kind in a part.
fn finding<'a>(part: &'a Value, kind: &str) -> &'a Value {
    let findings = part["findings"].as_array().unwrap();
    findings.iter().find(|finding| finding["kind"] == kind).unwrap_or_else(|| panic!("no {kind} in {part}"))
}

fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) {
    fs::write(folder.join(name), text).unwrap();
}

#[test]
fn the_doctor_finds_nothing_to_bar_a_good_text() {
    let project = small_project();
    let (report, ok) = doctor(project.path(), &["--config", "small.toml"]);
    assert!(ok, "{report}");
    assert_eq!(report["parts"][0]["pairs"], 120);
    let useful = report["batches"]["useful_fraction"].as_f64().unwrap();
    assert!((0.5..=1.0).contains(&useful), "{report}");
    // Ten words and a period: each a token, at most, and an end.
    let lengths = &report["parts"][0]["source_lengths"];
    let histogram: u64 = lengths["histogram"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(histogram, 120);
}

#[test]
fn the_doctor_names_files_and_lines() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (mut a, mut b) = (String::new(), String::new());
    for i in 0..40 {
        a.push_str(&format!("the dog number {} sees a house .\n", "x".repeat(1 + i % 9)));
        b.push_str(&format!(
            "der Hund Nummer {} sieht ein Haus {} .\n",
            "x".repeat(1 + i % 9),
            "y".repeat(1 + i / 9)
        ));
    }
    // Line 41 is blank, 42 repeats 2, 43 has the same text twice, 44 is no translation, 45 holds a no-break space.
    a.push_str("\nthe dog number xx sees a house .\nsame text here\n");
    a.push_str(
        "the dog sees a house the dog sees a house the dog sees a house the dog sees a house\nthe\u{a0}dog\n",
    );
    b.push_str("leer\nder Hund Nummer xx sieht ein Haus y .\nsame text here\nHund\nder Hund\n");
    write(folder, "a.txt", &a);
    write(folder, "b.txt", &b);
    write(
        folder,
        "t.tsv",
        "the 漢 dog\tder Hund\tCC-BY\n# a comment\nthe dog number xx sees a house .\tneu\n",
    );
    let named = ["--src", "a.txt", "--tgt", "b.txt", "--test-tsv", "t.tsv"];
    let (report, ok) = doctor(folder, &named);
    assert!(ok, "{report}");
    let train = &report["parts"][0];
    let example = |kind: &str| finding(train, kind)["examples"][0].as_str().unwrap().to_owned();
    assert_eq!(example("blank"), "a.txt:41");
    assert_eq!(example("duplicate"), "a.txt:42 as line 2: \"the dog number xx sees a house .\"");
    assert_eq!(example("identical"), "a.txt:43: \"same text here\"");
    assert!(example("length_ratio").starts_with("a.txt:44: "), "{train}");
    assert!(
        example("normalised").starts_with("a.txt:45: \"the\\u{a0}dog\" comes back as \"the dog\""),
        "{train}"
    );
    assert_eq!(finding(train, "several_translations")["level"], "note");
    let test = &report["parts"][1];
    let unknown = finding(test, "unknown");
    assert!(
        unknown["examples"][0].as_str().unwrap().starts_with("t.tsv:1: '漢' (U+6F22), 1 times"),
        "{test}"
    );
    assert!(finding(test, "round_trip")["examples"][0].as_str().unwrap().starts_with("t.tsv:1: "), "{test}");
    let overlap = report["overlaps"][0]["examples"][0].as_str().unwrap();
    assert!(overlap.starts_with("t.tsv:3 is a.txt:2: "), "{overlap}");

    // For a person the same, in lines.
    let text = String::from_utf8(run(folder, &[&["doctor"], &named[..]].concat()).stdout).unwrap();
    assert!(
        text.contains("a.txt:43: \"same text here\"") && text.contains("nothing bars a training"),
        "{text}"
    );
}

#[test]
fn the_doctor_bars_what_cannot_be_trained_with() {
    let project = small_project();
    let folder = project.path();
    write(folder, "bad.txt", [&b"one\n\xe9t\xe9\n\xff\n"[..], "more\n".repeat(130).as_bytes()].concat());
    let (report, ok) = doctor(folder, &["--src", "bad.txt", "--tgt", "b.txt"]);
    let unreadable = finding(&report["parts"][0], "unreadable");
    assert!(!ok && unreadable["count"] == 3, "{report}");
    let said: Vec<&str> =
        unreadable["examples"].as_array().unwrap().iter().map(|example| example.as_str().unwrap()).collect();
    let expected = [
        "bad.txt has 133 lines, but b.txt has 120",
        "bad.txt:2: not valid UTF-8",
        "bad.txt:3: not valid UTF-8",
    ];
    assert_eq!(said, expected);
    let (report, ok) = doctor(folder, &["--src", "a.txt", "--tgt", "a.txt"]);
    assert!(!ok && finding(&report["parts"][0], "identical")["level"] == "error", "one file given twice");
    let (report, ok) = doctor(folder, &["--jsonl", "none.jsonl"]);
    assert!(!ok && report["errors"] == 1, "{report}");
    assert!(
        finding(&report["parts"][0], "unreadable")["examples"][0]
            .as_str()
            .unwrap()
            .contains("none.jsonl: cannot read")
    );
    let (report, ok) = doctor(folder, &["--src", "a.txt", "--tgt", "b.txt", "--vocab-size", "16"]);
    assert!(!ok, "{report}");
    let small = finding(&report["parts"][0], "tokenizer")["message"].as_str().unwrap();
    assert!(small.contains("a vocabulary of 16 is too small"), "{small}");

    // A tokenizer of another script.
    let trained = run(folder, &["train", "--config", "small.toml", "--out", "run", "--steps", "1"]);
    assert!(trained.status.success());
    write(folder, "ru.txt", "паром уходит\nиз гавани\n");
    let (report, ok) = doctor(folder, &["--model", "run", "--src", "ru.txt", "--tgt", "ru.txt"]);
    assert!(!ok && finding(&report["parts"][0], "unknown")["level"] == "error", "{report}");
    let (report, ok) = doctor(folder, &["--model", "run"]);
    assert!(ok && report["parts"][0]["pairs"] == 120, "the run's own text: {report}");
}

#[test]
fn bad_formats_and_settings_are_named() {
    let project = small_project();
    let folder = project.path();
    write(folder, "p.tsv", "a\tb\nno tab here\n");
    write(folder, "p.jsonl", "{\"en\": \"a\", \"de\": \"b\"}\n{\"en\": \"a\"}\n");
    let train = |arguments: &[&str]| {
        complaint(folder, &[&["train", "--steps", "1", "--out", "x"], arguments].concat())
    };
    let texts = ["--src", "a.txt", "--tgt", "b.txt"];
    let with = |more: &[&str]| train(&[&texts, more].concat());
    assert!(train(&["--tsv", "p.tsv"]).contains("p.tsv:2: no tab between source and target"));
    let keys = train(&["--jsonl", "p.jsonl", "--source-key", "en", "--target-key", "de"]);
    assert!(keys.contains("p.jsonl:2: no key \"de\"; there are en"), "{keys}");
    assert!(train(&["--jsonl", "p.jsonl"]).contains("p.jsonl:1: no key \"source\"; there are de, en"));
    assert!(with(&["--tsv", "p.tsv"]).contains("--tsv holds both sides"));
    assert!(train(&["--tsv", "p.tsv", "--jsonl", "p.jsonl"]).contains("name one"));
    assert!(with(&["--valid-tsv", "none.tsv"]).contains("none.tsv: cannot read"));
    assert!(train(&["--test-tsv", "p.tsv"]).contains("no training text"));
    assert!(with(&["--source-key", "en"]).contains("name --jsonl"));
    assert!(with(&["--bpe-dropout", "1.5"]).contains("tokenizer.dropout = 1.5 is not in [0, 1)"));
    let unigram = with(&["--bpe-dropout", "0.1", "--subwords", "unigram"]);
    assert!(unigram.contains("tokenizer.dropout leaves out merges of byte-pair encoding"), "{unigram}");
    assert!(
        with(&["--vocab-size", "18", "--subwords", "unigram"])
            .contains("too small for the text's characters")
    );
    assert!(!folder.join("x").exists(), "nothing was begun");
    let doctor = complaint(folder, &["doctor", "--src", "a.txt"]);
    assert!(doctor.contains("--src needs --tgt"), "{doctor}");
    assert!(complaint(folder, &["doctor", "--model", "nowhere"]).contains("nowhere: no such folder"));
}

#[test]
fn a_training_on_json_lines_with_a_unigram_model_translates() {
    let project = small_project();
    let folder = project.path();
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let (a, b) = (read("a.txt"), read("b.txt"));
    let object = |(a, b)| format!("{{\"translation\": {{\"en\": \"{a}\", \"de\": \"{b}\"}}}}\r\n");
    write(folder, "p.jsonl", a.lines().zip(b.lines()).map(object).collect::<String>());
    let config = read("small.toml").replace("source = \"a.txt\"", "jsonl = \"p.jsonl\"");
    let keys = "source_key = \"en\"\ntarget_key = \"de\"";
    let config =
        config.replace("target = \"b.txt\"", keys).replace("[tokenizer]", "[tokenizer]\nkind = \"unigram\"");
    write(folder, "json.toml", config);
    let trained = run(folder, &["train", "--config", "json.toml", "--out", "run", "--steps", "3"]);
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    assert!(read("run/tokenizer.json").contains("\"Unigram\""));
    let translated = run(folder, &["translate", "--model", "run", "--input", "a.txt"]);
    assert_eq!(String::from_utf8(translated.stdout).unwrap().lines().count(), 120);
}

#[test]
fn a_training_with_dropout_of_merges_goes_on_bit_for_bit() {
    let project = small_project();
    let folder = project.path();
    let train = |arguments: &[&str]| {
        let output = run(folder, &[&["train"], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let fresh = |name, steps, share| {
        train(&["--config", "small.toml", "--out", name, "--steps", steps, "--bpe-dropout", share]);
    };
    fresh("whole", "17", "0.2");
    fresh("plain", "17", "0");
    assert_ne!(weights(folder, "whole"), weights(folder, "plain"), "dropout changes what is seen");
    // In the middle of a pass over the text, and at other places of others.
    fresh("parts", "4", "0.2");
    train(&["--resume", "parts", "--steps", "11", "--threads", "1"]);
    train(&["--resume", "parts", "--steps", "17"]);
    assert_eq!(weights(folder, "parts"), weights(folder, "whole"));
    let tokenizer = |name: &str| fs::read(folder.join(name).join("tokenizer.json")).unwrap();
    assert_eq!(tokenizer("whole"), tokenizer("plain"), "translating knows nothing of it");
}

#[test]
fn scores_come_with_intervals_and_significance() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let lines = |every: usize| -> String {
        let word = |i: usize| if i.is_multiple_of(every) { "cat" } else { "dog" };
        (1..60).map(|i| format!("the old {} sees house number {i} .\n", word(i))).collect()
    };
    write(folder, "ref.txt", lines(60));
    write(folder, "new.txt", lines(20));
    write(folder, "old.txt", lines(2));
    let evaluate = |more: &[&str]| {
        let output = run(folder, &[&["evaluate", "--hyp", "new.txt", "--ref", "ref.txt"], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let plain = evaluate(&[]);
    assert!(plain.lines().nth(1).unwrap().starts_with("  nrefs:1|case:mixed|eff:no|tok:13a|"), "{plain}");
    let all = ["--metrics", "bleu,chrf,chrf++", "--baseline", "old.txt"];
    let json: Value = serde_json::from_str(&evaluate(&[&all[..], &["--json"]].concat())).unwrap();
    for key in ["bleu", "chrf", "chrf++"] {
        let of = |suffix: &str| json[format!("{key}{suffix}")].as_f64().unwrap_or(f64::NAN);
        assert!(of("") > of("_baseline") && of("_p") < 0.05, "{key}: {json}");
        assert!((of("_mean") - of("")).abs() < of("_interval"), "{key}: {json}");
        let signature = json[format!("{key}_signature")].as_str().unwrap();
        assert!(signature.starts_with("nrefs:1|bs:1000|seed:12345|case:mixed"), "{signature}");
    }
    let text = evaluate(&["--bootstrap", "50", "--seed", "7", "--metrics", "chrf++", "--lowercase"]);
    assert!(
        text.starts_with("chrF2++ = ") && text.contains(" (μ = ") && text.contains("bs:50|seed:7|case:lc"),
        "{text}"
    );

    let wrong = |more: &[&str]| {
        complaint(folder, &[&["evaluate", "--hyp", "new.txt", "--ref", "ref.txt"], more].concat())
    };
    write(folder, "short.txt", "one\n");
    assert!(wrong(&["--baseline", "short.txt"]).contains("short.txt has 1 lines, but ref.txt has 59"));
    assert!(wrong(&["--bootstrap", "0"]).contains("--bootstrap must not be 0"));
}
