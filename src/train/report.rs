//! What a person sees while training runs: on standard error.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::note;

/// A progress bar where there is a terminal, lines now and then where there is none.
#[derive(Debug)]
pub struct Reporter {
    bar: ProgressBar,
    last_line: Instant,
}

/// How long a reader of a log waits for a sign of life.
const QUIET: Duration = Duration::from_secs(30);

/// Ticks of a whole bar.
const TICKS: u64 = 1000;

impl Reporter {
    /// A bar that is empty.
    pub fn new() -> Self {
        let bar = ProgressBar::with_draw_target(Some(TICKS), ProgressDrawTarget::stderr_with_hz(4));
        let style = ProgressStyle::with_template(
            "{bar:24.cyan/black} {percent:>3}% {msg}  {elapsed} passed, {eta} left",
        );
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, last_line: Instant::now() }
    }

    /// Moves the bar to `fraction` of the way and shows `status` beside it.
    pub fn progress(&mut self, fraction: f64, status: &str) {
        let position = (fraction.clamp(0.0, 1.0) * TICKS as f64) as u64;
        if std::io::stderr().is_terminal() {
            self.bar.set_position(position);
            self.bar.set_message(status.to_owned());
        } else if self.last_line.elapsed() >= QUIET {
            self.line(&format!("{:>3.0}%  {status}", 100.0 * fraction.clamp(0.0, 1.0)));
        }
    }

    /// Prints a line above the bar.
    pub fn line(&mut self, text: &str) {
        self.last_line = Instant::now();
        self.bar.suspend(|| note!("{text}"));
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Default for Reporter {
    fn default() -> Self {
        Self::new()
    }
}

/// A bar that counts translated sentences.
#[derive(Debug)]
pub struct SentenceBar {
    bar: ProgressBar,
}

impl SentenceBar {
    /// A bar for `total` sentences.
    pub fn new(total: usize) -> Self {
        let bar = ProgressBar::new(total as u64);
        let style = ProgressStyle::with_template("{bar:24.cyan/black} {pos} of {len} sentences  {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar }
    }

    /// `count` more are done.
    pub fn done(&self, count: usize) {
        self.bar.inc(count as u64);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// `1234567` as `1,234,567`.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
