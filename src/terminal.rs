//! What the program writes to standard output and standard error.
//!
//! Both streams can be gone at any time: a terminal that was closed, a log on a full disk, a reader such as `head` that has
//! seen enough. `println!` and `eprintln!` panic then, which would end a training unsaved, so the program uses these instead:
//! [`note!`](crate::note) for what a person reads on the way, which is lost where it cannot be written, and
//! [`out!`](crate::out) for results, whose failure is an error of the command.
//!
//! Control characters of corpora, models and file names do not reach a terminal, where they could set its title, clear it or
//! paste into it: they are written as `\x1b`.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::{self, ErrorKind, IsTerminal, Write};

use anyhow::{Context, Result};

/// Writes a formatted line to standard error; where that cannot be written, the line is lost.
#[macro_export]
#[doc(hidden)]
macro_rules! note {
    ($($part:tt)*) => { $crate::terminal::note(format_args!($($part)*)) };
}

/// Writes a formatted line to standard output; an [`anyhow::Result`].
#[macro_export]
#[doc(hidden)]
macro_rules! out {
    ($($part:tt)*) => { $crate::terminal::out(format_args!($($part)*)) };
}

/// What [`note!`](crate::note) does.
pub fn note(text: fmt::Arguments<'_>) {
    let line = format!("{}\n", printable(&text.to_string(), Lines::Kept));
    // In one call, so that lines of several processes do not mix; a log that is gone ends nothing.
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// What [`out!`](crate::out) does.
///
/// # Errors
/// Where standard output cannot be written; [`ReaderGone`] where its reader has closed it.
pub fn out(text: fmt::Arguments<'_>) -> Result<()> {
    let line = format!("{}\n", printable(&text.to_string(), Lines::Kept));
    let mut stdout = io::stdout().lock();
    written(stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()))
}

/// Writes text that programs read, such as JSON, to standard output, and ends the line: as [`Stdout`] does.
///
/// # Errors
/// As those of [`out`].
pub fn data(text: &str) -> Result<()> {
    let mut stdout = Stdout::lock();
    let line = format!("{}\n", text.strip_suffix('\n').unwrap_or(text));
    written(stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()))
}

/// Standard output for data: translations, scores, JSON. Bytes go through as they are, but control characters do not go to
/// a terminal.
#[derive(Debug)]
pub struct Stdout {
    lock: io::StdoutLock<'static>,
    is_terminal: bool,
}

impl Stdout {
    /// Standard output, locked.
    pub fn lock() -> Self {
        Self { lock: io::stdout().lock(), is_terminal: io::stdout().is_terminal() }
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(bytes) {
            Ok(text) if self.is_terminal => {
                self.lock.write_all(printable(text, Lines::Kept).as_bytes())?;
                Ok(bytes.len())
            }
            _ => self.lock.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lock.flush()
    }
}

/// The result of writing to standard output, as an error of the program.
///
/// # Errors
/// Where writing failed; [`ReaderGone`] where the reader has closed it.
pub fn written(result: io::Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        result => result.context("standard output: cannot write"),
    }
}

/// Whoever read standard output, such as `head`, has seen enough: the program ends, and nothing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaderGone;

impl fmt::Display for ReaderGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("standard output: closed by its reader")
    }
}

impl std::error::Error for ReaderGone {}

/// Whether line ends stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// They do.
    Kept,
    /// They are escaped as other control characters are: the text is one line.
    Joined,
}

/// The text without control characters, which are escaped (`\x1b`), tabs excepted. So are the characters that reverse the
/// direction of all that follows on the line.
pub fn printable(text: &str, lines: Lines) -> Cow<'_, str> {
    let is_bad = |c: char| match c {
        '\t' => false,
        '\n' => lines == Lines::Joined,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        c => c.is_control(),
    };
    if !text.contains(is_bad) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        let _ = match c {
            '\n' if is_bad(c) => write!(shown, "\\n"),
            c if is_bad(c) && c.is_ascii() => write!(shown, "\\x{:02x}", u32::from(c)),
            c if is_bad(c) => write!(shown, "\\u{{{:x}}}", u32::from(c)),
            c => write!(shown, "{c}"),
        };
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_text_is_not() {
        let plain = "ein Fluß\t我喜欢猫。 \u{200f}שלום\n";
        assert!(matches!(printable(plain, Lines::Kept), Cow::Borrowed(text) if text == plain));
        let hostile = "\u{1b}]0;owned\u{7}\r\u{9b}31m\u{7f}\u{202e}\n";
        assert_eq!(printable(hostile, Lines::Kept), "\\x1b]0;owned\\x07\\x0d\\u{9b}31m\\x7f\\u{202e}\n");
        assert_eq!(printable("a\nb", Lines::Joined), "a\\nb");
    }

    #[test]
    fn a_reader_that_is_gone_is_told_from_a_full_disk() {
        let gone = written(Err(io::Error::from(ErrorKind::BrokenPipe))).unwrap_err();
        assert!(gone.is::<ReaderGone>());
        let full = written(Err(io::Error::from(ErrorKind::StorageFull))).unwrap_err();
        assert!(!full.is::<ReaderGone>() && full.to_string() == "standard output: cannot write");
    }
}
