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
    ///
    /// # Panics
    /// Where a size is 0, or both together make more entries than memory has addresses.
    #[track_caller]
    pub fn weight<T: Float>(&mut self, outputs: usize, inputs: usize) -> Param<T> {
        check::<T>(&[outputs, inputs]);
        Param::new(match self.scheme {
            InitScheme::Xavier => {
                let bound = (6.0 / (inputs + outputs) as f64).sqrt();
                Tensor::uniform([outputs, inputs], bound, &mut self.stream)
            }
            InitScheme::Normal => Tensor::normal([outputs, inputs], 0.02, &mut self.stream),
        })
    }

    /// A table of vectors `[rows, width]`, normal with deviation `1/√width`.
    ///
    /// # Panics
    /// Where a size is 0, or both together make more entries than memory has addresses.
    #[track_caller]
    pub fn table<T: Float>(&mut self, rows: usize, width: usize) -> Param<T> {
        check::<T>(&[rows, width]);
        Param::new(Tensor::normal([rows, width], (width as f64).sqrt().recip(), &mut self.stream))
    }

    /// A vector of `value`.
    ///
    /// # Panics
    /// Where the length is 0 or more than memory has addresses, or the value is not finite.
    #[track_caller]
    pub fn constant<T: Float>(&mut self, length: usize, value: f64) -> Param<T> {
        check::<T>(&[length]);
        assert!(T::of(value).is_finite(), "init: a parameter of {value} is not finite");
        Param::new(Tensor::full([length], T::of(value)))
    }
}

/// # Panics
/// Where a parameter of these sizes has no entries, or more than memory has addresses.
#[track_caller]
fn check<T>(sizes: &[usize]) {
    assert!(!sizes.contains(&0), "init: a parameter of {sizes:?} has no entries");
    let bytes = sizes.iter().try_fold(size_of::<T>(), |bytes, &size| bytes.checked_mul(size));
    assert!(
        bytes.is_some_and(|bytes| isize::try_from(bytes).is_ok()),
        "init: a parameter of {sizes:?} has more entries than memory has addresses"
    );
}
