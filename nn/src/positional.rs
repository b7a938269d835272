//! Where in the sentence a word stands.

use autograd::{Device, Float, Ids, Param, Parameters, Path, Tape, Tensor, Var};

use crate::config::{Positions, TransformerConfig};
use crate::init::Init;

/// A vector for every position, added to the word's.
#[derive(Clone, Debug)]
pub enum PositionalEncoding<T: Float = f32> {
    /// `sin(p/10000^{2i/D})` and `cos(p/10000^{2i/D})` in columns `2i` and `2i + 1` (Vaswani et al., 2017, §3.5). Holds
    /// the first positions; later ones are computed when they come.
    Sinusoidal(Tensor<T>),
    /// A trained table `[max_length, D]`.
    Learned(Param<T>),
}

/// The most positions whose sines and cosines are held: `max_length` is no promise that so many come.
const HELD: usize = 4096;

impl<T: Float> Parameters<T> for PositionalEncoding<T> {
    fn visit<'a>(&'a self, path: &mut Path, f: &mut dyn FnMut(&str, &'a Param<T>)) {
        if let Self::Learned(table) = self {
            path.at("weight", |path| table.visit(path, f));
        }
    }

    fn visit_mut<'a>(&'a mut self, path: &mut Path, f: &mut dyn FnMut(&str, &'a mut Param<T>)) {
        if let Self::Learned(table) = self {
            path.at("weight", |path| table.visit_mut(path, f));
        }
    }
}

impl<T: Float> PositionalEncoding<T> {
    /// The encoding of this model.
    ///
    /// # Panics
    /// Where the configuration is not valid ([`TransformerConfig::validate`]).
    #[track_caller]
    pub fn new(config: &TransformerConfig, init: &mut Init) -> Self {
        config.demand_valid("positions");
        match config.positions {
            Positions::Sinusoidal => Self::Sinusoidal(waves(config.max_length.min(HELD), config.d_model)),
            Positions::Learned => Self::Learned(init.table(config.max_length, config.d_model)),
        }
    }

    /// The vectors of positions `first .. first + count`: `[count, D]`.
    ///
    /// # Panics
    /// Where a learned table does not reach that far, nor 32 bits.
    #[track_caller]
    pub fn forward<'t>(&self, tape: &'t Tape<T>, first: usize, count: usize) -> Var<'t, T> {
        let end = first.checked_add(count).and_then(|end| u32::try_from(end).ok());
        let Some(end) = end else { panic!("positions: {count} from {first} on are beyond 32 bits") };
        if let Self::Learned(table) = self {
            let limit = table.value().shape()[0];
            assert!(end as usize <= limit, "positions: {end} are more than the {limit} learned");
        }
        self.at(tape, &Ids::new([count], (end - count as u32..end).collect::<Vec<_>>()))
    }

    /// The vectors of these positions `[N]`: `[N, D]`.
    ///
    /// # Panics
    /// Where a learned table does not reach that far.
    #[track_caller]
    pub fn at<'t>(&self, tape: &'t Tape<T>, positions: &Ids) -> Var<'t, T> {
        let end = positions.as_slice().iter().max().map_or(0, |&last| last as usize + 1);
        match self {
            Self::Sinusoidal(table) if end <= table.shape()[0] => tape.constant(table.pick(positions)),
            Self::Sinusoidal(table) => {
                let width = table.shape()[1];
                let rows = Tensor::from_fn([positions.as_slice().len(), width], |i| {
                    wave(positions.as_slice()[i / width] as usize, i % width, width)
                });
                tape.constant(rows.to(&table.device()))
            }
            Self::Learned(table) => {
                let limit = table.value().shape()[0];
                assert!(end <= limit, "positions: {end} are more than the {limit} learned");
                tape.param(table).embedding(positions)
            }
        }
    }

    /// Moves what is not trained to a device.
    pub(crate) fn move_to(&mut self, device: &Device) {
        if let Self::Sinusoidal(table) = self {
            *table = table.to(device);
        }
    }
}

/// The positions in sentences of these lengths, one after the other: `[N]`.
pub(crate) fn positions(lengths: &[usize]) -> Ids {
    let all: Vec<u32> = lengths.iter().flat_map(|&length| 0..length as u32).collect();
    Ids::new([all.len()], all)
}

/// The vectors of the first positions.
fn waves<T: Float>(count: usize, width: usize) -> Tensor<T> {
    Tensor::from_fn([count, width], |i| wave(i / width, i % width, width))
}

/// The entry of a position's vector in this column.
fn wave<T: Float>(position: usize, column: usize, width: usize) -> T {
    let wavelength = 10_000f64.powf((column / 2 * 2) as f64 / width as f64);
    let angle = position as f64 / wavelength;
    T::of(if column.is_multiple_of(2) { angle.sin() } else { angle.cos() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_past_the_table_continue_it() {
        let table: Tensor<f64> = waves(10, 6);
        let far = PositionalEncoding::<f64>::Sinusoidal(waves(4, 6));
        let tape = Tape::infer();
        assert_eq!(far.forward(&tape, 3, 7).value().as_slice(), &table.as_slice()[18..]);
        assert_eq!(table.as_slice()[..6], [0.0, 1.0, 0.0, 1.0, 0.0, 1.0], "sin 0 and cos 0 in turn");
        let last = far.forward(&tape, u32::MAX as usize - 1, 1);
        assert_eq!(last.shape(), [1, 6].into(), "the last one of all costs no more than the first");
    }
}
