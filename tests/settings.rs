//! Claim: whatever number a setting or an option is given, the program works with it or says in one line which one is wrong.

use std::any::TypeId;
use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Output};

use clap::CommandFactory;
use clap::builder::ValueParser;
use gradus::autograd::Parameters;
use gradus::cli::Cli;
use gradus::config::{Config, DataConfig, ModelConfig, TokenizerSettings, TrainConfig};
use gradus::nn::{Dropouts, Positions};
use gradus::optim::Schedule;
use gradus::train::{Corpora, Prepared, Run, Trainer};
use toml::Value;

use crate::program::{run, small_project};

/// What every number is replaced by.
const NUMBERS: [&str; 10] = [
    "0",
    "-1",
    "nan",
    "inf",
    "-inf",
    "9223372036854775807",
    "18446744073709551615",
    "1.7976931348623157e308",
    "5e-324",
    "0.9999999999999999",
];

/// A configuration in which every number is set, of a training of two steps that takes a few milliseconds.
fn full(tsv: &Path, positions: Positions, schedule: Schedule) -> Config {
    let config = Config {
        data: DataConfig { tsv: Some(tsv.to_owned()), max_length: 16, ..DataConfig::default() },
        tokenizer: TokenizerSettings { vocab_size: Some(40), dropout: 0.1, ..TokenizerSettings::default() },
        model: ModelConfig {
            d_model: Some(8),
            ffn: Some(8),
            heads: Some(2),
            encoder_layers: Some(1),
            decoder_layers: Some(1),
            positions: Some(positions),
            max_length: Some(16),
            dropout: Some(Dropouts { attention: 0.1, activation: 0.1, ..Dropouts::all(0.1) }),
            ..ModelConfig::default()
        },
        train: TrainConfig {
            batch_tokens: 40,
            accumulate: 2,
            threads: 1,
            schedule,
            steps: Some(2),
            epochs: Some(1),
            minutes: Some(10.0),
            patience: Some(5),
            validate_every: 1,
            validate_sentences: 1,
            log_every: 1,
            save_every: 1,
            keep: 1,
            ema: Some(0.9),
            audit: false,
            average: 2,
            r_drop: 0.5,
            ..TrainConfig::default()
        },
    };
    let model = config.model.resolve(40, 40, true).unwrap().1;
    Config { model, ..config }
}

/// The places of all numbers.
fn numbers(value: &Value, place: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let mut within = |name: String, value: &Value| {
        place.push(name);
        numbers(value, place, found);
        place.pop();
    };
    match value {
        Value::Integer(_) | Value::Float(_) => found.push(place.clone()),
        Value::Table(fields) => fields.iter().for_each(|(name, value)| within(name.clone(), value)),
        Value::Array(entries) => {
            entries.iter().enumerate().for_each(|(number, value)| within(number.to_string(), value));
        }
        _ => {}
    }
}

/// The TOML of `config` with another number at this place.
fn with(config: &Value, place: &[String], number: &str) -> String {
    const MARK: i64 = 777_777_777_777;
    let mut config = config.clone();
    let mut at = &mut config;
    for name in place {
        at = match name.parse::<usize>() {
            Ok(number) => &mut at.as_array_mut().unwrap()[number],
            Err(_) => &mut at[name.as_str()],
        };
    }
    *at = Value::Integer(MARK);
    toml::to_string(&config).unwrap().replace(&MARK.to_string(), number)
}

/// Trains with this configuration, as the program does. All parameters are finite afterwards.
fn train(text: &str, folder: &Path) -> anyhow::Result<()> {
    let mut config = Config::from_toml(text)?;
    config.validate()?;
    config.fill_defaults();
    let mut corpora = Corpora::read(&config.data, config.train.seed)?;
    let data = Prepared::new(&mut corpora, &config, None)?;
    let _ = fs::remove_dir_all(folder);
    let mut trainer = Trainer::new(config, Run::create(folder, false)?, corpora, data)?;
    trainer.train()?;
    assert!(trainer.steps() >= 1);
    let finite = |x: &f32| x.is_finite();
    assert!(
        trainer.model().parameters().iter().all(|(_, param)| param.value().as_slice().iter().all(finite))
    );
    Ok(())
}

