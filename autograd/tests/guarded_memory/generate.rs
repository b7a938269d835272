//! Random sizes, numbers and shapes, most of which fit.

use std::cell::RefCell;

use autograd::rng::Stream;
use autograd::{Float, Shape, Tensor};

pub(super) struct Generator {
    stream: RefCell<Stream>,
}

/// Sizes that overflow where they are multiplied, added to or counted down, but for the first few.
const HOSTILE: &[usize] = &[
    0,
    1,
    2,
    5,
    1 << 31,
    1 << 32,
    (1 << 32) + 1,
    1 << 40,
    1 << 61,
    1 << 62,
    (1 << 62) + 1,
    1 << 63,
    usize::MAX / 3 + 1,
    usize::MAX / 4,
    usize::MAX - 1,
    usize::MAX,
];

impl Generator {
    pub(super) fn new(seed: u64) -> Self {
        Self { stream: RefCell::new(Stream::new(seed)) }
    }

    pub(super) fn below(&self, end: usize) -> usize {
        (self.stream.borrow_mut().uniform() * end as f64) as usize
    }

    pub(super) fn one_in(&self, many: usize) -> bool {
        self.below(many) == 0
    }

    pub(super) fn one_of<'a, X>(&self, of: &'a [X]) -> &'a X {
        &of[self.below(of.len())]
    }

    /// Mostly a few, now and then as many as several vectors.
    pub(super) fn small(&self) -> usize {
        if self.one_in(4) { self.below(70) } else { self.below(6) }
    }

    /// What is right, or now and then anything.
    pub(super) fn size(&self, right: usize) -> usize {
        match self.below(24) {
            0 => *self.one_of(HOSTILE),
            1 => self.small(),
            2 => right.wrapping_sub(1),
            _ => right,
        }
    }

    /// What is right, or now and then another length that there is memory for.
    pub(super) fn length(&self, right: usize) -> usize {
        let other = match self.below(24) {
            0 => self.small(),
            1 => right.saturating_sub(1),
            2 => right.saturating_add(1),
            _ => right,
        };
        other.min(1 << 16)
    }

    pub(super) fn number(&self) -> f64 {
        const ODD: &[f64] = &[0.0, -0.0, 1.0, -1.0, 1e30, -1e30, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        if self.one_in(12) { *self.one_of(ODD) } else { 4.0 * self.stream.borrow_mut().uniform() - 2.0 }
    }

    /// A probability, or what is none.
    pub(super) fn share(&self) -> f64 {
        if self.one_in(8) { self.number() } else { 0.9 * self.stream.borrow_mut().uniform() }
    }

    pub(super) fn bits(&self) -> u64 {
        self.stream.borrow_mut().bits()
    }

    /// Exactly so many, or about as many: see [`length`](Self::length).
    pub(super) fn numbers<T: Float>(&self, right: usize) -> Vec<T> {
        let count = self.length(right);
        (0..count).map(|_| T::of(self.number())).collect()
    }

    /// Numbers below `end`, and now and then above.
    pub(super) fn ids(&self, right: usize, end: usize) -> Vec<u32> {
        let (count, any) = (self.length(right), self.one_in(8));
        let one = |g: &Self| if any && g.one_in(4) { g.bits() as u32 } else { g.below(end.max(1)) as u32 };
        (0..count).map(|_| one(self)).collect()
    }

    pub(super) fn flags(&self, right: usize) -> Vec<bool> {
        let count = self.length(right);
        (0..count).map(|_| self.one_in(2)).collect()
    }

    /// Sizes of up to six axes, or now and then seven.
    pub(super) fn sizes(&self) -> Vec<usize> {
        let rank = if self.one_in(12) { self.below(8) } else { self.below(4) };
        (0..rank).map(|_| if self.one_in(8) { *self.one_of(HOSTILE) } else { self.below(6) }).collect()
    }

    /// A shape that entries can be had for, and now and then another one.
    pub(super) fn shape(&self) -> Shape {
        loop {
            let sizes = self.sizes();
            match Shape::checked(&sizes) {
                Some(shape) if shape.len() < 1 << 12 => return shape,
                _ if self.one_in(3) => return Shape::from(sizes.as_slice()),
                _ => {}
            }
        }
    }

    pub(super) fn tensor<T: Float>(&self, shape: Shape) -> Tensor<T> {
        Tensor::from_fn(shape, |_| T::of(self.number()))
    }
}
