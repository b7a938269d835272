//! Files that save work: what was made once is read the next time.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::kernels::cuda::driver::Result;

/// A folder of what can be made again. Losing it costs time, nothing else.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    folder: Option<PathBuf>,
}

impl Cache {
    /// The user's: `$XDG_CACHE_HOME/gradus`, else `~/.cache/gradus`.
    pub(super) fn of_user() -> Self {
        let path = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let caches = path("XDG_CACHE_HOME").or_else(|| path("HOME").map(|home| home.join(".cache")));
        Self { folder: caches.map(|caches| caches.join("gradus")) }
    }

    #[cfg(test)]
    pub(super) fn at(folder: &Path) -> Self {
        Self { folder: Some(folder.to_owned()) }
    }

    /// Where the file `{name}-{hash of key}.{extension}` is, if files are kept at all.
    pub(super) fn path(&self, name: &str, key: &[&str], extension: &str) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("{name}-{:016x}.{extension}", hash(&key))))
    }

    /// What was made for this key, by `make` if need be. A damaged file is made again; that one cannot be written is no
    /// error.
    pub(super) fn fetch(
        &self,
        name: &str,
        key: &[&str],
        extension: &str,
        make: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Vec<u8>> {
        let path = self.path(name, key, extension);
        if let Some(content) = path.as_deref().and_then(|path| read(path, key)) {
            return Ok(content);
        }
        let content = make()?;
        if let Some(path) = path {
            // Nobody waits for this file: without it, the next run makes its content again.
            let _ = write(&path, key, &content);
        }
        Ok(content)
    }
}

/// A checksum of key and content, then the content.
fn read(path: &Path, key: &[&str]) -> Option<Vec<u8>> {
    let mut file = std::fs::read(path).ok()?;
    let (sum, content) = file.split_first_chunk()?;
    if u64::from_le_bytes(*sum) != hash(&(key, content)) {
        return None;
    }
    file.drain(..8);
    Some(file)
}

/// Writes aside and renames, so that nobody ever reads half a file.
fn write(path: &Path, key: &[&str], content: &[u8]) -> std::io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let aside = format!("{}.{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let aside = path.with_extension(aside);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let sum = hash(&(key, content)).to_le_bytes();
    let written =
        std::fs::write(&aside, [&sum, content].concat()).and_then(|()| std::fs::rename(&aside, path));
    if written.is_err() {
        // Best left as it was found.
        let _ = std::fs::remove_file(&aside);
    }
    written
}

/// The same in every process, though not in every release of Rust's library: then files are made again.
fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cuda::card::testing::Folder;
    use crate::kernels::cuda::driver::CudaError;

    fn never() -> Result<Vec<u8>> {
        Err(CudaError::new("made again"))
    }

    #[test]
    fn what_was_made_once_is_read_the_next_time() {
        let folder = Folder::new("cache");
        let cache = Cache::at(&folder.path().join("new/folder"));
        let key = ["text", "options", "13.0"];
        assert_eq!(cache.fetch("kernels", &key, "cubin", || Ok(vec![1, 2, 3])).unwrap(), [1, 2, 3]);
        assert_eq!(cache.fetch("kernels", &key, "cubin", never).unwrap(), [1, 2, 3]);
        let other = ["text", "options", "13.1"];
        assert_eq!(
            cache.fetch("kernels", &other, "cubin", || Ok(vec![4])).unwrap(),
            [4],
            "another key, another file"
        );
        assert_eq!(cache.fetch("kernels", &key, "cubin", never).unwrap(), [1, 2, 3]);
        let files: Vec<_> = std::fs::read_dir(folder.path().join("new/folder")).unwrap().collect();
        assert_eq!(files.len(), 2, "nothing is left beside them");
    }

    #[test]
    fn a_damaged_file_is_made_again() {
        let folder = Folder::new("damaged");
        let cache = Cache::at(folder.path());
        let make = || Ok(vec![7; 100]);
        let fetch = || cache.fetch("kernels", &["key"], "cubin", make).unwrap();
        fetch();
        let path = cache.path("kernels", &["key"], "cubin").unwrap();
        let whole = std::fs::read(&path).unwrap();
        let flipped = [&whole[..50], &[whole[50] ^ 1], &whole[51..]].concat();
        for damaged in [&whole[..60], &whole[..5], &[], &flipped] {
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(fetch(), [7; 100]);
            assert_eq!(std::fs::read(&path).unwrap(), whole, "and written again");
        }
    }

    #[test]
    fn without_a_folder_things_are_made_each_time() {
        let folder = Folder::new("unwritable");
        let file = folder.file("file", "");
        for cache in [Cache { folder: None }, Cache::at(&file)] {
            assert_eq!(cache.fetch("kernels", &["key"], "cubin", || Ok(vec![1])).unwrap(), [1]);
            assert_eq!(
                cache.fetch("kernels", &["key"], "cubin", never).unwrap_err().to_string(),
                "made again"
            );
        }
    }

    #[test]
    fn what_cannot_be_made_leaves_no_file() {
        let folder = Folder::new("unmade");
        let cache = Cache::at(folder.path());
        assert!(cache.fetch("kernels", &["key"], "cubin", never).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
