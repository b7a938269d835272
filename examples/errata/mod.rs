//! The exhibits, and what they share.

mod head_axes;
mod model_scale;
mod no_order;
mod no_output;
mod norm_alone;
mod one_projection;
mod per_position;
mod polarity;
mod scaled_twice;
mod scores_as_weights;

use gradus::autograd::rng::Stream;
use gradus::autograd::{Mismatch, Report, Tensor, Var};

/// A value of the exhibits.
pub(crate) type V<'t> = Var<'t, f64>;

/// The words of a sentence, the width of the model, its heads and their width.
const WORDS: usize = 4;
const D: usize = 8;
const HEADS: usize = 2;
const HEAD: usize = D / HEADS;

/// One mistake.
pub(crate) struct Exhibit {
    pub(crate) name: &'static str,
    pub(crate) mistake: &'static str,
    /// The kind of check that exposes it.
    pub(crate) exposed_by: &'static str,
    /// The file, which holds `fn wrong` and `fn right`.
    pub(crate) source: &'static str,
    /// Runs that check on both and says what it found; panics where it does not tell them apart.
    pub(crate) expose: fn() -> [String; 2],
    /// A gradient check of the wrong code on random inputs.
    pub(crate) check_wrong: fn() -> Result<Report, Mismatch>,
    /// And of the right code.
    pub(crate) check_right: fn() -> Result<Report, Mismatch>,
    /// A gradient check of the wrong code on the very input that exposes it, where that is a special one.
    pub(crate) check_edge: Option<fn() -> Result<Report, Mismatch>>,
}

/// All exhibits, in the order of a tutorial.
pub(crate) const ALL: [Exhibit; 10] = [
    model_scale::EXHIBIT,
    scaled_twice::EXHIBIT,
    one_projection::EXHIBIT,
    head_axes::EXHIBIT,
    polarity::EXHIBIT,
    no_output::EXHIBIT,
    norm_alone::EXHIBIT,
    no_order::EXHIBIT,
    scores_as_weights::EXHIBIT,
    per_position::EXHIBIT,
];

/// Random numbers, the same for the same seed.
fn random<const N: usize>(shape: [usize; N], seed: u64) -> Tensor<f64> {
    Tensor::normal(shape, 1.0, &mut Stream::new(seed))
}

/// The largest distance of two tensors' entries.
fn distance(a: &Tensor<f64>, b: &Tensor<f64>) -> f64 {
    a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
