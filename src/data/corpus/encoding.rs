//! What bytes are that are no UTF-8: other encodings of Unicode, compressed files, binary data.

/// What files of other kinds begin with.
const BEGINNINGS: [(&[u8], &str); 10] = [
    // UTF-32 first: the mark of UTF-16 is the beginning of its own.
    (&[0xff, 0xfe, 0, 0], UTF_32_LE),
    (&[0, 0, 0xfe, 0xff], UTF_32_BE),
    (&[0xff, 0xfe], UTF_16_LE),
    (&[0xfe, 0xff], UTF_16_BE),
    (&[0x1f, 0x8b], "is gzip within gzip; unpack it once"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "is compressed with zstd; plain text and gzip can be read"),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], "is compressed with xz; plain text and gzip can be read"),
    (b"BZh", "is compressed with bzip2; plain text and gzip can be read"),
    (b"PK\x03\x04", "is a zip archive; plain text and gzip can be read"),
    (b"PAR1", "is a Parquet file; plain text and gzip can be read"),
];

const UTF_16_LE: &str = "is in UTF-16 (little-endian), not UTF-8; iconv -f UTF-16LE -t UTF-8 converts it";
const UTF_16_BE: &str = "is in UTF-16 (big-endian), not UTF-8; iconv -f UTF-16BE -t UTF-8 converts it";
const UTF_32_LE: &str = "is in UTF-32 (little-endian), not UTF-8; iconv -f UTF-32LE -t UTF-8 converts it";
const UTF_32_BE: &str = "is in UTF-32 (big-endian), not UTF-8; iconv -f UTF-32BE -t UTF-8 converts it";
const BINARY: &str = "is binary data (it has NUL characters), not text";

/// What a file that begins with these bytes is, where it is no text in UTF-8 or without a mark.
pub(super) fn at_start(bytes: &[u8]) -> Option<&'static str> {
    let begins = |&&(beginning, _): &&(&[u8], &str)| bytes.starts_with(beginning);
    let &(beginning, what) = BEGINNINGS.iter().find(begins)?;
    // "BZh" may begin a sentence; the file has its level of compression and a mark behind it.
    (beginning != b"BZh" || bytes.get(4..10) == Some(&[0x31, 0x41, 0x59, 0x26, 0x53, 0x59])).then_some(what)
}

/// What bytes with NULs in them are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The whole file is something else: this.
    Encoding(&'static str),
    /// Text in UTF-8 with a stray NUL.
    Nul,
}

/// How many bytes are looked at.
const SAMPLE: usize = 4096;

/// What a line with a NUL in it is that begins `offset` bytes into its file.
///
/// A NUL is half a space, line end or Latin letter in UTF-16, always the same half. In text that is no UTF-16, read as bytes, NULs
/// and other control characters are rare.
pub(super) fn with_nul(line: &[u8], offset: u64) -> Found {
    let sample = &line[..line.len().min(SAMPLE)];
    let mut nuls = [0; 4];
    let mut places = [0; 4];
    for (at, &byte) in sample.iter().enumerate() {
        let phase = ((offset + at as u64) % 4) as usize;
        places[phase] += 1;
        nuls[phase] += usize::from(byte == 0);
    }
    let all = |phase: usize| places[phase] > 0 && nuls[phase] == places[phase];
    let control = |byte: &&u8| **byte < 0x20 && !matches!(**byte, b'\t' | b'\n' | b'\r');
    let controls = sample.iter().filter(control).count();
    // A sample may end within a character.
    let valid = std::str::from_utf8(sample).map_or_else(|error| error.error_len().is_none(), |_| true);
    if valid && sample.len() > 20 * controls {
        return Found::Nul;
    }
    Found::Encoding(match nuls {
        [0, _, _, _] if all(2) && all(3) => UTF_32_LE,
        [_, _, _, 0] if all(0) && all(1) => UTF_32_BE,
        [0, _, 0, _] => UTF_16_LE,
        [_, 0, _, 0] => UTF_16_BE,
        _ => BINARY,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str, kind: &str) -> Vec<u8> {
        match kind {
            "16le" => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            "16be" => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            "32le" => text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect(),
            _ => text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect(),
        }
    }

    /// What reading these bytes finds, line by line.
    fn found(bytes: &[u8]) -> Option<Found> {
        let mut offset = 0;
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            if line.contains(&0) {
                return Some(with_nul(line, offset));
            }
            offset += line.len() as u64;
        }
        None
    }

    #[test]
    fn every_encoding_of_unicode_is_told_apart_without_a_mark() {
        let kinds = [("16le", UTF_16_LE), ("16be", UTF_16_BE), ("32le", UTF_32_LE), ("32be", UTF_32_BE)];
        for text in [
            "word1 sees thing2 .\nx\n",
            "a\n",
            "Привет мир\nи вам\n",
            "你好\n世界\n",
            "日\n",
            "ሰላም ለዓለም\nሰላም\n",
        ] {
            for (kind, what) in kinds {
                assert_eq!(found(&encoded(text, kind)), Some(Found::Encoding(what)), "{text:?} in {kind}");
                let marked = encoded(&format!("\u{feff}{text}"), kind);
                assert_eq!(at_start(&marked), Some(what), "{text:?} in {kind}, marked");
            }
        }
    }

    #[test]
    fn a_stray_nul_is_no_encoding_and_binary_data_is_none_either() {
        assert_eq!(found("a line of text with one \0 in it, über all\n".as_bytes()), Some(Found::Nul));
        assert_eq!(found(&[0; 5000]), Some(Found::Encoding(BINARY)));
        assert_eq!(found(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0>\0"), Some(Found::Encoding(BINARY)));
        assert_eq!(at_start("BZhong is a name".as_bytes()), None);
        assert_eq!(at_start("plain text".as_bytes()), None);
    }
}
