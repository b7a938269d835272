//! JSON from files that people bring: what is wrong with it is called by its name.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The value of a text, nested no deeper than the 127 levels of `serde_json`.
///
/// # Errors
/// One line that says what is wrong, without the place, which is one within this text: it is no JSON, is nested too deeply, has a
/// key twice in one object, or half of a surrogate pair.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map(|Unique(value)| value).map_err(|error| wrong(text, &error))
}

/// What is wrong with a text that could not be read as JSON.
pub(crate) fn wrong(text: &str, error: &serde_json::Error) -> String {
    let said = error.to_string();
    let said = said.split(" at line").next().unwrap_or(&said);
    if let Some(half) = lone_surrogate(text).filter(|_| said.contains("hex escape")) {
        return format!("has the lone surrogate {half}, half of a character");
    }
    if said.contains("recursion limit") {
        return "is nested too deeply".to_owned();
    }
    match said.strip_prefix(TWICE) {
        Some(key) => format!("has the key {key} twice"),
        None => format!("not JSON: {said}"),
    }
}

/// The first escape of half a surrogate pair without its other half, as it is written.
fn lone_surrogate(text: &str) -> Option<&str> {
    let unit = |at: usize| {
        let digits = text.get(at..)?.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut at = 0;
    while let Some(found) = text[at..].find('\\') {
        at += found;
        at += match unit(at) {
            Some(0xd800..=0xdbff) if matches!(unit(at + 6), Some(0xdc00..=0xdfff)) => 12,
            Some(0xd800..=0xdfff) => return text.get(at..at + 6),
            // A backslash and what it escapes, of which only an ASCII character is valid.
            _ => 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        };
    }
    None
}

/// A key as a message shows it: on one line, and not too long.
pub(crate) fn shown(key: &str) -> String {
    const LONGEST: usize = 40;
    let control = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut shown: String = key.chars().take(LONGEST).map(control).collect();
    if shown.chars().count() < key.chars().count() {
        shown.push('…');
    }
    shown
}

/// What the error of a repeated key begins with.
const TWICE: &str = "the same key twice: ";

/// A value in which no object has a key twice.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if all.contains_key(&key) {
                return Err(de::Error::custom(format_args!("{TWICE}\"{}\"", shown(&key))));
            }
            let Unique(value) = entries.next_value()?;
            all.insert(key, value);
        }
        Ok(Value::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_what_serde_json_reads() {
        for text in [
            r#"{"a": [1, -2, 3.5e3, null, true, "x\ud83d\ude00é\\ud800"], "b": {"c": {}}}"#,
            "[]",
            "18446744073709551615",
            "\"\\u0000\"",
        ] {
            assert_eq!(parse(text), Ok(serde_json::from_str::<Value>(text).unwrap()), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_called_by_its_name() {
        for (text, said) in [
            (r#"{"a": "\ud83d"}"#, r"has the lone surrogate \ud83d, half of a character"),
            (r#"{"a": "\uDE00 x"}"#, r"has the lone surrogate \uDE00, half of a character"),
            (r#"{"a": "\ud83d\ud83d\ude00"}"#, r"has the lone surrogate \ud83d, half of a character"),
            (r#"{"a": "\\\ud83dx"}"#, r"has the lone surrogate \ud83d, half of a character"),
            (r#"{"a": 1, "b": 2, "a": 3}"#, r#"has the key "a" twice"#),
            (r#"{"t": {"é": 1, "\u00e9": 3}}"#, r#"has the key "é" twice"#),
            ("{\"a\\nb\": 1, \"a\\nb\": 3}", "has the key \"a\u{fffd}b\" twice"),
            (r#"{"a": "\u12"}"#, "not JSON: "),
            ("{\"a\"", "not JSON: EOF while parsing an object"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(said), "{text}: {error}");
            assert!(!error.contains("line 1"), "{text}: {error}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(parse(&deep).unwrap_err(), "is nested too deeply");
    }
}
