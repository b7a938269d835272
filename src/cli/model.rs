//! Models read from runs, ready to translate.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use autograd::Device;
use nn::{Init, Transformer};

use crate::checkpoint::load_weights;
use crate::config::{Config, Purpose};
use crate::data::tokenizer::Tokenizer;
use crate::decode::{Ensemble, Translator};
use crate::train::{Run, tokenizers_of};

/// A model with its tokenizers.
#[derive(Debug)]
pub(super) struct LoadedModel {
    pub(super) transformer: Transformer,
    pub(super) source_tokenizer: Tokenizer,
    pub(super) target_tokenizer: Tokenizer,
    /// The longest sentence that it was trained with, in tokens, the end included.
    pub(super) trained_length: usize,
}

impl LoadedModel {
    /// Reads a run's folder or a checkpoint.
    pub(super) fn load(path: &Path, device: &Device) -> Result<Self> {
        let checkpoint = Run::load_model(path)?;
        let name = || path.display().to_string();
        let config = Config::from_toml(&checkpoint.config).with_context(name)?;
        let (source_tokenizer, target_tokenizer) = tokenizers_of(&checkpoint).with_context(name)?;
        let vocabs = (source_tokenizer.vocab_size(), target_tokenizer.vocab_size());
        let (architecture, _) = config.architecture(vocabs, Purpose::Reading).with_context(name)?;
        let mut transformer = Transformer::new(&architecture, &mut Init::seeded(0));
        load_weights(&mut transformer, &checkpoint.weights).with_context(name)?;
        transformer.move_to(device);
        let trained_length = config.data.max_length;
        Ok(Self { transformer, source_tokenizer, target_tokenizer, trained_length })
    }
}

/// One model, or several that translate together, with the tokenizers that they share.
#[derive(Debug)]
pub(super) struct LoadedEnsemble {
    pub(super) models: Ensemble<Transformer>,
    pub(super) source_tokenizer: Tokenizer,
    pub(super) target_tokenizer: Tokenizer,
    /// The longest sentence that all were trained with, in tokens, the end included.
    pub(super) trained_length: usize,
}

impl LoadedEnsemble {
    /// Reads runs' folders or checkpoints.
    ///
    /// # Errors
    /// Where one cannot be read, or has other tokenizers than the first.
    pub(super) fn load(paths: &[PathBuf], device: &Device) -> Result<Self> {
        let Some((first_path, others)) = paths.split_first() else { bail!("name a model (--model)") };
        let first = LoadedModel::load(first_path, device)?;
        let (source_tokenizer, target_tokenizer) = (first.source_tokenizer, first.target_tokenizer);
        let mut trained_length = first.trained_length;
        let mut models = vec![first.transformer];
        for path in others {
            let model = LoadedModel::load(path, device)?;
            for (side, own, its) in [
                ("source", &source_tokenizer, &model.source_tokenizer),
                ("target", &target_tokenizer, &model.target_tokenizer),
            ] {
                if own.to_json()? != its.to_json()? {
                    let (path, first_path) = (path.display(), first_path.display());
                    bail!(
                        "{path}: its {side} tokenizer is not that of {first_path}: their words cannot be averaged"
                    );
                }
            }
            trained_length = trained_length.min(model.trained_length);
            models.push(model.transformer);
        }
        Ok(Self { models: Ensemble { models }, source_tokenizer, target_tokenizer, trained_length })
    }

    pub(super) fn translator(&self) -> Translator<'_, Ensemble<Transformer>> {
        Translator {
            model: &self.models,
            source: &self.source_tokenizer,
            target: &self.target_tokenizer,
            trained_length: self.trained_length,
        }
    }
}
