//! Subwords: byte-pair encoding through the `tokenizers` crate.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{Lowercase, NFKC, Replace, Sequence as Normalizers, Strip};
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::punctuation::Punctuation;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::{AddedToken, Model, SplitDelimiterBehavior};

/// Fills up sentences of a batch.
pub const PAD: u32 = 0;
/// Begins a target sentence.
pub const BOS: u32 = 1;
/// Ends a sentence.
pub const EOS: u32 = 2;
/// Stands for characters that the vocabulary does not know.
pub const UNK: u32 = 3;

/// The special tokens, in the order of their ids.
const SPECIAL: [&str; 4] = ["<pad>", "<s>", "</s>", "<unk>"];

/// How a vocabulary is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizerConfig {
    /// The number of tokens, the four special ones included; fewer where the text does not give as many.
    pub vocab_size: usize,
    /// Whether text is lower-cased.
    pub lowercase: bool,
    /// How often a pair must occur to become one token.
    pub min_frequency: u64,
}

impl Default for TokenizerConfig {
    fn default() -> Self {
        Self { vocab_size: 8000, lowercase: false, min_frequency: 2 }
    }
}

/// Text to tokens and back (Sennrich, Haddow and Birch, "Neural machine translation of rare words with subword units",
/// 2016).
///
/// Text is normalised (NFKC, one space for any run of white space, lower case if so trained), cut into words that carry
/// the space before them as `▁` and into punctuation, and words into subwords. All of that is in the saved file, so
/// training and translating cannot differ, and the Python package reads it.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
}

impl Tokenizer {
    /// Learns a vocabulary. The same text gives the same vocabulary, every time.
    ///
    /// # Errors
    /// Where there is no text, or the vocabulary is too small for its characters.
    pub fn train<S>(texts: impl Iterator<Item = S> + Send, config: &TokenizerConfig) -> Result<Self>
    where
        S: AsRef<str> + Send,
    {
        let special: Vec<AddedToken> = SPECIAL.map(|token| AddedToken::from(token, true)).to_vec();
        let trainer = BpeTrainer::builder()
            .vocab_size(config.vocab_size)
            .min_frequency(config.min_frequency)
            .special_tokens(special)
            .show_progress(false)
            .build();
        let mut inner = blank(config).map_err(|error| anyhow!("tokenizer: {error}"))?;
        inner
            .train(&mut TrainerWrapper::BpeTrainer(trainer), texts)
            .map_err(|error| anyhow!("tokenizer: {error}"))?;
        let tokenizer = Self { inner };
        let size = tokenizer.vocab_size();
        if size <= SPECIAL.len() {
            bail!("tokenizer: the text has no words");
        }
        if size > config.vocab_size {
            bail!(
                "tokenizer: a vocabulary of {} is too small for {size} different characters",
                config.vocab_size
            );
        }
        Ok(tokenizer)
    }

    /// The tokens of a text, without special ones.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let Ok(encoding) = self.inner.encode_fast(text, false) else {
            // No normaliser or model in use here can fail.
            return vec![UNK];
        };
        // A text that spells a special token out must not begin or end a sentence.
        encoding.get_ids().iter().map(|&id| if id < UNK { UNK } else { id }).collect()
    }

    /// The text of tokens; special ones are left out.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.inner.decode(ids, true).unwrap_or_default()
    }

    /// The number of tokens.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// A token as it is in the vocabulary: `▁house`.
    pub fn token(&self, id: u32) -> String {
        self.inner.id_to_token(id).unwrap_or_default()
    }

    /// This as `tokenizer.json`.
    ///
    /// # Errors
    /// None that is known; the crate reserves the right.
    pub fn to_json(&self) -> Result<String> {
        self.inner.to_string(true).map_err(|error| anyhow!("tokenizer: cannot write: {error}"))
    }

    /// Reads `tokenizer.json`.
    ///
    /// # Errors
    /// Where it is not one, or not one of this program.
    pub fn from_json(json: &str) -> Result<Self> {
        let inner: tokenizers::Tokenizer =
            json.parse().map_err(|error| anyhow!("not a tokenizer: {error}"))?;
        for (id, token) in (0..).zip(SPECIAL) {
            if inner.get_model().token_to_id(token) != Some(id) {
                bail!("not a tokenizer of this program: {token} is not token {id}");
            }
        }
        Ok(Self { inner })
    }

    /// Reads a `tokenizer.json` file.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json), naming the file.
    pub fn load(path: &Path) -> Result<Self> {
        let name = path.display();
        let json = std::fs::read_to_string(path).with_context(|| format!("{name}: cannot read"))?;
        Self::from_json(&json).with_context(|| format!("{name}"))
    }
}