/// What is wrong with how `number` was taken at this place; nothing where it trains or is refused by name.
fn fault(config: &Value, place: &[String], number: &str, folder: &Path) -> Option<String> {
    let text = with(config, place, number);
    let said = match catch_unwind(AssertUnwindSafe(|| train(&text, folder))) {
        Ok(Ok(())) => return None,
        Ok(Err(error)) => format!("{error:#}"),
        Err(_) => "it panics".to_owned(),
    };
    // Of what has parts, the whole is named: where serde reads a schedule, it does not know the place.
    let shown = if ["schedule", "betas"].contains(&place[1].as_str()) { &place[..2] } else { place };
    let named = said.contains(&shown.join(".")) && !said.contains('\n');
    (!named).then(|| format!("{} = {number}: {said}", place.join(".")))
}

/// A folder with two dozen pairs of sentences.
fn text() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let words = ["one", "two", "three", "four", "five"];
    let line = |i: usize| (0..1 + i % 4).map(|k| words[(i * 3 + k) % 5]).collect::<Vec<_>>().join(" ");
    let lines: String = (0..24).map(|i| format!("{}\t{}\n", line(i), line(i + 1))).collect();
    fs::write(folder.path().join("text.tsv"), lines).unwrap();
    folder
}

const INVERSE_SQRT: Schedule = Schedule::InverseSqrt { peak: 1e-3, warmup: 2 };

#[test]
fn every_number_of_a_configuration_is_refused_by_name_or_trains() {
    let folder = text();
    let (tsv, out) = (folder.path().join("text.tsv"), folder.path().join("run"));
    let mut faults = Vec::new();
    let mut try_all = |config: &Config, chosen: &dyn Fn(&[String]) -> bool| {
        let config = Value::try_from(config).unwrap();
        let mut places = Vec::new();
        numbers(&config, &mut Vec::new(), &mut places);
        places.retain(|place| chosen(place));
        assert!(!places.is_empty());
        train(&toml::to_string(&config).unwrap(), &out).unwrap();
        for place in places {
            faults.extend(NUMBERS.iter().filter_map(|number| fault(&config, &place, number, &out)));
        }
    };
    try_all(&full(&tsv, Positions::Sinusoidal, INVERSE_SQRT), &|_| true);
    try_all(&full(&tsv, Positions::Learned, INVERSE_SQRT), &|place| place.concat().contains("length"));
    for schedule in [
        Schedule::Constant { rate: 1e-3 },
        Schedule::Noam { d_model: 8, warmup: 2, factor: 1.0 },
        Schedule::Cosine { peak: 1e-3, warmup: 2, total: 9, floor: 1e-4 },
        Schedule::Linear { peak: 1e-3, warmup: 2, total: 9, floor: 1e-4 },
    ] {
        try_all(&full(&tsv, Positions::Sinusoidal, schedule), &|place| place[1] == "schedule");
    }
    assert!(faults.is_empty(), "{} of them:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn the_table_of_settings_has_every_key() {
    let config = Value::try_from(full(Path::new("text.tsv"), Positions::Learned, INVERSE_SQRT)).unwrap();
    let files = ["source", "target", "tsv", "jsonl", "key"];
    for section in ["data", "tokenizer", "model", "model.dropout", "train"] {
        let error = Config::from_toml(&format!("[{section}]\nno_such_key = 1\n")).unwrap_err().to_string();
        let keys: Vec<&str> = error.split('`').skip(3).step_by(2).collect();
        assert!(error.contains("unknown field `no_such_key`") && keys.len() > 3, "{error}");
        let table = section.split('.').fold(&config, |at, name| &at[name]);
        for key in keys {
            // Text and patterns, which are left out where there are none.
            let is_file = section == "data" && files.iter().any(|part| key.ends_with(part));
            let absent = is_file || key == "freeze";
            assert!(absent || table.get(key).is_some(), "{section}.{key} is in no test of settings");
        }
    }
}

#[test]
fn sizes_of_a_configuration_that_no_memory_holds_are_weighed_before_they_are_made() {
    let folder = text();
    let config = full(&folder.path().join("text.tsv"), Positions::Sinusoidal, INVERSE_SQRT);
    let config = Value::try_from(config).unwrap();
    for (key, number, d_model) in [("d_model", "1000000", 8), ("ffn", "16000000", 1024)] {
        let place = ["model".to_owned(), key.to_owned()];
        let mut config = config.clone();
        config["model"]["d_model"] = Value::Integer(d_model);
        let said = train(&with(&config, &place, number), &folder.path().join("run")).unwrap_err().to_string();
        let begins = format!("model.{key} = {number}: this model would take ");
        assert!(said.starts_with(&begins) && said.contains("; there are "), "{said}");
        assert!(!folder.path().join("run").exists(), "a run that did not begin has left a folder");
    }
}

/// The numbers that options are tried with: all for one that takes a fraction, of which clap refuses most for a count.
fn numbers_for(parser: &ValueParser) -> &'static [&'static str] {
    let is = |kind: TypeId| parser.type_id() == kind;
    if is(TypeId::of::<f64>()) || is(TypeId::of::<f32>()) {
        return &NUMBERS;
    }
    let counts = [TypeId::of::<usize>(), TypeId::of::<u64>(), TypeId::of::<u32>(), TypeId::of::<i64>()];
    if counts.into_iter().any(is) {
        &["0", "-1", "nan", "9223372036854775807", "18446744073709551615"]
    } else {
        &[]
    }
}

