//! What is said about broken files.

use super::*;

#[test]
fn a_broken_file_is_one_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    let error = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let error = format!("{:#}", Tokenizer::load(&path).unwrap_err());
        assert!(!error.contains('\n'), "{error}");
        error.strip_prefix(&format!("{}: ", path.display())).unwrap().to_owned()
    };
    let file = trained(Subwords::Bpe).to_json().unwrap();
    assert!(error("").starts_with("not a tokenizer: "));
    assert!(error("{\"model\": 3}").contains("its model is missing or no object"));
    assert!(error(&file[..file.len() / 2]).starts_with("not a tokenizer: "));
    let marks = file.replace("</s>", "</t>");
    assert_eq!(error(&marks), "not a tokenizer of this program: </s> is not token 2");
    let last = trained(Subwords::Bpe).token(99);
    let gap = file.replace(&format!("\"{last}\": 99"), &format!("\"{last}\": 150"));
    assert_eq!(error(&gap), "not a tokenizer of this program: of its 100 tokens none has the id 99");
    let random = file.replace("\"dropout\": null", "\"dropout\": 0.5");
    assert!(error(&random).contains("its dropout gives one text other tokens each time"));
    let foreign = r#""type": "Precompiled", "precompiled_charsmap": "AAAA""#;
    let foreign = file.replacen(r#""type": "NFC""#, foreign, 1);
    assert_eq!(
        error(&foreign),
        "not a tokenizer of this program: its normalizer has the type \"Precompiled\""
    );
    // The crate panics on a decoder that cannot be read.
    let mut value: serde_json::Value = serde_json::from_str(&file).unwrap();
    for decoder in
        [serde_json::json!({"type": 3}), serde_json::json!([1]), serde_json::json!({"type": "Fuse"})]
    {
        value["decoder"] = decoder;
        assert!(error(&value.to_string()).contains("its decoder"), "{value}");
    }
}

#[test]
fn a_file_with_a_wrong_byte_never_panics() {
    let files = KINDS.map(|kind| trained(kind).to_json().unwrap().into_bytes());
    let mut next = random(6);
    for round in 0..3000 {
        let mut bytes = files[round % 2].clone();
        let steps = String::from_utf8_lossy(&bytes).find("\"vocab\"").unwrap();
        let place = next(if round % 4 < 2 { steps } else { bytes.len() });
        bytes[place] = b"\" {}[]\\,:9a"[next(11)];
        if let Ok(tokenizer) = Tokenizer::from_json(&String::from_utf8_lossy(&bytes)) {
            tokenizer.decode(&tokenizer.encode(TEXTS[0]));
        }
    }
    for length in 0..files[0].len() - 1 {
        assert!(Tokenizer::from_json(&String::from_utf8_lossy(&files[0][..length])).is_err());
    }
}

