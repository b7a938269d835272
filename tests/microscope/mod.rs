//! The gradient microscope: what its page says is what the tape holds, and it works in a browser.

mod browser;
mod numbers;
mod program;
mod webdriver;

use std::sync::OnceLock;

use gradus::teach::microscope::{Builtin, Specimen, train_builtin};

pub(crate) const PAIR: [&str; 2] = ["The white cat sees the dog.", "Le chat blanc voit le chien."];

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