/// How a command is called so that it does little, and the option means something.
fn usual<'a>(command: &str, option: &str) -> &'a [&'a str] {
    match (command, option) {
        ("train", _) => {
            &["--config", "small.toml", "--out", "new", "--steps", "2", "--epochs", "1", "--no-audit"]
        }
        ("average", _) => &["run", "--last", "1", "--out", "mean.gradus"],
        ("translate", "temperature" | "top-k" | "top-p" | "seed") => {
            &["--model", "run", "--input", "in.txt", "--sample", "--max-length", "5"]
        }
        ("translate", _) => &["--model", "run", "--input", "in.txt", "--max-length", "5"],
        ("evaluate", _) => {
            &["--model", "run", "--src", "in.txt", "--ref", "in.txt", "--bootstrap", "5", "--max-length", "5"]
        }
        ("score", _) => &["--model", "run", "--src", "in.txt", "--tgt", "in.txt"],
        ("attention", _) => {
            &["--model", "run", "--source", "one two", "--out", "a.html", "--max-length", "5"]
        }
        ("doctor", _) => &["--config", "small.toml"],
        ("gradcheck", "step") => &["--truth", "--model", "run", "--threads", "1"],
        ("gradcheck", _) => &["scale", "--threads", "1"],
        ("bench", _) => {
            &["--only", "train", "--steps", "1", "--warmup", "0", "--threads", "1", "--dropout", "0.1"]
        }
        ("microscope", "attention-dropout") => {
            &["--model", "run", "--source", "one", "--target", "one", "--out", "page.html"]
        }
        ("microscope", _) => &["--builtin", "--steps", "1", "--threads", "1", "--out", "page.html"],
        _ => panic!("{command} --{option}: how is it called?"),
    }
}

/// The usual arguments with another value of one option.
fn changed(arguments: &[&str], option: &str, number: &str) -> Vec<String> {
    let flag = format!("--{option}");
    let mut all: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    if let Some(place) = all.iter().position(|argument| *argument == flag) {
        all.drain(place..place + 2);
    }
    // What looks like an option is given in a way that leaves no doubt.
    if number == "-inf" {
        all.push(format!("{flag}={number}"));
    } else {
        all.extend([flag, number.to_owned()]);
    }
    all
}

/// Runs the program where there are 12 GB for it, as far as the system can be told so.
fn run_within(folder: &Path, command: &str, arguments: &[String]) -> Output {
    let program = env!("CARGO_BIN_EXE_gradus");
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -v 12000000; ulimit -c 0; exec \"$@\"", "sh", program, command]);
    shell.current_dir(folder).args(arguments).stdin(std::process::Stdio::null()).output().unwrap()
}