/// Everything but the vocabulary.
fn blank(config: &TokenizerConfig) -> tokenizers::Result<tokenizers::Tokenizer> {
    let model = BPE::builder().unk_token("<unk>".to_owned()).build()?;
    let spaces = Replace::new(ReplacePattern::Regex(r"\s+".to_owned()), " ")?;
    let mut normalizers = vec![NFKC.into(), spaces.into(), Strip::new(true, true).into()];
    if config.lowercase {
        normalizers.push(Lowercase.into());
    }
    let words = Metaspace::new('▁', PrependScheme::Always, true);
    let mut inner = tokenizers::Tokenizer::new(model);
    inner.with_normalizer(Some(Normalizers::new(normalizers)))?;
    inner.with_pre_tokenizer(Some(PreTokenizers::new(vec![
        words.clone().into(),
        Punctuation::new(SplitDelimiterBehavior::Isolated).into(),
    ])));
    inner.with_decoder(Some(words));
    Ok(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: [&str; 4] = [
        "A man's hat, isn't it? The man has a hat.",
        "Ein Mann (mit Hut) sieht das rote Haus; das Haus ist rot!",
        "The red house is red, the hat's red: \"red\" & co.",
        "Der Hut – ein roter Hut – ist schön.",
    ];

    fn trained(lowercase: bool) -> Tokenizer {
        let config = TokenizerConfig { vocab_size: 120, lowercase, ..TokenizerConfig::default() };
        Tokenizer::train(TEXT.iter(), &config).unwrap()
    }

    #[test]
    fn decoding_is_the_inverse_of_encoding() {
        let tokenizer = trained(false);
        for text in TEXT.iter().chain(&["\"A hat\"!", "(a)", "a – co", "..", "The hat 's"]) {
            assert_eq!(tokenizer.decode(&tokenizer.encode(text)), *text);
        }
        assert_eq!(tokenizer.decode(&tokenizer.encode("  a \t man\u{a0}is ")), "a man is");
    }

    #[test]
    fn lower_case_is_part_of_the_tokenizer() {
        let tokenizer = Tokenizer::from_json(&trained(true).to_json().unwrap()).unwrap();
        assert_eq!(tokenizer.decode(&tokenizer.encode("Der HUT")), "der hut");
    }

    #[test]
    fn the_same_text_gives_the_same_file() {
        let first = trained(false).to_json().unwrap();
        for _ in 0..5 {
            assert_eq!(trained(false).to_json().unwrap(), first);
        }
    }

    #[test]
    fn special_tokens_cannot_be_written_into_text() {
        let tokenizer = trained(false);
        assert!(tokenizer.encode("a </s> hat <pad> <s>").iter().all(|&id| id >= UNK));
        assert!(tokenizer.encode("漢字").contains(&UNK), "an unknown character is unknown");
        assert_eq!(
            SPECIAL.map(|token| tokenizer.inner.token_to_id(token)),
            [Some(PAD), Some(BOS), Some(EOS), Some(UNK)]
        );
    }

    #[test]
    fn what_is_no_tokenizer_is_refused() {
        let error = Tokenizer::from_json("{\"model\": 3}").unwrap_err().to_string();
        assert!(error.contains("not a tokenizer"), "{error}");
        let none: [&str; 0] = [];
        assert!(Tokenizer::train(none.iter(), &TokenizerConfig::default()).is_err());
    }
}
