//! `gradus train --resume`

use anyhow::{Context, Result, bail};

use super::arguments::Arguments;
use crate::checkpoint::Checkpoint;
use crate::config::{Config, DataConfig};
use crate::shell::quote;
use crate::train::{Corpora, Prepared, Run, Trainer, tokenizers_of};

/// A training that goes on with this run, to the limits that the options name.
///
/// # Errors
/// Where the run holds no training, or the options ask for another one.
pub(super) fn resume(arguments: &Arguments, run: Run) -> Result<Trainer> {
    let path = run.last();
    if !path.exists() {
        let name = run.folder().display();
        let path = run.folder().to_string_lossy();
        let word = quote(&path);
        bail!("{name}: holds no training to go on with, only a model; begin one with it: --init-from {word}");
    }
    let checkpoint = Checkpoint::load(&path)?;
    let stored = Config::from_toml(&checkpoint.config)
        .with_context(|| format!("{}: configuration", path.display()))?;
    let mut config = stored.clone();
    arguments.apply(&mut config)?;
    if let Some(difference) = first_difference(&stored, &config) {
        bail!(
            "{}: {difference}; only limits, files, threads, --save-every, --keep and --skip-nonfinite can change in a run that goes on",
            path.display()
        );
    }
    config.validate()?;
    let mut corpora = Corpora::read(&config.data, config.train.seed)?;
    let data = Prepared::new(&mut corpora, &config, Some(tokenizers_of(&checkpoint)?))?;
    Trainer::resume(config, run, corpora, data, checkpoint)
}

/// The first setting that the command line wants otherwise than the run has it, other than those that may change: limits, and
/// what the result does not depend on. Text may lie elsewhere; that it is the same is for its checksum to say.
fn first_difference(stored: &Config, wanted: &Config) -> Option<String> {
    let mut wanted = wanted.clone();
    let (to, from) = (&mut wanted.train, &stored.train);
    (to.steps, to.epochs, to.minutes) = (from.steps, from.epochs, from.minutes);
    (to.patience, to.keep) = (from.patience, from.keep);
    (to.threads, to.save_every) = (from.threads, from.save_every);
    (to.audit, to.skip_nonfinite) = (from.audit, from.skip_nonfinite);
    wanted.data = DataConfig { max_length: wanted.data.max_length, ..stored.data.clone() };
    let table = |config: &Config| toml::Table::try_from(config).unwrap_or_default();
    let (stored, wanted) = (table(stored), table(&wanted));
    for (section, values) in &wanted {
        for (key, value) in values.as_table()? {
            let before = stored.get(section).and_then(|section| section.get(key));
            if before != Some(value) {
                let before = before.map_or_else(|| "not set".to_owned(), ToString::to_string);
                return Some(format!("{section}.{key} is {before} in this run, not {value}"));
            }
        }
    }
    None
}
