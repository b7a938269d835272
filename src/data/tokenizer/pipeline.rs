//! What happens to a text before the subwords, and after them on the way back.

use anyhow::{Result, anyhow};
use tokenizers::decoders::metaspace::Metaspace;
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{Lowercase, NFC, NFKC, Replace, Sequence as Normalizers, Strip};
use tokenizers::pre_tokenizers::metaspace::PrependScheme;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{NormalizerWrapper, PreTokenizerWrapper, SplitDelimiterBehavior};

use super::{TokenizerConfig, UnicodeForm};

/// Soft hyphen, zero-width space, direction marks, word joiner, byte order mark: common in text from the web, and nothing
/// that a translation could show.
const INVISIBLE: &str = "[\u{AD}\u{200B}\u{200E}\u{200F}\u{202A}-\u{202E}\u{2060}\u{2066}-\u{2069}\u{FEFF}]";

/// Everything that is to be one space. A "▁" in the text would come back as a space, so it becomes one at the start.
const SPACES: &str = r"[\s\p{Cc}▁]+";

/// A word with the space before it, or a single mark (punctuation or symbol) with the space before it. "▁" is itself a
/// symbol, so that it ends a word.
const WORDS: &str = r"▁?[^\p{P}\p{S}]+|▁?[\p{P}\p{S}]";

/// What separated words before the steps were these.
const OLD_SPACES: &str = r"\s+";

/// The patterns of tokenizers of this program, now or before. No others are run: what a pattern of a foreign file takes is
/// anyone's guess.
pub(super) const PATTERNS: [&str; 4] = [INVISIBLE, SPACES, WORDS, OLD_SPACES];

/// The order matters: an invisible character may part a letter from its accent, NFKC makes spaces out of other characters,
/// and lower-casing "İ" leaves two characters that must be put in order again.
pub(super) fn normalizer(config: &TokenizerConfig) -> Result<NormalizerWrapper> {
    let replace = |pattern: &str, content: &str| {
        let pattern = ReplacePattern::Regex(pattern.to_owned());
        Replace::new(pattern, content).map_err(|error| anyhow!("tokenizer: {error}"))
    };
    let form = match config.unicode {
        UnicodeForm::Nfc => NFC.into(),
        UnicodeForm::Nfkc => NFKC.into(),
    };
    let mut steps: Vec<NormalizerWrapper> = vec![replace(INVISIBLE, "")?.into(), form];
    if config.lowercase {
        steps.extend([Lowercase.into(), NFC.into()]);
    }
    steps.extend([replace(SPACES, " ")?.into(), Strip::new(true, true).into()]);
    Ok(Normalizers::new(steps).into())
}

/// Cuts normalised text into the pieces inside which subwords lie. Nothing is lost: the pieces put together are the text,
/// with "▁" for every space and one before the first word.
pub(super) fn pre_tokenizer() -> Result<PreTokenizerWrapper> {
    let words = SplitPattern::Regex(WORDS.to_owned());
    let words = Split::new(words, SplitDelimiterBehavior::Isolated, false)
        .map_err(|error| anyhow!("tokenizer: {error}"))?;
    Ok(PreTokenizers::new(vec![metaspace().into(), words.into()]).into())
}

/// Writes "▁" for spaces, and spaces for "▁" on the way back; the cutting is left to [`WORDS`].
pub(super) fn metaspace() -> Metaspace {
    Metaspace::new('▁', PrependScheme::Always, false)
}
