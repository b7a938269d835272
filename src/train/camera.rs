//! Filming a training whose length is not known: frames at even distances, which grow with the training.

use anyhow::{Result, bail};
use nn::Transformer;

use crate::data::Pair;
use crate::data::tokenizer::Tokenizer;
use crate::teach::microscope::{FRAMES, Film, Specimen};

/// Takes a frame of one sentence now and then.
#[derive(Debug)]
pub(super) struct Camera {
    specimen: Specimen,
    film: Film,
    /// Steps from one frame to the next.
    every: u64,
}

/// A sentence up to this many tokens on its longer side is short enough to look at.
const SHORT: usize = 14;

impl Camera {
    /// A camera on the first short sentence of `pairs`; on the first that a page can show where none is short.
    pub(super) fn new(
        model: &Transformer,
        tokenizers: (&Tokenizer, &Tokenizer),
        pairs: &[Pair],
        smoothing: f64,
    ) -> Result<Self> {
        let specimen = |pair: &Pair| {
            Specimen::new(model, tokenizers, &pair.source, &pair.target, smoothing, Some(1)).ok()
        };
        let mut fitting = pairs.iter().filter_map(specimen).peekable();
        let Some(first) = fitting.peek().cloned() else {
            bail!("--film: no validation sentence is short enough for a page");
        };
        let short = |specimen: &Specimen| specimen.source.width().max(specimen.target_in.width()) <= SHORT;
        let specimen = fitting.find(short).unwrap_or(first);
        Ok(Self { specimen, film: Film::default(), every: 1 })
    }

    /// Takes a frame where one is due after `step`.
    pub(super) fn watch(&mut self, step: u64, model: &Transformer) {
        if !step.is_multiple_of(self.every) {
            return;
        }
        self.film.shoot(step, &self.specimen.with_model(model));
        if self.film.frames.len() as u64 > 2 * FRAMES {
            self.every *= 2;
            let every = self.every;
            self.film.frames.retain(|frame| frame.step.is_multiple_of(every));
        }
    }

    /// The page of the finished model, film included.
    pub(super) fn page(mut self, step: u64, model: &Transformer) -> String {
        let specimen = self.specimen.with_model(model);
        self.film.shoot(step, &specimen);
        specimen.look(Some(self.film.thinned(FRAMES as usize))).page()
    }
}
