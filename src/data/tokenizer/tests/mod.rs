use std::path::PathBuf;

use autograd::rng::Stream;

use super::*;

mod broken_files;
mod sampling;

const TEXTS: [&str; 6] = [
    "A man's hat, isn't it? (No: it is \"the\" hat!)",
    "Ein Mann mit einem Hut; zwei Männer – drei T-Shirts…",
    "the man, the hat & the house — 100 % of 2016/17 [sic]",
    "der Mann, der Hut, das Haus: $5, €7.50, <b>so</b> #1 @home",
    "«Être ou ne pas être», a*b=c^2 ~ {x|y} \\ `z`_w",
    "the house of the man with the hat in the house of the hat",
];

fn config(kind: Subwords) -> TokenizerConfig {
    TokenizerConfig { kind, vocab_size: 100, ..TokenizerConfig::default() }
}

fn trained(kind: Subwords) -> Tokenizer {
    Tokenizer::train(TEXTS.iter(), &config(kind)).unwrap()
}

const KINDS: [Subwords; 2] = [Subwords::Bpe, Subwords::Unigram];

/// Random numbers below a bound.
fn random(seed: u64) -> impl FnMut(usize) -> usize {
    let mut stream = Stream::new(seed);
    move |below| (stream.bits() % below as u64) as usize
}

#[test]
fn any_text_of_known_characters_makes_the_round_trip() {
    for kind in KINDS {
        let tokenizer = trained(kind);
        for text in TEXTS.iter().chain(&["(the) \"hat\"...", "?! hat -- man", "'", ""]) {
            assert_eq!(tokenizer.decode(&tokenizer.encode(text)), *text);
        }
        assert_eq!(
            tokenizer.decode(&tokenizer.encode("  A man's \t hat,\u{A0}isn't it? ")),
            "A man's hat, isn't it?"
        );
        let characters: Vec<char> = TEXTS.concat().chars().chain("  \t\u{2028}▁\u{AD}".chars()).collect();
        let mut next = random(3);
        for _ in 0..2000 {
            let text: String = (0..next(40)).map(|_| characters[next(characters.len())]).collect();
            let ids = tokenizer.encode(&text);
            assert!(!ids.contains(&UNK), "{text:?}");
            assert_eq!(tokenizer.decode(&ids), tokenizer.normalise(&text), "{text:?}");
        }
    }
}

#[test]
fn any_unicode_at_all_is_encoded_and_normalised_once_and_for_all() {
    for (kind, lowercase, unicode) in [
        (Subwords::Bpe, true, UnicodeForm::Nfc),
        (Subwords::Unigram, true, UnicodeForm::Nfkc),
        (Subwords::Bpe, false, UnicodeForm::Nfkc),
    ] {
        let config = TokenizerConfig { lowercase, unicode, ..config(kind) };
        let tokenizer = Tokenizer::train(TEXTS.iter(), &config).unwrap();
        let mut next = random(4);
        for _ in 0..2000 {
            let ranges = [0x80, 0x180, 0x370, 0x2100, 0x3400, 0x11_0000];
            let mut character = || {
                let range = ranges[next(6)];
                char::from_u32(next(range) as u32)
            };
            let text: String = (0..12).filter_map(|_| character()).collect();
            let ids = tokenizer.encode(&text);
            assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
            let once = tokenizer.normalise(&text);
            assert_eq!(ids.is_empty(), once.is_empty(), "{text:?}");
            assert_eq!(tokenizer.normalise(&once), once, "{text:?}");
            assert_eq!(tokenizer.encode(&once), ids, "{text:?}");
        }
    }
}

#[test]
fn words_carry_their_space_and_marks_stand_alone() {
    let tokenizer = trained(Subwords::Bpe);
    let tokens = |text: &str| -> Vec<String> {
        tokenizer.encode(text).iter().map(|&id| tokenizer.token(id)).collect()
    };
    assert_eq!(tokens("the hat, the house"), ["▁the", "▁hat", ",", "▁the", "▁house"]);
    assert_eq!(tokenizer.words("the (hat) $5"), ["▁the", "▁(", "hat", ")", "▁$", "5"]);
}

