//! Claim: the Python package reads our `tokenizer.json` and gives the same ids.
//!
//! `golden/tokenizers/make.py` wrote what it gives; where `GRADUS_PYTHON` names a Python that can import `tokenizers`, a
//! thousand lines of real text are compared too.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use gradus::data::corpus::read_lines;
use gradus::data::tokenizer::{Subwords, Tokenizer, TokenizerConfig, UNK, UnicodeForm};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    /// How many of the lines the tokenizers were learnt from.
    text: usize,
    lines: Vec<String>,
    ids: BTreeMap<String, Vec<Vec<u32>>>,
}

#[test]
fn ids_are_those_of_python_for_odd_lines_too() {
    let golden: Golden = serde_json::from_str(include_str!("golden/tokenizers/cases.json")).unwrap();
    assert!(golden.lines.len() >= 300 && golden.ids.len() == 2);
    let config = |kind, lowercase, unicode| TokenizerConfig {
        kind,
        vocab_size: 220,
        lowercase,
        unicode,
        ..TokenizerConfig::default()
    };
    let kinds = [
        ("bpe", include_str!("golden/tokenizers/bpe.json"), config(Subwords::Bpe, true, UnicodeForm::Nfc)),
        (
            "unigram",
            include_str!("golden/tokenizers/unigram.json"),
            config(Subwords::Unigram, false, UnicodeForm::Nfkc),
        ),
    ];
    for (name, file, config) in kinds {
        let read = Tokenizer::from_json(file).unwrap();
        // What is learnt anew is what was learnt then: the same text, twice, for source and target.
        let text = golden.lines[..golden.text].iter();
        let learnt = Tokenizer::train(text.clone().chain(text), &config).unwrap();
        assert!(learnt.to_json().unwrap() == file, "{name}: another vocabulary");
        for (line, ids) in golden.lines.iter().zip(&golden.ids[name]) {
            assert_eq!(read.encode(line), *ids, "{name}: {line:?}");
            assert_eq!(learnt.encode(line), *ids, "{name}: {line:?}");
            if !ids.contains(&UNK) {
                assert_eq!(read.decode(ids), read.normalise(line), "{name}: {line:?}");
            }
        }
    }
}

#[test]
fn ids_are_those_of_python_on_a_thousand_real_lines() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/multi30k");
    let Some(python) = std::env::var_os("GRADUS_PYTHON").filter(|_| corpus.is_dir()) else {
        eprintln!("skipped: GRADUS_PYTHON names no Python, or there is no corpus in {}", corpus.display());
        return;
    };
    let read = |name: &str| read_lines(&corpus.join(name)).unwrap();
    let lines = [&read("test_2016_flickr.en.gz")[..500], &read("test_2016_flickr.de.gz")[500..]].concat();
    let text = [read("val.en.gz"), read("val.de.gz")].concat();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("lines.txt", &lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    for kind in [Subwords::Bpe, Subwords::Unigram] {
        let config =
            TokenizerConfig { kind, vocab_size: 3000, lowercase: true, ..TokenizerConfig::default() };
        let tokenizer = Tokenizer::train(text.iter(), &config).unwrap();
        write("tokenizer.json", &tokenizer.to_json().unwrap());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tokenizers/ids.py");
        let output = Command::new(&python)
            .args([&script, &folder.path().join("tokenizer.json")])
            .stdin(fs::File::open(folder.path().join("lines.txt")).unwrap())
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success());
        let theirs = String::from_utf8(output.stdout).unwrap();
        let theirs: Vec<Vec<u32>> = theirs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((lines.len(), theirs.len()), (1000, 1000));
        for (line, ids) in lines.iter().zip(&theirs) {
            assert_eq!(tokenizer.encode(line), *ids, "{kind:?}: {line:?}");
        }
        println!("{kind:?}: 1,000 lines, {} ids, all the same", theirs.iter().map(Vec::len).sum::<usize>());
    }
}

#[test]
fn every_tokenizer_that_the_docs_read_takes_spelled_out_special_tokens_for_text() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for page in ["docs/python.md", "docs/python/translate.py", "tests/golden/tokenizers/ids.py"] {
        let text = fs::read_to_string(root.join(page)).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.starts_with('#')).collect();
        let reads =
            (0..lines.len()).filter(|&i| lines[i].contains("Tokenizer.from_file(")).collect::<Vec<_>>();
        assert!(!reads.is_empty(), "{page}");
        for read in reads {
            assert_eq!(lines[read + 1], "tokenizer.encode_special_tokens = True", "{page}");
        }
    }
}
