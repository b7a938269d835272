//! Whether the parts of a checkpoint belong together.

use anyhow::{Context, Result, anyhow, bail, ensure};
use nn::TransformerConfig;

use super::{Array, Checkpoint, Weights};
use crate::config::Config;
use crate::train::tokenizers_of;

/// How many times as many parameters as there are weights a model may have before it is not even built: it is built to
/// say which of them are missing.
const TIMES: u64 = 2;

/// The same for small models: so many more are no matter.
const MORE: u64 = 65_536;

/// Makes sure that a checkpoint which could be decoded is one that a training could have left.
///
/// # Errors
/// One line that begins with the field.
pub(super) fn check(checkpoint: &Checkpoint) -> Result<()> {
    let config = Config::from_toml(&checkpoint.config).map_err(|error| anyhow!("config: {error}"))?;
    config.validate().context("config")?;
    match (config.tokenizer.joint, &checkpoint.target_tokenizer) {
        (true, Some(_)) => bail!("target_tokenizer: is there, and tokenizer.joint is set"),
        (false, None) => bail!("target_tokenizer: is missing, and tokenizer.joint is not set"),
        _ => {}
    }
    let (source, target) = tokenizers_of(checkpoint)?;
    let vocabs = (source.vocab_size(), target.vocab_size());
    let (architecture, _) =
        config.model.resolve(vocabs.0, vocabs.1, config.tokenizer.joint).context("config")?;
    fits(&architecture, &checkpoint.weights).context("weights")?;
    let Some(training) = &checkpoint.training else { return Ok(()) };
    match (&training.averaged, config.train.ema) {
        (Some(_), None) => bail!("training.averaged: is there, and train.ema is not set"),
        (None, Some(_)) => bail!("training.averaged: is missing, and train.ema is set"),
        (Some((weights, _)), _) => same_shapes(&checkpoint.weights, weights).context("training.averaged")?,
        (None, None) => {}
    }
    for (path, (mean, square)) in &training.moments {
        let field = || format!("training.moments: {path}");
        let Some(weight) = checkpoint.weights.get(path) else { bail!("{}: is no weight", field()) };
        for array in [mean, square] {
            same_shape(weight, array).with_context(field)?;
        }
    }
    for weights in &training.recent {
        same_shapes(&checkpoint.weights, weights).context("training.recent")?;
    }
    let progress = &training.progress;
    ensure!(
        progress.validated_at.is_none_or(|step| step <= progress.step),
        "training.progress.validated_at: comes after step {}",
        progress.step
    );
    Ok(())
}

/// Refuses weights that are far too few for a model: building it would take memory that no file of theirs stands for.
///
/// # Errors
/// Where they are.
pub(crate) fn fits(architecture: &TransformerConfig, weights: &Weights) -> Result<()> {
    let held: u64 = weights.values().map(|array| array.data.len() as u64).sum();
    match architecture.parameter_count() {
        Some(count) if count <= TIMES * held + MORE => Ok(()),
        Some(count) => bail!("{held} numbers, and the configuration's model has {count}"),
        None => bail!("{held} numbers, and the configuration's model has more than can be counted"),
    }
}

fn same_shapes(these: &Weights, others: &Weights) -> Result<()> {
    let missing = |of: &Weights, from: &Weights| from.keys().find(|path| !of.contains_key(*path)).cloned();
    if let Some(path) = missing(others, these) {
        bail!("has no {path}, which weights has");
    }
    if let Some(path) = missing(these, others) {
        bail!("has {path}, which weights has not");
    }
    these
        .iter()
        .try_for_each(|(path, weight)| same_shape(weight, &others[path]).with_context(|| path.clone()))
}

fn same_shape(weight: &Array, other: &Array) -> Result<()> {
    ensure!(weight.shape == other.shape, "is {:?}, and the weight {:?}", other.shape, weight.shape);
    Ok(())
}
