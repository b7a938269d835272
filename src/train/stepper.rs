//! Steps, one after the other.

use std::marker::PhantomData;

#[cfg(feature = "cuda")]
use autograd::Device;
use autograd::Float;
use nn::Transformer;
use optim::Adam;

#[cfg(feature = "cuda")]
use super::graphs::Graphs;
use super::step::{Step, StepOptions, step_here};
use crate::data::batch::Example;

/// Takes the steps of the training of a model that stays where it is. On a card it remembers what was recorded of those before.
#[derive(Debug)]
pub struct Stepper<T: Float = f32> {
    options: StepOptions,
    number: PhantomData<T>,
    /// What was recorded.
    #[cfg(feature = "cuda")]
    pub graphs: Graphs<T>,
}

impl<T: Float> Stepper<T> {
    /// Steps with these options; whether a card records them, which changes no result.
    #[cfg_attr(not(feature = "cuda"), allow(unused_variables, reason = "only a card records"))]
    pub fn new(options: StepOptions, graphs: bool) -> Self {
        Self {
            options,
            number: PhantomData,
            #[cfg(feature = "cuda")]
            graphs: if graphs { Graphs::default() } else { Graphs::at_most(0) },
        }
    }

    /// How many steps a card has taken by what it had recorded.
    pub fn replayed(&self) -> u64 {
        #[cfg(feature = "cuda")]
        return self.graphs.replayed();
        #[cfg(not(feature = "cuda"))]
        0
    }

    /// A [`step`](super::step::step).
    pub fn step(
        &mut self,
        model: &mut Transformer<T>,
        adam: &mut Adam<T>,
        examples: &[Example],
        batches: &[Vec<usize>],
        rate: f64,
        seed: u64,
    ) -> Step {
        #[cfg(feature = "cuda")]
        if let Device::Cuda(cuda) = model.device() {
            let (of, what) = ((model, adam), (examples, batches));
            return self.graphs.step(&cuda, of, what, &self.options, (rate, seed));
        }
        step_here(model, adam, examples, batches, &self.options, rate, seed)
    }
}
