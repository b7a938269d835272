//! The gradient microscope: what its page says is what the tape holds, and it works in a browser.

mod browser;
mod numbers;
mod program;
mod webdriver;

use std::path::PathBuf;
use std::sync::OnceLock;

use gradus::teach::microscope::{Builtin, Specimen, train_builtin};

pub(crate) const PAIR: [&str; 2] = ["The white cat sees the dog.", "Le chat blanc voit le chien."];

/// The page in a file.
pub(crate) fn page_file() -> PathBuf {
    static FILE: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, file) = FILE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("page.html");
        std::fs::write(&file, &builtin().1).unwrap();
        (folder, file)
    });
    file.clone()
}

/// A model that has just begun to learn, and its sentence.
pub(crate) fn builtin() -> &'static (Specimen, String) {
    static PAGE: OnceLock<(Specimen, String)> = OnceLock::new();
    PAGE.get_or_init(|| {
        let Builtin { model, tokenizer, film } = train_builtin(PAIR, 25, 1, |_, _| ()).unwrap();
        let specimen =
            Specimen::new(&model, (&tokenizer, &tokenizer), PAIR[0], PAIR[1], 0.1, Some(1)).unwrap();
        let page = specimen.look(Some(film)).page();
        (specimen, page)
    })
}
