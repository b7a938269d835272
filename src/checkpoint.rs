//! Files that hold a whole training: weights, optimiser, tokenizer, configuration, position in the data, metrics.
//!
//! A file begins with a magic word, a version, the length and the checksum of what follows; it is written aside and
//! renamed, so that a crash leaves the one before. What is read is checked field by field, since a file may be damaged or
//! forged: what [`Checkpoint::load`] gives is a model that its configuration describes, and a training that can go on.

mod check;
mod decode;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use autograd::{Device, Parameters, Shape, Tensor};
use optim::{Adam, Moments};
use serde::{Deserialize, Serialize};

pub(crate) use self::check::fits;
use crate::files::write_atomic;
use crate::train::Spikes;

pub(crate) const MAGIC: [u8; 8] = *b"GRADUS\r\n";
const VERSION: u32 = 2;
const HEADER: usize = 8 + 4 + 8 + 4;

/// The largest checkpoint that is read, in bytes.
pub const LARGEST_CHECKPOINT: u64 = 16 << 30;

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
        Ok(framed(&payload))
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// One line that names the file and says whether it is missing, no checkpoint, of another version, truncated or
    /// corrupted; or, by its field, what is not as a training would have left it.
    pub fn load(path: &Path) -> Result<Self> {
        let name = path.display();
        let bytes = read_whole(path)?;
        Self::from_bytes(&bytes).map_err(|error| anyhow!("{name}: {error:#}"))
    }

    /// Reads the bytes of a checkpoint, in memory of a small multiple of their number.
    ///
    /// # Errors
    /// As [`load`](Self::load), without the name of a file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let Header { length, checksum } = Header::read(bytes)?;
        let payload = &bytes[HEADER..];
        match payload.len() as u64 {
            all if all == length => {}
            all if all < length => bail!("truncated: {all} of {length} bytes"),
            all => bail!("corrupted: {} bytes follow its end", all - length),
        }
        if crc32fast::hash(payload) != checksum {
            bail!("corrupted: the checksum does not match");
        }
        let checkpoint = decode::checkpoint(payload).context("corrupted")?;
        check::check(&checkpoint)?;
        Ok(checkpoint)
    }
}

/// What stands before the payload.
struct Header {
    /// The payload's bytes.
    length: u64,
    checksum: u32,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self> {
        let magic_length = MAGIC.len().min(bytes.len());
        if bytes[..magic_length] != MAGIC[..magic_length] || bytes.is_empty() {
            bail!("not a Gradus checkpoint");
        }
        let Some(header) = bytes.first_chunk::<HEADER>() else {
            bail!("truncated: {} bytes are less than a header", bytes.len());
        };
        let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        if version != VERSION {
            bail!("written in format {version}; this program reads format {VERSION}");
        }
        let mut length = [0; 8];
        length.copy_from_slice(&header[12..20]);
        let checksum = u32::from_le_bytes([header[20], header[21], header[22], header[23]]);
        Ok(Self { length: u64::from_le_bytes(length), checksum })
    }
}

/// A payload with the header that makes it a file: what [`Checkpoint::from_bytes`] reads.
pub fn framed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// The bytes of a checkpoint's file. What cannot be one is refused by its first bytes.
fn read_whole(path: &Path) -> Result<Vec<u8>> {
    let name = path.display();
    let (mut file, size) = open_regular(path, LARGEST_CHECKPOINT)?;
    let mut header = Vec::new();
    let read = Read::by_ref(&mut file).take(HEADER as u64).read_to_end(&mut header);
    read.with_context(|| format!("{name}: cannot read"))?;
    let Header { length, .. } = Header::read(&header).map_err(|error| anyhow!("{name}: {error}"))?;
    let left = size.saturating_sub(HEADER as u64);
    if left < length {
        bail!("{name}: truncated: {left} of {length} bytes");
    }
    read_rest(path, file, header, size)
}

/// The bytes of a regular file: devices and pipes may go on for ever.
///
/// # Errors
/// One line that names the file: it is another thing, or has more than `largest` bytes, or cannot be read.
pub(crate) fn read_regular(path: &Path, largest: u64) -> Result<Vec<u8>> {
    let (file, size) = open_regular(path, largest)?;
    read_rest(path, file, Vec::new(), size)
}

/// A regular file, and the number of its bytes.
fn open_regular(path: &Path, largest: u64) -> Result<(File, u64)> {
    let name = path.display();
    let cannot = || format!("{name}: cannot read");
    // Opening a pipe would wait for someone to write to it.
    let metadata = fs::metadata(path).with_context(cannot)?;
    if !metadata.is_file() {
        bail!("{name}: is {}", if metadata.is_dir() { "a folder, not a file" } else { "no regular file" });
    }
    let size = metadata.len();
    if size > largest {
        bail!("{name}: {size} bytes are more than the {largest} that such a file may have");
    }
    Ok((File::open(path).with_context(cannot)?, size))
}

