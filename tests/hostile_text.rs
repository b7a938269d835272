//! Claims about text that is not what it should be: other encodings, streams, sentences too long, markup in sentences.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::program::{complaint, gradus, run, small_project};

fn succeeds(folder: &Path, arguments: &[&str]) -> (String, String) {
    texts(arguments, run(folder, arguments))
}

/// Standard output and standard error of a command that is given a file of the folder on standard input.
fn with_input(folder: &Path, input: &str, arguments: &[&str]) -> (String, String) {
    texts(arguments, piped(folder, input, arguments))
}

fn piped(folder: &Path, input: &str, arguments: &[&str]) -> Output {
    let input = File::open(folder.join(input)).unwrap();
    gradus(folder, arguments).stdin(Stdio::from(input)).output().unwrap()
}

fn texts(arguments: &[&str], output: Output) -> (String, String) {
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    (String::from_utf8(output.stdout).unwrap(), stderr)
}

fn train(folder: &Path) {
    succeeds(folder, &["train", "--config", "small.toml", "--out", "run", "--steps", "3"]);
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn every_command_that_reads_text_names_its_encoding() {
    let project = small_project();
    let folder = project.path();
    train(folder);
    let text = fs::read_to_string(folder.join("a.txt")).unwrap();
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(folder.join("u.txt"), &wide).unwrap();
    fs::write(folder.join("u.gz"), gzip(&wide)).unwrap();
    for name in ["u.txt", "u.gz"] {
        for arguments in [
            &["train", "--src", name, "--tgt", "b.txt", "--steps", "1", "--out", "x"][..],
            &["train", "--tsv", name, "--steps", "1", "--out", "x"],
            &["train", "--jsonl", name, "--steps", "1", "--out", "x"],
            &["translate", "--model", "run", "--input", name],
            &["evaluate", "--hyp", "a.txt", "--ref", name],
            &["evaluate", "--hyp", name, "--ref", "a.txt"],
            &["evaluate", "--hyp", "a.txt", "--ref", "b.txt", "--baseline", name],
            &["score", "--model", "run", "--src", "a.txt", "--tgt", name],
        ] {
            let said = complaint(folder, arguments);
            assert!(said.contains(&format!("{name}: is in UTF-16 (little-endian)")), "{arguments:?}: {said}");
        }
        let output = run(folder, &["doctor", "--src", name, "--tgt", "b.txt"]);
        let report = String::from_utf8(output.stdout).unwrap();
        assert!(!output.status.success() && report.contains("is in UTF-16 (little-endian)"), "{report}");
    }
    let said = piped(folder, "u.txt", &["translate", "--model", "run"]);
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.contains("standard input: is in UTF-16"), "{said}");
}

#[test]
fn a_dash_is_standard_input_plain_or_gzip() {
    let project = small_project();
    let folder = project.path();
    train(folder);
    let text = fs::read(folder.join("a.txt")).unwrap();
    fs::write(folder.join("a.gz"), gzip(&text)).unwrap();
    let translate = ["translate", "--model", "run", "--max-length", "4"];
    let file = succeeds(folder, &[&translate[..], &["--input", "a.txt"]].concat()).0;
    for input in ["a.txt", "a.gz"] {
        assert_eq!(with_input(folder, input, &translate).0, file, "{input}");
        let named = [&translate[..], &["--input", "-"]].concat();
        assert_eq!(with_input(folder, input, &named).0, file, "{input}");
    }
    let report = |arguments: &[&str]| with_input(folder, "a.gz", arguments).0;
    assert_eq!(
        report(&["evaluate", "--hyp", "-", "--ref", "b.txt"]),
        succeeds(folder, &["evaluate", "--hyp", "a.txt", "--ref", "b.txt"]).0
    );
    assert_eq!(
        report(&["score", "--model", "run", "--src", "-", "--tgt", "b.txt"]),
        succeeds(folder, &["score", "--model", "run", "--src", "a.txt", "--tgt", "b.txt"]).0
    );
    assert!(
        report(&["doctor", "--src", "-", "--tgt", "b.txt"]).contains("standard input and b.txt, 120 pairs")
    );
    report(&["train", "--config", "small.toml", "--src", "-", "--out", "piped", "--steps", "3"]);
    let tokenizer = |run: &str| fs::read(folder.join(run).join("tokenizer.json")).unwrap();
    assert_eq!(tokenizer("piped"), tokenizer("run"));
    for arguments in [
        &["evaluate", "--hyp", "-", "--ref", "-"][..],
        &["evaluate", "--hyp", "a.txt", "--ref", "-", "--baseline", "-"],
        &["evaluate", "--model", "run", "--src", "-", "--ref", "-"],
        &["score", "--model", "run", "--src", "-", "--tgt", "-"],
        &["train", "--src", "-", "--tgt", "-", "--out", "x"],
        &["doctor", "--src", "-", "--tgt", "b.txt", "--test-tsv", "-"],
    ] {
        let said = complaint(folder, arguments);
        assert!(said.contains("are both standard input (-), which can be read only once"), "{said}");
    }
    assert!(!folder.join("-").exists());
}

