//! The lines of a text file, or of standard input, read as a stream.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use flate2::bufread::MultiGzDecoder;

use super::encoding::{self, Found};

/// The longest line that is read, in bytes: 16 MiB.
pub const LONGEST_LINE: usize = 16 << 20;

/// The largest text that is read into memory, in bytes and unpacked: 16 GiB.
pub const LARGEST_TEXT: u64 = 16 << 30;

/// The most lines of a text that is read into memory.
pub const MOST_LINES: usize = 100_000_000;

/// How many faults of a file are noted before reading ends.
pub(super) const MOST_FAULTS: usize = 1000;

/// What every gzip file begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Bytes that are kept free while a text fills the memory.
const RESERVE: usize = 4 << 20;

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Bytes that are read at a time.
const BLOCK: usize = 128 << 10;

/// Whether a path is that of standard input, `-`.
pub fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// What messages call a file: its path, or "standard input" for `-`.
pub fn name_of(path: &Path) -> Cow<'_, str> {
    if is_standard_input(path) { Cow::Borrowed("standard input") } else { path.to_string_lossy() }
}

/// Makes sure that at most one of these options is standard input, which can be read only once.
///
/// # Errors
/// One line that names the first two.
pub fn at_most_one_is_standard_input<'a>(
    options: impl IntoIterator<Item = (&'a str, Option<&'a Path>)>,
) -> Result<()> {
    let mut streams = options.into_iter().filter(|(_, path)| path.is_some_and(is_standard_input));
    match (streams.next(), streams.next()) {
        (Some((first, _)), Some((second, _))) => {
            bail!("{first} and {second} are both standard input (-), which can be read only once")
        }
        _ => Ok(()),
    }
}

/// The lines of a file, of [`LONGEST_LINE`] bytes at most, one at a time. `-` is standard input. Plain or gzip is told by the
/// content, not by the name. A byte order mark, carriage returns and a missing last line end are taken in stride. Only LF ends
/// a line; U+2028 and the like stay in the text, as they do for every tool that counts lines.
pub struct LineReader {
    name: String,
    input: Box<dyn BufRead>,
    /// The bytes of the line that was read last, its end included.
    line: Vec<u8>,
    /// The number of that line, counted from 1.
    number: usize,
    /// The bytes of text before it.
    offset: u64,
    /// The most bytes of the whole text.
    most_bytes: u64,
    /// The most lines.
    most_lines: usize,
}

/// A line, or one line of what is wrong with it, naming the file and the line.
pub type Line<'a> = Result<&'a str, String>;

