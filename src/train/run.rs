//! The folder of a run.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::checkpoint::Checkpoint;
use crate::files::{
    FolderLock, is_temporary, remove_durably, remove_temporaries, rename_durably, write_atomic,
};
use crate::shell::quote_path;

/// A run's folder: `config.toml`, `tokenizer.json`, `metrics.jsonl`, `checkpoints/`, and `report.html` at the end.
///
/// A run begins with its first `last.gradus`, or as a model alone with `model.gradus`; what is in the folder before that can
/// be begun again. Whoever trains holds the folder's [lock](FolderLock); reading needs none.
#[derive(Clone, Debug)]
pub struct Run {
    folder: PathBuf,
    /// Whether there was no such folder before.
    made: bool,
    /// Where this process may write.
    lock: Option<Arc<FolderLock>>,
}

/// What a training writes beside its checkpoints.
const FILES: [&str; 6] =
    ["config.toml", "tokenizer.json", "tokenizer.target.json", "metrics.jsonl", "report.html", "film.html"];

const CHECKPOINTS: &str = "checkpoints";

/// A file that is written among the checkpoints to see whether that works.
const PROBE: &str = "probe";

impl Run {
    /// Makes the folder of a new run, or takes one that is empty or in which a run was about to begin, and locks it.
    ///
    /// # Errors
    /// Where it holds a run already, is in use by another process or cannot be written to; where it holds a file of another
    /// origin that the run would replace, unless that is `forced`.
    pub fn create(folder: &Path, forced: bool) -> Result<Self> {
        let existed = folder.exists();
        fs::create_dir_all(folder)
            .with_context(|| format!("{}: cannot make the folder", folder.display()))?;
        Self::own(folder, !existed, forced)
    }

