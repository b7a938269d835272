//! `gradus train --resume`

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, anyhow, bail};
use serde_json::Value;

use super::arguments::Arguments;
use crate::checkpoint::Checkpoint;
use crate::config::{Config, DataConfig};
use crate::shell::quote_path;
use crate::train::{Corpora, Prepared, Reset, Run, Trainer, tokenizers_of};

/// The folder of the run that `--resume` names: by itself, or by the checkpoint there to go on from, which is the second, if
/// it is an earlier one than the last.
///
/// # Errors
/// Where another file is named.
pub(super) fn run_named(path: &Path) -> Result<(PathBuf, Option<PathBuf>)> {
    if !path.is_file() {
        return Ok((path.to_owned(), None));
    }
    let name = path.display();
    let folder = path.parent().and_then(Path::parent).map(or_here);
    let Some(run) = folder.and_then(|folder| Run::open(folder).ok()) else {
        bail!(
            "{name}: is a file; --resume takes the folder of a run, --init-from begins a new one with a checkpoint"
        );
    };
    let kept = run.kept()?.into_iter().find(|kept| kept.file_name() == path.file_name());
    if kept.is_none() && run.last().file_name() != path.file_name() {
        let (folder, word) = (quote_path(run.folder()), quote_path(path));
        bail!(
            "{name}: --resume {folder} goes on from the last checkpoint; a new run begins with another: --init-from {word}"
        );
    }
    Ok((run.folder().to_owned(), kept))
}

/// A path that is empty is the working folder.
fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

/// A training that goes on with the run that `--resume` names, to the limits that the options name.
///
/// # Errors
/// Where the run holds no training, is in use, or the options ask for another one.
pub(super) fn resume(arguments: &Arguments, named: &Path) -> Result<Trainer> {
    let (folder, earlier) = run_named(named)?;
    let run = Run::open_locked(&folder)?;
    let forgets_best = match arguments.reset.as_slice() {
        // The best weights may be of a later step than an earlier checkpoint.
        [] => earlier.is_some(),
        [Reset::Best] => true,
        _ => bail!(
            "--reset: only best can be reset in a run that goes on; --init-from begins another with its weights"
        ),
    };
    let is_last = earlier.is_none();
    let path = earlier.unwrap_or_else(|| run.last());
    if !path.exists() {
        let name = run.folder().display();
        let word = quote_path(run.folder());
        bail!("{name}: holds no training to go on with, only a model; begin one with it: --init-from {word}");
    }
    let checkpoint = Checkpoint::load(&path).map_err(|error| match is_last {
        true => offer_another(error, &run),
        false => error,
    })?;
    let stored = Config::from_toml(&checkpoint.config)
        .with_context(|| format!("{}: configuration", path.display()))?;
    let mut config = stored.clone();
    arguments.apply(&mut config)?;
    if let Some(difference) = first_difference(&stored, &config)? {
        bail!(
            "{}: {difference}; only limits, files, threads, --save-every, --keep and --skip-nonfinite can change in a run that goes on",
            path.display()
        );
    }
    config.validate()?;
    // Paths stay relative in the configuration, so that a run can be moved with its text.
    let mut data = stored.data.clone();
    data.locate(run.folder());
    arguments.text.apply(&mut data);
    let mut corpora = Corpora::read_of(run.folder(), &data, config.train.seed)?;
    let data = Prepared::new(&mut corpora, &config, Some(tokenizers_of(&checkpoint)?))?;
    Trainer::resume(config, run, corpora, data, checkpoint, forgets_best)
}

/// Says beside what is wrong with the last checkpoint which other is whole.
fn offer_another(error: Error, run: &Run) -> Error {
    let is_whole = |path: &PathBuf| Checkpoint::load(path).is_ok();
    if let Some(kept) = run.kept().ok().and_then(|kept| kept.into_iter().rev().find(is_whole)) {
        return anyhow!("{error:#}; an earlier one is whole: --resume {}", quote_path(&kept));
    }
    match Some(run.best()).filter(is_whole) {
        Some(best) => anyhow!("{error:#}; the best weights are whole: --init-from {}", quote_path(&best)),
        None => error,
    }
}

/// The first setting that the command line wants otherwise than the run has it, other than those that may change: limits, and
/// what the result does not depend on. Text may lie elsewhere; that it is the same is for its checksum to say.
///
/// # Errors
/// Where the settings cannot be compared.
fn first_difference(stored: &Config, wanted: &Config) -> Result<Option<String>> {
    let mut wanted = wanted.clone();
    let (to, from) = (&mut wanted.train, &stored.train);
    (to.steps, to.epochs, to.minutes) = (from.steps, from.epochs, from.minutes);
    (to.patience, to.keep) = (from.patience, from.keep);
    (to.threads, to.save_every) = (from.threads, from.save_every);
    (to.audit, to.skip_nonfinite) = (from.audit, from.skip_nonfinite);
    wanted.data = DataConfig { max_length: wanted.data.max_length, ..stored.data.clone() };
    if wanted == *stored {
        return Ok(None);
    }
    // JSON holds whatever number a setting may have.
    let [stored, wanted] = [stored, &wanted].map(serde_json::to_value);
    let (stored, wanted) = (flat(&stored?), flat(&wanted?));
    let keys: BTreeSet<&String> = stored.keys().chain(wanted.keys()).collect();
    let differs = |key: &&String| stored.get(*key) != wanted.get(*key);
    let Some(key) = keys.into_iter().find(differs) else {
        bail!("the settings are not those of this run");
    };
    Ok(Some(match (stored.get(key), wanted.get(key)) {
        (Some(before), Some(now)) => format!("{key} is {before} in this run, not {now}"),
        (None, Some(now)) => format!("{key} is not set in this run, and not {now}"),
        (before, None) => format!("{key} is {} in this run", before.unwrap_or(&Value::Null)),
    }))
}

/// The settings of all sections, as `section.key`.
fn flat(config: &Value) -> BTreeMap<String, Value> {
    let sections = config.as_object().into_iter().flatten();
    let settings = sections.flat_map(|(section, settings)| {
        let settings = settings.as_object().into_iter().flatten();
        settings.map(move |(key, value)| (format!("{section}.{key}"), value.clone()))
    });
    settings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_may_not_change_is_found_whatever_its_other_settings_are() {
        let stored = Config::builtin();
        let difference = |stored: &Config, change: fn(&mut Config)| {
            let mut wanted = stored.clone();
            change(&mut wanted);
            first_difference(stored, &wanted).unwrap()
        };
        let mut odd = stored.clone();
        odd.train.seed = u64::MAX;
        let mut without = stored.clone();
        without.train.ema = Some(0.5);
        for stored in [&stored, &odd, &without] {
            assert_eq!(
                difference(stored, |config| config.train.smoothing = 0.25).unwrap(),
                "train.smoothing is 0.1 in this run, not 0.25"
            );
            assert_eq!(difference(stored, |config| config.train.steps = Some(7)), None);
            assert_eq!(difference(stored, |config| config.data.tsv = Some("elsewhere".into())), None);
        }
        assert_eq!(
            difference(&odd, |config| config.train.seed = 1).unwrap(),
            "train.seed is 18446744073709551615 in this run, not 1"
        );
        assert_eq!(
            difference(&without, |config| config.train.ema = None).unwrap(),
            "train.ema is 0.5 in this run"
        );
    }
}
