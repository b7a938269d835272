//! Maps of two operands of different shapes, and the sums that are their gradients.
//!
//! Operands are read through the strides of [`Shape::broadcast_strides`], where a stretched axis has stride 0. The work
//! is in the innermost loop, over the last axis.

use crate::float::Float;
use crate::shape::{MAX_RANK, Shape};

/// Distances between neighbours along each axis, as [`Shape::broadcast_strides`] gives them.
pub type Strides = [usize; MAX_RANK];

/// `y = op(a, b)` where `y` is a contiguous tensor of `shape`, and `a` and `b` are read through their strides.
pub fn broadcast<T: Float>(
    a: &[T],
    a_strides: &Strides,
    b: &[T],
    b_strides: &Strides,
    shape: &Shape,
    y: &mut [T],
    op: impl Fn(T, T) -> T,
) {
    assert_eq!(y.len(), shape.len(), "broadcast: not one result for each entry of {shape}");
    let n = shape.last();
    let mut rows = Rows::new(shape, [a_strides, b_strides]);
    for y in y.chunks_exact_mut(n.max(1)) {
        let [at_a, at_b] = rows.next_offsets();
        match (rows.step(0), rows.step(1)) {
            (1, 1) => {
                for ((y, a), b) in y.iter_mut().zip(&a[at_a..at_a + n]).zip(&b[at_b..at_b + n]) {
                    *y = op(*a, *b);
                }
            }
            (1, 0) => {
                let b = b[at_b];
                for (y, a) in y.iter_mut().zip(&a[at_a..at_a + n]) {
                    *y = op(*a, b);
                }
            }
            (0, 1) => {
                let a = a[at_a];
                for (y, b) in y.iter_mut().zip(&b[at_b..at_b + n]) {
                    *y = op(a, *b);
                }
            }
            (step_a, step_b) => {
                for (i, y) in y.iter_mut().enumerate() {
                    *y = op(a[at_a + i * step_a], b[at_b + i * step_b]);
                }
            }
        }
    }
}

/// `dx (+)= Σ dy` or `Σ dy ∘ other` over the axes along which `dx` was stretched to `shape`.
///
/// `dy` is a contiguous tensor of `shape`; `dx`, contiguous and smaller, and `other` are reached through their strides.
/// Sums along the last axis are taken in `f64`.
pub fn reduce_broadcast<T: Float>(
    dy: &[T],
    other: Option<(&[T], &Strides)>,
    shape: &Shape,
    dx: &mut [T],
    dx_strides: &Strides,
    keep: bool,
) {
    assert_eq!(dy.len(), shape.len(), "broadcast: not one gradient for each entry of {shape}");
    if !keep {
        dx.fill(T::ZERO);
    }
    let n = shape.last();
    let one = [T::ONE];
    let (factors, factor_strides) = other.unwrap_or((&one, &[0; MAX_RANK]));
    let mut rows = Rows::new(shape, [dx_strides, factor_strides]);
    for dy in dy.chunks_exact(n.max(1)) {
        let [at, at_factor] = rows.next_offsets();
        let (step, factor_step) = (rows.step(0), rows.step(1));
        if step == 0 {
            let mut total = 0.0;
            for (i, dy) in dy.iter().enumerate() {
                total += (*dy * factors[at_factor + i * factor_step]).to_f64();
            }
            dx[at] += T::of(total);
        } else if step == 1 && factor_step == 1 {
            let factors = &factors[at_factor..at_factor + n];
            for ((dx, dy), factor) in dx[at..at + n].iter_mut().zip(dy).zip(factors) {
                *dx += *dy * *factor;
            }
        } else if step == 1 && factor_step == 0 {
            let factor = factors[at_factor];
            for (dx, dy) in dx[at..at + n].iter_mut().zip(dy) {
                *dx += *dy * factor;
            }
        } else {
            for (i, dy) in dy.iter().enumerate() {
                dx[at + i * step] += *dy * factors[at_factor + i * factor_step];
            }
        }
    }
}

/// Walks the rows of a shape along its last axis and says where each of them starts in two operands.
struct Rows<'a> {
    sizes: &'a [usize],
    strides: [&'a Strides; 2],
    index: [usize; MAX_RANK],
    offsets: [usize; 2],
}