impl LineReader {
    /// Opens a text to be held in memory: of [`LARGEST_TEXT`] and [`MOST_LINES`] at most.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self { most_bytes: LARGEST_TEXT, most_lines: MOST_LINES, ..Self::stream(path)? })
    }

    /// Opens a text of any size.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn stream(path: &Path) -> Result<Self> {
        let name = name_of(path).into_owned();
        let file: Box<dyn Read> = if is_standard_input(path) {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path).with_context(|| format!("{name}: cannot read"))?)
        };
        Self::new(name, file)
    }

    /// The lines of anything that can be read, under the name that messages give it.
    ///
    /// # Errors
    /// Where its first bytes cannot be read.
    pub fn new(name: String, input: impl Read + 'static) -> Result<Self> {
        let mut input = BufReader::with_capacity(BLOCK, input);
        // No more than it takes to tell gzip: a pipe may not have more for now.
        let mut head = Vec::new();
        (&mut input)
            .take(GZIP.len() as u64)
            .read_to_end(&mut head)
            .with_context(|| format!("{name}: cannot read"))?;
        let gzip = head == GZIP;
        let input = Cursor::new(head).chain(input);
        let input: Box<dyn BufRead> = if gzip {
            Box::new(BufReader::with_capacity(BLOCK, MultiGzDecoder::new(input)))
        } else {
            Box::new(input)
        };
        let (most_bytes, most_lines) = (u64::MAX, usize::MAX);
        Ok(Self { name, input, line: Vec::new(), number: 0, offset: 0, most_bytes, most_lines })
    }

    /// The number of the line that was read last, counted from 1.
    pub fn number(&self) -> usize {
        self.number
    }

    /// The next line, or `None` at the end. A line that is not valid UTF-8 or has a NUL character is an error of its own, after
    /// which reading can go on.
    ///
    /// # Errors
    /// One line naming the file, where reading cannot go on: it cannot be read, ends within its compressed data, is in UTF-16 or
    /// UTF-32 or no text at all, or goes beyond a limit.
    pub fn next_line(&mut self) -> Result<Option<Line<'_>>> {
        self.offset += self.line.len() as u64;
        self.line.clear();
        let read = (&mut self.input).take(LONGEST_LINE as u64 + 1).read_until(b'\n', &mut self.line);
        read.map_err(|error| self.unreadable(error))?;
        let first = self.number == 0;
        if self.line.is_empty() || first && self.line == BYTE_ORDER_MARK {
            return Ok(None);
        }
        self.number += 1;
        let Self { name, line, number, .. } = &*self;
        if first && let Some(what) = encoding::at_start(line) {
            bail!("{name}: {what}");
        }
        let mark = if first { BYTE_ORDER_MARK } else { b"" };
        let bytes = line.strip_prefix(mark).unwrap_or(line);
        if bytes.contains(&0) {
            return match encoding::with_nul(line, self.offset) {
                Found::Encoding(what) => Err(anyhow!("{name}: {what}")),
                Found::Nul => Ok(Some(Err(format!("{name}:{number}: has a NUL character (U+0000)")))),
            };
        }
        let ended = bytes.strip_suffix(b"\n");
        if ended.is_none() && line.len() > LONGEST_LINE {
            bail!(
                "{name}:{number}: a line of more than {} MiB, the longest that is read",
                LONGEST_LINE >> 20
            );
        }
        if self.offset + line.len() as u64 > self.most_bytes {
            bail!("{name}: more than {} GiB of text, the most that is read", LARGEST_TEXT >> 30);
        }
        if *number > self.most_lines {
            bail!("{name}: more than {MOST_LINES} lines, the most that are read");
        }
        let bytes = ended.unwrap_or(bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        Ok(Some(std::str::from_utf8(bytes).map_err(|error| {
            let hint = match bytes[error.valid_up_to()..] {
                [0xed, 0xa0..=0xbf, ..] => ": half of a surrogate pair",
                _ => "",
            };
            format!("{name}:{number}: not valid UTF-8{hint}")
        })))
    }

    /// What it means that reading failed: only what the decoder itself says is about the data.
    fn unreadable(&self, error: io::Error) -> anyhow::Error {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        let what = match error.kind() {
            InvalidData | InvalidInput | UnexpectedEof => "damaged gzip data",
            _ => "cannot read",
        };
        anyhow::Error::from(error).context(format!("{}: {what}", self.name))
    }

    /// That the text so far fills the memory.
    fn too_large(&self) -> anyhow::Error {
        anyhow!("{}:{}: the text up to here does not fit into memory", self.name, self.number)
    }
}

/// All lines of a text: see [`LineReader`].
///
/// # Errors
/// One line naming the file, and the line where there is one: it cannot be read, is empty, ends within its compressed data, is
/// not valid UTF-8, has a NUL character, or goes beyond a limit.
pub fn read_lines(path: &Path) -> Result<Vec<String>> {
    let Lines { lines, faults } = read(path)?;
    match faults.into_values().next() {
        Some(fault) => bail!("{fault}"),
        None => Ok(lines.into_iter().flatten().collect()),
    }
}

/// The lines of a file, and what is wrong with some.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Every line; `None` where it cannot be read.
    pub(super) lines: Vec<Option<String>>,
    /// What is wrong, by the number of the line.
    pub(super) faults: BTreeMap<usize, String>,
}

/// As [`read_lines`], with lines that cannot be read noted.
pub(super) fn read(path: &Path) -> Result<Lines> {
    let mut all = Lines::default();
    let Lines { lines, faults } = &mut all;
    *faults = each(path, |_, line| {
        let mut owned = None;
        if let Some(line) = line {
            owned = Some(copy(line)?);
        }
        lines.try_reserve(1).ok()?;
        lines.push(owned);
        Some(Ok(()))
    })?;
    Ok(all)
}

/// Gives `take` the number and the text of every line, `None` where it cannot be read, and returns all faults by line: those of
/// the file, and those that `take` finds. After [`MOST_FAULTS`] of them the rest is not looked at.
///
/// # Errors
/// Where reading cannot go on, the file is empty, or `take` runs out of memory and gives `None`.
pub(super) fn each(
    path: &Path,
    mut take: impl FnMut(usize, Option<&str>) -> Option<Result<(), String>>,
) -> Result<BTreeMap<usize, String>> {
    let mut reader = LineReader::open(path)?;
    let mut faults = BTreeMap::new();
    // Given back when memory has run out, so that there is enough to say so.
    let reserve = std::hint::black_box(Vec::<u8>::with_capacity(RESERVE));
    loop {
        let number = reader.number() + 1;
        let Some(line) = reader.next_line()? else { break };
        let taken = match line {
            Ok(line) => take(number, Some(line)),
            Err(fault) => {
                faults.insert(number, fault);
                take(number, None)
            }
        };
        match taken {
            Some(Ok(())) => {}
            Some(Err(what)) => _ = faults.insert(number, format!("{}:{number}: {what}", reader.name)),
            None => {
                drop(reserve);
                return Err(reader.too_large());
            }
        }
        if faults.len() >= MOST_FAULTS {
            let what = format!("{MOST_FAULTS} lines cannot be read; what follows was not looked at");
            faults.insert(number + 1, format!("{}: {what}", reader.name));
            break;
        }
    }
    if reader.number == 0 {
        bail!("{}: is empty", reader.name);
    }
    Ok(faults)
}