#[test]
fn every_number_of_an_option_is_refused_by_name_or_taken() {
    let project = small_project();
    let folder = project.path();
    fs::write(folder.join("in.txt"), "one two.\nthree\n").unwrap();
    let trained =
        run(folder, &["train", "--config", "small.toml", "--out", "run", "--steps", "2", "--keep", "1"]);
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    let (mut faults, mut tried) = (Vec::new(), BTreeSet::new());
    for command in Cli::command().get_subcommands() {
        for argument in command.get_arguments() {
            let Some(option) = argument.get_long() else { continue };
            for number in numbers_for(argument.get_value_parser()) {
                let name = command.get_name();
                let arguments = changed(usual(name, option), option, number);
                tried.insert(format!("{name} --{option}"));
                let _ = fs::remove_dir_all(folder.join("new"));
                let output = run_within(folder, name, &arguments);
                let stderr = String::from_utf8_lossy(&output.stderr);
                let last = stderr.lines().last().unwrap_or_default();
                let of = match option {
                    "rate" => "train.schedule: peak".to_owned(),
                    "bpe-dropout" => "tokenizer.dropout".to_owned(),
                    option => option.replace('-', "_"),
                };
                let names = |line: &str| line.contains(&of) || line.contains(&format!("--{option}"));
                let right = match output.status.code() {
                    Some(0) => true,
                    // A report may say that a text cannot be trained with, a check that something is wrong.
                    Some(1) if !output.stdout.is_empty() => ["doctor", "gradcheck"].contains(&name),
                    Some(1) => last.starts_with("gradus: ") && names(last),
                    Some(2) => stderr
                        .lines()
                        .next()
                        .is_some_and(|line| line.starts_with("error: invalid value") && names(line)),
                    _ => false,
                };
                if !right || stderr.contains("panicked") {
                    faults.push(format!("{name} --{option} {number}: {:?}: {stderr}", output.status.code()));
                }
            }
        }
    }
    assert!(tried.len() > 50, "{tried:?}");
    assert!(faults.is_empty(), "{} of them:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn wrong_settings_of_a_file_are_named_with_their_line() {
    let project = small_project();
    let folder = project.path();
    let settings = fs::read_to_string(folder.join("small.toml")).unwrap();
    let said = |line: &str| {
        fs::write(folder.join("wrong.toml"), format!("{settings}{line}\n")).unwrap();
        crate::program::complaint(
            folder,
            &["train", "--config", "wrong.toml", "--out", "new", "--steps", "2"],
        )
    };
    let line = 1 + settings.matches('\n').count();
    for (setting, expected) in [
        ("shards = -1", "train.shards: invalid value: integer `-1`, expected usize"),
        ("steps = nan", "train.steps: invalid type: floating point `NaN`, expected u64"),
        ("schedule = { kind = \"noam\", d_model = 8, warmup = -2, factor = 1.0 }", "train.schedule: "),
    ] {
        let said = said(setting);
        assert!(said.contains(&format!("wrong.toml: line {line}: {expected}")), "{said}");
    }
    for (setting, expected) in [
        ("clip = nan", "train.clip = NaN is not a number of at least 0"),
        ("epsilon = 0.0", "train.epsilon = 0e0 is not from 1e-37 to 1"),
        ("weight_decay = inf", "train.weight_decay = inf is not a number of at least 0"),
        ("shards = 9223372036854775807", "train.shards = 9223372036854775807 is more than 1024"),
        ("threads = 4096", "train.threads = 4096 is more than 1024"),
        ("schedule = { kind = \"constant\", rate = 1e31 }", "train.schedule: rate = 1e31 is more than 1e30"),
    ] {
        let said = said(setting);
        assert!(said.contains(expected), "{said}");
    }
    assert!(!folder.join("new").exists(), "a run that did not begin has left a folder");
    let seed = ["train", "--config", "small.toml", "--out", "new", "--seed", "9223372036854775808"];
    let seed = crate::program::complaint(folder, &seed);
    assert!(seed.contains("train.seed = 9223372036854775808 is more than 9223372036854775807"), "{seed}");
}
