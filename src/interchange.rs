//! Models as others read them: weights as safetensors, settings as TOML and JSON, the tokenizer as `tokenizer.json`.
//!
//! The folder that [`export`] writes and [`import`] reads:
//!
//! | file | holds |
//! |---|---|
//! | `model.safetensors` | every weight, by its parameter path, in `f32`, row-major; `config.json` once more, as metadata. Read are F16, BF16 and F64 too |
//! | `config.toml` | the configuration of the run |
//! | `config.json` | the same for programs, with the sizes of the vocabularies and the special tokens beside it |
//! | `tokenizer.json` | the tokenizer, as the Python package `tokenizers` reads it |
//! | `tokenizer.target.json` | the target side's, where it is another one |

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::{fmt, fs};

use anyhow::{Context, Result, anyhow, bail};
use autograd::MAX_RANK;
use half::{bf16, f16};
use nn::{Init, Transformer};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::json;

use crate::checkpoint::{Array, Checkpoint, Weights, fits, load_weights, read_regular};
use crate::config::{Config, Purpose};
use crate::data::tokenizer::{BOS, EOS, PAD, Tokenizer, UNK};
use crate::files::{Pending, remove_durably, rename_durably};
use crate::train::{Run, tokenizers_of};

const WEIGHTS: &str = "model.safetensors";
const SETTINGS: &str = "config.toml";
const SETTINGS_JSON: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const TARGET_TOKENIZER: &str = "tokenizer.target.json";

/// The weights that were there before, while a model is exported.
const OLD_WEIGHTS: &str = ".model.safetensors.old";

/// The largest `model.safetensors` that is read, in bytes.
pub const LARGEST_WEIGHTS: u64 = 16 << 30;

/// What the metadata of `model.safetensors` calls the configuration.
const METADATA: &str = "gradus";

/// Writes the model of a checkpoint into a folder, which is made if absent, in place of a model that was exported there
/// before. A kill at any moment leaves the one, the other, or a folder without `model.safetensors`, which cannot be imported:
/// never the weights of one with the tokenizer of the other.
///
/// # Errors
/// Where the folder cannot be written, or the checkpoint does not hold a whole model; where it holds files of these names
/// that were not exported, unless that is `forced`.
pub fn export(checkpoint: &Checkpoint, folder: &Path, forced: bool) -> Result<()> {
    let config = Config::from_toml(&checkpoint.config).context("configuration")?;
    let tokenizers = tokenizers_of(checkpoint)?;
    let (architecture, _) = config.architecture(vocabularies(&tokenizers), Purpose::Reading)?;
    fs::create_dir_all(folder).with_context(|| format!("{}: cannot make the folder", folder.display()))?;
    let settings = json!({
        "source_vocab": architecture.source_vocab,
        "target_vocab": architecture.target_vocab,
        "pad": PAD,
        "bos": BOS,
        "eos": EOS,
        "unk": UNK,
        "model": architecture,
        "tokenizer": config.tokenizer,
        "data": config.data,
        "train": config.train,
    });
    let bytes = to_safetensors(&checkpoint.weights, &settings.to_string())?;
    let settings = serde_json::to_string_pretty(&settings).context("the configuration")?;
    let settings = format!("{settings}\n");
    let mut files = vec![
        (SETTINGS, checkpoint.config.as_bytes()),
        (SETTINGS_JSON, settings.as_bytes()),
        (TOKENIZER, checkpoint.source_tokenizer.as_bytes()),
    ];
    files.extend(checkpoint.target_tokenizer.iter().map(|target| (TARGET_TOKENIZER, target.as_bytes())));
    files.push((WEIGHTS, &bytes));
    if !forced {
        refuse_others(folder)?;
    }
    // From here until the new weights are in their place, which they are last, there is no model in the folder.
    let (weights, old) = (folder.join(WEIGHTS), folder.join(OLD_WEIGHTS));
    let moved = weights.exists();
    if moved {
        rename_durably(&weights, &old)?;
    }
    let pending: Result<Vec<_>> =
        files.iter().map(|(name, bytes)| Pending::write(&folder.join(name), bytes)).collect();
    let pending = match pending {
        Ok(pending) => pending,
        // A full disk is no reason to lose the model that was there.
        Err(error) if moved => return rename_durably(&old, &weights).and(Err(error)),
        Err(error) => return Err(error),
    };
    if checkpoint.target_tokenizer.is_none() {
        remove_durably(&folder.join(TARGET_TOKENIZER))?;
    }
    pending.into_iter().try_for_each(Pending::commit)?;
    remove_durably(&old)
}

