//! Pairs as JSON objects, one a line.

use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use super::{Corpus, each};
use crate::data::json;

pub(super) fn scan(path: &Path, source_key: &str, target_key: &str) -> Result<Corpus> {
    let mut corpus = Corpus::default();
    let faults = each(path, |number, line| {
        let Some(line) = line else { return Some(Ok(())) };
        if line.trim().is_empty() {
            corpus.push_blank(number)?;
            return Some(Ok(()));
        }
        match pair(line, source_key, target_key) {
            Ok((source, target)) => corpus.push(number, source, target).map(Ok),
            Err(what) => Some(Err(what)),
        }
    })?;
    corpus.faults = faults.into_values().collect();
    Ok(corpus)
}

fn pair(line: &str, source_key: &str, target_key: &str) -> Result<(String, String), String> {
    let object = json::parse(line)?;
    if !object.is_object() {
        return Err("not a JSON object".to_owned());
    }
    Ok((side(&object, source_key)?, side(&object, target_key)?))
}

/// The text under a key; empty where it is null.
fn side(object: &Value, key: &str) -> Result<String, String> {
    let path = |object: &'_ Value| key.split('.').try_fold(object, |inner, part| inner.get(part)).cloned();
    let found =
        object.get(key).cloned().or_else(|| path(object)).or_else(|| path(object.get("translation")?));
    match found {
        Some(Value::String(text)) if text.contains('\0') => {
            Err(format!("{key:?} has a NUL character (U+0000)"))
        }
        Some(Value::String(text)) => Ok(text),
        Some(Value::Null) => Ok(String::new()),
        Some(_) => Err(format!("{key:?} is no text")),
        None => Err(format!("no key {key:?}; there are {}", keys(object))),
    }
}

/// How many keys a message names.
const SHOWN: usize = 20;

/// The keys of an object, those of its `translation` included.
fn keys(object: &Value) -> String {
    let names = |object: &Value, before: &str| -> Vec<String> {
        object
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| format!("{before}{}", json::shown(key)))
            .collect()
    };
    let inner = object.get("translation").map(|inner| names(inner, "translation.")).unwrap_or_default();
    let mut all = [names(object, ""), inner].concat();
    let more = all.len().saturating_sub(SHOWN);
    all.truncate(SHOWN);
    match more {
        0 if all.is_empty() => "none".to_owned(),
        0 => all.join(", "),
        _ => format!("{} and {more} more", all.join(", ")),
    }
}
