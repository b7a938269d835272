use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::*;

fn parallel(source: PathBuf, target: PathBuf) -> Result<Corpus> {
    Files::Parallel { source, target }.read()
}

fn jsonl(path: PathBuf, source_key: &str, target_key: &str) -> Files {
    Files::Jsonl { path, source_key: source_key.into(), target_key: target_key.into() }
}

fn file(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn carriage_returns_a_byte_order_mark_and_a_missing_line_end_are_silent() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "a.txt", "\u{feff}eins\r\nzwei\u{2028}drei\n\nvier".as_bytes());
    assert_eq!(read_lines(&path).unwrap(), ["eins", "zwei\u{2028}drei", "", "vier"]);
}

#[test]
fn gzip_is_told_by_its_content_and_may_have_several_members() {
    let folder = tempfile::tempdir().unwrap();
    let both = [gzip(b"one\n"), gzip(b"two\n")].concat();
    let path = file(&folder, "misnamed.txt", &both);
    assert_eq!(read_lines(&path).unwrap(), ["one", "two"]);
    let cut = file(&folder, "cut.gz", &both[..both.len() - 6]);
    assert!(read_lines(&cut).unwrap_err().to_string().ends_with("cut.gz: damaged gzip data"));
}

#[test]
fn every_bad_file_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let message = |path: &Path| format!("{:#}", read_lines(path).unwrap_err());
    assert!(message(&file(&folder, "u.txt", b"ok\n\xff\xfe\n")).contains("u.txt:2: not valid UTF-8"));
    assert!(message(&file(&folder, "e.txt", b"")).contains("e.txt: is empty"));
    assert!(message(&folder.path().join("none.txt")).contains("none.txt: cannot read"));
}

#[test]
fn different_line_counts_are_both_named() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (file(&folder, "a", b"1\n2\n3\n"), file(&folder, "b", b"1\n2\n"));
    let error = parallel(a, b).unwrap_err().to_string();
    assert!(error.contains("a has 3 lines") && error.contains("b has 2"), "{error}");
}

#[test]
fn blank_lines_are_left_out_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (file(&folder, "a", b"1\n \n3\n"), file(&folder, "b", b"x\ny\nz\n"));
    let corpus = parallel(a, b).unwrap();
    assert_eq!((corpus.pairs.len(), corpus.lines, corpus.blank), (2, vec![1, 3], vec![2]));
    let (a, b) = (file(&folder, "a", b"\n"), file(&folder, "b", b"x\n"));
    assert!(parallel(a, b).unwrap_err().to_string().contains("no pair of sentences"));
}

#[test]
fn tsv_has_comments_and_attributions() {
    let folder = tempfile::tempdir().unwrap();
    let text = "\u{feff}# a comment\r\nGo.\tVa !\tCC-BY 2.0\t#2\r\n#1\tNo. 1\r\n\r\nx\t \r\n";
    let path = file(&folder, "a.tsv", &gzip(text.as_bytes()));
    let corpus = Files::Tsv(path).read().unwrap();
    assert_eq!(corpus.pairs[0], Pair { source: "Go.".into(), target: "Va !".into() });
    assert_eq!(corpus.pairs[1], Pair { source: "#1".into(), target: "No. 1".into() });
    assert_eq!((corpus.lines, corpus.blank), (vec![2, 3], vec![4, 5]));
    let path = file(&folder, "b.tsv", b"a\tb\nonly one\n\xff\tc\n");
    let corpus = Files::Tsv(path.clone()).scan().unwrap();
    assert!(corpus.faults[0].ends_with("b.tsv:2: no tab between source and target"), "{:?}", corpus.faults);
    assert!(corpus.faults[1].ends_with("b.tsv:3: not valid UTF-8"), "{:?}", corpus.faults);
    assert!(Files::Tsv(path).read().unwrap_err().to_string().contains("b.tsv:2: no tab"));
}

#[test]
fn json_objects_have_keys_of_their_own_or_in_their_translation() {
    let folder = tempfile::tempdir().unwrap();
    let text = "{\"id\": 1, \"translation\": {\"en\": \"Go.\", \"de\": \"Geh \\u00fcber\"}}\r\n\n\
                {\"en\": \"Stop.\", \"de\": \"Halt.\"}\n{\"en\": null, \"de\": \"x\"}\n";
    let path = file(&folder, "a.jsonl", &gzip(text.as_bytes()));
    for keys in [("en", "de"), ("en", "translation.de")] {
        let corpus = jsonl(path.clone(), keys.0, keys.1).scan().unwrap();
        assert_eq!(corpus.pairs[0], Pair { source: "Go.".into(), target: "Geh über".into() });
    }
    let corpus = jsonl(path, "en", "de").read().unwrap();
    assert_eq!((corpus.lines, corpus.blank), (vec![1, 3], vec![2, 4]));
}

