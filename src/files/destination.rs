//! What a person names with `--out`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::atomic::{follow, write_atomic};
use crate::terminal;

/// A file, `-` for standard output, a pipe or a device.
///
/// Regular files are replaced in one step ([`write_atomic`]); all else is written through, and stays what it is. A name that
/// ends with `.gz` is compressed. A regular file of another kind than what is to be written, which nobody can have meant, is
/// replaced only where that is forced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    path: PathBuf,
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Stdout,
    /// A pipe or a device, or a descriptor that somebody has open: not to be replaced.
    Stream,
    File,
}

/// What a file holds, as far as its first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Lines of text.
    Text,
    /// A page that this program has written.
    Page,
    /// JSON that this program has written.
    Json,
    /// A checkpoint.
    Checkpoint,
}

/// What the head of each page holds.
const PAGE_MARK: &str = "<meta name=\"generator\" content=\"Gradus";

/// What the JSON that goes into files begins with: objects are written in the order of their keys.
const JSON_MARK: &str = "{\"$generator\":\"Gradus";

/// Bytes that are looked at to tell the kind of a file.
const LOOKED_AT: u64 = 1 << 12;

impl Destination {
    /// Looks at what `path` is.
    ///
    /// # Errors
    /// Where it is a folder, or a file of another kind than `kind` and not `forced`.
    pub fn new(path: &Path, kind: Kind, forced: bool) -> Result<Self> {
        let place = place_of(path)?;
        let name = path.display();
        if place == Place::File && !forced && path.exists() && !kind.fits(path)? {
            bail!("{name}: is there already and is no {kind}; choose another name, or --force to replace it");
        }
        Ok(Self { path: path.to_owned(), place })
    }

    /// Whether it is standard output, so that nothing else may be printed there.
    pub fn is_stdout(&self) -> bool {
        self.place == Place::Stdout
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// Where it cannot be written; a regular file is as it was before.
    pub fn write(&self, bytes: &[u8]) -> Result<()> {
        let packed;
        let bytes = if self.place == Place::File && self.path.extension().is_some_and(|name| name == "gz") {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes)?;
            packed = encoder.finish()?;
            &packed
        } else {
            bytes
        };
        match self.place {
            Place::Stdout => {
                let mut stdout = io::stdout().lock();
                terminal::written(stdout.write_all(bytes).and_then(|()| stdout.flush()))
            }
            Place::Stream => {
                // Appending, so that what a shell has redirected to the same file before stays.
                let open = || OpenOptions::new().append(true).open(&self.path);
                open()
                    .and_then(|mut stream| stream.write_all(bytes))
                    .with_context(|| format!("{}: cannot write", self.path.display()))
            }
            Place::File => write_atomic(&self.path, bytes),
        }
    }
}

/// What a path leads to.
fn place_of(path: &Path) -> Result<Place> {
    const STDOUT: [&str; 3] = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
    let cannot = || format!("{}: cannot write", path.display());
    if path == Path::new("-") {
        return Ok(Place::Stdout);
    }
    let mut here = path.to_owned();
    loop {
        if STDOUT.iter().any(|name| here == Path::new(name)) {
            return Ok(Place::Stdout);
        }
        if here == Path::new("/dev/stderr") || is_descriptor(&here) {
            return Ok(Place::Stream);
        }
        if !here.is_symlink() {
            break;
        }
        let target = fs::read_link(&here).with_context(cannot)?;
        // Loops are found by the other way to follow links.
        follow(path).with_context(cannot)?;
        here = here.parent().unwrap_or(Path::new("")).join(target);
    }
    match fs::metadata(&here) {
        Ok(metadata) if metadata.is_dir() => bail!("{}: is a folder", path.display()),
        Ok(metadata) if !metadata.is_file() => Ok(Place::Stream),
        // Whether it can be made is for writing to find out.
        _ => Ok(Place::File),
    }
}

/// Whether a path is a name of what a process has open: it leads to what has no name of its own that could be replaced.
fn is_descriptor(path: &Path) -> bool {
    let of_process = || path.parent().is_some_and(|folder| folder.ends_with("fd"));
    path.starts_with("/dev/fd") || path.starts_with("/proc") && of_process()
}

impl Kind {
    /// Whether a file may be taken for one of this kind. An empty file is of each.
    fn fits(self, path: &Path) -> Result<bool> {
        let mut start = Vec::new();
        let read = File::open(path).and_then(|file| file.take(LOOKED_AT).read_to_end(&mut start));
        read.with_context(|| format!("{}: cannot read", path.display()))?;
        if start.is_empty() {
            return Ok(true);
        }
        if path.extension().is_some_and(|name| name == "gz") && self != Self::Checkpoint {
            // What was packed is packed again; what is in it is not looked at.
            return Ok(start.starts_with(&[0x1f, 0x8b]));
        }
        let text = match std::str::from_utf8(&start) {
            Ok(text) => Some(text),
            // A character may be cut at the end.
            Err(error) if error.error_len().is_none() => {
                std::str::from_utf8(&start[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        };
        Ok(match (self, text) {
            (Self::Text, text) => text.is_some_and(|text| !text.contains('\0')),
            (Self::Page, Some(text)) => text.contains(PAGE_MARK),
            (Self::Json, Some(text)) => text.starts_with(JSON_MARK),
            (Self::Page | Self::Json, None) => false,
            (Self::Checkpoint, _) => start.starts_with(&crate::checkpoint::MAGIC),
        })
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Text => "text file",
            Self::Page => "page of this program",
            Self::Json => "record of this program",
            Self::Checkpoint => "checkpoint",
        })
    }
}
