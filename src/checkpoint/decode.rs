//! The payload of a checkpoint, read field by field.
//!
//! bincode writes it, with its standard configuration: whole numbers of one byte up to 250, behind that a mark for 2, 4 or
//! 8 bytes; floats as they lie in memory, low byte first; text, lists and maps behind their length; an option behind 0 or 1;
//! fields one after the other. It is read by hand, since a file with a right checksum may still be forged: a length is
//! held to the bytes that are left before memory is taken for it, and what is wrong is said with the name of its field.

use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use autograd::MAX_RANK;

use super::{Array, Checkpoint, Progress, Training, Weights};
use crate::train::Spikes;

/// The largest counter that is believed. Steps, tokens and the like stay whole numbers up to here where they are taken for
/// floats, and can be counted on without an overflow.
pub(super) const LARGEST_COUNT: u64 = 1 << 53;

/// The longest path of a parameter, in bytes.
const LONGEST_PATH: usize = 1024;

/// Reads the whole payload.
pub(super) fn checkpoint(payload: &[u8]) -> Result<Checkpoint> {
    let mut reader = Reader { bytes: payload };
    let checkpoint = Checkpoint {
        config: reader.text("config")?.to_owned(),
        source_tokenizer: reader.text("source_tokenizer")?.to_owned(),
        target_tokenizer: match reader.is_there("target_tokenizer")? {
            true => Some(reader.text("target_tokenizer")?.to_owned()),
            false => None,
        },
        weights: reader.weights("weights")?,
        training: match reader.is_there("training")? {
            true => Some(reader.training()?),
            false => None,
        },
    };
    match reader.bytes.len() {
        0 => Ok(checkpoint),
        rest => bail!("{rest} bytes follow its last field"),
    }
}

/// What is left to read.
struct Reader<'a> {
    bytes: &'a [u8],
}

/// A field, and the parameter where it has an entry for each.
#[derive(Clone, Copy)]
struct Field<'a>(&'a str, &'a str);

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(field, "") => f.write_str(field),
            Self(field, path) => write!(f, "{field}: {path}"),
        }
    }
}

