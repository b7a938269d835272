//! One process owns a folder.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The file that is locked, in the folder.
const NAME: &str = ".lock";

/// What the lock file begins with, which tells a folder of ours from another's.
const MARK: &str = "gradus ";

/// A folder that no other process writes to while this lives. The operating system holds the lock, so it is gone with the
/// process, however that ends; the file `.lock` stays and says whose it was last.
#[derive(Debug)]
pub struct FolderLock {
    file: File,
    path: PathBuf,
}

impl FolderLock {
    /// Locks a folder that exists. Where the file system knows no locks, the folder is taken to be free.
    ///
    /// # Errors
    /// Where another process has locked it, which is named; or the folder cannot be written to.
    pub fn acquire(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        loop {
            let cannot = || format!("{}: cannot write", path.display());
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(&path)
                .with_context(cannot)?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => {
                    bail!(
                        "{}: in use by {}; choose another folder or wait",
                        folder.display(),
                        holder(&mut file)
                    );
                }
                Err(TryLockError::Error(error)) if error.kind() != ErrorKind::Unsupported => {
                    return Err(error).with_context(|| format!("{}: cannot lock", path.display()));
                }
                Err(TryLockError::Error(_)) | Ok(()) => {}
            }
            // Between opening and locking, the one that had it may have removed the folder.
            if !is_same_file(&file, &path) {
                continue;
            }
            let program = std::env::args().nth(1).unwrap_or_default();
            let line = format!("{MARK}{program}, process {}\n", std::process::id());
            file.set_len(0).and_then(|()| file.write_all(line.as_bytes())).with_context(cannot)?;
            return Ok(Self { file, path });
        }
    }

    /// Whether a folder was locked by this program once.
    pub fn has_been_in(folder: &Path) -> bool {
        let mut begin = [0; MARK.len()];
        let read = File::open(folder.join(NAME)).and_then(|mut file| file.read_exact(&mut begin));
        // Killed between making the file and writing to it.
        let is_empty = || fs::metadata(folder.join(NAME)).is_ok_and(|file| file.is_file() && file.len() == 0);
        read.is_ok() && begin == MARK.as_bytes() || is_empty()
    }

    /// Removes the lock file, for a folder that is given up.
    pub fn remove(&self) {
        // Whoever opens it from now on makes another.
        let _ = fs::remove_file(&self.path);
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // The system would do it when the file is closed; a copy of its descriptor in a child would delay that.
        let _ = self.file.unlock();
    }
}

/// The process that a lock file names.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(200).read_to_string(&mut text));
    let process = text.rsplit_once("process ").and_then(|(_, number)| number.trim().parse::<u32>().ok());
    match (read, process) {
        (Ok(_), Some(process)) => {
            let program =
                text.strip_prefix(MARK).and_then(|text| text.split_once(',')).map_or("", |(name, _)| name);
            format!("process {process} (gradus {program})").replace(" )", ")")
        }
        _ => "another process".to_owned(),
    }
}

#[cfg(unix)]
fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_same_file(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_owner_who_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!FolderLock::has_been_in(folder.path()));
        let lock = FolderLock::acquire(folder.path()).unwrap();
        let error = FolderLock::acquire(folder.path()).unwrap_err().to_string();
        let owner = format!("in use by process {} (gradus", std::process::id());
        assert!(error.contains(&owner), "{error}");
        drop(lock);
        let lock = FolderLock::acquire(folder.path()).unwrap();
        assert!(FolderLock::has_been_in(folder.path()));
        // Given up, it can be made anew while the first owner still lives.
        lock.remove();
        drop(FolderLock::acquire(folder.path()).unwrap());
    }

    #[test]
    fn a_lock_of_another_program_is_none_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NAME), "1234\n").unwrap();
        assert!(!FolderLock::has_been_in(folder.path()));
    }
}
