//! Files that hold a whole training: weights, optimiser, tokenizer, configuration, position in the data, metrics.
//!
//! A file begins with a magic word, a version, the length and the checksum of what follows; it is written aside and
//! renamed, so that a crash leaves the one before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};
use autograd::{Device, Parameters, Shape, Tensor};
use optim::{Adam, Moments};
use serde::{Deserialize, Serialize};

use crate::files::write_atomic;
use crate::train::Spikes;

pub(crate) const MAGIC: [u8; 8] = *b"GRADUS\r\n";
const VERSION: u32 = 2;
const HEADER: usize = 8 + 4 + 8 + 4;

/// The most a checkpoint may claim to hold: what a corrupted length cannot make us ask of memory.
const LIMIT: usize = 16 << 30;

/// All that a training needs to go on, and all that translating needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The resolved configuration, as TOML.
    pub config: String,
    /// The source side's `tokenizer.json`.
    pub source_tokenizer: String,
    /// The target side's, where it is another one.
    pub target_tokenizer: Option<String>,
    /// The weights to translate with, by path: their moving average where training keeps one.
    pub weights: Weights,
    /// What training needs beyond the weights; `None` in a file that is only for translating.
    pub training: Option<Training>,
}

/// Weights by path.
pub type Weights = BTreeMap<String, Array>;

/// What training needs beyond the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// The weights that the next step starts from and the number of steps averaged, where [`Checkpoint::weights`] are a
    /// moving average of them.
    pub averaged: Option<(Weights, u64)>,
    /// Adam's step count.
    pub adam_steps: u64,
    /// Adam's mean and mean square, by path.
    pub moments: BTreeMap<String, (Array, Array)>,
    /// Where training stands.
    pub progress: Progress,
    /// The lines of `metrics.jsonl` so far.
    pub metrics: Vec<String>,
    /// Weights after the last validations, to be averaged at the end.
    pub recent: Vec<Weights>,
    /// The last losses and gradient norms.
    pub spikes: Spikes,
    /// A checksum of the training text, which must be the same to go on.
    pub data_checksum: u32,
}

/// Where training stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps taken.
    pub step: u64,
    /// Passes over the training text that are complete.
    pub epoch: u64,
    /// Batches of the current pass that are done.
    pub batch: usize,
    /// Target tokens seen.
    pub target_tokens: u64,
    /// Seconds of training, validation included.
    pub seconds: f64,
    /// Seconds of steps alone.
    pub step_seconds: f64,
    /// The sum of losses since the last line of metrics, in nats.
    pub pending_loss: f64,
    /// The target tokens they were summed over.
    pub pending_tokens: u64,
    /// The best validation score so far, in the metric of the configuration.
    pub best: Option<f64>,
    /// Validations since then.
    pub since_best: u64,
    /// The step of the last validation.
    pub validated_at: Option<u64>,
}

/// A tensor as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Array {
    /// The sizes of its axes.
    pub shape: Vec<usize>,
    /// Its entries, row-major.
    pub data: Vec<f32>,
}

impl From<&Tensor<f32>> for Array {
    fn from(tensor: &Tensor<f32>) -> Self {
        Self { shape: tensor.shape().to_vec(), data: tensor.to(&Device::Cpu).as_slice().to_vec() }
    }
}

impl From<&Array> for Tensor<f32> {
    fn from(array: &Array) -> Self {
        Self::new(Shape::from(array.shape.as_slice()), array.data.clone())
    }
}

/// The weights of a model by path.
pub fn weights_of(model: &impl Parameters<f32>) -> Weights {
    model.parameters().into_iter().map(|(path, param)| (path, Array::from(param.value()))).collect()
}

/// Puts stored weights into a model.
///
/// # Errors
/// Where paths are missing, not known to the model, or of another shape.
pub fn load_weights(model: &mut impl Parameters<f32>, weights: &Weights) -> Result<()> {
    let parameters = model.parameters();
    let known: BTreeSet<&str> = parameters.iter().map(|(path, _)| path.as_str()).collect();
    let missing: Vec<&str> = known.iter().copied().filter(|&path| !weights.contains_key(path)).collect();
    if !missing.is_empty() {
        bail!("the checkpoint has no weights for {}", some_of(&missing));
    }
    let extra: Vec<&str> = weights.keys().map(String::as_str).filter(|path| !known.contains(path)).collect();
    if !extra.is_empty() {
        bail!("the checkpoint has weights for {}, which this model does not have", some_of(&extra));
    }
    for (path, param) in &parameters {
        check_shape(path, param.value().shape(), &weights[path])?;
    }
    model.for_each_mut(|path, param| {
        if let Some(array) = weights.get(path) {
            let device = param.value().device();
            *param.value_mut() = Tensor::from(array).to(&device);
        }
    });
    Ok(())
}

