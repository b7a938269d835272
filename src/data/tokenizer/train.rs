//! Learning a vocabulary.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow, bail};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::unigram::Unigram;
use tokenizers::{AddedToken, Trainer};

use super::{LARGEST_VOCABULARY, LONGEST_WORD, SPECIAL, Subwords, Tokenizer, TokenizerConfig, UNK, pipeline};

pub(super) fn train<S>(
    texts: impl Iterator<Item = S> + Send,
    config: &TokenizerConfig,
) -> Result<tokenizers::Tokenizer>
where
    S: AsRef<str> + Send,
{
    if config.vocab_size > LARGEST_VOCABULARY {
        bail!(
            "tokenizer: a vocabulary of {} is more than {LARGEST_VOCABULARY}, the largest",
            config.vocab_size
        );
    }
    let inner = match config.kind {
        Subwords::Bpe => bpe(texts, config),
        Subwords::Unigram => unigram(texts, config),
    }?;
    let size = inner.get_vocab_size(true);
    if size <= SPECIAL.len() {
        bail!("tokenizer: the text has no words");
    }
    if size > config.vocab_size {
        bail!("{}", too_small(config, size));
    }
    Ok(inner)
}

fn too_small(config: &TokenizerConfig, needed: usize) -> String {
    format!(
        "tokenizer: a vocabulary of {} is too small for the text's characters: {needed} at least",
        config.vocab_size
    )
}

/// All steps but the model's.
fn with_pipeline(
    model: impl Into<tokenizers::ModelWrapper>,
    config: &TokenizerConfig,
) -> Result<tokenizers::Tokenizer> {
    let mut inner = tokenizers::Tokenizer::new(model);
    inner.with_normalizer(Some(pipeline::normalizer(config)?)).map_err(said)?;
    inner.with_pre_tokenizer(Some(pipeline::pre_tokenizer()?));
    inner.with_decoder(Some(pipeline::metaspace()));
    Ok(inner)
}

fn bpe<S>(texts: impl Iterator<Item = S> + Send, config: &TokenizerConfig) -> Result<tokenizers::Tokenizer>
where
    S: AsRef<str> + Send,
{
    let mut trainer = BpeTrainer::builder()
        .vocab_size(config.vocab_size)
        .min_frequency(config.min_frequency)
        .special_tokens(special_tokens())
        .show_progress(false)
        .build();
    let model = BPE::builder().unk_token(SPECIAL[UNK as usize].to_owned()).fuse_unk(true);
    let mut model = model.build().map_err(said)?;
    let tokenizer = Tokenizer { inner: with_pipeline(BPE::default(), config)? };
    trainer.feed(texts, |text| Ok(tokenizer.words(text))).map_err(said)?;
    let special = trainer.train(&mut model).map_err(said)?;
    let mut inner = tokenizer.inner;
    inner.with_model(model);
    inner.add_special_tokens(special).map_err(said)?;
    Ok(inner)
}

fn unigram<S: AsRef<str>>(
    texts: impl Iterator<Item = S>,
    config: &TokenizerConfig,
) -> Result<tokenizers::Tokenizer> {
    let mut inner = with_pipeline(Unigram::default(), config)?;
    let tokenizer = Tokenizer { inner: inner.clone() };
    let mut words = BTreeMap::<String, u32>::new();
    for text in texts {
        for word in tokenizer.words(text.as_ref()) {
            *words.entry(word).or_default() += 1;
        }
    }
    // Of long words only the characters are learnt: no one wrote them, and they have many times as many parts as characters.
    let (long, mut words): (BTreeMap<_, _>, BTreeMap<_, _>) =
        words.into_iter().partition(|(word, _)| word.chars().count() >= LONGEST_WORD);
    for character in long.keys().flat_map(|word| word.chars()).collect::<BTreeSet<char>>() {
        *words.entry(character.to_string()).or_default() += 1;
    }
    let characters = words.keys().flat_map(|word| word.chars()).collect::<BTreeSet<char>>().len();
    if characters == 0 {
        bail!("tokenizer: the text has no words");
    }
    if SPECIAL.len() + characters > config.vocab_size {
        bail!("{}", too_small(config, SPECIAL.len() + characters));
    }
    let pieces = super::unigram::learn(&words, config.vocab_size - SPECIAL.len());
    let specials = SPECIAL.map(|token| (token.to_owned(), 0.0)).into_iter();
    let model = Unigram::from(specials.chain(pieces).collect(), Some(UNK as usize), false).map_err(said)?;
    inner.with_model(model);
    inner.add_special_tokens(special_tokens()).map_err(said)?;
    Ok(inner)
}

fn special_tokens() -> Vec<AddedToken> {
    SPECIAL.map(|token| AddedToken::from(token, true)).to_vec()
}

fn said(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("tokenizer: {error}")
}
