//! Ctrl-C and SIGTERM: finish the step, save, say how to go on.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

static STOP: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C, SIGTERM and SIGHUP ask the training to stop after the step it is in; a second one ends the
/// program at once.
///
/// # Errors
/// Where the system takes no handler.
pub fn install_stop_signals() -> Result<()> {
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        eprintln!("stopping after this step; once more to stop at once, without saving");
    })
    .context("cannot listen for Ctrl-C")
}

/// Whether the training was asked to stop.
pub fn stop_requested() -> bool {
    STOP.load(Ordering::SeqCst)
}