/// A text of its own, where there is memory for it.
pub(super) fn copy(text: &str) -> Option<String> {
    let mut copy = String::new();
    copy.try_reserve_exact(text.len()).ok()?;
    copy.push_str(text);
    Some(copy)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    fn reader(bytes: &[u8]) -> LineReader {
        LineReader::new("x".to_owned(), Cursor::new(bytes.to_vec())).unwrap()
    }

    /// The lines up to the error that ends reading, and that.
    fn until_error(mut reader: LineReader) -> (Vec<String>, String) {
        let mut lines = Vec::new();
        loop {
            match reader.next_line() {
                Ok(Some(line)) => lines.push(line.unwrap().to_owned()),
                Ok(None) => panic!("no error after {} lines", lines.len()),
                Err(error) => return (lines, format!("{error:#}")),
            }
        }
    }

    #[test]
    fn a_text_beyond_a_limit_is_refused_by_the_name_of_the_limit() {
        let text = b"one\ntwo\nthree\n";
        let bytes = LineReader { most_bytes: 8, ..reader(text) };
        assert_eq!(until_error(bytes).1, "x: more than 16 GiB of text, the most that is read");
        let (lines, said) = until_error(LineReader { most_lines: 2, ..reader(text) });
        assert_eq!((lines.len(), said.as_str()), (2, "x: more than 100000000 lines, the most that are read"));
        let mut within = LineReader { most_lines: 3, most_bytes: text.len() as u64, ..reader(text) };
        while within.next_line().unwrap().is_some() {}
        assert_eq!(within.number(), 3);
    }

    #[test]
    fn a_line_may_have_as_many_bytes_as_the_limit_says_and_no_more() {
        let longest = "a".repeat(LONGEST_LINE);
        let mut exact = reader(format!("{longest}\nb").as_bytes());
        assert_eq!(exact.next_line().unwrap().unwrap().unwrap().len(), LONGEST_LINE);
        assert_eq!(exact.next_line().unwrap().unwrap().unwrap(), "b");
        let (lines, said) = until_error(reader(format!("b\n{longest}a\n").as_bytes()));
        assert_eq!(lines, ["b"]);
        assert_eq!(said, "x:2: a line of more than 16 MiB, the longest that is read");
    }

    /// Gives its bytes, then an error.
    struct Failing(Cursor<Vec<u8>>, ErrorKind);

    impl Read for Failing {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            match self.0.read(into)? {
                0 => Err(self.1.into()),
                read => Ok(read),
            }
        }
    }

    #[test]
    fn only_damaged_data_is_called_damaged() {
        use flate2::Compression;
        use flate2::read::GzEncoder;
        let mut packed = Vec::new();
        let text = (0..20_000).flat_map(|i: u32| format!("{}\n", i.wrapping_mul(2_654_435_761)).into_bytes());
        GzEncoder::new(Cursor::new(text.collect::<Vec<u8>>()), Compression::fast())
            .read_to_end(&mut packed)
            .unwrap();
        packed.truncate(packed.len() / 2);
        for (kind, said) in [
            (ErrorKind::OutOfMemory, "x: cannot read: "),
            (ErrorKind::PermissionDenied, "x: cannot read: "),
            (ErrorKind::UnexpectedEof, "x: damaged gzip data: "),
        ] {
            let input = Failing(Cursor::new(packed.clone()), kind);
            let error = until_error(LineReader::new("x".to_owned(), input).unwrap()).1;
            assert!(error.starts_with(said), "{kind}: {error}");
        }
    }

    #[test]
    fn one_option_at_most_is_standard_input() {
        let (dash, file) = (Path::new("-"), Path::new("./-"));
        assert!(
            at_most_one_is_standard_input([("--a", Some(dash)), ("--b", Some(file)), ("--c", None)]).is_ok()
        );
        let said = at_most_one_is_standard_input([("--a", Some(dash)), ("--b", None), ("--c", Some(dash))]);
        assert_eq!(
            said.unwrap_err().to_string(),
            "--a and --c are both standard input (-), which can be read only once"
        );
    }
}
