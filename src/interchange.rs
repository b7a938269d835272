//! Models as others read them: weights as safetensors, settings as TOML and JSON, the tokenizer as `tokenizer.json`.
//!
//! The folder that [`export`] writes and [`import`] reads:
//!
//! | file | holds |
//! |---|---|
//! | `model.safetensors` | every weight, by its parameter path, in `f32`, row-major; `config.json` once more, as metadata |
//! | `config.toml` | the configuration of the run |
//! | `config.json` | the same for programs, with the sizes of the vocabularies and the special tokens beside it |
//! | `tokenizer.json` | the tokenizer, as the Python package `tokenizers` reads it |
//! | `tokenizer.target.json` | the target side's, where it is another one |

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use nn::{Init, Transformer};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::json;

use crate::checkpoint::{Array, Checkpoint, Weights, load_weights};
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
    let source = Tokenizer::load(&folder.join(TOKENIZER))?;
    let target = if config.tokenizer.joint {
        source.clone()
    } else {
        Tokenizer::load(&folder.join(TARGET_TOKENIZER))?
    };
    if folder.join(OLD_WEIGHTS).exists() && !folder.join(WEIGHTS).exists() {
        bail!("{}: an export to this folder was interrupted; export again", folder.display());
    }
    let bytes = fs::read(folder.join(WEIGHTS)).with_context(|| format!("{}: cannot read", named(WEIGHTS)))?;
    let weights = from_safetensors(&bytes).with_context(|| named(WEIGHTS))?;
    let (architecture, resolved) = config
        .architecture(vocabularies(&(source, target)), Purpose::Reading)
        .with_context(|| named(SETTINGS))?;
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

fn from_safetensors(bytes: &[u8]) -> Result<Weights> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| anyhow!("not safetensors: {error}"))?;
    let mut weights = Weights::new();
    for (path, view) in tensors.iter() {
        if view.dtype() != Dtype::F32 {
            bail!("{path} is {:?}; only F32 is read", view.dtype());
        }
        let (entries, _) = view.data().as_chunks::<4>();
        let data = entries.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        weights.insert(path.to_owned(), Array { shape: view.shape().to_vec(), data });
    }
    Ok(weights)
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
        let view = TensorView::new(Dtype::F16, vec![2], &[0; 4]).unwrap();
        let half = safetensors::serialize([("a.bias", view)], None).unwrap();
        assert_eq!(from_safetensors(&half).unwrap_err().to_string(), "a.bias is F16; only F32 is read");
    }
}
