//! The affine map.

use autograd::{Float, Param, Var, parameters};

use crate::init::Init;

/// `y = x·Wᵀ + b`: `[.., I]` to `[.., O]`.
#[derive(Clone, Debug)]
pub struct Linear<T: Float = f32> {
    /// W `[O, I]`
    pub weight: Param<T>,
    /// b `[O]`
    pub bias: Option<Param<T>>,
}

parameters!(Linear { weight, bias });

impl<T: Float> Linear<T> {
    /// A map with a bias that starts at zero.
    ///
    /// # Panics
    /// Where a size is 0, or both together make more entries than memory has addresses.
    #[track_caller]
    pub fn new(inputs: usize, outputs: usize, init: &mut Init) -> Self {
        Self { weight: init.weight(outputs, inputs), bias: Some(init.constant(outputs, 0.0)) }
    }

    /// A map without a bias.
    ///
    /// # Panics
    /// Where a size is 0, or both together make more entries than memory has addresses.
    #[track_caller]
    pub fn without_bias(inputs: usize, outputs: usize, init: &mut Init) -> Self {
        Self { weight: init.weight(outputs, inputs), bias: None }
    }

    /// `x·Wᵀ + b`
    #[track_caller]
    pub fn forward<'t>(&self, x: Var<'t, T>) -> Var<'t, T> {
        x.linear_by(&self.weight, self.bias.as_ref())
    }

    /// `max(x·Wᵀ + b, 0)`: `[.., I]` to `[.., O]`.
    #[track_caller]
    pub(crate) fn forward_relu<'t>(&self, x: Var<'t, T>) -> Var<'t, T> {
        let tape = x.tape();
        match &self.bias {
            Some(bias) if tape.records() => x.linear_relu(tape.param(&self.weight), tape.param(bias)),
            _ => self.forward(x).relu(),
        }
    }
}
