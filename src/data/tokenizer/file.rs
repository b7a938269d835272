//! Reading `tokenizer.json`: what is not one, or not one that this program can rely on, is refused.
//!
//! The `tokenizers` crate panics on some files, takes minutes for others, and would run any pattern it is given. So a file is
//! held to what tokenizers of this program are made of before the crate sees it.

use std::collections::HashSet;

use anyhow::{Result, anyhow, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use tokenizers::ModelWrapper;

use super::{SPECIAL, pipeline};
use crate::data::json;

/// The steps that a tokenizer of this program, now or before, is made of, by section. Others change text in ways that the
/// program does not expect; some panic when they are read.
const KNOWN: [(&str, &[&str]); 3] = [
    ("normalizer", &["Sequence", "NFC", "NFKC", "Replace", "Strip", "Lowercase"]),
    ("pre_tokenizer", &["Sequence", "Metaspace", "Split", "Punctuation"]),
    ("decoder", &["Metaspace"]),
];

/// The most steps of a section.
const STEPS: usize = 16;

/// The longest piece of a unigram model, in bytes: the crate walks pieces by recursion. Those that are learnt here have
/// at most 16 characters.
const LONGEST_PIECE: usize = 1024;

pub(super) fn parse(text: &str) -> Result<tokenizers::Tokenizer> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| anyhow!("not a tokenizer: {}", json::wrong(text, &error)))?;
    for section in ["normalizer", "pre_tokenizer", "post_processor", "decoder", "model"] {
        let part = &value[section];
        if !(part.is_object() || part.is_null() && section != "model") {
            bail!("not a tokenizer: its {section} is missing or no object");
        }
    }
    for (section, known) in KNOWN {
        let mut steps = 0;
        if let Some(kind) = unknown_step(&value[section], known, &mut steps) {
            bail!("not a tokenizer of this program: its {section} has {kind}");
        }
        ensure!(steps <= STEPS, "not a tokenizer of this program: its {section} has {steps} steps");
    }
    if !value["post_processor"].is_null() {
        bail!("not a tokenizer of this program: it has a post_processor");
    }
    if let Some(what) = unknown_added_token(&value["added_tokens"]) {
        bail!("not a tokenizer of this program: {what}");
    }
    let model = &value["model"];
    let fault = match model["type"].as_str() {
        Some("BPE") => unusable_merges(model),
        Some("Unigram") => unusable_pieces(model),
        _ => Some(format!("has {}", kind_of(model))),
    };
    if let Some(fault) = fault {
        bail!("not a tokenizer of this program: its model {fault}");
    }
    // Of the value that was looked at, and not of the text again: a key that is there twice is here only once.
    let inner = tokenizers::Tokenizer::deserialize(&value)
        .map_err(|error| anyhow!("not a tokenizer: {}", one_line(&error)))?;
    checked(inner)
}

/// What the type of a step is.
fn kind_of(part: &Value) -> String {
    part.get("type").map_or_else(|| "no type".to_owned(), |kind| format!("the type {kind}"))
}

/// The first step of a section that is not known, or has a pattern that is not.
fn unknown_step(part: &Value, known: &[&str], steps: &mut usize) -> Option<String> {
    if part.is_null() {
        return None;
    }
    *steps += 1;
    if !part["type"].as_str().is_some_and(|kind| known.contains(&kind)) {
        return Some(kind_of(part));
    }
    let pattern = &part["pattern"];
    if !pattern.is_null() && !pattern["Regex"].as_str().is_some_and(|text| pipeline::PATTERNS.contains(&text))
    {
        return Some(format!("the pattern {pattern}"));
    }
    let inner =
        ["normalizers", "pretokenizers"].iter().filter_map(|name| part.get(name)?.as_array()).flatten();
    inner.take(STEPS + 1).find_map(|part| unknown_step(part, known, steps))
}

/// What is wrong with the added tokens: the crate expects of those that take white space in, or are normalised, that they
/// do not overlap.
fn unknown_added_token(tokens: &Value) -> Option<String> {
    let tokens = match tokens {
        Value::Null => return None,
        Value::Array(tokens) => tokens,
        _ => return Some("its added_tokens are no list".to_owned()),
    };
    let plain = |token: &Value| {
        let is_set = |key| token[key].as_bool() != Some(false);
        !["single_word", "lstrip", "rstrip", "normalized"].into_iter().any(is_set)
            && token["content"].as_str().is_some_and(|content| !content.is_empty())
    };
    let odd = tokens.iter().find(|token| !plain(token))?;
    Some(format!("its added token {} is not plain text", odd["content"]))
}

/// What is wrong with a model of byte-pair encoding.
fn unusable_merges(model: &Value) -> Option<String> {
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
        if !model[key].is_null() && model[key] != "" {
            return Some(format!("has a {key}"));
        }
    }
    let (Some(vocab), Some(merges)) = (model["vocab"].as_object(), model["merges"].as_array()) else {
        return Some("has no vocab or no merges".to_owned());
    };
    if let Some((token, id)) = vocab.iter().find(|(_, id)| id.as_u64().is_none_or(|id| id > MOST_TOKENS)) {
        return Some(format!("has the token {} with the id {id}", Value::from(token.as_str())));
    }
    let unknown = merges.iter().find(|merge| {
        let parts = match merge {
            Value::Array(parts) => match parts.as_slice() {
                [left, right] => left.as_str().zip(right.as_str()),
                _ => None,
            },
            // As files of before 2024 have them.
            Value::String(both) => both.split_once(' '),
            _ => None,
        };
        !parts.is_some_and(|(left, right)| {
            let known = |token: &str| vocab.contains_key(token);
            known(left) && known(right) && known(&format!("{left}{right}"))
        })
    })?;
    Some(format!("has the merge {unknown}, which is not of its tokens"))
}

/// The largest id that is looked at.
const MOST_TOKENS: u64 = 1 << 30;

/// What is wrong with a unigram model.
fn unusable_pieces(model: &Value) -> Option<String> {
    let Some(vocab) = model["vocab"].as_array() else { return Some("has no vocab".to_owned()) };
    let mut seen = HashSet::new();
    for entry in vocab {
        match entry.as_array().map(Vec::as_slice) {
            Some([Value::String(piece), Value::Number(_)]) => {
                if piece.is_empty() || piece.len() > LONGEST_PIECE || !seen.insert(piece) {
                    return Some(format!("has a piece of {} bytes, or one twice", piece.len()));
                }
            }
            _ => return Some(format!("has the piece {entry}")),
        }
    }
    None
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
