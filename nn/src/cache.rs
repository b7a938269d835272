//! What the decoder remembers between steps.
//!
//! Keys and values stay where a step wrote them. When a search drops, doubles or reorders its rows, only the table moves
//! that says which of them are whose.

use autograd::kernels::{Gathered, Row};
use autograd::{Float, ParamId, Tensor};

/// Projected keys and values.
#[derive(Clone, Debug)]
pub struct KeyValue<T: Float = f32> {
    /// `[.., D]`
    pub keys: Tensor<T>,
    /// `[.., D]`
    pub values: Tensor<T>,
}

/// What a layer remembers.
#[derive(Clone, Debug)]
pub struct LayerCache<T: Float = f32> {
    /// Keys and values of each target position so far, `[R, D]` for the R rows that there were at that step.
    pub own: Vec<KeyValue<T>>,
    /// Keys and values of the sources, `[B, S, D]`.
    pub memory: KeyValue<T>,
}

/// Which keys and values belong to which row: the rows of a search are hypotheses, several of a sentence.
#[derive(Clone, Debug)]
pub struct Rows {
    /// For each target position, where each row's keys and values lie among those of that position.
    targets: Vec<Vec<u32>>,
    /// Where each row's source begins among all source positions.
    sources: Vec<u32>,
    /// The number of source positions that are words, not padding, of each row.
    source_lengths: Vec<u32>,
}

/// What the decoder remembers.
#[derive(Clone, Debug)]
pub struct DecoderCache<T: Float = f32> {
    /// One for each layer.
    pub layers: Vec<LayerCache<T>>,
    /// Whose is what.
    pub rows: Rows,
    /// A parameter of the decoder that began it.
    pub(crate) owner: Option<ParamId>,
}

impl<T: Float> DecoderCache<T> {
    /// A row for each source of these lengths, without any target position. `memories` are the layers' keys and values,
    /// `[B, S, D]`.
    pub(crate) fn new(
        owner: Option<ParamId>,
        memories: impl Iterator<Item = KeyValue<T>>,
        source_lengths: &[usize],
        width: usize,
    ) -> Self {
        let rows = Rows {
            targets: Vec::new(),
            sources: (0..source_lengths.len()).map(|sentence| (sentence * width) as u32).collect(),
            source_lengths: source_lengths.iter().map(|&length| length as u32).collect(),
        };
        Self { layers: memories.map(|memory| LayerCache { own: Vec::new(), memory }).collect(), rows, owner }
    }

    /// The number of target positions so far.
    pub fn length(&self) -> usize {
        self.rows.targets.len()
    }

    /// Makes `rows` the rows of this cache, in that order: some may come more than once, some not at all.
    ///
    /// # Panics
    /// Where there is no such row.
    #[track_caller]
    pub fn select(&mut self, rows: &[usize]) {
        let count = self.rows.count();
        if let Some(row) = rows.iter().find(|&&row| row >= count) {
            panic!("decoder: there is no row {row} among the {count} of this cache");
        }
        let pick = |table: &mut Vec<u32>| *table = rows.iter().map(|&row| table[row]).collect();
        self.rows.targets.iter_mut().for_each(pick);
        pick(&mut self.rows.sources);
        pick(&mut self.rows.source_lengths);
    }
}

impl Rows {
    /// R, how many there are.
    pub(crate) fn count(&self) -> usize {
        self.sources.len()
    }

    /// Begins a position that every row has keys and values of its own for.
    pub(crate) fn push(&mut self) {
        self.targets.push((0..self.sources.len() as u32).collect());
    }

    /// What every row has written so far.
    pub(crate) fn of_targets<'a, T: Float>(
        &'a self,
        own: &'a [KeyValue<T>],
        heads: usize,
    ) -> Gathered<'a, T> {
        Gathered {
            keys: own.iter().map(|own| Row { tensor: &own.keys, first: 0 }).collect(),
            values: own.iter().map(|own| Row { tensor: &own.values, first: 0 }).collect(),
            rows: self.targets.iter().map(Vec::as_slice).collect(),
            kept: None,
            heads,
            width: own.first().map_or(0, |own| own.keys.shape().last()),
        }
    }

    /// What every row reads.
    pub(crate) fn of_sources<'a, T: Float>(
        &'a self,
        memory: &'a KeyValue<T>,
        heads: usize,
    ) -> Gathered<'a, T> {
        let &[_, positions, width] = memory.keys.shape().as_slice() else {
            panic!("decoder: the keys of sources must be [B, S, D], not {}", memory.keys.shape())
        };
        let each = |tensor: &'a Tensor<T>| (0..positions).map(|first| Row { tensor, first }).collect();
        Gathered {
            keys: each(&memory.keys),
            values: each(&memory.values),
            rows: vec![&self.sources; positions],
            kept: Some(&self.source_lengths),
            heads,
            width,
        }
    }
}
