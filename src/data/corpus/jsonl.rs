//! Pairs as JSON objects, one a line.

use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use super::{Corpus, Lines, read};

pub(super) fn scan(path: &Path, source_key: &str, target_key: &str) -> Result<Corpus> {
    let Lines { lines, mut faults } = read(path)?;
    let mut corpus = Corpus::default();
    for (number, line) in (1..).zip(&lines) {
        let Some(line) = line else { continue };
        if line.trim().is_empty() {
            corpus.blank.push(number);
            continue;
        }
        match pair(line, source_key, target_key) {
            Ok((source, target)) => corpus.push(number, &source, &target),
            Err(what) => _ = faults.insert(number, format!("{}:{number}: {what}", path.display())),
        }
    }
    corpus.faults = faults.into_values().collect();
    Ok(corpus)
}

fn pair(line: &str, source_key: &str, target_key: &str) -> Result<(String, String), String> {
    let object: Value = serde_json::from_str(line).map_err(|error| {
        let said = error.to_string();
        // The place that it names is one within this line.
        format!("not JSON: {}", said.split(" at line").next().unwrap_or(&said))
    })?;
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
        Some(Value::String(text)) => Ok(text),
        Some(Value::Null) => Ok(String::new()),
        Some(_) => Err(format!("{key:?} is no text")),
        None => Err(format!("no key {key:?}; there are {}", keys(object))),
    }
}

/// The keys of an object, those of its `translation` included.
fn keys(object: &Value) -> String {
    let names = |object: &Value, before: &str| -> Vec<String> {
        object.as_object().into_iter().flatten().map(|(key, _)| format!("{before}{key}")).collect()
    };
    let inner = object.get("translation").map(|inner| names(inner, "translation.")).unwrap_or_default();
    let all = [names(object, ""), inner].concat();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}
