//! Files that are replaced in one step.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};

/// What the name of every temporary file ends with.
const SUFFIX: &str = ".part";

/// Writes `bytes` to the file `path` in one step: after a kill or a power cut at any moment it holds what it held before, or
/// all of `bytes`. They are written to a temporary file beside it, which is synchronised and renamed, and the folder is
/// synchronised after that. Permissions of a file that was there are kept; a symbolic link is followed.
///
/// # Errors
/// Where the folder is read-only or full; the file is as it was before.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    Pending::write(path, bytes)?.commit()
}

/// A file that is written, and not yet in its place. Dropped, it is gone.
#[derive(Debug)]
#[must_use = "the file is in its place only when it is committed"]
pub struct Pending {
    temporary: PathBuf,
    target: PathBuf,
}

impl Pending {
    /// Writes and synchronises the temporary file of `path`.
    ///
    /// # Errors
    /// Where the folder is read-only or full.
    pub fn write(path: &Path, bytes: &[u8]) -> Result<Self> {
        let cannot = || format!("{}: cannot write", path.display());
        let target = follow(path).with_context(cannot)?;
        // What a process that was killed has left of the same file.
        remove_temporaries(folder_of(&target), |name| belongs_to(name, &target) && !is_in_use(name));
        let pending = Self { temporary: temporary_of(&target), target };
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).open(&pending.temporary)?;
            if let Ok(metadata) = fs::metadata(&pending.target) {
                fs::set_permissions(&pending.temporary, metadata.permissions())?;
            }
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().with_context(cannot)?;
        Ok(pending)
    }

    /// Puts it in its place.
    ///
    /// # Errors
    /// Where it cannot be renamed; what was in its place stays.
    pub fn commit(self) -> Result<()> {
        rename_durably(&self.temporary, &self.target)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // After a commit there is no such file any more; where it cannot be removed, the next process does.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Renames a file within a folder and synchronises the folder.
///
/// # Errors
/// Where the system cannot.
pub fn rename_durably(from: &Path, to: &Path) -> Result<()> {
    let cannot = || format!("{}: cannot write", to.display());
    fs::rename(from, to).with_context(cannot)?;
    sync_folder(folder_of(to)).with_context(cannot)
}

/// Removes a file, if it is there, and synchronises its folder.
///
/// # Errors
/// Where the system cannot.
pub fn remove_durably(path: &Path) -> Result<()> {
    let cannot = || format!("{}: cannot remove", path.display());
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => {
            result.with_context(cannot)?;
            sync_folder(folder_of(path)).with_context(cannot)
        }
    }
}

/// Makes sure that names which were changed in a folder are on the disk: a file's own `sync_all` does not.
///
/// # Errors
/// Where the disk reports a failure. File systems that cannot synchronise a folder are passed over.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder)?.sync_all() {
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        result => result,
    }
}

/// The folder of a file.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Where the symbolic links of a path end, whether or not there is a file.
pub(super) fn follow(path: &Path) -> io::Result<PathBuf> {
    // As many as Linux follows.
    const MOST_LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        if !path.is_symlink() {
            return Ok(path);
        }
        let target = fs::read_link(&path)?;
        path = folder_of(&path).join(target);
    }
    Err(io::Error::other("too many symbolic links"))
}

/// A name that no other process and no other call uses: `.NAME.PID.COUNT.part`.
fn temporary_of(target: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // Beside what a process of the same number may have left on another machine that shares the folder.
    let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos() as u64);
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(format!(".{}.{:x}{SUFFIX}", std::process::id(), now.wrapping_add(count)));
    target.with_file_name(name)
}

/// Whether a file of this name is a temporary one of this module.
pub(crate) fn is_temporary(name: &str) -> bool {
    owner(name).is_some()
}

/// Whether `name` is a temporary file of `target`.
fn belongs_to(name: &str, target: &Path) -> bool {
    let Some(file) = target.file_name().and_then(|name| name.to_str()) else { return false };
    let rest = name.strip_prefix('.').and_then(|name| name.strip_prefix(file));
    rest.is_some_and(|rest| rest.starts_with('.') && rest.matches('.').count() == 3)
}

/// The process that a temporary file's name holds.
fn owner(name: &str) -> Option<u32> {
    let mut parts = name.strip_prefix('.')?.strip_suffix(SUFFIX)?.rsplit('.');
    u64::from_str_radix(parts.next()?, 16).ok()?;
    let process = parts.next()?.parse().ok()?;
    parts.next().map(|_| process)
}

/// Whether the process that made a temporary file may still write it.
fn is_in_use(name: &str) -> bool {
    owner(name).is_none_or(is_running)
}

/// Whether a process of this number runs, as far as this system tells; where it does not, it is taken to run.
pub(super) fn is_running(process: u32) -> bool {
    let all = Path::new("/proc");
    !all.join("self").exists() || all.join(process.to_string()).exists()
}

/// Removes the temporary files of a folder that `wanted` names. That one stays behind is no error: nothing reads them.
pub(crate) fn remove_temporaries(folder: &Path, wanted: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| is_temporary(name) && wanted(name)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_stays_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_atomic(&path, b"old").unwrap();
        let pending = Pending::write(&path, b"new").unwrap();
        assert_eq!((fs::read(&path).unwrap(), names(folder.path()).len()), (b"old".to_vec(), 2));
        pending.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        drop(Pending::write(&path, b"never").unwrap());
        assert_eq!(
            (fs::read(&path).unwrap(), names(folder.path())),
            (b"new".to_vec(), vec!["a.txt".to_owned()])
        );
    }

    #[test]
    fn only_what_dead_processes_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let mine = format!(".a.txt.{}.7.part", std::process::id());
        // No process has this number: Linux counts to 2²².
        for name in [".a.txt.4194999.1.part", ".b.txt.4194999.1.part", "a.txt.part", ".a.txt.part", &mine] {
            fs::write(folder.path().join(name), b"").unwrap();
        }
        write_atomic(&folder.path().join("a.txt"), b"").unwrap();
        let mut expected = vec![".a.txt.part", ".b.txt.4194999.1.part", "a.txt", "a.txt.part", &mine];
        if !Path::new("/proc/self").exists() {
            expected.push(".a.txt.4194999.1.part");
        }
        expected.sort_unstable();
        assert_eq!(names(folder.path()), expected);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_and_links_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        symlink("real", &link).unwrap();
        write_atomic(&link, b"1").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        write_atomic(&link, b"2").unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"2");
        assert!(link.is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        symlink("loop", folder.path().join("loop")).unwrap();
        let error = format!("{:#}", write_atomic(&folder.path().join("loop"), b"").unwrap_err());
        assert!(error.ends_with("loop: cannot write: too many symbolic links"), "{error}");
    }
}
