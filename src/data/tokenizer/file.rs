//! Reading `tokenizer.json`: what is not one, or not one that this program can rely on, is refused.

use anyhow::{Result, anyhow, bail};
use serde_json::Value;
use tokenizers::ModelWrapper;

use super::SPECIAL;
use crate::data::json;

/// The steps that a tokenizer of this program, now or before, is made of. Others change text in ways that the program does
/// not expect; some panic when they are read.
const KNOWN: [&str; 11] = [
    "Sequence",
    "NFC",
    "NFKC",
    "Replace",
    "Strip",
    "Lowercase",
    "Metaspace",
    "Split",
    "Punctuation",
    "BPE",
    "Unigram",
];

pub(super) fn parse(text: &str) -> Result<tokenizers::Tokenizer> {
    // The crate panics on some broken files; JSON that is well formed, of these steps alone, is safe.
    let value: Value = serde_json::from_str(text)
        .map_err(|error| anyhow!("not a tokenizer: {}", json::wrong(text, &error)))?;
    for section in ["normalizer", "pre_tokenizer", "post_processor", "decoder", "model"] {
        let part = &value[section];
        if !(part.is_object() || part.is_null() && section != "model") {
            bail!("not a tokenizer: its {section} is missing or no object");
        }
        if let Some(kind) = unknown_type(part) {
            bail!("not a tokenizer of this program: its {section} has {kind}");
        }
    }
    let inner: tokenizers::Tokenizer =
        text.parse().map_err(|error| anyhow!("not a tokenizer: {}", one_line(&error)))?;
    checked(inner)
}

/// The first step in a section whose type is not known.
fn unknown_type(part: &Value) -> Option<String> {
    let steps = ["normalizers", "pretokenizers", "decoders"];
    let own = match part.get("type") {
        Some(Value::String(name)) if KNOWN.contains(&name.as_str()) => None,
        Some(name) => Some(format!("the type {name}")),
        None if part.is_object() => Some("no type".to_owned()),
        None => None,
    };
    own.or_else(|| {
        let inner = steps.iter().filter_map(|name| part.get(name)?.as_array()).flatten();
        inner.into_iter().find_map(unknown_type)
    })
}

/// Makes sure of what the rest of the program relies on, and takes out what would change ids behind its back.
pub(super) fn checked(mut inner: tokenizers::Tokenizer) -> Result<tokenizers::Tokenizer> {
    for (id, token) in (0..).zip(SPECIAL) {
        if inner.token_to_id(token) != Some(id) {
            bail!("not a tokenizer of this program: {token} is not token {id}");
        }
    }
    let size = inner.get_vocab_size(true);
    if let Some(gap) = (0..size as u32).find(|&id| inner.id_to_token(id).is_none()) {
        bail!("not a tokenizer of this program: of its {size} tokens none has the id {gap}");
    }
    if let ModelWrapper::BPE(model) = inner.get_model()
        && model.dropout.is_some_and(|share| share > 0.0)
    {
        bail!("not a tokenizer of this program: its dropout gives one text other tokens each time");
    }
    inner.with_truncation(None).map_err(|error| anyhow!("tokenizer: {error}"))?;
    inner.with_padding(None);
    inner.set_encode_special_tokens(true);
    Ok(inner)
}

fn one_line(error: &impl std::fmt::Display) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