/// Refuses a folder with files of an export's names that are of no export.
fn refuse_others(folder: &Path) -> Result<()> {
    let names = [WEIGHTS, SETTINGS, SETTINGS_JSON, TOKENIZER, TARGET_TOKENIZER];
    let Some(first) = names.into_iter().find(|name| folder.join(name).exists()) else { return Ok(()) };
    // The settings for programs are the only of these files that no run has too.
    let settings = fs::read_to_string(folder.join(SETTINGS_JSON)).ok();
    let settings: Option<serde_json::Value> = settings.and_then(|text| serde_json::from_str(&text).ok());
    let is_ours = settings.is_some_and(|settings| {
        ["source_vocab", "target_vocab", "model", "tokenizer"].iter().all(|key| settings.get(key).is_some())
    });
    if !is_ours {
        bail!(
            "{}: holds {first}, which was not exported; choose another folder (--out), or --force to write over it",
            folder.display()
        );
    }
    Ok(())
}

/// Reads what [`export`] has written, or others have made in its place.
///
/// # Errors
/// One line that names the file, and of weights that do not fit the configuration, the parameter and both shapes.
pub fn import(folder: &Path) -> Result<Checkpoint> {
    let named = |name: &str| folder.join(name).display().to_string();
    let read = |name: &str| {
        fs::read_to_string(folder.join(name)).with_context(|| format!("{}: cannot read", named(name)))
    };
    let config = Config::read(&folder.join(SETTINGS))?;
    config.validate().with_context(|| named(SETTINGS))?;
    let source = Tokenizer::load(&folder.join(TOKENIZER))?;
    let target = if config.tokenizer.joint {
        source.clone()
    } else {
        Tokenizer::load(&folder.join(TARGET_TOKENIZER))?
    };
    if folder.join(OLD_WEIGHTS).exists() && !folder.join(WEIGHTS).exists() {
        bail!("{}: an export to this folder was interrupted; export again", folder.display());
    }
    let bytes = read_regular(&folder.join(WEIGHTS), LARGEST_WEIGHTS)?;
    let weights = from_safetensors(&bytes).with_context(|| named(WEIGHTS))?;
    let (architecture, resolved) = config
        .architecture(vocabularies(&(source, target)), Purpose::Reading)
        .with_context(|| named(SETTINGS))?;
    fits(&architecture, &weights).with_context(|| named(WEIGHTS))?;
    let mut model: Transformer = Transformer::new(&architecture, &mut Init::seeded(0));
    load_weights(&mut model, &weights).with_context(|| named(WEIGHTS))?;
    Ok(Checkpoint {
        config: Config { model: resolved, ..config.clone() }.to_toml()?,
        source_tokenizer: read(TOKENIZER)?,
        target_tokenizer: if config.tokenizer.joint { None } else { Some(read(TARGET_TOKENIZER)?) },
        weights,
        training: None,
    })
}

/// Makes a run of a model, which has no training to go on with.
///
/// # Errors
/// Where the folder holds a run already, or files of another origin and that is not `forced`, or cannot be written.
pub fn into_run(checkpoint: &Checkpoint, folder: &Path, forced: bool) -> Result<()> {
    let run = Run::create(folder, forced)?;
    fill(checkpoint, &run).inspect_err(|_| run.discard())
}

fn fill(checkpoint: &Checkpoint, run: &Run) -> Result<()> {
    run.write(SETTINGS, &checkpoint.config)?;
    run.write(TOKENIZER, &checkpoint.source_tokenizer)?;
    if let Some(target) = &checkpoint.target_tokenizer {
        run.write(TARGET_TOKENIZER, target)?;
    }
    checkpoint.save(&run.model())
}

fn vocabularies((source, target): &(Tokenizer, Tokenizer)) -> (usize, usize) {
    (source.vocab_size(), target.vocab_size())
}

fn to_safetensors(weights: &Weights, settings: &str) -> Result<Vec<u8>> {
    let bytes: Vec<(&str, &Array, Vec<u8>)> = (weights.iter())
        .map(|(path, array)| {
            let bytes = array.data.iter().flat_map(|entry| entry.to_le_bytes()).collect();
            (path.as_str(), array, bytes)
        })
        .collect();
    let mut views = Vec::with_capacity(bytes.len());
    for (path, array, bytes) in &bytes {
        let view = TensorView::new(Dtype::F32, array.shape.clone(), bytes)
            .with_context(|| format!("{path} cannot be written"))?;
        views.push((*path, view));
    }
    // One entry: of several, the order and with it the file would be another every time.
    let metadata = HashMap::from([(METADATA.to_owned(), settings.to_owned())]);
    safetensors::serialize(views, Some(metadata)).context("the weights cannot be written")
}

