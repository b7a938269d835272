//! What mutations begin with.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use gradus::checkpoint::{Array, Checkpoint, Training, weights_of};
use gradus::config::Config;
use gradus::data::tokenizer::{Tokenizer, TokenizerConfig};
use gradus::nn::{Init, Transformer};

/// The corpus of a target.
pub(crate) fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// The files of a corpus, by name.
pub(crate) fn of(target: &str) -> Vec<Vec<u8>> {
    let files: BTreeMap<_, _> = (fs::read_dir(folder(target)).unwrap())
        .map(|file| file.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    assert!(!files.is_empty(), "{target} has no corpus");
    files.into_values().collect()
}

const MODEL: &str =
    "[model]\nd_model = 4\nffn = 6\nheads = 2\nencoder_layers = 1\ndecoder_layers = 1\nmax_length = 8\n";

/// Payloads of small checkpoints: one to translate with, one of a training, one of a training with a moving average.
pub(crate) fn checkpoints() -> Vec<(&'static str, Vec<u8>)> {
    let settings = TokenizerConfig { vocab_size: 24, ..TokenizerConfig::default() };
    let tokenizer = Tokenizer::train(["a man", "the man"].iter(), &settings).unwrap();
    let weights_by = |config: &str, seed| {
        let model = Config::from_toml(config).unwrap().model;
        let size = tokenizer.vocab_size();
        let (architecture, _) = model.resolve(size, size, true).unwrap();
        weights_of(&Transformer::<f32>::new(&architecture, &mut Init::seeded(seed)))
    };
    let json: serde_json::Value = serde_json::from_str(&tokenizer.to_json().unwrap()).unwrap();
    let of = |config: String, training: Option<Training>| {
        let weights = weights_by(&config, 1);
        let source_tokenizer = json.to_string();
        let checkpoint = Checkpoint { config, source_tokenizer, target_tokenizer: None, weights, training };
        let file = tempfile::NamedTempFile::new().unwrap();
        checkpoint.save(file.path()).unwrap();
        let bytes = fs::read(file.path()).unwrap();
        let header = gradus::checkpoint::framed(&[]).len();
        bytes[header..].to_vec()
    };
    let training = |config: &str, averaged: bool| {
        let weights = weights_by(config, 2);
        let square =
            |array: &Array| Array { data: array.data.iter().map(|x| x * x).collect(), ..array.clone() };
        let moments = weights.iter().take(3).map(|(path, mean)| (path.clone(), (mean.clone(), square(mean))));
        Training {
            averaged: averaged.then(|| (weights.clone(), 300)),
            adam_steps: 300,
            moments: moments.collect(),
            progress: gradus::checkpoint::Progress { step: 300, best: Some(1.5), ..Default::default() },
            metrics: vec!["{\"kind\":\"train\",\"step\":20,\"loss\":3.5}".into()],
            recent: vec![weights_by(config, 3)],
            spikes: Default::default(),
            data_checksum: 70_000,
        }
    };
    let averaged = format!("{MODEL}[train]\nema = 0.9\n");
    vec![
        ("translates", of(MODEL.to_owned(), None)),
        ("trains", of(MODEL.to_owned(), Some(training(MODEL, false)))),
        ("averages", of(averaged.clone(), Some(training(&averaged, true)))),
    ]
}
