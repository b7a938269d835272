//! The options of `gradus train`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use nn::{Dropouts, Preset};
use optim::Schedule;

use crate::cli::device::DeviceArgument;
use crate::cli::text::{TextArguments, TokenArguments};
use crate::config::{Config, Metric};
use crate::train::Reset;

/// Train a translation model; with no text named, on the built-in English-French corpus
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gradus train
  gradus train --src train.en.gz --tgt train.de.gz --valid-src val.en.gz --valid-tgt val.de.gz \\
               --preset tiny --lowercase --minutes 20 --out runs/en-de
  gradus train --resume runs/en-de --minutes 40 --device cpu
  gradus train --init-from runs/en-de --src new.en --tgt new.de --epochs 5 --freeze 'encoder.*'
  gradus train --init-from runs/a/checkpoints/last.gradus --reset optimizer,schedule --steps 9000")]
pub(in crate::cli) struct Arguments {
    /// Settings in TOML; options on the command line go before it
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    pub(super) text: TextArguments,
    #[command(flatten)]
    tokens: TokenArguments,
    /// Named size of the model: tiny, small or base
    #[arg(long, value_name = "NAME")]
    preset: Option<Preset>,
    /// Folder of the run
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Write over files in that folder that are of no run
    #[arg(long, conflicts_with = "resume")]
    pub(super) force: bool,
    /// Go on with the run in this folder; --src and the like say where its text lies now, if elsewhere
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "config"])]
    pub(super) resume: Option<PathBuf>,
    /// Begin with the weights of this checkpoint or finished run, and its settings where no --config is named; its vocabulary
    /// comes with it
    #[arg(long, value_name = "CHECKPOINT", conflicts_with_all = ["resume", "preset", "lowercase", "vocab_size", "separate_vocab"])]
    pub(super) init_from: Option<PathBuf>,
    /// What not to take over from that checkpoint beside its weights; with --resume, only the best score so far: best
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    pub(super) reset: Vec<Reset>,
    /// Passes over the training text
    #[arg(long, value_name = "N")]
    epochs: Option<u64>,
    /// Steps of the optimiser
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Minutes of training
    #[arg(long, value_name = "N")]
    minutes: Option<f64>,
    /// Validations without a better score after which training ends
    #[arg(long, value_name = "N")]
    patience: Option<u64>,
    /// What tells the best validation
    #[arg(long, value_name = "METRIC")]
    best: Option<Metric>,
    /// Padded tokens of one batch
    #[arg(long, value_name = "N")]
    batch_tokens: Option<usize>,
    /// Batches whose gradients are added up before a step
    #[arg(long, value_name = "N")]
    accumulate: Option<usize>,
    /// Share dropped after sub-layers and embeddings
    #[arg(long, value_name = "P")]
    dropout: Option<f64>,
    /// Share of label smoothing
    #[arg(long, value_name = "P")]
    smoothing: Option<f64>,
    /// α of R-Drop, two dropouts that must agree, in twice the time; 5 in the paper
    #[arg(long, value_name = "ALPHA")]
    r_drop: Option<f64>,
    /// Highest learning rate
    #[arg(long, value_name = "RATE")]
    rate: Option<f64>,
    /// Steps over which the rate rises
    #[arg(long, value_name = "N")]
    warmup: Option<u64>,
    /// Steps between validations; 0 for one an epoch
    #[arg(long, value_name = "N")]
    validate_every: Option<u64>,
    /// Width of the beam that validations translate with; 1 is greedy
    #[arg(long, value_name = "N")]
    validate_beam: Option<usize>,
    /// Steps between checkpoints, beside those at validations
    #[arg(long, value_name = "N")]
    save_every: Option<u64>,
    /// How many of the last checkpoints to keep, named by their steps
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    /// Decay of a moving average of the weights, which is then validated and saved: 0.999
    #[arg(long, value_name = "DECAY")]
    ema: Option<f64>,
    /// Do not train parameters whose path matches, such as 'encoder.*'; can be repeated
    #[arg(long, value_name = "PATTERN")]
    freeze: Vec<String>,
    /// What all random numbers come from
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Threads; 0 for one a core
    #[arg(long, value_name = "N", value_parser = crate::cli::parse::threads)]
    threads: Option<usize>,
    #[command(flatten)]
    pub(super) device: DeviceArgument,
    /// Train without checking first that every parameter learns and its gradient is right
    #[arg(long)]
    no_audit: bool,
    /// Leave out a step whose loss or gradient is not finite, instead of ending the training
    #[arg(long)]
    skip_nonfinite: bool,
    /// Film the training: a page in the run's folder, film.html, with one sentence's attention and every gradient
    #[arg(long)]
    pub(super) film: bool,
    /// Print the result as one line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Arguments {
    /// The configuration with the command line's options put over it.
    ///
    /// # Errors
    /// Where an option does not fit the configuration.
    pub(super) fn apply(&self, config: &mut Config) -> Result<()> {
        fn set<V: Clone>(to: &mut V, from: Option<&V>) {
            if let Some(from) = from {
                to.clone_from(from);
            }
        }
        fn set_some<V: Clone>(to: &mut Option<V>, from: Option<&V>) {
            if from.is_some() {
                *to = from.cloned();
            }
        }
        self.text.apply(&mut config.data);
        self.tokens.apply(&mut config.tokenizer);
        set(&mut config.model.preset, self.preset.as_ref());
        set_some(&mut config.model.dropout, self.dropout.map(Dropouts::all).as_ref());
        self.apply_limits(config);
        let train = &mut config.train;
        set(&mut train.batch_tokens, self.batch_tokens.as_ref());
        set(&mut train.accumulate, self.accumulate.as_ref());
        set(&mut train.smoothing, self.smoothing.as_ref());
        set(&mut train.r_drop, self.r_drop.as_ref());
        set(&mut train.precision, self.device.precision().as_ref());
        set(&mut train.seed, self.seed.as_ref());
        set(&mut train.validate_every, self.validate_every.as_ref());
        set(&mut train.validate_beam, self.validate_beam.as_ref());
        set(&mut train.best, self.best.as_ref());
        set_some(&mut train.ema, self.ema.as_ref());
        if !self.freeze.is_empty() {
            train.freeze.clone_from(&self.freeze);
        }
        if self.rate.is_some() || self.warmup.is_some() {
            match &mut train.schedule {
                Schedule::InverseSqrt { peak, warmup }
                | Schedule::Cosine { peak, warmup, .. }
                | Schedule::Linear { peak, warmup, .. } => {
                    set(peak, self.rate.as_ref());
                    set(warmup, self.warmup.as_ref());
                }
                Schedule::Constant { .. } | Schedule::Noam { .. } => {
                    bail!("--rate and --warmup do not go with a constant or a noam schedule")
                }
            }
        }
        Ok(())
    }

    /// Whether it is said in steps or epochs when training ends.
    pub(super) fn names_end(&self) -> bool {
        self.steps.is_some() || self.epochs.is_some()
    }

    /// What may change from one part of a run to the next: the result does not depend on it, or what it changes would have
    /// ended the training.
    fn apply_limits(&self, config: &mut Config) {
        let train = &mut config.train;
        if self.steps.is_some() || self.epochs.is_some() || self.minutes.is_some() {
            (train.steps, train.epochs, train.minutes) = (self.steps, self.epochs, self.minutes);
        }
        if let Some(threads) = self.threads {
            train.threads = threads;
        }
        if let Some(save_every) = self.save_every {
            train.save_every = save_every;
        }
        if let Some(keep) = self.keep {
            train.keep = keep;
        }
        if self.patience.is_some() {
            train.patience = self.patience;
        }
        train.audit &= !self.no_audit;
        train.skip_nonfinite |= self.skip_nonfinite;
    }
}