/// Reads the weights of a safetensors file. F16 and BF16 become `f32` as they are, F64 is rounded to it.
///
/// # Errors
/// One line, of the first tensor by name that cannot be a weight: its numbers are of another type, one is not finite or too
/// large for an `f32`, or there are several of its name. Or that the bytes are no safetensors.
pub fn from_safetensors(bytes: &[u8]) -> Result<Weights> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| anyhow!("not safetensors: {error}"))?;
    let mut views: Vec<(&str, TensorView<'_>)> = tensors.iter().collect();
    views.sort_by_key(|(path, _)| *path);
    if let Some(path) = repeated_name(bytes) {
        bail!("there are several tensors {path:?}");
    }
    if let Some((path, _)) =
        views.iter().find(|(path, _)| path.is_empty() || path.chars().any(char::is_control))
    {
        bail!("{path:?} is no name of a weight");
    }
    let mut weights = Weights::new();
    for (path, view) in views {
        let shape = view.shape().to_vec();
        if shape.len() > MAX_RANK || shape.contains(&0) {
            bail!("{path} is {shape:?}: a weight has entries, and at most {MAX_RANK} axes");
        }
        let data = numbers(view.dtype(), view.data()).map_err(|error| anyhow!("{path} {error}"))?;
        if let Some(number) = data.iter().find(|number| !number.is_finite()) {
            bail!("{path} holds {number}");
        }
        weights.insert(path.to_owned(), Array { shape, data });
    }
    Ok(weights)
}

/// The numbers of a tensor as `f32`.
fn numbers(dtype: Dtype, bytes: &[u8]) -> Result<Vec<f32>> {
    /// Every `N` bytes as a number.
    fn each<const N: usize>(bytes: &[u8], number: fn([u8; N]) -> f32) -> Vec<f32> {
        bytes.as_chunks::<N>().0.iter().map(|bytes| number(*bytes)).collect()
    }
    match dtype {
        Dtype::F32 => Ok(each(bytes, f32::from_le_bytes)),
        Dtype::F16 => Ok(each(bytes, |bytes| f16::from_le_bytes(bytes).to_f32())),
        Dtype::BF16 => Ok(each(bytes, |bytes| bf16::from_le_bytes(bytes).to_f32())),
        Dtype::F64 => {
            let wide = bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes));
            let narrow = |number: f64| match number as f32 {
                infinite if infinite.is_infinite() && number.is_finite() => {
                    Err(anyhow!("holds {number:e}, which is beyond the range of an f32"))
                }
                number => Ok(number),
            };
            wide.map(narrow).collect()
        }
        other => bail!("is {other:?}; only F16, BF16, F32 and F64 are read"),
    }
}

