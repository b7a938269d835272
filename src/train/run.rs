//! The folder of a run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::checkpoint::{Checkpoint, write_aside};

/// A run's folder: `config.toml`, `tokenizer.json`, `metrics.jsonl`, `checkpoints/`, and `report.html` at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    folder: PathBuf,
    /// Whether there was no such folder before.
    made: bool,
}

impl Run {
    /// Makes the folder of a new run.
    ///
    /// # Errors
    /// Where it holds a run already, or cannot be written to.
    pub fn create(folder: &Path) -> Result<Self> {
        let run = Self { folder: folder.to_owned(), made: !folder.exists() };
        if run.is_begun() {
            let name = folder.display();
            bail!(
                "{name}: holds a run already; go on with it (--resume {name}) or choose another folder (--out)"
            );
        }
        let checkpoints = folder.join("checkpoints");
        fs::create_dir_all(&checkpoints)
            .with_context(|| format!("{}: cannot make the folder", folder.display()))?;
        // Better to learn now than after the first hour that nothing can be saved.
        let probe = checkpoints.join("probe");
        write_aside(&probe, b"")?;
        fs::remove_file(&probe).with_context(|| format!("{}: cannot write", folder.display()))?;
        Ok(run)
    }

    /// Makes `runs/NAME`, or `runs/NAME-2` and so on where that is taken.
    ///
    /// # Errors
    /// Where no folder can be made.
    pub fn create_named(name: &str) -> Result<Self> {
        let numbered = |number: usize| match number {
            1 => Path::new("runs").join(name),
            _ => Path::new("runs").join(format!("{name}-{number}")),
        };
        let free = (1..).map(numbered).find(|folder| !folder.exists());
        Self::create(&free.unwrap_or_else(|| unreachable!("numbers do not end")))
    }

    /// Opens the folder of a run that exists.
    ///
    /// # Errors
    /// Where there is none, or it holds no checkpoint.
    pub fn open(folder: &Path) -> Result<Self> {
        let run = Self { folder: folder.to_owned(), made: false };
        if folder.is_file() {
            bail!("{}: is a file, not the folder of a run", folder.display());
        }
        if !folder.is_dir() {
            bail!("{}: no such folder", folder.display());
        }
        if !run.is_begun() {
            bail!("{}: no run: it has no checkpoints", folder.display());
        }
        Ok(run)
    }

    /// Whether there is a checkpoint in it.
    fn is_begun(&self) -> bool {
        [self.last(), self.best(), self.model()].iter().any(|file| file.exists())
    }

    /// Removes the folder of a run that did not begin, if it was made for it.
    pub fn discard(&self) {
        if self.made && !self.is_begun() {
            // What made the run fail is what has to be said; that its folder may stay behind is no second error.
            let _ = fs::remove_dir_all(&self.folder);
        }
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

    /// Everything, to go on from.
    pub fn last(&self) -> PathBuf {
        self.folder.join("checkpoints/last.gradus")
    }

    /// Everything after this step, where it is kept.
    pub fn after(&self, step: u64) -> PathBuf {
        self.folder.join(format!("checkpoints/step-{step:06}.gradus"))
    }

    /// The checkpoints that are kept under their steps' names, in the order of these.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn kept(&self) -> Result<Vec<PathBuf>> {
        let folder = self.folder.join("checkpoints");
        let cannot = || format!("{}: cannot read", folder.display());
        let mut kept = Vec::new();
        for entry in fs::read_dir(&folder).with_context(cannot)? {
            let name = entry.with_context(cannot)?.file_name();
            let name = name.to_str().and_then(|name| name.strip_prefix("step-")?.strip_suffix(".gradus"));
            kept.extend(name.and_then(|step| step.parse::<u64>().ok()));
        }
        kept.sort_unstable();
        Ok(kept.into_iter().map(|step| self.after(step)).collect())
    }

    /// The weights that validated best.
    pub fn best(&self) -> PathBuf {
        self.folder.join("checkpoints/best.gradus")
    }

    /// The weights of the finished training.
    pub fn model(&self) -> PathBuf {
        self.folder.join("checkpoints/model.gradus")
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
        write_aside(&self.folder.join(name), text.as_bytes())
    }
}
