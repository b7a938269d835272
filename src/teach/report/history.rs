//! What `metrics.jsonl` says of a training.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Deserializer};

/// One line. What a later version adds is passed over.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Record {
    Train(Steps),
    Valid(Validation),
    End(End),
    Skip {},
    #[serde(other)]
    Other,
}

/// Some steps of training, seen together.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Steps {
    /// The last of them.
    pub(super) step: u64,
    /// Mean loss of a target token, label smoothing included.
    #[serde(deserialize_with = "number")]
    pub(super) loss: f64,
    pub(super) rate: f64,
    /// Of the last step, before clipping.
    #[serde(deserialize_with = "number")]
    pub(super) gradient_norm: f64,
    /// Target tokens a second since the training began, validation not counted.
    #[serde(deserialize_with = "number")]
    pub(super) tokens_per_second: f64,
}

/// A look at the validation text.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Validation {
    pub(super) step: u64,
    #[serde(deserialize_with = "number")]
    pub(super) loss: f64,
    #[serde(deserialize_with = "number")]
    pub(super) bleu: f64,
    #[serde(default)]
    pub(super) samples: Vec<Sample>,
}

/// A sentence, what the model made of it, and what it should have made.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Sample {
    pub(super) source: String,
    pub(super) model: String,
    pub(super) reference: String,
}

/// How the finished model scores.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct End {
    pub(super) test_bleu: Option<f64>,
    pub(super) unseen_pair_bleu: Option<f64>,
    #[serde(deserialize_with = "number")]
    pub(super) valid_bleu: f64,
    pub(super) steps: u64,
    pub(super) epochs: u64,
    pub(super) seconds: f64,
    #[serde(deserialize_with = "number")]
    pub(super) tokens_per_second: f64,
    pub(super) parameters: u64,
}

/// A number, which JSON calls `null` where it is NaN or infinite.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// A training from its beginning to its end, or to where it has come.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    pub(super) train: Vec<Steps>,
    pub(super) valid: Vec<Validation>,
    pub(super) end: Option<End>,
    /// Steps that were left out because they were not finite.
    pub(super) skipped: usize,
}

impl History {
    /// Reads `metrics.jsonl`. A last line that is cut, where a training was killed or the disk was full, is passed over.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        // The cut may go through a character.
        let bytes = std::fs::read(path).with_context(|| format!("{name}: cannot read"))?;
        let text = String::from_utf8_lossy(&bytes);
        let mut history = Self::default();
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        for (number, line) in text[..whole].lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            match serde_json::from_str(line).with_context(|| format!("{name}:{}", number + 1))? {
                Record::Train(steps) => {
                    // What was the end is not, where a run went on.
                    history.end = None;
                    history.train.push(steps);
                }
                Record::Valid(validation) => history.valid.push(validation),
                Record::End(end) => history.end = Some(end),
                Record::Skip {} => history.skipped += 1,
                Record::Other => (),
            }
        }
        Ok(history)
    }

    /// The samples of the last validation.
    pub(super) fn samples(&self) -> Vec<Sample> {
        self.valid.last().map_or(Vec::new(), |last| last.samples.clone())
    }

    /// The last step of which anything is known.
    pub(super) fn last_step(&self) -> u64 {
        let train = self.train.last().map_or(0, |last| last.step);
        train.max(self.valid.last().map_or(0, |last| last.step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_cannot_be_read_is_named_and_one_that_is_new_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let line = r#"{"kind":"train","step":20,"epoch":0,"loss":7.5,"rate":0.001,"gradient_norm":1.5,"tokens_per_second":9.0,"seconds":1.0}"#;
        std::fs::write(
            &path,
            format!("{line}\n{{\"kind\":\"weather\"}}\n{{\"kind\":\"skip\",\"step\":21}}\n"),
        )
        .unwrap();
        let history = History::read(&path).unwrap();
        assert_eq!((history.train.len(), history.skipped, history.last_step()), (1, 1, 20));
        std::fs::write(&path, format!("{line}\n{{\"kind\":\"valid\"}}\n")).unwrap();
        let error = format!("{:#}", History::read(&path).unwrap_err());
        assert!(error.contains("metrics.jsonl:2: ") && error.contains("missing field"), "{error}");
    }

    #[test]
    fn a_cut_last_line_and_numbers_that_are_none_end_no_report() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let line = r#"{"kind":"valid","step":8,"loss":null,"bleu":0.0}"#;
        for cut in ["", "{\"kind\":\"tra", "\u{e9}"] {
            let bytes = format!("{line}\n{cut}").into_bytes();
            std::fs::write(&path, &bytes[..bytes.len() - usize::from(cut == "\u{e9}")]).unwrap();
            let history = History::read(&path).unwrap();
            assert!(history.valid[0].loss.is_nan() && history.last_step() == 8, "{cut}");
        }
    }
}