    /// Makes `runs/NAME`, or `runs/NAME-2` and so on where that is taken.
    ///
    /// # Errors
    /// Where no folder can be made.
    pub fn create_named(name: &str) -> Result<Self> {
        let runs = Path::new("runs");
        fs::create_dir_all(runs).with_context(|| format!("{}: cannot make the folder", runs.display()))?;
        let mut number = 1;
        loop {
            let folder = match number {
                1 => runs.join(name),
                _ => runs.join(format!("{name}-{number}")),
            };
            match fs::create_dir(&folder) {
                Ok(()) => return Self::own(&folder, true, false),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("{}: cannot make the folder", folder.display()));
                }
            }
        }
    }

    /// Makes a folder that exists that of a new run.
    fn own(folder: &Path, made: bool, forced: bool) -> Result<Self> {
        let mut run = Self { folder: folder.to_owned(), made, lock: None };
        run.refuse_begun()?;
        // What a run that was stopped before its first checkpoint has left may be written over.
        let is_ours = FolderLock::has_been_in(folder) || run.best().exists();
        run.lock = Some(Arc::new(FolderLock::acquire(folder)?));
        // Somebody else may have begun and ended between the two lines above.
        run.refuse_begun()?;
        if !is_ours
            && !forced
            && let Some(file) = run.first_file()
        {
            let name = folder.display();
            // Not to be taken for ours the next time.
            run.lock.iter().for_each(|lock| lock.remove());
            bail!(
                "{name}: holds {file}, which is of no run; choose another folder (--out), or --force to write over it"
            );
        }
        run.clear().inspect_err(|_| run.discard())?;
        run.prepare().inspect_err(|_| run.discard())?;
        Ok(run)
    }

    /// Makes what is in the folder, and learns whether it can be written to: better now than after the first hour.
    fn prepare(&self) -> Result<()> {
        let checkpoints = self.folder.join(CHECKPOINTS);
        fs::create_dir_all(&checkpoints)
            .with_context(|| format!("{}: cannot make the folder", checkpoints.display()))?;
        let probe = checkpoints.join(PROBE);
        write_atomic(&probe, b"")?;
        remove_durably(&probe)
    }

    fn refuse_begun(&self) -> Result<()> {
        if self.is_begun() {
            let (name, word) = (self.folder.display(), quote_path(&self.folder));
            bail!(
                "{name}: holds a run already; go on with it (--resume {word}) or choose another folder (--out)"
            );
        }
        Ok(())
    }

    /// The first file that a run would write over.
    fn first_file(&self) -> Option<String> {
        let named = FILES.iter().copied().find(|name| self.folder.join(name).symlink_metadata().is_ok());
        let checkpoints =
            fs::read_dir(self.folder.join(CHECKPOINTS)).ok().and_then(|mut files| files.next()).is_some();
        named.or(checkpoints.then_some(CHECKPOINTS)).map(str::to_owned)
    }

    /// Opens the folder of a run that exists, to read from it.
    ///
    /// # Errors
    /// Where there is none, or it holds no checkpoint.
    pub fn open(folder: &Path) -> Result<Self> {
        let run = Self { folder: folder.to_owned(), made: false, lock: None };
        if folder.is_file() {
            bail!("{}: is a file, not the folder of a run", folder.display());
        }
        if !folder.is_dir() {
            bail!("{}: no such folder", folder.display());
        }
        if !run.is_begun() && !run.best().exists() {
            bail!("{}: no run: it has no checkpoints", folder.display());
        }
        Ok(run)
    }

    /// Opens the folder of a run that exists and locks it, to go on with it.
    ///
    /// # Errors
    /// Where there is none, it has not begun, or it is in use by another process.
    pub fn open_locked(folder: &Path) -> Result<Self> {
        let mut run = Self::open(folder)?;
        if !run.is_begun() {
            bail!(
                "{}: was stopped before its first whole checkpoint; begin it again: gradus train --out {}",
                folder.display(),
                quote_path(folder)
            );
        }
        run.lock = Some(Arc::new(FolderLock::acquire(folder)?));
        Ok(run)
    }

    /// Whether a training can go on from it, or it is a model.
    fn is_begun(&self) -> bool {
        [self.last(), self.model()].iter().any(|file| file.exists())
    }

    /// Removes what was written for a run that did not begin, and the folder if it was made for it and is empty then.
    pub fn discard(&self) {
        let Some(lock) = &self.lock else { return };
        if self.is_begun() {
            return;
        }
        // What made the run fail is what has to be said; that something may stay behind is no second error.
        let _ = self.clear();
        let _ = fs::remove_dir(self.folder.join(CHECKPOINTS));
        if self.first_file().is_none() {
            // What stays behind is known for a run's by the lock.
            lock.remove();
        }
        if self.made {
            let _ = fs::remove_dir(&self.folder);
        }
    }

    /// Removes the files of a run that did not begin. Whatever else is in the folder stays.
    fn clear(&self) -> Result<()> {
        for name in FILES {
            remove_durably(&self.folder.join(name))?;
        }
        for (_, path) in
            self.checkpoints(|name| (name.ends_with(".gradus") || name == PROBE).then_some(()))?
        {
            remove_durably(&path)?;
        }
        self.clear_temporaries();
        Ok(())
    }

    /// Removes what a process that was killed was about to write. Nobody else writes here: the folder is locked.
    fn clear_temporaries(&self) {
        for folder in [&self.folder, &self.folder.join(CHECKPOINTS)] {
            remove_temporaries(folder, is_temporary);
        }
    }

    /// Makes the folder what it is when a training that was not stopped stands after `step`, with its best validation after
    /// step `best_at`: a save consists of several files, of which `last.gradus` tells whether it is complete.
    ///
    /// # Errors
    /// Where a file cannot be removed or renamed.
    pub fn reconcile(&self, step: u64, best_at: Option<u64>, keep: usize) -> Result<()> {
        self.clear_temporaries();
        for (at, path) in self.pending_bests()? {
            if Some(at) == best_at {
                rename_durably(&path, &self.best())?;
            } else {
                remove_durably(&path)?;
            }
        }
        for (_, path) in self.kept_by_step()?.into_iter().filter(|(at, _)| *at > step) {
            remove_durably(&path)?;
        }
        self.keep_last(keep)
    }

    /// Removes all but the last `keep` of the checkpoints under their steps' names, if any are to be kept.
    ///
    /// # Errors
    /// Where one cannot be removed.
    pub fn keep_last(&self, keep: usize) -> Result<()> {
        let kept = self.kept()?;
        let excess = if keep == 0 { 0 } else { kept.len().saturating_sub(keep) };
        kept[..excess].iter().try_for_each(|path| remove_durably(path))
    }

    /// The checkpoint to translate with, of a run's folder or a file: the finished model, else the best so far, else the
    /// last.
    ///
    /// # Errors
    /// Where there is none.
    pub fn find_model(path: &Path) -> Result<PathBuf> {
        if path.is_file() {
            return Ok(path.to_owned());
        }
        let run = Self::open(path)?;
        let files = [run.model(), run.best()];
        Ok(files.into_iter().find(|file| file.exists()).unwrap_or_else(|| run.last()))
    }

    /// Reads it.
    ///
    /// # Errors
    /// Where there is none or it cannot be read.
    pub fn load_model(path: &Path) -> Result<Checkpoint> {
        Checkpoint::load(&Self::find_model(path)?)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn checkpoint(&self, name: &str) -> PathBuf {
        self.folder.join(CHECKPOINTS).join(name)
    }

    /// Everything, to go on from.
    pub fn last(&self) -> PathBuf {
        self.checkpoint("last.gradus")
    }

    /// Everything after this step, where it is kept.
    pub fn after(&self, step: u64) -> PathBuf {
        self.checkpoint(&format!("step-{step:06}.gradus"))
    }

    /// The checkpoints that are kept under their steps' names, in the order of these.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn kept(&self) -> Result<Vec<PathBuf>> {
        Ok(self.kept_by_step()?.into_iter().map(|(_, path)| path).collect())
    }

    fn kept_by_step(&self) -> Result<Vec<(u64, PathBuf)>> {
        let step = |name: &str| name.strip_prefix("step-")?.strip_suffix(".gradus")?.parse().ok();
        let mut kept = self.checkpoints(step)?;
        kept.sort_unstable();
        Ok(kept)
    }

    /// The files among the checkpoints of which `wanted` makes something.
    fn checkpoints<R>(&self, wanted: impl Fn(&str) -> Option<R>) -> Result<Vec<(R, PathBuf)>> {
        let folder = self.folder.join(CHECKPOINTS);
        let cannot = || format!("{}: cannot read", folder.display());
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(cannot)?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.with_context(cannot)?;
            found.extend(entry.file_name().to_str().and_then(&wanted).map(|found| (found, entry.path())));
        }
        Ok(found)
    }

    /// The weights that validated best.
    pub fn best(&self) -> PathBuf {
        self.checkpoint("best.gradus")
    }

    /// The weights that validated best after this step, until `last.gradus` says the same and they become
    /// [`best`](Self::best).
    pub fn pending_best(&self, step: u64) -> PathBuf {
        self.checkpoint(&format!("best-{step:06}.gradus"))
    }

    fn pending_bests(&self) -> Result<Vec<(u64, PathBuf)>> {
        self.checkpoints(|name| name.strip_prefix("best-")?.strip_suffix(".gradus")?.parse().ok())
    }

    /// The weights of the finished training.
    pub fn model(&self) -> PathBuf {
        self.checkpoint("model.gradus")
    }

    /// One JSON object a line.
    pub fn metrics(&self) -> PathBuf {
        self.folder.join("metrics.jsonl")
    }

    /// Writes a file of the run.
    ///
    /// # Errors
    /// Where the folder is read-only or full.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        write_atomic(&self.folder.join(name), text.as_bytes())
    }
}