/// What is left of a file of `size` bytes, behind those that have been read.
fn read_rest(path: &Path, file: File, mut bytes: Vec<u8>, size: u64) -> Result<Vec<u8>> {
    let name = path.display();
    let left = size.saturating_sub(bytes.len() as u64);
    if bytes.try_reserve_exact(usize::try_from(left).unwrap_or(usize::MAX)).is_err() {
        bail!("{name}: there is no memory for its {size} bytes");
    }
    // Not what has been added to it since it was measured.
    file.take(left).read_to_end(&mut bytes).with_context(|| format!("{name}: cannot read"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use nn::{Init, Transformer};

    use super::*;
    use crate::config::Config;
    use crate::data::tokenizer::{Tokenizer, TokenizerConfig};

    const CONFIG: &str = "[tokenizer]\nvocab_size = 40\n[model]\nd_model = 4\nffn = 6\nheads = 2\n\
                          encoder_layers = 1\ndecoder_layers = 1\n[train]\nema = 0.9\nseed = 7\n";

    /// A training of a small model, with something in every field.
    fn checkpoint() -> Checkpoint {
        let config = TokenizerConfig { vocab_size: 40, ..TokenizerConfig::default() };
        let tokenizer = Tokenizer::train(["a man has a hat", "the man has the hat"].iter(), &config).unwrap();
        let size = tokenizer.vocab_size();
        let (architecture, _) = Config::from_toml(CONFIG).unwrap().model.resolve(size, size, true).unwrap();
        let model: Transformer = Transformer::new(&architecture, &mut Init::seeded(1));
        let weights = weights_of(&model);
        let squares =
            |array: &Array| Array { data: array.data.iter().map(|x| x * x).collect(), ..array.clone() };
        let moments = weights.iter().map(|(path, array)| (path.clone(), (array.clone(), squares(array))));
        let numbers = vec![1.5, 0.25, 3.0];
        Checkpoint {
            config: CONFIG.into(),
            source_tokenizer: tokenizer.to_json().unwrap(),
            target_tokenizer: None,
            training: Some(Training {
                averaged: Some((weights.clone(), 70_000)),
                adam_steps: 5_000_000_000,
                moments: moments.collect(),
                progress: Progress {
                    step: 70_000,
                    epoch: 3,
                    batch: 251,
                    target_tokens: 1 << 40,
                    seconds: 12.5,
                    step_seconds: 11.0,
                    pending_loss: -0.5,
                    pending_tokens: 300,
                    best: Some(31.25),
                    since_best: 2,
                    validated_at: Some(69_999),
                },
                metrics: vec!["{\"kind\":\"train\",\"loss\":3.5}".into(), "{}".into()],
                recent: vec![weights.clone(), weights.clone()],
                spikes: Spikes::restored(numbers.clone(), numbers, 20).unwrap(),
                data_checksum: u32::MAX - 1,
            }),
            weights,
        }
    }

    fn payload(checkpoint: &Checkpoint) -> Vec<u8> {
        bincode::serde::encode_to_vec(checkpoint, bincode::config::standard()).unwrap()
    }

    fn refused(payload: &[u8]) -> String {
        let error = format!("{:#}", Checkpoint::from_bytes(&framed(payload)).unwrap_err());
        assert!(!error.contains('\n'), "{error}");
        error
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
    fn what_is_read_is_what_bincode_reads() {
        let (all, small) = (checkpoint(), Checkpoint { training: None, ..checkpoint() });
        let small = Checkpoint { config: CONFIG.replace("ema = 0.9", ""), ..small };
        for checkpoint in [all, small] {
            let payload = payload(&checkpoint);
            let read = decode::checkpoint(&payload).unwrap();
            let config = bincode::config::standard();
            let (known, _): (Checkpoint, usize) =
                bincode::serde::decode_from_slice(&payload, config).unwrap();
            assert!(read == known && read == checkpoint);
            assert_eq!(Checkpoint::from_bytes(&framed(&payload)).unwrap(), checkpoint);
        }
    }

    #[test]
    fn a_payload_that_ends_early_or_goes_on_is_refused() {
        let payload = payload(&checkpoint());
        for length in 0..payload.len() {
            assert!(refused(&payload[..length]).starts_with("corrupted: "), "{length}");
        }
        let longer = [&payload[..], &[0; 3]].concat();
        assert_eq!(refused(&longer), "corrupted: 3 bytes follow its last field");
        let mut file = framed(&payload);
        file.push(0);
        assert_eq!(error_of(&file).split_once(": ").unwrap().1, "corrupted: 1 bytes follow its end");
    }

    #[test]
    fn every_field_of_a_forged_checkpoint_is_checked_by_name() {
        fn training(checkpoint: &mut Checkpoint) -> &mut Training {
            checkpoint.training.as_mut().unwrap()
        }
        fn weight(weights: &mut Weights) -> &mut Array {
            weights.get_mut("decoder.norm.beta").unwrap()
        }
        fn progress(checkpoint: &mut Checkpoint) -> &mut Progress {
            &mut training(checkpoint).progress
        }
        type Forge = fn(&mut Checkpoint);
        let forged: &[(Forge, &str)] = &[
            (|c| c.config = "[train]\nspeed = 3\n".into(), "config: line 2: unknown field `speed`"),
            (|c| c.config.push_str("clip = 1.0\nsteps = 0\n"), "config: train.steps"),
            (|c| c.config = c.config.replace("heads = 2", "heads = 3"), "config: model"),
            (|c| c.config = c.config.replace("d_model = 4", "d_model = 4096"), "weights: "),
            (|c| c.config = c.config.replace("ffn = 6", "ffn = 65000"), "weights: "),
            (|c| c.config = c.config.replace("r_layers = 1", "r_layers = 200"), "weights: "),
            (|c| c.source_tokenizer = "{}".into(), "source_tokenizer: not a tokenizer"),
            (|c| c.target_tokenizer = Some("{}".into()), "target_tokenizer: is there, and tokenizer.joint"),
            (
                |c| c.config = c.config.replace("[tokenizer]", "[tokenizer]\njoint = false"),
                "target_tokenizer: is missing",
            ),
            (
                |c| weight(&mut c.weights).data[1] = f32::NAN,
                "corrupted: weights: decoder.norm.beta holds NaN",
            ),
            (
                |c| weight(&mut c.weights).data.truncate(3),
                "weights: decoder.norm.beta is [4] and holds 3 entries",
            ),
            (|c| weight(&mut c.weights).shape = vec![1; 7], "weights: decoder.norm.beta has 7 axes"),
            (
                |c| weight(&mut c.weights).shape = vec![1 << 40, 1 << 40],
                "weights: decoder.norm.beta is [1099511627776, 1099511627776] and holds 4",
            ),
            (
                |c| *weight(&mut c.weights) = Array { shape: vec![0, 3], data: Vec::new() },
                "weights: decoder.norm.beta is [0, 3], which has no entries",
            ),
            (|c| c.weights.clear(), "weights is empty"),
            (
                |c| drop(c.weights.insert("\u{1b}[2J".into(), Array { shape: vec![1], data: vec![0.0] })),
                "weights: \"\\u{1b}[2J\" is no path",
            ),
            (
                |c| weight(&mut c.weights).shape = vec![2, 2],
                "training.averaged: decoder.norm.beta: is [4], and",
            ),
            (|c| training(c).averaged = None, "training.averaged: is missing"),
            (
                |c| c.config = c.config.replace("ema = 0.9\n", ""),
                "training.averaged: is there, and train.ema is not set",
            ),
            (
                |c| weight(&mut training(c).averaged.as_mut().unwrap().0).data[0] = f32::INFINITY,
                "training.averaged: decoder.norm.beta holds inf",
            ),
            (
                |c| drop(training(c).averaged.as_mut().unwrap().0.pop_first()),
                "training.averaged: has no decoder.layers.0.cross_attn.k_proj.bias",
            ),
            (
                |c| training(c).averaged.as_mut().unwrap().1 = u64::MAX,
                "the steps of training.averaged = 18446744073709551615 is more",
            ),
            (|c| training(c).adam_steps = (1 << 53) + 1, "training.adam_steps = 9007199254740993 is more"),
            (
                |c| training(c).moments.get_mut("decoder.norm.beta").unwrap().1.data[0] = -1e-9,
                "training.moments: decoder.norm.beta holds -0.000000001",
            ),
            (
                |c| training(c).moments.get_mut("decoder.norm.beta").unwrap().0.data[0] = f32::NEG_INFINITY,
                "training.moments: decoder.norm.beta holds -inf",
            ),
            (
                |c| training(c).moments.get_mut("decoder.norm.beta").unwrap().1.shape = vec![4, 1],
                "training.moments: decoder.norm.beta: is [4, 1], and the weight [4]",
            ),
            (
                |c| {
                    let (_, moments) = training(c).moments.pop_first().unwrap();
                    training(c).moments.insert("elsewhere".into(), moments);
                },
                "training.moments: elsewhere: is no weight",
            ),
            (|c| progress(c).step = u64::MAX, "training.progress.step = 18446744073709551615 is more"),
            (|c| progress(c).epoch = u64::MAX, "training.progress.epoch = 18446744073709551615 is more"),
            (|c| progress(c).batch = usize::MAX, "training.progress.batch = 18446744073709551615 is more"),
            (
                |c| progress(c).target_tokens = u64::MAX,
                "training.progress.target_tokens = 18446744073709551615",
            ),
            (|c| progress(c).seconds = f64::NAN, "training.progress.seconds = NaN is not finite"),
            (|c| progress(c).seconds = -1.0, "training.progress.seconds = -1 is negative"),
            (|c| progress(c).step_seconds = f64::INFINITY, "training.progress.step_seconds = inf is not"),
            (|c| progress(c).pending_loss = f64::NAN, "training.progress.pending_loss = NaN is not finite"),
            (
                |c| progress(c).pending_tokens = u64::MAX,
                "training.progress.pending_tokens = 18446744073709551615",
            ),
            (|c| progress(c).best = Some(f64::NAN), "training.progress.best = NaN is not finite"),
            (|c| progress(c).since_best = u64::MAX, "training.progress.since_best = 18446744073709551615"),
            (
                |c| progress(c).validated_at = Some(70_001),
                "training.progress.validated_at: comes after step 70000",
            ),
            (|c| training(c).metrics[1] = "{".into(), "training.metrics: line 2 is no JSON object"),
            (|c| training(c).metrics[0] = "[1]".into(), "training.metrics: line 1 is no JSON object"),
            (|c| training(c).metrics[0] = "{\n}".into(), "training.metrics: line 1 is no JSON object"),
            (
                |c| weight(&mut training(c).recent[1]).data[0] = f32::NAN,
                "training.recent: decoder.norm.beta holds",
            ),
            (|c| training(c).recent[1].clear(), "training.recent is empty"),
            (
                |c| drop(training(c).recent[1].pop_last()),
                "training.recent: has no target_embedding.weight, which weights has",
            ),
            (
                |c| weight(&mut training(c).recent[1]).shape = vec![2, 2],
                "training.recent: decoder.norm.beta: is [2, 2], and the weight [4]",
            ),
        ];
        for (number, (forge, said)) in forged.iter().enumerate() {
            let mut checkpoint = checkpoint();
            forge(&mut checkpoint);
            let error = refused(&payload(&checkpoint));
            let error =
                error.strip_prefix("corrupted: ").filter(|_| !said.starts_with("corr")).unwrap_or(&error);
            assert!(error.starts_with(said), "{number}: {error}, and not {said}");
        }
    }

    #[test]
    fn spikes_and_checksums_of_no_training_are_refused() {
        let checkpoint = checkpoint();
        let mut payload = payload(&checkpoint);
        let end = payload.len();
        // …, the wait of spikes, 252 and the four bytes of the checksum.
        assert_eq!(payload[end - 6..end - 4], [20, 252]);
        payload[end - 6] = 21;
        assert_eq!(refused(&payload), "corrupted: training.spikes: waits for 21 steps, and 20 are the most");
        payload[end - 6] = 20;
        let longer = [&payload[..end - 5], &[253], &[255; 8][..]].concat();
        assert!(
            refused(&longer).contains("training.data_checksum = 18446744073709551615 has more than 4 bytes")
        );
        payload[end - 6 - 8..end - 6].copy_from_slice(&f64::NAN.to_le_bytes());
        assert_eq!(refused(&payload), "corrupted: training.spikes.norms = NaN is not finite");
    }

    #[test]
    fn what_is_no_file_is_refused_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let error = |path: &Path| Checkpoint::load(path).unwrap_err().to_string();
        let name = folder.path().display();
        assert_eq!(error(folder.path()), format!("{name}: is a folder, not a file"));
        if Path::new("/dev/zero").exists() {
            assert_eq!(error(Path::new("/dev/zero")), "/dev/zero: is no regular file");
        }
        let long = folder.path().join("long.gradus");
        fs::write(&long, framed(b"")).unwrap();
        File::options().write(true).open(&long).unwrap().set_len(LARGEST_CHECKPOINT + 1).unwrap();
        let said = error(&long);
        assert!(said.ends_with("bytes are more than the 17179869184 that such a file may have"), "{said}");
        // A sparse file that is believed no further than its header.
        let mut header = framed(b"");
        header[12..20].copy_from_slice(&u64::MAX.to_le_bytes());
        fs::write(&long, header).unwrap();
        File::options().write(true).open(&long).unwrap().set_len(LARGEST_CHECKPOINT).unwrap();
        let said = error(&long);
        assert!(said.contains("truncated: 17179869160 of 18446744073709551615 bytes"), "{said}");
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