#[test]
fn unicode_and_case_are_part_of_the_file() {
    let read = |unicode| {
        let config = TokenizerConfig { lowercase: true, unicode, ..config(Subwords::Bpe) };
        let tokenizer = Tokenizer::train(TEXTS.iter(), &config).unwrap();
        Tokenizer::from_json(&tokenizer.to_json().unwrap()).unwrap()
    };
    let (nfc, nfkc) = (read(UnicodeForm::Nfc), read(UnicodeForm::Nfkc));
    for (text, composed, compatible) in [
        ("MÄNNER", "männer", "männer"),
        ("Ma\u{308}nner", "männer", "männer"),
        ("ﬁne…", "ﬁne…", "fine..."),
        ("zwei\u{AD}fel\u{200B}los\u{200E}", "zweifellos", "zweifellos"),
        (" a\u{3000}\r\n b\u{0}c▁▁d ", "a b c d", "a b c d"),
        ("Ｆｕｌｌ", "ｆｕｌｌ", "full"),
        // Lower-cased, a capital I with a dot has its dot behind the cedilla: NFC puts them in order.
        ("\u{130}\u{327}", "i\u{327}\u{307}", "i\u{327}\u{307}"),
        // And a K that is the Kelvin sign is a k, which a ring then sits on.
        ("A\u{30A}\u{212A}", "åk", "åk"),
    ] {
        assert_eq!(nfc.normalise(text), composed);
        assert_eq!(nfkc.normalise(text), compatible);
        assert_eq!(nfc.encode(text), nfc.encode(composed));
    }
}

#[test]
fn unknown_characters_in_a_row_are_one_unknown_token() {
    for kind in KINDS {
        let tokenizer = trained(kind);
        let ids = tokenizer.encode("the 日本語 hat");
        assert_eq!(ids.iter().filter(|&&id| id == UNK).count(), 1, "{kind:?}");
        assert!(tokenizer.knows('h') && !tokenizer.knows('日'));
    }
}

#[test]
fn special_tokens_are_never_read_from_text_nor_written_to_it() {
    for kind in KINDS {
        let about_marks = ["<s> </s> <pad> <unk>"; 9];
        for tokenizer in [trained(kind), Tokenizer::train(about_marks.iter(), &config(kind)).unwrap()] {
            for text in ["</s>", "<s> <s>", "<pad>s"] {
                let ids = tokenizer.encode(text);
                assert!(!ids.iter().any(|id| [PAD, BOS, EOS].contains(id)), "{text}: {ids:?}");
                assert_eq!(tokenizer.decode(&ids), text);
            }
        }
        let tokenizer = trained(kind);
        let mut ids = tokenizer.encode("the hat");
        ids.insert(0, BOS);
        ids.extend([EOS, PAD, PAD, 4_000_000_000]);
        assert_eq!(tokenizer.decode(&ids), "the hat");
        assert_eq!(SPECIAL.map(|token| tokenizer.inner.token_to_id(token)), [0, 1, 2, 3].map(Some));
    }
}

#[test]
fn the_same_text_gives_the_same_file() {
    // Characters and pairs that tie.
    let mut next = random(5);
    let mut word = || (0..9).map(|_| char::from(b'a' + next(3) as u8)).collect::<String>();
    let mut texts: Vec<String> = (0..150).map(|_| word()).collect();
    texts.extend((0..60).map(|place| char::from_u32(0x4E00 + place).unwrap().to_string().repeat(2)));
    for kind in KINDS {
        let config = TokenizerConfig { vocab_size: 90, ..config(kind) };
        let file = || Tokenizer::train(texts.iter(), &config).unwrap().to_json().unwrap();
        let first = file();
        for _ in 0..8 {
            assert!(file() == first, "{kind:?}");
        }
        let read = Tokenizer::from_json(&first).unwrap();
        assert!(read.to_json().unwrap() == first);
        assert_eq!(read.vocab_size(), 90);
    }
}

#[test]
fn whole_words_are_pieces_of_a_unigram_model() {
    let stems = ["sing", "walk", "jump", "talk", "cook", "paint", "climb", "start"];
    let ends = ["", "s", "ing", "ful", "ton", "ed"];
    let words: Vec<String> = stems.iter().flat_map(|stem| ends.map(|end| format!("{stem}{end}"))).collect();
    // Each occurs twice, and no word holds it: a trainer that looks for what different words share does not see it.
    let config = TokenizerConfig { vocab_size: 75, ..config(Subwords::Unigram) };
    let tokenizer = Tokenizer::train(words.iter().chain(&words), &config).unwrap();
    for word in &words {
        assert_eq!(tokenizer.encode(word).len(), 1, "{word}");
    }
}

