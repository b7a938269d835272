//! The folder of a run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::checkpoint::{Checkpoint, write_aside};

/// A run's folder: `config.toml`, `tokenizer.json`, `metrics.jsonl`, `checkpoints/`, and `report.html` at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    folder: PathBuf,
}

impl Run {
    /// Makes the folder of a new run.
    ///
    /// # Errors
    /// Where it holds a run already, or cannot be written to.
    pub fn create(folder: &Path) -> Result<Self> {
        let run = Self { folder: folder.to_owned() };
        if run.last().exists() {
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
        let run = Self { folder: folder.to_owned() };
        if !folder.is_dir() {
            bail!("{}: no such folder", folder.display());
        }
        if !run.last().exists() && !run.best().exists() {
            bail!("{}: no run: it has no checkpoints", folder.display());
        }
        Ok(run)
    }

    /// The checkpoint to translate with, of a run's folder or a file: the finished model, else the best so far, else the
    /// last.
    ///
    /// # Errors
    /// Where there is none or it cannot be read.
    pub fn load_model(path: &Path) -> Result<Checkpoint> {
        if path.is_file() {
            return Checkpoint::load(path);
        }
        let run = Self::open(path)?;
        let files = [run.model(), run.best(), run.last()];
        let file = files.iter().find(|file| file.exists()).unwrap_or(&files[2]);
        Checkpoint::load(file)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Everything, to go on from.
    pub fn last(&self) -> PathBuf {
        self.folder.join("checkpoints/last.gradus")
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
