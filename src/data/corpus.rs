//! Reading parallel text.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use flate2::bufread::MultiGzDecoder;

use super::Pair;

/// Sentence pairs, and what was left out of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corpus {
    /// The pairs, in the order of the lines.
    pub pairs: Vec<Pair>,
    /// Lines that were left out because one side is blank.
    pub blank: usize,
}

/// The lines of a file, plain or gzip (told by its content, not its name). A byte order mark, carriage returns and a
/// missing last line end are taken in stride.
///
/// # Errors
/// One line naming the file, and the line where there is one: it cannot be read, is empty, ends within its compressed
/// data, or is not valid UTF-8.
pub fn read_lines(path: &Path) -> Result<Vec<String>> {
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
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    if bytes.is_empty() {
        bail!("{name}: is empty");
    }
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes
        .split(|&byte| byte == b'\n')
        .enumerate()
        .map(|(number, line)| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let text =
                std::str::from_utf8(line).map_err(|_| anyhow!("{name}:{}: not valid UTF-8", number + 1))?;
            Ok(text.to_owned())
        })
        .collect()
}

/// What every gzip file begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Sentences and their translations from two files, line by line. Pairs of which a side is blank are left out.
///
/// # Errors
/// Those of [`read_lines`]; files of different line counts (both are named); nothing left.
pub fn read_parallel(source: &Path, target: &Path) -> Result<Corpus> {
    let (sources, targets) = (read_lines(source)?, read_lines(target)?);
    if sources.len() != targets.len() {
        bail!(
            "{} has {} lines, but {} has {}",
            source.display(),
            sources.len(),
            target.display(),
            targets.len()
        );
    }
    let pairs = sources.into_iter().zip(targets).map(|(source, target)| Pair { source, target });
    without_blank(pairs, &format!("{} and {}", source.display(), target.display()))
}

/// Sentences and their translations from one file: source, tab, target; what follows a second tab is ignored (the
/// attribution in Tatoeba's exports). A line that begins with `#` and has no tab is a comment.
///
/// # Errors
/// Those of [`read_lines`]; a line without a tab (file and line); nothing left.
pub fn read_tsv(path: &Path) -> Result<Corpus> {
    let mut pairs = Vec::new();
    for (number, line) in read_lines(path)?.into_iter().enumerate() {
        let mut fields = line.split('\t');
        match (fields.next(), fields.next()) {
            (Some(source), Some(target)) => {
                pairs.push(Pair { source: source.to_owned(), target: target.to_owned() });
            }
            _ if line.starts_with('#') || line.trim().is_empty() => {}
            _ => bail!("{}:{}: no tab between source and target", path.display(), number + 1),
        }
    }
    without_blank(pairs.into_iter(), &path.display().to_string())
}

fn without_blank(pairs: impl Iterator<Item = Pair>, name: &str) -> Result<Corpus> {
    let mut corpus = Corpus { pairs: Vec::new(), blank: 0 };
    for pair in pairs {
        if pair.source.trim().is_empty() || pair.target.trim().is_empty() {
            corpus.blank += 1;
        } else {
            corpus.pairs.push(pair);
        }
    }
    if corpus.pairs.is_empty() {
        bail!("{name}: no pair of sentences: all {} lines are blank on one side", corpus.blank);
    }
    Ok(corpus)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::PathBuf;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tempfile::TempDir;

    use super::*;

    fn file(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn carriage_returns_a_byte_order_mark_and_a_missing_line_end_are_silent() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, "a.txt", "\u{feff}eins\r\nzwei\u{2028}drei\n\nvier".as_bytes());
        assert_eq!(read_lines(&path).unwrap(), ["eins", "zwei\u{2028}drei", "", "vier"]);
    }

    #[test]
    fn gzip_is_told_by_its_content_and_may_have_several_members() {
        let folder = tempfile::tempdir().unwrap();
        let both = [gzip(b"one\n"), gzip(b"two\n")].concat();
        let path = file(&folder, "misnamed.txt", &both);
        assert_eq!(read_lines(&path).unwrap(), ["one", "two"]);
        let cut = file(&folder, "cut.gz", &both[..both.len() - 6]);
        assert!(read_lines(&cut).unwrap_err().to_string().ends_with("cut.gz: damaged gzip data"));
    }

    #[test]
    fn every_bad_file_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let message = |path: &Path| format!("{:#}", read_lines(path).unwrap_err());
        assert!(message(&file(&folder, "u.txt", b"ok\n\xff\xfe\n")).contains("u.txt:2: not valid UTF-8"));
        assert!(message(&file(&folder, "e.txt", b"")).contains("e.txt: is empty"));
        assert!(message(&folder.path().join("none.txt")).contains("none.txt: cannot read"));
    }

    #[test]
    fn different_line_counts_are_both_named() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (file(&folder, "a", b"1\n2\n3\n"), file(&folder, "b", b"1\n2\n"));
        let error = read_parallel(&a, &b).unwrap_err().to_string();
        assert!(error.contains("a has 3 lines") && error.contains("b has 2"), "{error}");
    }

    #[test]
    fn blank_lines_are_left_out_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (file(&folder, "a", b"1\n \n3\n"), file(&folder, "b", b"x\ny\nz\n"));
        let corpus = read_parallel(&a, &b).unwrap();
        assert_eq!((corpus.pairs.len(), corpus.blank), (2, 1));
        let (a, b) = (file(&folder, "a", b"\n"), file(&folder, "b", b"x\n"));
        assert!(read_parallel(&a, &b).unwrap_err().to_string().contains("no pair of sentences"));
    }

    #[test]
    fn tsv_has_comments_and_attributions() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, "a.tsv", b"# a comment\nGo.\tVa !\tCC-BY 2.0\n#1\tNo. 1\n");
        let pairs = read_tsv(&path).unwrap().pairs;
        assert_eq!(pairs[0], Pair { source: "Go.".into(), target: "Va !".into() });
        assert_eq!(pairs[1].source, "#1");
        let path = file(&folder, "b.tsv", b"a\tb\nonly one\n");
        assert!(read_tsv(&path).unwrap_err().to_string().contains("b.tsv:2: no tab"));
    }
}