#[test]
fn a_vocabulary_that_cannot_be_learnt_says_why() {
    for kind in KINDS {
        let error = |texts: &[&str], vocab_size| {
            let config = TokenizerConfig { vocab_size, ..config(kind) };
            Tokenizer::train(texts.iter(), &config).unwrap_err().to_string()
        };
        let small = error(&TEXTS, 20);
        assert!(small.contains("a vocabulary of 20 is too small for the text's characters: "), "{small}");
        for nothing in [&[] as &[&str], &["", " \t", "\u{200B}"]] {
            assert_eq!(error(nothing, 100), "tokenizer: the text has no words");
        }
    }
}

#[test]
fn real_text_makes_the_round_trip() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/multi30k");
    if !folder.is_dir() {
        eprintln!("skipped: no corpus in {}", folder.display());
        return;
    }
    let read =
        |language: &str| crate::data::corpus::read_lines(&folder.join(format!("val.{language}.gz"))).unwrap();
    let texts = [read("en"), read("de")].concat();
    for kind in KINDS {
        let config = TokenizerConfig { vocab_size: 2000, ..config(kind) };
        let tokenizer = Tokenizer::train(texts.iter(), &config).unwrap();
        assert_eq!(tokenizer.vocab_size(), 2000);
        for text in &texts {
            assert_eq!(tokenizer.decode(&tokenizer.encode(text)), tokenizer.normalise(text));
        }
    }
}

#[test]
fn a_very_long_word_is_learnt_from_in_pieces_and_encoded_whole() {
    let word = "xy".repeat(LONGEST_WORD + 250);
    for kind in KINDS {
        let tokenizer = Tokenizer::train([&word, &word].into_iter(), &config(kind)).unwrap();
        let lengths: Vec<usize> = tokenizer.words(&word).iter().map(|word| word.chars().count()).collect();
        assert_eq!(lengths, [LONGEST_WORD, LONGEST_WORD, 501], "the word and its space");
        // Merges double what they merge: of the whole word there would be a token of 2,000 characters.
        let longest = (0..tokenizer.vocab_size() as u32).map(|id| tokenizer.token(id).chars().count()).max();
        assert!(longest.unwrap() <= LONGEST_WORD, "{kind:?}: {longest:?}");
        assert_eq!(tokenizer.decode(&tokenizer.encode(&word)), word, "{kind:?}");
    }
    let words = trained(Subwords::Bpe).words(&format!("{} a", "é".repeat(LONGEST_WORD - 1)));
    assert_eq!(words.len(), 2, "the limit is of characters");
}

#[test]
fn a_unigram_model_learns_only_the_characters_of_a_long_word() {
    let mut next = random(9);
    let mut greek =
        |count| -> String { (0..count).map(|_| char::from_u32(0x3b1 + next(17) as u32).unwrap()).collect() };
    // Parts of the limit's length, the space before the word counted, and nothing behind.
    let word = greek(3 * LONGEST_WORD - 1);
    let config = TokenizerConfig { vocab_size: 200, ..config(Subwords::Unigram) };
    let letters = |text: &str| {
        let tokenizer = Tokenizer::train(TEXTS.into_iter().chain([text, text]), &config).unwrap();
        let tokens: Vec<String> = (0..tokenizer.vocab_size() as u32).map(|id| tokenizer.token(id)).collect();
        let of = |token: &String| token.chars().filter(|c| ('α'..='ρ').contains(c)).count();
        tokens.iter().map(of).filter(|&count| count > 0).collect::<Vec<_>>()
    };
    assert_eq!(letters(&word), [1; 17]);
    let short: String =
        word.chars().collect::<Vec<_>>().chunks(500).map(|w| String::from_iter(w) + " ").collect();
    assert!(letters(&short).iter().any(|&count| count > 1), "shorter words give pieces");
}

#[test]
fn a_vocabulary_larger_than_any_is_refused() {
    for kind in KINDS {
        let config = TokenizerConfig { vocab_size: usize::MAX, ..config(kind) };
        let said = Tokenizer::train(TEXTS.iter(), &config).unwrap_err().to_string();
        assert_eq!(
            said,
            format!("tokenizer: a vocabulary of {} is more than 1000000, the largest", usize::MAX)
        );
    }
}