#[test]
fn every_bad_object_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let text = "{\"en\": \"a\", \"de\": \"b\"}\n[1]\n{\"en\": 3, \"de\": \"b\"}\n{\"en\": \"a\", \"fr\": \"b\"}\n{\"en\"\n{}\n";
    let path = file(&folder, "a.jsonl", text.as_bytes());
    let files = jsonl(path.clone(), "en", "de");
    let said: Vec<String> = files.scan().unwrap().faults;
    let said: Vec<&str> = said.iter().map(|fault| fault.split_once("a.jsonl:").unwrap().1).collect();
    assert_eq!(
        said[..3],
        ["2: not a JSON object", "3: \"en\" is no text", "4: no key \"de\"; there are en, fr",]
    );
    assert!(said[3].starts_with("5: not JSON: EOF while parsing") && !said[3].contains("line 1"), "{said:?}");
    assert_eq!(said[4], "6: no key \"en\"; there are none");
    assert!(files.read().unwrap_err().to_string().ends_with("a.jsonl:2: not a JSON object"));
}

#[test]
fn what_is_wrong_with_an_object_is_called_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let deep = format!("{{\"en\": {}", "[".repeat(1000));
    let text = format!(
        "{}\n{}\n{}\n{deep}\n{}\n",
        r#"{"en": "\ud83d", "de": "b"}"#,
        r#"{"en": "a", "de": "b", "en": "c"}"#,
        r#"{"en": "a\u0000", "de": "b"}"#,
        r#"{"en": "\ud83d\ude00", "de": "b"}"#
    );
    let corpus = jsonl(file(&folder, "a.jsonl", text.as_bytes()), "en", "de").scan().unwrap();
    let said: Vec<&str> = corpus.faults.iter().map(|fault| fault.split_once("a.jsonl:").unwrap().1).collect();
    assert_eq!(
        said,
        [
            "1: has the lone surrogate \\ud83d, half of a character",
            "2: has the key \"en\" twice",
            "3: \"en\" has a NUL character (U+0000)",
            "4: is nested too deeply",
        ]
    );
    assert_eq!(corpus.pairs[0].source, "😀");
    let text = format!("{{\"a\\nb\": 1, \"{}\": 2}}\n", "k".repeat(1000));
    let said = jsonl(file(&folder, "b.jsonl", text.as_bytes()), "en", "de").read().unwrap_err().to_string();
    let keys = format!("b.jsonl:1: no key \"en\"; there are a\u{fffd}b, {}…", "k".repeat(40));
    assert!(said.ends_with(&keys), "{said}");
}

#[test]
fn text_that_is_not_in_utf_8_is_refused_by_the_name_of_its_encoding() {
    let folder = tempfile::tempdir().unwrap();
    let good = file(&folder, "good", b"one\ntwo\n");
    let utf_16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    for (name, bytes, what) in [
        ("a", utf_16("one\ntwo\n"), "a: is in UTF-16 (little-endian), not UTF-8"),
        ("b", utf_16("\u{feff}one\ntwo\n"), "b: is in UTF-16 (little-endian), not UTF-8"),
        ("c", gzip(&utf_16("eins\r\nzwei\r\n")), "c: is in UTF-16 (little-endian), not UTF-8"),
        ("d", b"one\n\x7fELF\0\0\0\x01\0\0\0\0".to_vec(), "d: is binary data"),
        ("e", b"one\ntwo \0 and a good deal of text besides\n".to_vec(), "e:2: has a NUL character (U+0000)"),
        ("f", b"one\n\xed\xa0\xbd\n".to_vec(), "f:2: not valid UTF-8: half of a surrogate pair"),
        ("g", gzip(&gzip(b"one\ntwo\n")), "g: is gzip within gzip"),
        ("h", "\u{feff}".into(), "h: is empty"),
    ] {
        let path = file(&folder, name, &bytes);
        let said = |error: anyhow::Error| error.to_string();
        for error in [
            said(read_lines(&path).unwrap_err()),
            said(parallel(good.clone(), path.clone()).unwrap_err()),
            said(Files::Tsv(path.clone()).read().unwrap_err()),
            said(jsonl(path.clone(), "en", "de").read().unwrap_err()),
        ] {
            // What only makes one line unreadable may come after what is wrong with one before.
            let of_a_line = name == "d" || name == "e" || name == "f";
            let shown = error.strip_prefix(&format!("{}/", folder.path().display())).unwrap();
            assert!(shown.starts_with(what) || of_a_line && shown.contains(":1: no"), "{error}");
        }
    }
}

#[test]
fn a_file_with_very_many_faults_is_not_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "a.tsv", "no tab\n".repeat(3000).as_bytes());
    let faults = Files::Tsv(path).scan().unwrap().faults;
    assert_eq!(faults.len(), 1001);
    assert!(faults[1000].ends_with("a.tsv: 1000 lines cannot be read; what follows was not looked at"));
}