impl<'a> Reader<'a> {
    /// The next `count` bytes.
    fn take(&mut self, count: usize, field: impl fmt::Display) -> Result<&'a [u8]> {
        let left = self.bytes.len();
        let Some((taken, rest)) = self.bytes.split_at_checked(count) else {
            bail!("{field} needs {count} bytes, and {left} are left");
        };
        self.bytes = rest;
        Ok(taken)
    }

    fn array_of<const N: usize>(&mut self, field: impl fmt::Display) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N, field)?);
        Ok(bytes)
    }

    /// A whole number.
    fn unsigned(&mut self, field: impl fmt::Display + Copy) -> Result<u64> {
        match self.take(1, field)?[0] {
            small @ 0..=250 => Ok(u64::from(small)),
            251 => Ok(u64::from(u16::from_le_bytes(self.array_of(field)?))),
            252 => Ok(u64::from(u32::from_le_bytes(self.array_of(field)?))),
            253 => Ok(u64::from_le_bytes(self.array_of(field)?)),
            mark => bail!("{field} begins with {mark}, which is no whole number of at most 8 bytes"),
        }
    }

    /// A number of things that have happened.
    fn count(&mut self, field: impl fmt::Display + Copy) -> Result<u64> {
        let count = self.unsigned(field)?;
        ensure!(count <= LARGEST_COUNT, "{field} = {count} is more than anything can be counted to");
        Ok(count)
    }

    /// The length of a list of entries, each of which takes at least `least` bytes.
    fn length(&mut self, least: usize, field: impl fmt::Display + Copy) -> Result<usize> {
        let (length, left) = (self.unsigned(field)?, self.bytes.len());
        ensure!(
            length <= (left / least) as u64,
            "{field} claims {length} entries, and {left} bytes are left"
        );
        Ok(length as usize)
    }

    /// Whether an optional field is there.
    fn is_there(&mut self, field: impl fmt::Display + Copy) -> Result<bool> {
        match self.take(1, field)?[0] {
            0 => Ok(false),
            1 => Ok(true),
            mark => bail!("{field} begins with {mark}, which is neither 0 nor 1"),
        }
    }

    fn text(&mut self, field: impl fmt::Display + Copy) -> Result<&'a str> {
        let length = self.length(1, field)?;
        let Ok(text) = std::str::from_utf8(self.take(length, field)?) else {
            bail!("{field} is not valid UTF-8");
        };
        Ok(text)
    }

    /// A number that is neither infinite nor none.
    fn float(&mut self, field: impl fmt::Display + Copy) -> Result<f64> {
        let number = f64::from_le_bytes(self.array_of(field)?);
        ensure!(number.is_finite(), "{field} = {number} is not finite");
        Ok(number)
    }

    fn seconds(&mut self, field: impl fmt::Display + Copy) -> Result<f64> {
        let seconds = self.float(field)?;
        ensure!(seconds >= 0.0, "{field} = {seconds} is negative");
        Ok(seconds)
    }

    fn floats(&mut self, field: impl fmt::Display + Copy) -> Result<Vec<f64>> {
        let length = self.length(8, field)?;
        (0..length).map(|_| self.float(field)).collect()
    }

    /// A tensor whose entries are all `valid`.
    fn array(&mut self, field: Field<'_>, valid: fn(f32) -> bool) -> Result<Array> {
        let rank = self.length(1, field)?;
        ensure!(rank <= MAX_RANK, "{field} has {rank} axes, and a tensor at most {MAX_RANK}");
        let sizes: Vec<u64> = (0..rank).map(|_| self.unsigned(field)).collect::<Result<_>>()?;
        let entries = sizes.iter().try_fold(1u64, |entries, &size| entries.checked_mul(size));
        let length = self.length(4, field)?;
        if entries != Some(length as u64) {
            bail!("{field} is {sizes:?} and holds {length} entries");
        }
        ensure!(length > 0, "{field} is {sizes:?}, which has no entries");
        let (chunks, _) = self.take(4 * length, field)?.as_chunks::<4>();
        let data: Vec<f32> = chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        if let Some(entry) = data.iter().find(|entry| !valid(**entry)) {
            bail!("{field} holds {entry}");
        }
        Ok(Array { shape: sizes.into_iter().map(|size| size as usize).collect(), data })
    }

    /// The path of a parameter.
    fn path(&mut self, field: &str) -> Result<&'a str> {
        let path = self.text(field)?;
        ensure!(path.len() <= LONGEST_PATH, "{field}: a path of {} bytes", path.len());
        ensure!(!path.is_empty() && !path.chars().any(char::is_control), "{field}: {path:?} is no path");
        Ok(path)
    }

    fn weights(&mut self, field: &str) -> Result<Weights> {
        let count = self.length(LEAST_WEIGHT, field)?;
        ensure!(count > 0, "{field} is empty");
        let mut weights = Weights::new();
        for _ in 0..count {
            let path = self.path(field)?;
            let array = self.array(Field(field, path), f32::is_finite)?;
            ensure!(weights.insert(path.to_owned(), array).is_none(), "{field}: {path} is there twice");
        }
        Ok(weights)
    }

    fn training(&mut self) -> Result<Training> {
        Ok(Training {
            averaged: match self.is_there("training.averaged")? {
                true => {
                    Some((self.weights("training.averaged")?, self.count("the steps of training.averaged")?))
                }
                false => None,
            },
            adam_steps: self.count("training.adam_steps")?,
            moments: self.moments("training.moments")?,
            progress: self.progress()?,
            metrics: self.metrics("training.metrics")?,
            recent: {
                let field = "training.recent";
                let count = self.length(1 + LEAST_WEIGHT, field)?;
                (0..count).map(|_| self.weights(field)).collect::<Result<_>>()?
            },
            spikes: {
                let (losses, norms) =
                    (self.floats("training.spikes.losses")?, self.floats("training.spikes.norms")?);
                let wait = self.unsigned("training.spikes.wait")?;
                Spikes::restored(losses, norms, wait).context("training.spikes")?
            },
            data_checksum: {
                let (field, number) = ("training.data_checksum", self.unsigned("training.data_checksum")?);
                u32::try_from(number).with_context(|| format!("{field} = {number} has more than 4 bytes"))?
            },
        })
    }

    fn moments(&mut self, field: &str) -> Result<std::collections::BTreeMap<String, (Array, Array)>> {
        let count = self.length(LEAST_WEIGHT, field)?;
        let mut moments = std::collections::BTreeMap::new();
        for _ in 0..count {
            let path = self.path(field)?;
            let mean = self.array(Field(field, path), f32::is_finite)?;
            // A square may have overflowed: its entry moves no more, in the training that was saved as in one that goes on.
            let square = self.array(Field(field, path), |square| square >= 0.0)?;
            ensure!(
                moments.insert(path.to_owned(), (mean, square)).is_none(),
                "{field}: {path} is there twice"
            );
        }
        Ok(moments)
    }

    fn progress(&mut self) -> Result<Progress> {
        Ok(Progress {
            step: self.count("training.progress.step")?,
            epoch: self.count("training.progress.epoch")?,
            batch: self.count("training.progress.batch")? as usize,
            target_tokens: self.count("training.progress.target_tokens")?,
            seconds: self.seconds("training.progress.seconds")?,
            step_seconds: self.seconds("training.progress.step_seconds")?,
            pending_loss: self.float("training.progress.pending_loss")?,
            pending_tokens: self.count("training.progress.pending_tokens")?,
            best: match self.is_there("training.progress.best")? {
                true => Some(self.float("training.progress.best")?),
                false => None,
            },
            since_best: self.count("training.progress.since_best")?,
            validated_at: match self.is_there("training.progress.validated_at")? {
                true => Some(self.count("training.progress.validated_at")?),
                false => None,
            },
        })
    }

    /// Lines that are a JSON object each.
    fn metrics(&mut self, field: &str) -> Result<Vec<String>> {
        let count = self.length(LEAST_LINE, field)?;
        let mut lines = Vec::new();
        for number in 1..=count {
            let line = self.text(field)?;
            let is_object = line.starts_with('{') && !line.contains(['\n', '\r']);
            if !is_object || serde_json::from_str::<serde::de::IgnoredAny>(line).is_err() {
                bail!("{field}: line {number} is no JSON object");
            }
            lines.push(line.to_owned());
        }
        Ok(lines)
    }
}

/// The bytes of a weight: a path and its length, no axes, one entry and the number of entries.
const LEAST_WEIGHT: usize = 2 + 1 + 5;

/// The bytes of a line of metrics: its length and `{}`.
const LEAST_LINE: usize = 3;
