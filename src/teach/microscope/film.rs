//! A film of a training: attention of one sentence, and the gradient of it, at some of the steps.

use autograd::{Tape, Tensor};

use super::record::Microscope;
use super::specimen::Specimen;

/// Frames of a training, in the order of its steps.
#[derive(Clone, Debug, Default)]
pub struct Film {
    /// The frames.
    pub frames: Vec<Frame>,
}

/// One sentence's attention at one step: that of the decoder's last layer over the source, all heads.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Steps taken before.
    pub step: u64,
    /// The loss of the sentence.
    pub loss: f64,
    /// A `[H, T, S]`.
    pub weights: Tensor<f64>,
    /// dA `[H, T, S]`.
    pub gradient: Tensor<f64>,
}

/// How many frames a film has.
pub const FRAMES: u64 = 20;

impl Film {
    /// Leaves about this many frames, the first and the last among them.
    #[must_use]
    pub fn thinned(self, count: usize) -> Self {
        let last = self.frames.len().saturating_sub(1);
        let every = last.div_ceil(count.saturating_sub(1).max(1)).max(1);
        let kept = |&(place, _): &(usize, Frame)| place == last || place.is_multiple_of(every);
        Self { frames: self.frames.into_iter().enumerate().filter(kept).map(|(_, frame)| frame).collect() }
    }

    /// Whether a film of `steps` steps has a frame after `step`: more of them at the beginning, where most happens.
    pub fn wants(step: u64, steps: u64) -> bool {
        let last = FRAMES - 1;
        (0..=last).any(|k| (steps as f64 * (k as f64 / last as f64).powf(1.7)).round() as u64 == step)
    }

    /// Takes the frame after `step` of the model in `specimen`.
    pub fn shoot(&mut self, step: u64, specimen: &Specimen) {
        let tape = specimen.still_tape();
        let record = Microscope::record(&tape, specimen.loss(&tape));
        if let Some(frame) = frame(step, &record) {
            self.frames.push(frame);
        }
    }
}

fn frame(step: u64, record: &Microscope) -> Option<Frame> {
    let weights = &record.nodes[record.blocks.last()?.weights];
    let gradient = weights.gradient.clone()?;
    let shape = weights.value.shape();
    let heads = [shape[1], shape[2], shape[3]];
    let value = weights.value.reshape(heads);
    Some(Frame { step, loss: record.loss(), weights: value, gradient: gradient.reshape(heads) })
}

impl Specimen {
    /// A tape without dropout, so that frames differ by training alone.
    fn still_tape(&self) -> Tape<f64> {
        Tape::eval().explained()
    }
}