#[test]
fn what_the_crate_panics_on_or_would_run_for_ever_never_reaches_it() {
    use serde_json::{Value, json};

    let [bpe, unigram] =
        KINDS.map(|kind| serde_json::from_str::<Value>(&trained(kind).to_json().unwrap()).unwrap());
    let refused = |value: &Value, change: &dyn Fn(&mut Value)| {
        let mut value = value.clone();
        change(&mut value);
        Tokenizer::from_json(&value.to_string()).unwrap_err().to_string()
    };
    let token = |value: &Value| value["model"]["merges"][0][0].as_str().unwrap().to_owned();
    let longest = {
        let vocab = bpe["model"]["vocab"].as_object().unwrap();
        vocab.keys().max_by_key(|token| token.len()).unwrap().clone()
    };
    type Change<'a> = Box<dyn Fn(&mut Value) + 'a>;
    let cases: Vec<(&Value, Change<'_>, &str)> = vec![
        // Of two tokens longer than all others together.
        (
            &bpe,
            Box::new(|value| value["model"]["merges"][0] = json!([longest, longest])),
            "its model has the merge [",
        ),
        (
            &bpe,
            Box::new(|value| value["model"]["merges"][0] = json!(["a"])),
            "its model has the merge [\"a\"]",
        ),
        (
            &bpe,
            Box::new(|value| value["model"]["continuing_subword_prefix"] = json!("\u{e9}")),
            "its model has a continuing_subword_prefix",
        ),
        (
            &bpe,
            Box::new(|value| {
                let token = token(value);
                value["model"]["vocab"][token] = json!(u32::MAX);
            }),
            "with the id 4294967295",
        ),
        (&bpe, Box::new(|value| value["model"]["vocab"] = json!([])), "its model has no vocab or no merges"),
        (
            &bpe,
            Box::new(|value| value["model"]["type"] = json!("WordLevel")),
            "its model has the type \"WordLevel\"",
        ),
        (
            &bpe,
            Box::new(|value| {
                value["pre_tokenizer"]["pretokenizers"][1]["pattern"] = json!({"Regex": "(a*)*b"});
            }),
            "its pre_tokenizer has the pattern {\"Regex\":\"(a*)*b\"}",
        ),
        (
            &bpe,
            Box::new(|value| value["normalizer"]["normalizers"][0]["pattern"] = json!({"String": ""})),
            "its normalizer has the pattern {\"String\":\"\"}",
        ),
        (
            &bpe,
            Box::new(|value| {
                let step = value["normalizer"]["normalizers"][0].clone();
                value["normalizer"]["normalizers"] = json!(vec![step; 10_000]);
            }),
            "its normalizer has 18 steps",
        ),
        (
            &bpe,
            Box::new(|value| {
                value["post_processor"] = json!({"type": "Sequence", "processors": [{"type": 3}]});
            }),
            "it has a post_processor",
        ),
        (
            &bpe,
            Box::new(|value| value["added_tokens"][3]["rstrip"] = json!(true)),
            "its added token \"<unk>\" is not plain text",
        ),
        (&bpe, Box::new(|value| value["added_tokens"] = json!({})), "its added_tokens are no list"),
        // The crate takes pieces apart by recursion, which ends the program where the stack does.
        (
            &unigram,
            Box::new(|value| value["model"]["vocab"][9][0] = json!("a".repeat(1 << 20))),
            "its model has a piece of 1048576 bytes",
        ),
        (
            &unigram,
            Box::new(|value| value["model"]["vocab"][9] = json!("a")),
            "its model has the piece \"a\"",
        ),
    ];
    for (value, change, said) in cases {
        let error = refused(value, &change);
        let error =
            error.strip_prefix("not a tokenizer of this program: ").unwrap_or_else(|| panic!("{error}"));
        assert!(error.contains(said), "{error}, and not {said}");
    }
    // Of a key that is there twice the crate would read both, and only one has been looked at.
    let (first, text) =
        ("\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\",\"a\"]]}", bpe.to_string());
    let twice = format!("{{{first},{}", &text[1..]);
    assert_eq!(
        Tokenizer::from_json(&twice).unwrap().to_json().unwrap(),
        trained(Subwords::Bpe).to_json().unwrap()
    );
}

#[test]
fn files_of_older_versions_of_this_program_are_read() {
    let mut file: serde_json::Value =
        serde_json::from_str(&trained(Subwords::Bpe).to_json().unwrap()).unwrap();
    let words = serde_json::json!({
        "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true
    });
    file["normalizer"] = serde_json::json!({"type": "Sequence", "normalizers": [
        {"type": "NFKC"},
        {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "},
        {"type": "Strip", "strip_left": true, "strip_right": true},
        {"type": "Lowercase"},
    ]});
    file["pre_tokenizer"] = serde_json::json!({"type": "Sequence", "pretokenizers": [
        words.clone(), {"type": "Punctuation", "behavior": "Isolated"},
    ]});
    file["decoder"] = words;
    let tokenizer = Tokenizer::from_json(&file.to_string()).unwrap();
    assert_eq!(tokenizer.decode(&tokenizer.encode("the  house \u{2028}of the man")), "the house of the man");
}
