//! Ctrl-C, SIGTERM and a terminal that is closed: finish the step, save, say how to go on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use super::run::Run;
use crate::note;

static STOP: AtomicBool = AtomicBool::new(false);

/// What a signal meets.
static STAGE: Mutex<Stage> = Mutex::new(Stage::Preparing(None));

enum Stage {
    /// Before the first step there is nothing to save. The run that is about to begin, if there is one yet.
    Preparing(Option<Run>),
    /// Steps are taken.
    Training,
}

/// The exit code of a program that Ctrl-C has ended.
pub const STOPPED: u8 = 130;

/// From now on Ctrl-C, SIGTERM and SIGHUP ask the training to stop after the step it is in, and to save; a second one ends
/// the program at once. Before the first step one is enough. What was ignored when the program started (SIGHUP under
/// `nohup`, SIGINT in the background of a shell) stays ignored.
///
/// # Errors
/// Where the system takes no handler.
pub fn install_stop_signals() -> Result<()> {
    listen(stop).context("cannot listen for signals")
}

/// Makes a run that is about to begin: until it does, a signal discards it.
///
/// # Errors
/// Those of `make`.
pub fn prepare(make: impl FnOnce() -> Result<Run>) -> Result<Run> {
    // Held meanwhile, so that no signal finds a folder that is made and not known here.
    let mut stage = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let run = make()?;
    if let Stage::Preparing(known) = &mut *stage {
        *known = Some(run.clone());
    }
    Ok(run)
}

/// Says that steps are taken from now on: a signal is heeded after the step it comes in.
pub(super) fn training_begins() {
    *STAGE.lock().unwrap_or_else(PoisonError::into_inner) = Stage::Training;
}

/// Whether the training was asked to stop.
pub fn stop_requested() -> bool {
    STOP.load(Ordering::SeqCst)
}

fn stop() {
    // Held until the program has ended, so that no step is taken meanwhile.
    let stage = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Stage::Preparing(run) = &*stage {
        run.iter().for_each(Run::discard);
        note!("stopped before the first step; there is nothing to save");
        std::process::exit(STOPPED.into());
    }
    if STOP.swap(true, Ordering::SeqCst) {
        std::process::exit(STOPPED.into());
    }
    note!("stopping after this step; once more to stop at once, without saving");
}

/// Calls `heed` on a thread of its own for every signal.
#[cfg(unix)]
fn listen(heed: fn()) -> std::io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let heeded = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| !is_ignored(signal));
    let mut signals = signal_hook::iterator::Signals::new(heeded)?;
    let listener = move || signals.forever().for_each(|_| heed());
    std::thread::Builder::new().name("signals".to_owned()).spawn(listener).map(drop)
}

#[cfg(not(unix))]
fn listen(heed: fn()) -> Result<()> {
    Ok(ctrlc::set_handler(heed)?)
}

/// Whether this process was started with a signal ignored. Linux says so; elsewhere it is known of `nohup` that it takes
/// standard error away from a terminal.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    use std::io::IsTerminal;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    match mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()) {
        Some(mask) => mask >> (signal - 1) & 1 == 1,
        None => signal == signal_hook::consts::SIGHUP && !std::io::stderr().is_terminal(),
    }
}
