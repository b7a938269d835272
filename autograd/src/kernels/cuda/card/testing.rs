//! Folders for tests.

use std::path::{Path, PathBuf};

/// A fresh folder that is gone afterwards.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// `name` must not be another test's.
    pub(super) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gradus-card-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, with the folders above it.
    pub(super) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Files that stay behind in the system's temporary folder fail no test.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
