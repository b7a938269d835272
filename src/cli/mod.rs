//! The command line.

mod bench;
mod doctor;
mod evaluate;
mod gradcheck;
mod model;
mod text;
mod train;
mod translate;

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::{Parser, Subcommand};

use crate::decode::Search;

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
    Translate(translate::Arguments),
    Evaluate(evaluate::Arguments),
    Doctor(Box<doctor::Arguments>),
    Gradcheck(gradcheck::Arguments),
    Bench(bench::Arguments),
}

/// Runs the program; the exit code says whether it did what was asked.
pub fn main() -> ExitCode {
    // A reader that has seen enough, such as `head`, ends the program and is no error.
    sigpipe::reset();
    let result = match Cli::parse().command {
        Command::Train(arguments) => train::run(&arguments),
        Command::Translate(arguments) => translate::run(&arguments),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Gradcheck(arguments) => gradcheck::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            // The chain of causes on one line: file first, reason last.
            eprintln!("gradus: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The search that the options name.
fn search(beam: usize, length_penalty: f64) -> Result<Search> {
    let search = Search { beam, length_penalty, ..Search::default() };
    search.validate().map_err(|error| anyhow!("search: {error}"))?;
    Ok(search)
}

/// The number of threads to run, where 0 asks for one a core.
fn thread_count(asked: usize) -> usize {
    match asked {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    }
}
