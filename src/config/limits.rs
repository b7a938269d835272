//! What numbers a setting may have.

use std::fmt::Display;

use anyhow::{Result, bail};
use serde_json::Value;

/// The most threads that can be asked for.
pub const MAX_THREADS: usize = 1024;

/// The most parts that a batch can be split into.
pub const MAX_SHARDS: usize = 1024;

/// The most padded tokens of one batch.
pub const MAX_BATCH_TOKENS: usize = 1 << 24;

/// The most batches whose gradients can be added up before a step.
pub const MAX_ACCUMULATE: usize = 1 << 16;

/// The most validations whose weights can be averaged.
pub const MAX_AVERAGE: usize = 1024;

/// The largest vocabulary.
pub const MAX_VOCAB_SIZE: usize = crate::data::tokenizer::LARGEST_VOCABULARY;

/// The most layers of an encoder or a decoder.
pub const MAX_LAYERS: usize = 1024;

/// The widest model, and the most positions that it has a table for.
pub const MAX_WIDTH: usize = 1 << 20;

/// The widest inner layer of a feed-forward network.
pub const MAX_FFN: usize = 1 << 24;

/// The highest learning rate: beyond it `f32` ends.
pub const MAX_RATE: f64 = 1e30;

/// The strongest decay of weights, and the largest α of R-Drop.
pub const MAX_STRENGTH: f64 = 1e3;

/// The smallest ε that is not 0 in `f32`.
pub const MIN_EPSILON: f64 = 1e-37;

/// Whether a count is from 1 to `most`.
///
/// # Errors
/// One line naming the setting.
pub(super) fn count(key: &str, count: usize, most: usize) -> Result<()> {
    if count == 0 {
        bail!("{key} must not be 0");
    }
    at_most(key, count, most)
}

/// Whether a number is no more than `most`.
///
/// # Errors
/// One line naming the setting.
pub(super) fn at_most<N: PartialOrd + Display>(key: &str, number: N, most: N) -> Result<()> {
    if number > most {
        bail!("{key} = {number} is more than {most}");
    }
    Ok(())
}

/// Whether a number lies in `[0, 1)`, in `f32` as well.
///
/// # Errors
/// One line naming the setting.
pub(super) fn share(key: &str, share: f64) -> Result<()> {
    if !is_share(share) {
        bail!("{key} = {share} is not in [0, 1)");
    }
    Ok(())
}

/// Whether a number lies in `[0, 1)`, in `f32` as well, where the nearest to one below 1 may be 1.
pub(super) fn is_share(share: f64) -> bool {
    (0.0..1.0).contains(&share) && (share as f32) < 1.0
}

/// Whether a number is finite and at least 0.
///
/// # Errors
/// One line naming the setting.
pub(super) fn not_negative(key: &str, number: f64) -> Result<()> {
    if !(number >= 0.0 && number.is_finite()) {
        bail!("{key} = {number} is not a number of at least 0");
    }
    Ok(())
}

/// Whether a rate is no more than [`MAX_RATE`].
///
/// # Errors
/// One line naming the setting.
pub(super) fn rate(key: &str, rate: f64) -> Result<()> {
    if rate > MAX_RATE {
        bail!("{key} = {rate:e} is more than {MAX_RATE:e}");
    }
    Ok(())
}

/// Whether a number lies in `[MIN_EPSILON, 1]`.
///
/// # Errors
/// One line naming the setting.
pub(super) fn epsilon(key: &str, number: f64) -> Result<()> {
    if !(MIN_EPSILON..=1.0).contains(&number) {
        bail!("{key} = {number:e} is not from {MIN_EPSILON:e} to 1");
    }
    Ok(())
}

/// Whether all numbers of a setting and of those within it are finite, and can be written as TOML, whose whole numbers end at
/// 2⁶³ − 1. JSON has null in the place of a number that is not finite.
///
/// # Errors
/// One line naming the setting.
pub(super) fn representable(key: &str, value: &Value) -> Result<()> {
    match value {
        Value::Null => bail!("{key} is not a finite number"),
        Value::Number(number) => match number.as_u64() {
            Some(whole) => at_most(key, whole, i64::MAX.unsigned_abs()),
            None => Ok(()),
        },
        Value::Array(entries) => entries.iter().try_for_each(|entry| representable(key, entry)),
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            let name = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            representable(&name, value)
        }),
        Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_that_toml_cannot_hold_are_named_wherever_they_are() {
        let said = |value: Value| representable("", &value).unwrap_err().to_string();
        assert_eq!(said(json!({ "a": { "b": [0.5, f64::NAN] } })), "a.b is not a finite number");
        assert_eq!(
            said(json!({ "a": { "b": u64::MAX } })),
            "a.b = 18446744073709551615 is more than 9223372036854775807"
        );
        representable("", &json!({ "a": { "b": [i64::MAX, i64::MIN], "c": "NaN", "d": true } })).unwrap();
    }

    #[test]
    fn shares_are_below_1_in_f32_too() {
        assert!(share("p", 0.999).is_ok() && share("p", 0.0).is_ok());
        for wrong in [1.0, 1.0 - f64::EPSILON, -f64::MIN_POSITIVE, f64::NAN] {
            assert!(share("p", wrong).is_err(), "{wrong}");
        }
    }
}
