//! Changes to an input: bytes, lengths, numbers, words, lines, and parts of other inputs.

use gradus::autograd::rng::Stream;

/// What files of all kinds are made of. A word of another kind of file does no harm.
const WORDS: [&[u8]; 64] = [
    b"\n",
    b"\r\n",
    b"\t",
    b"\0",
    b" ",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b"[[",
    b"]]",
    b"{}",
    b"[]",
    b",",
    b":",
    b"=",
    b"null",
    b"true",
    b"false",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xfe\xff",
    b"\x1f\x8b\x08",
    b"GZIP:",
    b"GRADUS\r\n",
    b"F16",
    b"BF16",
    b"F64",
    b"I8",
    b"\"dtype\"",
    b"\"shape\":[0]",
    b"\"data_offsets\"",
    b"\"__metadata__\":{}",
    b"\"type\":\"Unigram\"",
    b"\"type\":\"BPE\"",
    b"\"type\":\"Sequence\"",
    b"\"merges\":[[\"a\",\"b\"]]",
    b"\"vocab\"",
    b"\"added_tokens\"",
    b"\"normalized\":true",
    b"\"continuing_subword_prefix\":\"ab\"",
    b"\"unk_id\":9",
    b"\"byte_fallback\":true",
    b"\"pattern\":{\"Regex\":\"(a*)*b\"}",
    b"\"pattern\":{\"String\":\"\"}",
    b"\"Split\"",
    b"<unk>",
    b"</s>",
    b"\xe2\x96\x81",
    b"\xc3\xa9",
    b"\xcc\x81",
    b"\xf0\x9f\x91\xa8",
    b"translation",
    b"\"en\"",
    b"\"de\"",
    b"[train]\n",
    b"[model]\n",
    b"schedule = { kind = \"noam\", d_model = 0, warmup = 0 }\n",
    b"d_model = 0\n",
    b"# \t",
];

/// Numbers as text.
const NUMBERS: [&str; 20] = [
    "0",
    "1",
    "-1",
    "3",
    "255",
    "65536",
    "2147483648",
    "4294967295",
    "4294967296",
    "1099511627776",
    "9007199254740993",
    "4611686018427387904",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "0.5",
    "1e308",
    "-1e999",
    "nan",
    "inf",
];

/// Whole numbers that lengths and counters are set to.
const COUNTS: [u64; 12] = [0, 1, 2, 6, 7, 250, 251, 65_536, 1 << 32, 1_000_000_000_000, 1 << 63, u64::MAX];

/// An input of the pool with a few changes.
pub(crate) fn mutated(pool: &[Vec<u8>], stream: &mut Stream) -> Vec<u8> {
    let mut draw = Draw(stream);
    let mut input = pool[draw.below(pool.len())].clone();
    for _ in 0..1 + draw.below(4) {
        change(&mut input, pool, &mut draw);
    }
    input
}

struct Draw<'a>(&'a mut Stream);

impl Draw<'_> {
    /// A number below `bound`; 0 where there is none.
    fn below(&mut self, bound: usize) -> usize {
        (self.0.bits() % bound.max(1) as u64) as usize
    }

    fn one_of<T: Copy>(&mut self, these: &[T]) -> T {
        these[self.below(these.len())]
    }

    /// A part of `length` bytes, most often a short one.
    fn part(&mut self, length: usize) -> std::ops::Range<usize> {
        let (first, most) = (self.below(length + 1), self.one_of(&[1, 4, 16, 256]));
        first..(first + 1 + self.below(most)).min(length)
    }
}

fn change(input: &mut Vec<u8>, pool: &[Vec<u8>], draw: &mut Draw<'_>) {
    let (length, place) = (input.len(), draw.below(input.len() + 1));
    match draw.below(14) {
        0 if place < length => input[place] ^= 1 << draw.below(8),
        1 if place < length => input[place] = draw.one_of(&[0, 1, 0x7f, 0x80, 0xff, b'0', b'"', b'\n', b' ']),
        2 => input.truncate(place),
        3 => drop(input.drain(draw.part(length))),
        4 => {
            let part = draw.part(length);
            let copy = input[part].to_vec();
            for _ in 0..1 + draw.below(8) {
                input.splice(place..place, copy.iter().copied());
            }
        }
        5 => {
            let other = &pool[draw.below(pool.len())];
            let part = other[draw.part(other.len())].to_vec();
            let end = (place + draw.one_of(&[0, part.len()])).min(length);
            input.splice(place..end, part);
        }
        // The head of one and the tail of another.
        6 => {
            let other = &pool[draw.below(pool.len())];
            input.truncate(place);
            input.extend_from_slice(&other[draw.below(other.len() + 1)..]);
        }
        7 => {
            let word = draw.one_of(&WORDS);
            let end = (place + draw.one_of(&[0, word.len()])).min(length);
            input.splice(place..end, word.iter().copied());
        }
        // Fixed sizes, as in headers; the bytes of a float among them.
        8 => {
            let count = draw.one_of(&COUNTS);
            let float = draw.one_of(&[f64::NAN, f64::INFINITY, -1.0, 1e300, f64::MIN_POSITIVE]);
            let bytes = match draw.below(4) {
                0 => (count as u32).to_le_bytes().to_vec(),
                1 => count.to_le_bytes().to_vec(),
                2 => (float as f32).to_le_bytes().to_vec(),
                _ => float.to_le_bytes().to_vec(),
            };
            let place = draw.one_of(&[0, place]);
            let end = (place + bytes.len()).min(length);
            input.splice(place..end, bytes);
        }
        // bincode's numbers of any size, in the place of one of one byte.
        9 => {
            let count = draw.one_of(&COUNTS);
            let bytes = match draw.below(4) {
                0 => vec![count.min(250) as u8],
                1 => [&[251][..], &(count as u16).to_le_bytes()].concat(),
                2 => [&[252][..], &(count as u32).to_le_bytes()].concat(),
                _ => [&[253][..], &count.to_le_bytes()].concat(),
            };
            let end = (place + 1).min(length);
            input.splice(place..end, bytes);
        }
        10 | 11 => {
            if let Some(digits) = digits(input, place) {
                input.splice(digits, draw.one_of(&NUMBERS).bytes());
            }
        }
        // A line more, less, or elsewhere.
        _ => {
            let mut lines: Vec<Vec<u8>> = input.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
            let (from, to) = (draw.below(lines.len()), draw.below(lines.len()));
            match draw.below(3) {
                0 => lines.swap(from, to),
                1 => lines.insert(to, lines[from].clone()),
                _ => drop(lines.remove(from)),
            }
            *input = lines.join(&b'\n');
        }
    }
}

/// The first number at or behind a place.
fn digits(input: &[u8], place: usize) -> Option<std::ops::Range<usize>> {
    let first = place + input[place..].iter().position(u8::is_ascii_digit)?;
    let others = input[first..].iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.');
    Some(first..first + others.count())
}