/// The first name by order that a header has more than once: a map, which it is read into, keeps one of them in silence.
fn repeated_name(bytes: &[u8]) -> Option<String> {
    struct Names(BTreeSet<String>);
    impl<'de> Visitor<'de> for Names {
        type Value = Option<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the names of tensors")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut repeated = BTreeSet::new();
            while let Some((name, _)) = map.next_entry::<String, IgnoredAny>()? {
                if !self.0.insert(name.clone()) {
                    repeated.insert(name);
                }
            }
            Ok(repeated.pop_first())
        }
    }
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let header = rest.get(..usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    // What is no JSON has been told before.
    serde_json::Deserializer::from_slice(header).deserialize_map(Names(BTreeSet::new())).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_survive_the_way_there_and_back_bit_for_bit() {
        let array = |shape: &[usize], data: &[f32]| Array { shape: shape.to_vec(), data: data.to_vec() };
        let weights = Weights::from([
            ("a.weight".to_owned(), array(&[2, 3], &[1.0, -0.0, f32::MIN_POSITIVE, 1e-45, -3.3, f32::MAX])),
            ("a.bias".to_owned(), array(&[1], &[0.1])),
        ]);
        let bytes = to_safetensors(&weights, "{\"a\":1}").unwrap();
        let bits = |weights: &Weights| -> Vec<(String, Vec<usize>, Vec<u32>)> {
            let bits = |array: &Array| array.data.iter().map(|x| x.to_bits()).collect();
            weights.iter().map(|(path, array)| (path.clone(), array.shape.clone(), bits(array))).collect()
        };
        assert_eq!(bits(&from_safetensors(&bytes).unwrap()), bits(&weights));
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(metadata.metadata().as_ref().unwrap()[METADATA], "{\"a\":1}");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let error = from_safetensors(b"GRADUS\r\n and more").unwrap_err().to_string();
        assert!(error.starts_with("not safetensors"), "{error}");
        assert_eq!(
            from_safetensors(&[0xff; 9]).unwrap_err().to_string(),
            "not safetensors: header too large"
        );
        let written = |tensors: &[(&str, Dtype, &[usize], &[u8])]| {
            let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
                (*name, TensorView::new(*dtype, shape.to_vec(), bytes).unwrap())
            });
            safetensors::serialize(views, None).unwrap()
        };
        let refused =
            |bytes: &[u8]| from_safetensors(bytes).map_err(|error| format!("{error:#}")).unwrap_err();
        for dtype in [Dtype::I8, Dtype::U8, Dtype::BOOL] {
            let of_bytes =
                [("c", dtype, &[1][..], &[0][..]), ("a", dtype, &[1], &[0]), ("b", dtype, &[1], &[0])];
            // Of several the first by name, in every run.
            let said = format!("a is {dtype:?}; only F16, BF16, F32 and F64 are read");
            assert_eq!(refused(&written(&of_bytes)), said);
        }
        let nan = f16::NAN.to_le_bytes();
        let nan = written(&[("b", Dtype::F16, &[1], &nan), ("a", Dtype::F16, &[1], &[0; 2])]);
        assert_eq!(refused(&nan), "b holds NaN");
        let infinite = written(&[("a", Dtype::BF16, &[1], &bf16::NEG_INFINITY.to_le_bytes())]);
        assert_eq!(refused(&infinite), "a holds -inf");
        let infinite = written(&[("a", Dtype::F64, &[1], &f64::INFINITY.to_le_bytes())]);
        assert_eq!(refused(&infinite), "a holds inf");
        let large = written(&[("a", Dtype::F64, &[1], &(-1e300f64).to_le_bytes())]);
        assert_eq!(refused(&large), "a holds -1e300, which is beyond the range of an f32");
        let none = written(&[("a", Dtype::F32, &[0, 2], &[])]);
        assert!(refused(&none).starts_with("a is [0, 2]: a weight has entries"), "{}", refused(&none));
        let deep = written(&[("a", Dtype::F32, &[1; 7], &[0; 4])]);
        assert!(refused(&deep).contains("at most 6 axes"), "{}", refused(&deep));
        let escape = written(&[("a\u{1b}[2J", Dtype::F32, &[1], &[0; 4])]);
        assert_eq!(refused(&escape), "\"a\\u{1b}[2J\" is no name of a weight");
    }

    #[test]
    fn a_header_with_one_name_twice_is_refused() {
        let entry = r#""a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
        for header in [format!("{{{entry},{entry}}}"), format!("{{{entry}}}")] {
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend_from_slice(header.as_bytes());
            bytes.extend_from_slice(&1.5f32.to_le_bytes());
            let read = from_safetensors(&bytes).map_err(|error| error.to_string());
            match header.len() > 2 * entry.len() {
                true => assert_eq!(read.unwrap_err(), "there are several tensors \"a\""),
                false => assert_eq!(read.unwrap()["a"].data, [1.5]),
            }
        }
    }

    #[test]
    fn halves_and_doubles_become_the_nearest_singles() {
        let numbers = [0.1, -0.0, 65504.0, 5.960_464_5e-8, -1.0];
        let f16s: Vec<u8> = numbers.iter().flat_map(|x| f16::from_f64(*x).to_le_bytes()).collect();
        let bf16s: Vec<u8> = numbers.iter().flat_map(|x| bf16::from_f64(*x).to_le_bytes()).collect();
        let f64s: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        let view = |dtype, bytes| TensorView::new(dtype, vec![5], bytes).unwrap();
        let views = [
            ("half", view(Dtype::F16, &f16s)),
            ("brain", view(Dtype::BF16, &bf16s)),
            ("double", view(Dtype::F64, &f64s)),
        ];
        let weights = from_safetensors(&safetensors::serialize(views, None).unwrap()).unwrap();
        let bits = |name: &str| weights[name].data.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        // 1638/2^14, the largest half, and the smallest above 0; of a bfloat16 the high half of an f32's bits is all there is.
        assert_eq!(bits("half"), [0.099_975_586f32, -0.0, 65504.0, 5.960_464_5e-8, -1.0].map(f32::to_bits));
        assert_eq!(bits("brain"), [0x3dcd_0000, 0x8000_0000, 0x4780_0000, 0x3380_0000, 0xbf80_0000]);
        assert_eq!(bits("double"), numbers.map(|x| (x as f32).to_bits()));
    }
}