#[test]
fn a_line_longer_than_any_in_training_is_translated_with_a_word() {
    let project = small_project();
    let folder = project.path();
    let settings = fs::read_to_string(folder.join("small.toml")).unwrap();
    fs::write(folder.join("small.toml"), settings.replace("[data]", "[data]\nmax_length = 24")).unwrap();
    train(folder);
    let long = "ten ".repeat(40);
    fs::write(folder.join("in.txt"), format!("one two.\n{long}\n")).unwrap();
    fs::write(folder.join("short.txt"), "one.\none.\n").unwrap();
    let file = ["translate", "--model", "run", "--input", "in.txt", "--max-length", "5"];
    let (text, said) = succeeds(folder, &file);
    assert_eq!(text.lines().count(), 2);
    let remark = |said: &str, name: &str| {
        assert_eq!(said.lines().count(), 1, "{said}");
        let start = format!("gradus: {name}:2: ");
        assert!(said.starts_with(&start) && said.contains("the 24 that sentences had in training"), "{said}");
    };
    remark(&said, "in.txt");
    let (piped, said) = with_input(folder, "in.txt", &["translate", "--model", "run", "--max-length", "5"]);
    assert_eq!(piped, text);
    remark(&said, "standard input");
    let evaluate =
        ["evaluate", "--model", "run", "--src", "in.txt", "--ref", "short.txt", "--max-length", "5"];
    let (_, said) = succeeds(folder, &evaluate);
    remark(&said, "in.txt");
    let (_, said) = succeeds(folder, &["score", "--model", "run", "--src", "in.txt", "--tgt", "short.txt"]);
    remark(&said, "in.txt");

    let endless = "ten ".repeat(5000);
    fs::write(folder.join("in.txt"), format!("one two.\n{endless}\n")).unwrap();
    let (text, said) = succeeds(folder, &file);
    assert_eq!(text.lines().count(), 2);
    assert!(said.contains("more than the 4096 that are translated; the rest is left out"), "{said}");
    let error = complaint(folder, &["score", "--model", "run", "--src", "in.txt", "--tgt", "short.txt"]);
    assert!(error.contains("in.txt:2: ") && error.contains("more than the 4096"), "{error}");
    let many = "ten ".repeat(600);
    let error = complaint(folder, &["attention", "--model", "run", "--source", &many]);
    assert!(error.contains("--source: ") && error.contains("the 512 of which maps are made"), "{error}");
}

#[test]
fn counts_that_no_machine_has_are_refused_in_one_line() {
    let project = small_project();
    let folder = project.path();
    train(folder);
    let most = u64::MAX.to_string();
    let evaluate = ["evaluate", "--hyp", "a.txt", "--ref", "b.txt"];
    for (arguments, said) in [
        ([&evaluate[..], &["--bootstrap", &most]].concat(), "more samples than 1000000"),
        (vec!["translate", "--model", "run", "--input", "a.txt", "--beam", &most], "is more than 100000"),
        (vec!["translate", "--model", "run", "--input", "a.txt", "--nbest", &most], "is more than 100000"),
        (
            vec!["translate", "--model", "run", "--input", "a.txt", "--sample", "--nbest", &most],
            "is more than 100000",
        ),
        (
            vec![
                "train",
                "--src",
                "a.txt",
                "--tgt",
                "b.txt",
                "--vocab-size",
                &most,
                "--steps",
                "1",
                "--out",
                "x",
            ],
            "is more than 1000000",
        ),
    ] {
        let complaint = complaint(folder, &arguments);
        assert!(complaint.contains(said), "{arguments:?}: {complaint}");
    }
}