impl<'a> Rows<'a> {
    fn new(shape: &'a Shape, strides: [&'a Strides; 2]) -> Self {
        Self { sizes: shape.as_slice(), strides, index: [0; MAX_RANK], offsets: [0; 2] }
    }

    /// The stride of an operand along the last axis.
    fn step(&self, operand: usize) -> usize {
        self.sizes.len().checked_sub(1).map_or(0, |last| self.strides[operand][last])
    }

    /// Where the next row starts in the operands.
    fn next_offsets(&mut self) -> [usize; 2] {
        let current = self.offsets;
        for axis in (0..self.sizes.len().saturating_sub(1)).rev() {
            self.index[axis] += 1;
            let wraps = self.index[axis] == self.sizes[axis];
            for (offset, strides) in self.offsets.iter_mut().zip(self.strides) {
                *offset += strides[axis];
                if wraps {
                    *offset -= strides[axis] * self.sizes[axis];
                }
            }
            if !wraps {
                break;
            }
            self.index[axis] = 0;
        }
        current
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, assert_gradient, both_ways, random, unread, widen};
    use super::*;

    const PAIRS: [(&[usize], &[usize]); 10] = [
        (&[], &[]),
        (&[5], &[]),
        (&[2, 3, 4], &[4]),
        (&[2, 3, 4], &[3, 1]),
        (&[2, 1, 4], &[3, 1]),
        (&[2, 3, 4, 5], &[2, 1, 1, 5]),
        (&[2, 1, 3, 1, 2, 17], &[3, 4, 1, 17]),
        (&[1, 24], &[16, 24]),
        (&[3, 1], &[1, 3]),
        (&[0, 4], &[4]),
    ];

    /// Where every entry of `shape` lies in an operand, by the definition of strides.
    fn offsets(shape: &Shape, strides: &Strides) -> Vec<usize> {
        let own = shape.strides();
        (0..shape.len())
            .map(|i| (0..shape.rank()).map(|axis| i / own[axis] % shape[axis] * strides[axis]).sum())
            .collect()
    }

    fn setting(a: &[usize], b: &[usize]) -> (Shape, usize, usize, Strides, Strides) {
        let (a, b) = (Shape::from(a), Shape::from(b));
        let shape = a.broadcast(&b).expect("the shapes fit");
        let strides = |operand: &Shape| operand.broadcast_strides(&shape).expect("the operand fits");
        let strides = (strides(&a), strides(&b));
        (shape, a.len(), b.len(), strides.0, strides.1)
    }

    fn check<T: Float>(a: &[usize], b: &[usize]) {
        let (shape, len_a, len_b, a_strides, b_strides) = setting(a, b);
        let (a, b, dy): (Vec<T>, Vec<T>, Vec<T>) =
            (random(len_a, 1), random(len_b, 2), random(shape.len(), 3));
        let (at_a, at_b) = (offsets(&shape, &a_strides), offsets(&shape, &b_strides));
        let mut y = unread(shape.len());
        broadcast(&a, &a_strides, &b, &b_strides, &shape, &mut y, |a, b| a * b);
        assert!((0..y.len()).all(|i| y[i] == a[at_a[i]] * b[at_b[i]]));

        let (wide_b, wide_dy) = (widen(&b), widen(&dy));
        let (mut plain, mut product) = (vec![0.0; len_a], vec![0.0; len_a]);
        for i in 0..dy.len() {
            plain[at_a[i]] += wide_dy[i];
            product[at_a[i]] += wide_dy[i] * wide_b[at_b[i]];
        }
        // At most 24 terms of size up to 4.
        let got = both_ways(len_a, |dx, keep| reduce_broadcast(&dy, None, &shape, dx, &a_strides, keep));
        assert_close(&got, &plain, 48.0);
        let other = Some((&b[..], &b_strides));
        let got = both_ways(len_a, |dx, keep| reduce_broadcast(&dy, other, &shape, dx, &a_strides, keep));
        assert_close(&got, &product, 96.0);
    }

    #[test]
    fn every_stretch_agrees_with_the_definition() {
        for (a, b) in PAIRS {
            check::<f32>(a, b);
            check::<f32>(b, a);
            check::<f64>(a, b);
            check::<f64>(b, a);
        }
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        for (a, b) in PAIRS {
            let (shape, len_a, len_b, a_strides, b_strides) = setting(a, b);
            let (a, b, dy): (Vec<f64>, Vec<f64>, Vec<f64>) =
                (random(len_a, 1), random(len_b, 2), random(shape.len(), 3));
            let loss = |a: &[f64]| {
                let mut y = unread(shape.len());
                broadcast(a, &a_strides, &b, &b_strides, &shape, &mut y, |a, b| a * b);
                y.iter().zip(&dy).map(|(y, dy)| y * dy).sum()
            };
            let mut da = unread(len_a);
            reduce_broadcast(&dy, Some((&b, &b_strides)), &shape, &mut da, &a_strides, false);
            assert_gradient(loss, &a, &da);
        }
    }
}
