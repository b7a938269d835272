//! A model read from a run, ready to translate.

use std::path::Path;

use anyhow::{Context, Result};
use nn::{Init, Transformer};

use crate::checkpoint::load_weights;
use crate::config::Config;
use crate::data::tokenizer::Tokenizer;
use crate::train::{Run, tokenizers_of};

/// A model with its tokenizers.
#[derive(Debug)]
pub(super) struct LoadedModel {
    pub(super) transformer: Transformer,
    pub(super) source_tokenizer: Tokenizer,
    pub(super) target_tokenizer: Tokenizer,
}

impl LoadedModel {
    /// Reads a run's folder or a checkpoint.
    pub(super) fn load(path: &Path) -> Result<Self> {
        let checkpoint = Run::load_model(path)?;
        let name = || path.display().to_string();
        let config = Config::from_toml(&checkpoint.config).with_context(name)?;
        let (source_tokenizer, target_tokenizer) = tokenizers_of(&checkpoint).with_context(name)?;
        let vocabs = (source_tokenizer.vocab_size(), target_tokenizer.vocab_size());
        let (architecture, _) =
            config.model.resolve(vocabs.0, vocabs.1, config.tokenizer.joint).with_context(name)?;
        let mut transformer = Transformer::new(&architecture, &mut Init::seeded(0));
        load_weights(&mut transformer, &checkpoint.weights).with_context(name)?;
        Ok(Self { transformer, source_tokenizer, target_tokenizer })
    }
}