#[test]
fn the_doctor_points_to_words_that_no_one_wrote() {
    let project = small_project();
    let folder = project.path();
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let (a, b) = (read("a.txt"), read("b.txt"));
    fs::write(folder.join("a.txt"), format!("{a}{}\n", "é".repeat(1000))).unwrap();
    fs::write(folder.join("b.txt"), format!("{b}one {}\n", "é".repeat(1001))).unwrap();
    let (report, _) = succeeds(folder, &["doctor", "--config", "small.toml"]);
    assert!(report.contains("1 of 121 pairs (0.83 %) have a word of more than 1000 characters"), "{report}");
    assert!(report.contains("b.txt:121: \"one é"), "{report}");
}

#[test]
fn translations_compared_with_themselves_do_not_differ_significantly() {
    let project = small_project();
    let folder = project.path();
    let evaluate =
        ["evaluate", "--hyp", "a.txt", "--baseline", "a.txt", "--ref", "b.txt", "--bootstrap", "50"];
    let (said, _) = succeeds(folder, &evaluate);
    assert_eq!(said.matches("difference +0.00, p = 1.0000").count(), 2, "{said}");
}

/// Sentences that mean something to HTML, JavaScript or XML.
const HOSTILE: [&str; 5] =
    ["<!-- <script> x", "</script> y", "]]> &lt;b z", "a \u{2028} b \u{2029} c", "<ScRipT --> <![CDATA["];

/// What lies between two marks of a page.
fn between<'a>(page: &'a str, start: &str, end: &str) -> &'a str {
    let (_, from) = page.split_once(start).unwrap_or_else(|| panic!("no {start}"));
    from.split_once(end).unwrap_or_else(|| panic!("no {end}")).0
}

fn is_harmless(data: &str, what: &str) {
    for harmful in ['<', '>', '&', '\u{2028}', '\u{2029}'] {
        assert!(!data.contains(harmful), "{what}: its data holds {harmful:?}");
    }
    assert!(data.contains("u003c"), "{what}: the sentence is there");
}

#[test]
fn no_page_holds_a_less_than_sign_in_its_data() {
    let project = small_project();
    let folder = project.path();
    let text = |name: &str| {
        let plain = fs::read_to_string(folder.join(name)).unwrap();
        HOSTILE.iter().map(|line| format!("{line}\n")).cycle().take(60).collect::<String>() + &plain
    };
    for name in ["a.txt", "b.txt"] {
        fs::write(folder.join(name), text(name)).unwrap();
    }
    fs::write(folder.join("v.txt"), HOSTILE.map(|line| format!("{line}\n")).concat()).unwrap();
    let settings = fs::read_to_string(folder.join("small.toml")).unwrap();
    let valid = "[data]\nvalid_source = \"v.txt\"\nvalid_target = \"v.txt\"";
    fs::write(folder.join("small.toml"), settings.replace("[data]", valid)).unwrap();
    succeeds(
        folder,
        &["train", "--config", "small.toml", "--vocab-size", "200", "--out", "run", "--steps", "3", "--film"],
    );
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let record = "<script type=\"application/json\" id=\"record\">";
    is_harmless(between(&read("run/film.html"), record, "</script>"), "film");
    let report = read("run/report.html");
    for harmful in ["<!--", "<script", "<ScRipT", "]]>", "<![CDATA["] {
        assert!(!report.contains(harmful), "report: {harmful}");
    }
    assert!(report.contains("&lt;!-- &lt;script"), "the report shows the sentence");
    let pair = ["--model", "run", "--source", HOSTILE[0], "--target", HOSTILE[1], "--out", "page.html"];
    succeeds(folder, &[&["microscope"], &pair[..]].concat());
    is_harmless(between(&read("page.html"), record, "</script>"), "microscope");
    for line in HOSTILE {
        let pair = ["--model", "run", "--source", line, "--target", line, "--out", "page.html"];
        succeeds(folder, &[&["attention"], &pair[..]].concat());
        let page = read("page.html");
        is_harmless(&format!("{}u003c", between(&page, "const maps = ", ";\n")), line);
    }
}
