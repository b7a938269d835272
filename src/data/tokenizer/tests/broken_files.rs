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