/// The first of several paths, and how many there are besides.
fn some_of(paths: &[&str]) -> String {
    const SHOWN: usize = 3;
    let shown = paths[..paths.len().min(SHOWN)].join(", ");
    match paths.len().saturating_sub(SHOWN) {
        0 => shown,
        others => format!("{shown} and {others} others"),
    }
}

/// Adam's moments as they are stored.
pub fn moments_of(adam: &Adam) -> BTreeMap<String, (Array, Array)> {
    let arrays = |moments: &Moments| ((&moments.mean).into(), (&moments.square).into());
    adam.moments.iter().map(|(path, moments)| (path.clone(), arrays(moments))).collect()
}

/// Puts stored moments into an optimiser.
///
/// # Errors
/// Where one has another shape than its parameter.
pub fn load_moments(
    adam: &mut Adam,
    model: &impl Parameters<f32>,
    moments: &BTreeMap<String, (Array, Array)>,
) -> Result<()> {
    for (path, param) in model.parameters() {
        let Some((mean, square)) = moments.get(&path) else { continue };
        check_shape(&path, param.value().shape(), mean)?;
        check_shape(&path, param.value().shape(), square)?;
        let moved = |array: &Array| Tensor::from(array).to(&param.value().device());
        adam.moments.insert(path, Moments { mean: moved(mean), square: moved(square) });
    }
    Ok(())
}

fn check_shape(path: &str, shape: Shape, array: &Array) -> Result<()> {
    if *shape != *array.shape || array.data.len() != shape.len() {
        bail!("{path} is {:?} in the checkpoint and {shape} in the model", array.shape);
    }
    Ok(())
}

/// The validation that went best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BestValidation {
    /// The step after which it was.
    pub step: u64,
    /// A checksum of the text, without which its score cannot be compared with another.
    pub checksum: u32,
}

impl Training {
    /// The best validation so far, from the last line of the metrics that says it is. There is none in those of programs that
    /// did not say so.
    pub fn best_validation(&self) -> Option<BestValidation> {
        self.metrics.iter().rev().find_map(|line| {
            let record: serde_json::Value = serde_json::from_str(line).ok()?;
            (record["kind"] == "valid" && record["best"] == true).then_some(())?;
            let checksum = record["text_checksum"].as_u64()?.try_into().ok()?;
            Some(BestValidation { step: record["step"].as_u64()?, checksum })
        })
    }
}

impl Checkpoint {
    /// The weights that training goes on from: not their average, where there is one.
    pub fn training_weights(&self) -> &Weights {
        let averaged = self.training.as_ref().and_then(|training| training.averaged.as_ref());
        averaged.map_or(&self.weights, |(weights, _)| weights)
    }

