//! First values of parameters.

use autograd::rng::Stream;
use autograd::{Float, Param, Tensor};

use crate::config::InitScheme;

/// Draws the first values of parameters, one after the other, from a seeded stream.
#[derive(Clone, Debug)]
pub struct Init {
    stream: Stream,
    scheme: InitScheme,
}

impl Init {
    /// Xavier values from this seed.
    pub fn seeded(seed: u64) -> Self {
        Self { stream: Stream::new(seed), scheme: InitScheme::Xavier }
    }

    /// The same stream with another scheme for weight matrices.
    #[must_use]
    pub fn with_scheme(self, scheme: InitScheme) -> Self {
        Self { scheme, ..self }
    }

    /// A weight matrix `[outputs, inputs]`.
    pub fn weight<T: Float>(&mut self, outputs: usize, inputs: usize) -> Param<T> {
        Param::new(match self.scheme {
            InitScheme::Xavier => {
                let bound = (6.0 / (inputs + outputs) as f64).sqrt();
                Tensor::uniform([outputs, inputs], bound, &mut self.stream)
            }
            InitScheme::Normal => Tensor::normal([outputs, inputs], 0.02, &mut self.stream),
        })
    }

    /// A table of vectors `[rows, width]`, normal with deviation `1/√width`.
    pub fn table<T: Float>(&mut self, rows: usize, width: usize) -> Param<T> {
        Param::new(Tensor::normal([rows, width], (width as f64).sqrt().recip(), &mut self.stream))
    }

    /// A vector of `value`.
    pub fn constant<T: Float>(&mut self, length: usize, value: f64) -> Param<T> {
        Param::new(Tensor::full([length], T::of(value)))
    }
}
