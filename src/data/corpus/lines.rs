//! The lines of a text file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};
use flate2::bufread::MultiGzDecoder;

/// The lines of a file, and what is wrong with some.
pub(super) struct Lines {
    /// Every line; `None` where it is not valid UTF-8.
    pub(super) lines: Vec<Option<String>>,
    /// What is wrong, by the number of the line.
    pub(super) faults: BTreeMap<usize, String>,
}

/// The lines of a file, plain or gzip (told by its content, not its name). A byte order mark, carriage returns and a
/// missing last line end are taken in stride. Only LF ends a line; U+2028 and the like stay in the text, as they do for
/// every tool that counts lines.
///
/// # Errors
/// One line naming the file, and the line where there is one: it cannot be read, is empty, ends within its compressed
/// data, or is not valid UTF-8.
pub fn read_lines(path: &Path) -> Result<Vec<String>> {
    let Lines { lines, faults } = read(path)?;
    match faults.into_values().next() {
        Some(fault) => bail!("{fault}"),
        None => Ok(lines.into_iter().flatten().collect()),
    }
}

/// As [`read_lines`], with lines that are not valid UTF-8 noted.
pub(super) fn read(path: &Path) -> Result<Lines> {
    let name = path.display();
    let bytes = bytes(path)?;
    let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    if text.is_empty() {
        bail!("{name}: is empty");
    }
    let hint = match text {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => " (it looks like UTF-16)",
        _ => "",
    };
    let mut faults = BTreeMap::new();
    let lines = text.strip_suffix(b"\n").unwrap_or(text).split(|&byte| byte == b'\n');
    let lines = lines.enumerate().map(|(number, line)| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = std::str::from_utf8(line).ok().map(str::to_owned);
        if text.is_none() {
            let number = number + 1;
            faults.insert(number, format!("{name}:{number}: not valid UTF-8{hint}"));
        }
        text
    });
    Ok(Lines { lines: lines.collect(), faults })
}

/// The file, unpacked if need be.
fn bytes(path: &Path) -> Result<Vec<u8>> {
    let name = path.display();
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("{name}: cannot read"))?;
    BufReader::new(file).read_to_end(&mut bytes).with_context(|| format!("{name}: cannot read"))?;
    if bytes.starts_with(&GZIP) {
        let mut text = Vec::new();
        MultiGzDecoder::new(bytes.as_slice())
            .read_to_end(&mut text)
            .with_context(|| format!("{name}: damaged gzip data"))?;
        bytes = text;
    }
    Ok(bytes)
}

/// What every gzip file begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];
