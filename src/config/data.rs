//! Settings of the text.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::data::corpus::{Files, at_most_one_is_standard_input, is_standard_input};

/// Where the text comes from. With nothing named, the built-in corpus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// Source sentences, one a line, plain or gzip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<PathBuf>,
    /// Their translations, line by line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<PathBuf>,
    /// Source and target in one file, separated by a tab.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tsv: Option<PathBuf>,
    /// Source and target in one file, a JSON object a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jsonl: Option<PathBuf>,
    /// Sources to validate with; without them, a part of the training text is held out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_source: Option<PathBuf>,
    /// Their translations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_target: Option<PathBuf>,
    /// Both, separated by a tab.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_tsv: Option<PathBuf>,
    /// Both, a JSON object a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_jsonl: Option<PathBuf>,
    /// Sources to test the finished model with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_source: Option<PathBuf>,
    /// Their translations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_target: Option<PathBuf>,
    /// Both, separated by a tab.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_tsv: Option<PathBuf>,
    /// Both, a JSON object a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_jsonl: Option<PathBuf>,
    /// What JSON objects call the source: `source`, if it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_key: Option<String>,
    /// What JSON objects call the target: `target`, if it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_key: Option<String>,
    /// The longest sentence, in tokens, that is used in training.
    pub max_length: usize,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            source: None,
            target: None,
            tsv: None,
            jsonl: None,
            valid_source: None,
            valid_target: None,
            valid_tsv: None,
            valid_jsonl: None,
            test_source: None,
            test_target: None,
            test_tsv: None,
            test_jsonl: None,
            source_key: None,
            target_key: None,
            max_length: 128,
        }
    }
}

/// The options that name one part of the text, in the order of [`Files`].
const FLAGS: [[&str; 4]; 3] = [
    ["--src", "--tgt", "--tsv", "--jsonl"],
    ["--valid-src", "--valid-tgt", "--valid-tsv", "--valid-jsonl"],
    ["--test-src", "--test-tgt", "--test-tsv", "--test-jsonl"],
];

impl DataConfig {
    /// Whether no data is named.
    pub fn is_builtin(&self) -> bool {
        self.training().is_none()
    }

    /// The files to train with.
    pub fn training(&self) -> Option<Files> {
        self.files([&self.source, &self.target, &self.tsv, &self.jsonl])
    }

    /// The files to validate with.
    pub fn validation(&self) -> Option<Files> {
        self.files([&self.valid_source, &self.valid_target, &self.valid_tsv, &self.valid_jsonl])
    }

    /// The files to test with.
    pub fn test(&self) -> Option<Files> {
        self.files([&self.test_source, &self.test_target, &self.test_tsv, &self.test_jsonl])
    }

    /// Looks for text at relative paths, first from the working folder and then from the folders that `run`, a run or a file of
    /// one, lies in, from the innermost out. The files of a part, such as those to validate with, are found together or not at
    /// all; paths from the working folder and those of what is not found stay as they are.
    pub fn locate(&mut self, run: &Path) {
        let run = std::fs::canonicalize(run).unwrap_or_else(|_| run.to_owned());
        for mut part in self.parts_mut() {
            let named = || part.iter().filter_map(|path| path.as_deref());
            if named().all(Path::exists) {
                continue;
            }
            let holds = |folder: &&Path| named().all(|path| folder.join(path).exists());
            if let Some(folder) = run.ancestors().find(holds) {
                for path in part.iter_mut().filter_map(|path| path.as_mut()) {
                    *path = folder.join(&*path);
                }
            }
        }
    }

    /// The first relative path at which there is nothing.
    pub fn missing(&self) -> Option<&Path> {
        let paths = self.parts().into_iter().flatten().filter_map(|path| path.as_deref());
        paths.into_iter().find(|path| path.is_relative() && !is_standard_input(path) && !path.exists())
    }

    /// The files to train, to validate and to test with.
    fn parts(&self) -> [[&Option<PathBuf>; 4]; 3] {
        [
            [&self.source, &self.target, &self.tsv, &self.jsonl],
            [&self.valid_source, &self.valid_target, &self.valid_tsv, &self.valid_jsonl],
            [&self.test_source, &self.test_target, &self.test_tsv, &self.test_jsonl],
        ]
    }

    fn parts_mut(&mut self) -> [[&mut Option<PathBuf>; 4]; 3] {
        [
            [&mut self.source, &mut self.target, &mut self.tsv, &mut self.jsonl],
            [&mut self.valid_source, &mut self.valid_target, &mut self.valid_tsv, &mut self.valid_jsonl],
            [&mut self.test_source, &mut self.test_target, &mut self.test_tsv, &mut self.test_jsonl],
        ]
    }

    fn files(&self, named: [&Option<PathBuf>; 4]) -> Option<Files> {
        let key = |key: &Option<String>, default: &str| key.clone().unwrap_or_else(|| default.to_owned());
        match named.map(Clone::clone) {
            [Some(source), Some(target), ..] => Some(Files::Parallel { source, target }),
            [_, _, Some(path), _] => Some(Files::Tsv(path)),
            [_, _, _, Some(path)] => Some(Files::Jsonl {
                path,
                source_key: key(&self.source_key, "source"),
                target_key: key(&self.target_key, "target"),
            }),
            _ => None,
        }
    }

    pub(super) fn validate(&self) -> Result<()> {
        let parts = self.parts();
        for (named, [source, target, tsv, jsonl]) in parts.iter().zip(FLAGS) {
            let both = format!("{source} and {target}");
            match named.map(Option::is_some) {
                [true, false, ..] => bail!("{source} needs {target}"),
                [false, true, ..] => bail!("{target} needs {source}"),
                [true, _, true, _] => bail!("{tsv} holds both sides: it does not go with {both}"),
                [true, _, _, true] => bail!("{jsonl} holds both sides: it does not go with {both}"),
                [_, _, true, true] => bail!("{tsv} and {jsonl} are two texts: name one"),
                _ => {}
            }
        }
        if self.is_builtin() && (self.validation().is_some() || self.test().is_some()) {
            bail!(
                "validation or test text is named, but no training text: name --src and --tgt, --tsv or --jsonl"
            );
        }
        let named = parts.iter().flatten().map(|path| path.as_deref());
        at_most_one_is_standard_input(FLAGS.into_iter().flatten().zip(named))?;
        let jsonl = [&self.jsonl, &self.valid_jsonl, &self.test_jsonl];
        if (self.source_key.is_some() || self.target_key.is_some()) && jsonl.iter().all(|path| path.is_none())
        {
            bail!("--source-key and --target-key are of JSON objects: name --jsonl");
        }
        if self.max_length < 2 {
            bail!("data.max_length = {} has no room for a token and the end", self.max_length);
        }
        Ok(())
    }
}
