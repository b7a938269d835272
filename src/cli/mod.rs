//! The command line.

mod attention;
mod average;
mod bench;
mod device;
mod doctor;
mod evaluate;
mod export;
mod gradcheck;
mod import;
mod microscope;
mod model;
mod parse;
mod prompt;
mod report;
mod score;
mod search;
mod tape;
mod text;
mod train;
mod translate;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::note;
use crate::terminal::{Lines, ReaderGone, printable};

/// Trains translation Transformers on an autodiff engine written from scratch.
#[derive(Debug, Parser)]
#[command(name = "gradus", version, about, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(Box<train::Arguments>),
    Average(average::Arguments),
    Translate(translate::Arguments),
    Evaluate(evaluate::Arguments),
    Score(score::Arguments),
    Attention(attention::Arguments),
    Export(export::Arguments),
    Import(import::Arguments),
    Doctor(Box<doctor::Arguments>),
    Gradcheck(gradcheck::Arguments),
    Bench(bench::Arguments),
    Report(report::Arguments),
    Tape(tape::Arguments),
    Microscope(microscope::Arguments),
}

/// Runs the program; the exit code says whether it did what was asked.
pub fn main() -> ExitCode {
    let command = match parse::command_line() {
        Ok(Cli { command }) => command,
        // Help is one of these.
        Err(error) => {
            let code = u8::try_from(error.exit_code()).unwrap_or(1);
            let printed = error.print().and_then(|()| std::io::stdout().flush());
            return ExitCode::from(if printed.is_ok() { code } else { 1 });
        }
    };
    let result = match command {
        Command::Train(arguments) => train::run(&arguments),
        Command::Average(arguments) => average::run(&arguments),
        Command::Translate(arguments) => translate::run(&arguments),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
        Command::Score(arguments) => score::run(&arguments),
        Command::Attention(arguments) => attention::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Gradcheck(arguments) => gradcheck::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Tape(arguments) => tape::run(&arguments),
        Command::Microscope(arguments) => microscope::run(&arguments),
    };
    match result {
        Ok(code) => code,
        // A reader that has seen enough, such as `head`, ends the program and is no error.
        Err(error) if error.is::<ReaderGone>() => ExitCode::SUCCESS,
        Err(error) => {
            // The chain of causes on one line, whatever a file's name holds: file first, reason last.
            note!("gradus: {}", printable(&format!("{error:#}"), Lines::Joined));
            ExitCode::FAILURE
        }
    }
}

/// The number of threads to run, where 0 asks for one a core.
fn thread_count(asked: usize) -> usize {
    match asked {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    }
}
