//! Reading the command line.

use clap::builder::RangedU64ValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, Error, FromArgMatches};

use super::Cli;
use crate::config::limits::MAX_THREADS;

/// What the command line asks for.
///
/// # Errors
/// What clap has to say of it; help is one of these.
pub(super) fn command_line() -> Result<Cli, Error> {
    read(std::env::args_os())
}

fn read(words: impl IntoIterator<Item = impl Into<std::ffi::OsString> + Clone>) -> Result<Cli, Error> {
    let mut command = negative_numbers_are_values(Cli::command());
    let matches = command.try_get_matches_from_mut(words);
    let read = matches.and_then(|matches| Cli::from_arg_matches(&matches));
    read.map_err(|error| name_negative(error, &mut command))
}

/// The command with `-1` behind an option taken for its value, not for an option of that name.
fn negative_numbers_are_values(command: Command) -> Command {
    command
        .mut_args(|argument| {
            let takes_values = argument.get_action().takes_values();
            if takes_values { argument.allow_negative_numbers(true) } else { argument }
        })
        .mut_subcommands(negative_numbers_are_values)
}

/// Says of a negative number that it is one, instead of an invalid digit.
fn name_negative(error: Error, command: &mut Command) -> Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    if error.kind() == ErrorKind::ValueValidation
        && let Some(value) = text(ContextKind::InvalidValue)
        && let Some(option) = text(ContextKind::InvalidArg)
        // What else can be wrong with it has words of its own.
        && error.to_string().contains("invalid digit")
        && value.strip_prefix('-').is_some_and(|digits| digits.parse::<f64>().is_ok())
    {
        let said = format!("invalid value '{value}' for '{option}': it must not be negative");
        return Error::raw(ErrorKind::ValueValidation, said).format(command);
    }
    error
}

/// A number of threads; 0 for one a core.
///
/// # Errors
/// Where it is no number, or more than [`MAX_THREADS`].
pub(super) fn threads(text: &str) -> Result<usize, String> {
    let asked = text.parse::<usize>().map_err(|error| error.to_string())?;
    if asked > MAX_THREADS {
        return Err(format!("at most {MAX_THREADS} threads"));
    }
    Ok(asked)
}

/// A number of training steps that someone waits for.
pub(super) fn steps<N: TryFrom<u64> + Clone + Send + Sync + 'static>() -> RangedU64ValueParser<N> {
    RangedU64ValueParser::new().range(..=1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(words: &[&str]) -> String {
        read([&["gradus"], words].concat()).unwrap_err().to_string()
    }

    #[test]
    fn a_negative_number_is_a_value_of_every_option_of_every_command() {
        let command = negative_numbers_are_values(Cli::command());
        let mut tried = 0;
        for sub in command.get_subcommands() {
            for argument in sub.get_arguments().filter(|argument| argument.get_action().takes_values()) {
                let Some(long) = argument.get_long() else { continue };
                for value in ["-1", "-0.5", "-1e3"] {
                    if let Err(error) = read(["gradus", sub.get_name(), &format!("--{long}"), value]) {
                        let said = error.to_string();
                        assert!(
                            !said.contains("unexpected argument") && !said.contains("invalid digit"),
                            "{} --{long} {value}: {said}",
                            sub.get_name()
                        );
                    }
                }
                tried += 1;
            }
        }
        assert!(tried > 100, "{tried}");
        let said = complaint(&["translate", "--model", "run", "--beam", "-3"]);
        assert!(said.contains("invalid value '-3' for '--beam <N>': it must not be negative"), "{said}");
        let said = complaint(&["evaluate", "--hyp", "a", "--ref", "b", "--tokenize", "-3"]);
        assert!(said.contains("unknown tokenisation \"-3\""), "{said}");
    }

    #[test]
    fn more_threads_or_steps_than_anyone_means_are_refused_by_every_command() {
        let command = Cli::command();
        let with_threads = command
            .get_subcommands()
            .filter(|sub| sub.get_arguments().any(|argument| argument.get_long() == Some("threads")));
        let mut tried = 0;
        for sub in with_threads {
            for count in ["1025", "18446744073709551615"] {
                let said = complaint(&[sub.get_name(), "--threads", count]);
                assert!(said.contains("at most 1024 threads"), "{} {count}: {said}", sub.get_name());
            }
            tried += 1;
        }
        assert!(tried >= 7, "{tried}");
        for words in [["bench", "--steps"], ["bench", "--warmup"]] {
            let said = complaint(&[&words[..], &["18446744073709551615"]].concat());
            assert!(said.contains("18446744073709551615 is not in 0..=1000000"), "{said}");
        }
        assert!(
            complaint(&["microscope", "--builtin", "--steps", "1000001"]).contains("is not in 0..=1000000")
        );
    }
}
