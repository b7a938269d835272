//! The options that name text and say how it becomes tokens.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Config, DataConfig, TokenizerSettings};
use crate::data::tokenizer::{Subwords, UnicodeForm};

/// Where the text is.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Text")]
pub(super) struct TextArguments {
    /// Source sentences, one a line, plain or gzip; - is standard input, for one of all texts
    #[arg(long, value_name = "FILE")]
    src: Option<PathBuf>,
    /// Their translations, line by line
    #[arg(long, value_name = "FILE")]
    tgt: Option<PathBuf>,
    /// Source and target in one file, separated by a tab; more columns and lines with # are ignored
    #[arg(long, value_name = "FILE")]
    tsv: Option<PathBuf>,
    /// Source and target in one file, a JSON object a line
    #[arg(long, value_name = "FILE")]
    jsonl: Option<PathBuf>,
    /// Sources to validate with
    #[arg(long, value_name = "FILE")]
    valid_src: Option<PathBuf>,
    /// Their translations
    #[arg(long, value_name = "FILE")]
    valid_tgt: Option<PathBuf>,
    /// Text to validate with, separated by a tab
    #[arg(long, value_name = "FILE")]
    valid_tsv: Option<PathBuf>,
    /// Text to validate with, a JSON object a line
    #[arg(long, value_name = "FILE")]
    valid_jsonl: Option<PathBuf>,
    /// Sources to test with
    #[arg(long, value_name = "FILE")]
    test_src: Option<PathBuf>,
    /// Their translations
    #[arg(long, value_name = "FILE")]
    test_tgt: Option<PathBuf>,
    /// Text to test with, separated by a tab
    #[arg(long, value_name = "FILE")]
    test_tsv: Option<PathBuf>,
    /// Text to test with, a JSON object a line
    #[arg(long, value_name = "FILE")]
    test_jsonl: Option<PathBuf>,
    /// What JSON objects call the source, themselves or in their "translation" [default: source]
    #[arg(long, value_name = "KEY")]
    source_key: Option<String>,
    /// What JSON objects call the target [default: target]
    #[arg(long, value_name = "KEY")]
    target_key: Option<String>,
}

impl TextArguments {
    /// Whether training text is named.
    pub(super) fn names_training(&self) -> bool {
        [&self.src, &self.tgt, &self.tsv, &self.jsonl].iter().any(|path| path.is_some())
    }

    /// Puts these options over the configuration's.
    pub(super) fn apply(&self, data: &mut DataConfig) {
        let parts = [
            [
                (&self.src, &mut data.source),
                (&self.tgt, &mut data.target),
                (&self.tsv, &mut data.tsv),
                (&self.jsonl, &mut data.jsonl),
            ],
            [
                (&self.valid_src, &mut data.valid_source),
                (&self.valid_tgt, &mut data.valid_target),
                (&self.valid_tsv, &mut data.valid_tsv),
                (&self.valid_jsonl, &mut data.valid_jsonl),
            ],
            [
                (&self.test_src, &mut data.test_source),
                (&self.test_tgt, &mut data.test_target),
                (&self.test_tsv, &mut data.test_tsv),
                (&self.test_jsonl, &mut data.test_jsonl),
            ],
        ];
        for part in parts {
            let named: Vec<bool> = part.iter().map(|(from, _)| from.is_some()).collect();
            // Of two files that belong together one may be replaced; a file in another format replaces all.
            let parallel = (named[0] || named[1]) && !named[2] && !named[3];
            for (place, (from, to)) in part.into_iter().enumerate() {
                if from.is_some() || named.contains(&true) && !(parallel && place < 2) {
                    to.clone_from(from);
                }
            }
        }
        for (from, to) in [(&self.source_key, &mut data.source_key), (&self.target_key, &mut data.target_key)]
        {
            if from.is_some() {
                to.clone_from(from);
            }
        }
    }
}

/// How text becomes tokens.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Tokens")]
pub(super) struct TokenArguments {
    /// Lower-case all text, in training and in translating
    #[arg(long)]
    lowercase: bool,
    /// Unicode form of all text, in training and in translating
    #[arg(long, value_name = "FORM")]
    unicode: Option<UnicodeForm>,
    /// Byte-pair encoding or a unigram model
    #[arg(long, value_name = "KIND")]
    subwords: Option<Subwords>,
    /// Subwords of each vocabulary
    #[arg(long, value_name = "N")]
    vocab_size: Option<usize>,
    /// A vocabulary for each language instead of one for both
    #[arg(long)]
    separate_vocab: bool,
    /// Probability that a merge of byte-pair encoding is left out in training
    #[arg(long, value_name = "P")]
    bpe_dropout: Option<f64>,
}

impl TokenArguments {
    /// Puts these options over the configuration's.
    pub(super) fn apply(&self, settings: &mut TokenizerSettings) {
        settings.lowercase |= self.lowercase;
        settings.joint &= !self.separate_vocab;
        settings.vocab_size = self.vocab_size.or(settings.vocab_size);
        settings.unicode = self.unicode.unwrap_or(settings.unicode);
        settings.kind = self.subwords.unwrap_or(settings.kind);
        settings.dropout = self.bpe_dropout.unwrap_or(settings.dropout);
    }
}

/// The configuration to begin with, where no file names one: that of the built-in corpus if no text is named.
pub(super) fn default_config(text: &TextArguments) -> Config {
    if text.names_training() { Config::default() } else { Config::builtin() }
}
