//! Sentences that a person types.

use anyhow::{Context, Result};
use rustyline::error::ReadlineError;
use rustyline::{Behavior, Config, DefaultEditor};

use crate::note;

/// Asks for one line after the other, which can be edited and called back with the arrow keys, until Ctrl-D or Ctrl-C.
///
/// # Errors
/// Where the terminal cannot be read, and where `work` fails.
pub(super) fn each_line(prompt: &str, mut work: impl FnMut(&str) -> Result<()>) -> Result<()> {
    // The prompt belongs to the terminal, even where the output goes into a file.
    let config = Config::builder().behavior(Behavior::PreferTerm).build();
    let mut editor = DefaultEditor::with_config(config).context("standard input: cannot use the terminal")?;
    note!("One sentence a line; Ctrl-D ends.");
    loop {
        match editor.readline(prompt) {
            Ok(line) if line.trim().is_empty() => {}
            Ok(line) => {
                // A line that cannot be called back can still be translated.
                let _ = editor.add_history_entry(line.as_str());
                work(&line)?;
            }
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => return Ok(()),
            Err(error) => return Err(error).context("standard input: cannot read"),
        }
    }
}