    /// Writes this to `path`, in one step ([`write_atomic`]).
    ///
    /// # Errors
    /// Where the file cannot be written, or a weight is not finite; the one that was there before stays.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes = self.to_bytes().with_context(|| format!("{}: not saved", path.display()))?;
        write_atomic(path, &bytes)
    }

    /// This as the content of a file.
    ///
    /// # Errors
    /// Where a weight is not finite.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        for (name, array) in self.weights.iter().chain(self.training_weights()) {
            if let Some(weight) = array.data.iter().find(|weight| !weight.is_finite()) {
                bail!("{name} holds {weight}");
            }
        }
        let payload =
            bincode::serde::encode_to_vec(self, bincode::config::standard()).context("cannot encode")?;
        let mut bytes = Vec::with_capacity(HEADER + payload.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&payload).to_le_bytes());
        bytes.extend_from_slice(&payload);
        Ok(bytes)
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// One line that names the file and says whether it is missing, no checkpoint, of another version, truncated or
    /// corrupted.
    pub fn load(path: &Path) -> Result<Self> {
        let name = path.display();
        let file = File::open(path).with_context(|| format!("{name}: cannot read"))?;
        let mut bytes = Vec::new();
        BufReader::new(file).read_to_end(&mut bytes).with_context(|| format!("{name}: cannot read"))?;
        let magic_length = MAGIC.len().min(bytes.len());
        if bytes[..magic_length] != MAGIC[..magic_length] || bytes.is_empty() {
            bail!("{name}: not a Gradus checkpoint");
        }
        if bytes.len() < HEADER {
            bail!("{name}: truncated: {} bytes are less than a header", bytes.len());
        }
        let (header, payload) = bytes.split_at(HEADER);
        let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        if version != VERSION {
            bail!("{name}: written in format {version}; this program reads format {VERSION}");
        }
        let mut length = [0; 8];
        length.copy_from_slice(&header[12..20]);
        let length = u64::from_le_bytes(length);
        if payload.len() as u64 != length {
            bail!("{name}: truncated: {} of {length} bytes", payload.len());
        }
        let checksum = u32::from_le_bytes([header[20], header[21], header[22], header[23]]);
        if crc32fast::hash(payload) != checksum {
            bail!("{name}: corrupted: the checksum does not match");
        }
        let config = bincode::config::standard().with_limit::<LIMIT>();
        let (checkpoint, _) = bincode::serde::decode_from_slice(payload, config)
            .with_context(|| format!("{name}: corrupted: cannot decode"))?;
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn checkpoint() -> Checkpoint {
        let array = Array { shape: vec![2], data: vec![1.5, f32::MIN_POSITIVE] };
        Checkpoint {
            config: "[train]\nseed = 7\n".into(),
            source_tokenizer: "{}".into(),
            target_tokenizer: None,
            weights: BTreeMap::from([("a.weight".into(), array)]),
            training: None,
        }
    }

    fn error_of(bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.gradus");
        fs::write(&path, bytes).unwrap();
        Checkpoint::load(&path).unwrap_err().to_string()
    }

    fn saved() -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.gradus");
        checkpoint().save(&path).unwrap();
        assert_eq!(Checkpoint::load(&path).unwrap(), checkpoint());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left aside");
        fs::read(path).unwrap()
    }

    #[test]
    fn damage_of_each_kind_is_told_apart() {
        let good = saved();
        assert!(error_of(&good[..good.len() - 1]).contains("truncated"));
        assert!(error_of(&good[..10]).contains("truncated"));
        assert!(error_of(b"").contains("not a Gradus checkpoint"));
        assert!(error_of(b"PK\x03\x04 something else entirely").contains("not a Gradus checkpoint"));
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert!(error_of(&flipped).contains("corrupted"));
        let mut newer = good;
        newer[8] = 99;
        assert!(error_of(&newer).contains("format 99"));
    }

    #[test]
    fn weights_that_are_not_finite_are_never_saved_over_good_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.gradus");
        checkpoint().save(&path).unwrap();
        for broken in [f32::NAN, f32::NEG_INFINITY] {
            let array = Array { shape: vec![2], data: vec![0.0, broken] };
            let weights = BTreeMap::from([("b.weight".into(), array)]);
            let error = format!("{:#}", Checkpoint { weights, ..checkpoint() }.save(&path).unwrap_err());
            assert!(error.ends_with(&format!("not saved: b.weight holds {broken}")), "{error}");
        }
        assert_eq!(Checkpoint::load(&path).unwrap(), checkpoint());
    }

    #[test]
    fn a_shape_that_does_not_fit_is_named() {
        let mut param = autograd::Param::new(Tensor::<f32>::zeros([3]));
        let weights = BTreeMap::from([(String::new(), Array { shape: vec![2], data: vec![0.0; 2] })]);
        let error = load_weights(&mut param, &weights).unwrap_err().to_string();
        assert!(error.contains("[2] in the checkpoint and [3] in the model"), "{error}");
    }

    #[test]
    fn weights_that_are_missing_or_too_many_are_named() {
        let mut param = autograd::Param::new(Tensor::<f32>::zeros([1]));
        let one = || Array { shape: vec![1], data: vec![0.0] };
        let error = load_weights(&mut param, &BTreeMap::new()).unwrap_err().to_string();
        assert_eq!(error, "the checkpoint has no weights for ");
        let names = ["", "a", "b", "c", "d", "e"];
        let weights = names.into_iter().map(|name| (name.to_owned(), one())).collect();
        let error = load_weights(&mut param, &weights).unwrap_err().to_string();
        assert_eq!(
            error,
            "the checkpoint has weights for a, b, c and 2 others, which this model does not have"
        );
    }
}
