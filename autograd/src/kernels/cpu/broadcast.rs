//! Binary functions of operands that stretch to a common shape, and the sums that take gradients back.
//!
//! The shape is walked row by row, where a row is as long as both operands go on evenly: `[B, T, D] + [T, D]` has B rows.

use super::elementwise;
use crate::float::Float;
use crate::shape::{MAX_RANK, Shape};

/// A function of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// `a + b`
    Add,
    /// `a − b`
    Sub,
    /// `a · b`
    Mul,
}

/// An operand: its entries and their shape.
pub type Operand<'a, T> = (&'a [T], Shape);

/// Stops where entries do not fill their shape.
#[track_caller]
fn check<T>(entries: &[T], shape: Shape) {
    assert!(entries.len() == shape.len(), "broadcast: {} entries do not fill {shape}", entries.len());
}

/// `y = f(a, b)` for `a` and `b` stretched to `shape`, which both must broadcast to.
///
/// # Panics
/// Where one does not, or entries do not fill their shape.
#[track_caller]
pub fn broadcast<T: Float>(f: Binary, a: Operand<'_, T>, b: Operand<'_, T>, shape: Shape, y: &mut [T]) {
    check(a.0, a.1);
    check(b.0, b.1);
    check(y, shape);
    match f {
        Binary::Add if a.1 == shape && b.1 == shape => elementwise::add(a.0, b.0, y),
        Binary::Sub if a.1 == shape && b.1 == shape => elementwise::sub(a.0, b.0, y),
        Binary::Mul if a.1 == shape && b.1 == shape => elementwise::mul(a.0, b.0, y),
        Binary::Add => map(a, b, shape, y, |a, b| a + b),
        Binary::Sub => map(a, b, shape, y, |a, b| a - b),
        Binary::Mul => map(a, b, shape, y, |a, b| a * b),
    }
}

#[track_caller]
fn map<T: Float>(a: Operand<'_, T>, b: Operand<'_, T>, shape: Shape, y: &mut [T], f: impl Fn(T, T) -> T) {
    let mut rows = Rows::new(shape, [a.1, b.1]);
    let n = rows.len();
    for y in y.chunks_exact_mut(n.max(1)) {
        let [i, j] = rows.next_offsets();
        match rows.stretched {
            [false, false] => {
                for ((y, a), b) in y.iter_mut().zip(&a.0[i..i + n]).zip(&b.0[j..j + n]) {
                    *y = f(*a, *b);
                }
            }
            [false, true] => {
                let b = b.0[j];
                for (y, a) in y.iter_mut().zip(&a.0[i..i + n]) {
                    *y = f(*a, b);
                }
            }
            [true, false] => {
                let a = a.0[i];
                for (y, b) in y.iter_mut().zip(&b.0[j..j + n]) {
                    *y = f(a, *b);
                }
            }
            [true, true] => y.fill(f(a.0[i], b.0[j])),
        }
    }
}

/// The adjoint of stretching: `dx (+)= ` the sums of `dy` (times `factor`, which broadcasts to its shape) over the axes
/// along which an input of `shape` was stretched.
///
/// # Panics
/// Where `shape` or that of the factor does not broadcast to that of `dy`, or entries do not fill their shape.
#[track_caller]
pub fn reduce_broadcast<T: Float>(
    (dy, dy_shape): Operand<'_, T>,
    factor: Option<Operand<'_, T>>,
    shape: Shape,
    dx: &mut [T],
    keep: bool,
) {
    check(dy, dy_shape);
    check(dx, shape);
    if let Some((factor, shape)) = factor {
        check(factor, shape);
    }
    match factor {
        None if shape == dy_shape => return elementwise::copy_or_add(dy, dx, keep),
        Some((factor, factor_shape)) if shape == dy_shape && factor_shape == dy_shape => {
            return elementwise::mul_backward(dy, factor, dx, keep);
        }
        _ => {}
    }
    let one = [T::ONE];
    let (factor, factor_shape) = factor.unwrap_or((&one, Shape::SCALAR));
    let mut rows = Rows::new(dy_shape, [shape, factor_shape]);
    if !keep {
        dx.fill(T::ZERO);
    }
    let n = rows.len();
    for dy in dy.chunks_exact(n.max(1)) {
        let [i, j] = rows.next_offsets();
        match rows.stretched {
            [false, false] => elementwise::mul_backward(dy, &factor[j..j + n], &mut dx[i..i + n], true),
            [false, true] => elementwise::scale(dy, factor[j], &mut dx[i..i + n], true),
            [true, false] => dx[i] += T::narrow(elementwise::dot(dy, &factor[j..j + n])),
            [true, true] => dx[i] += T::narrow(elementwise::sum(dy)) * factor[j],
        }
    }
}

/// Walks a shape row by row and says where each row starts in two operands that stretch to it.
///
/// Neighbouring axes that both operands pass through evenly, or are both stretched along, are walked as one.
struct Rows {
    rank: usize,
    sizes: [usize; MAX_RANK],
    strides: [[usize; 2]; MAX_RANK],
    index: [usize; MAX_RANK],
    offsets: [usize; 2],
    /// Whether an operand stays at one entry along a row. Contiguous ones otherwise advance by one.
    stretched: [bool; 2],
}

impl Rows {
    #[track_caller]
    fn new(shape: Shape, operands: [Shape; 2]) -> Self {
        let mut per_operand = [[0; MAX_RANK]; 2];
        for (operand, strides) in operands.iter().zip(&mut per_operand) {
            match operand.broadcast_strides(&shape) {
                Some(known) => *strides = known,
                None => panic!("broadcast: {operand} does not stretch to {shape}"),
            }
        }
        let (mut rank, mut sizes, mut strides) = (0, [0; MAX_RANK], [[0; 2]; MAX_RANK]);
        for (axis, &size) in shape.iter().enumerate().filter(|&(_, &size)| size != 1) {
            let step = per_operand.map(|strides| strides[axis]);
            if rank > 0 && strides[rank - 1] == step.map(|step| step * size) {
                sizes[rank - 1] *= size;
                strides[rank - 1] = step;
            } else {
                (sizes[rank], strides[rank]) = (size, step);
                rank += 1;
            }
        }
        let stretched = if rank > 0 { strides[rank - 1].map(|step| step == 0) } else { [true; 2] };
        Self { rank, sizes, strides, index: [0; MAX_RANK], offsets: [0; 2], stretched }
    }

    /// The entries of one row.
    fn len(&self) -> usize {
        if self.rank > 0 { self.sizes[self.rank - 1] } else { 1 }
    }

    /// Where the next row starts in the operands.
    fn next_offsets(&mut self) -> [usize; 2] {
        let current = self.offsets;
        for axis in (0..self.rank.saturating_sub(1)).rev() {
            self.index[axis] += 1;
            let wraps = self.index[axis] == self.sizes[axis];
            for (offset, step) in self.offsets.iter_mut().zip(self.strides[axis]) {
                *offset += step;
                if wraps {
                    *offset -= step * self.sizes[axis];
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

    const PAIRS: [(&[usize], &[usize]); 11] = [
        (&[], &[]),
        (&[5], &[]),
        (&[2, 3, 4], &[2, 3, 4]),
        (&[2, 3, 4], &[4]),
        (&[2, 3, 4], &[3, 1]),
        (&[2, 1, 4], &[3, 1]),
        (&[2, 3, 4, 5], &[2, 1, 1, 5]),
        (&[2, 1, 3, 1, 2, 17], &[3, 4, 1, 17]),
        (&[1, 24], &[16, 24]),
        (&[3, 1], &[1, 3]),
        (&[0, 4], &[4]),
    ];

    /// Which entry of an operand every entry of `shape` reads, by the definition of strides.
    fn entries(shape: &Shape, operand: &Shape) -> Vec<usize> {
        let (own, strides) = (shape.strides(), operand.broadcast_strides(shape).expect("the operand fits"));
        (0..shape.len())
            .map(|i| (0..shape.rank()).map(|axis| i / own[axis] % shape[axis] * strides[axis]).sum())
            .collect()
    }

    fn check<T: Float>(a_shape: &[usize], b_shape: &[usize]) {
        let (a_shape, b_shape) = (Shape::from(a_shape), Shape::from(b_shape));
        let shape = a_shape.broadcast(&b_shape).expect("the shapes fit");
        let (at_a, at_b) = (entries(&shape, &a_shape), entries(&shape, &b_shape));
        let (a, b): (Vec<T>, Vec<T>) = (random(a_shape.len(), 1), random(b_shape.len(), 2));
        let dy: Vec<T> = random(shape.len(), 3);
        for f in [Binary::Add, Binary::Sub, Binary::Mul] {
            let mut y = unread(shape.len());
            broadcast(f, (&a, a_shape), (&b, b_shape), shape, &mut y);
            for i in 0..y.len() {
                let (a, b) = (a[at_a[i]], b[at_b[i]]);
                let expected = match f {
                    Binary::Add => a + b,
                    Binary::Sub => a - b,
                    Binary::Mul => a * b,
                };
                assert_eq!(y[i], expected, "{f:?} entry {i}");
            }
        }

        let (wide_b, wide_dy) = (widen(&b), widen(&dy));
        let (mut plain, mut product) = (vec![0.0; a.len()], vec![0.0; a.len()]);
        for i in 0..dy.len() {
            plain[at_a[i]] += wide_dy[i];
            product[at_a[i]] += wide_dy[i] * wide_b[at_b[i]];
        }
        // At most 24 terms of size up to 4.
        let dy = (&dy[..], shape);
        let got = both_ways(a.len(), |dx, keep| reduce_broadcast(dy, None, a_shape, dx, keep));
        assert_close(&got, &plain, 48.0);
        let factor = Some((&b[..], b_shape));
        let got = both_ways(a.len(), |dx, keep| reduce_broadcast(dy, factor, a_shape, dx, keep));
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
            let (a_shape, b_shape) = (Shape::from(a), Shape::from(b));
            let shape = a_shape.broadcast(&b_shape).expect("the shapes fit");
            let (a, b): (Vec<f64>, Vec<f64>) = (random(a_shape.len(), 1), random(b_shape.len(), 2));
            let dy: Vec<f64> = random(shape.len(), 3);
            let loss = |a: &[f64]| {
                let mut y = unread(shape.len());
                broadcast(Binary::Mul, (a, a_shape), (&b, b_shape), shape, &mut y);
                y.iter().zip(&dy).map(|(y, dy)| y * dy).sum()
            };
            let mut da = unread(a.len());
            reduce_broadcast((&dy, shape), Some((&b, b_shape)), a_shape, &mut da, false);
            assert_gradient(loss, &a, &da);
        }
    }

    #[test]
    fn a_column_and_a_row_make_a_table() {
        let (column, row) = ([1.0f64, 2.0], [10.0, 20.0, 30.0]);
        let mut y = [f64::NAN; 6];
        let (a, b) = (Shape::from([2, 1]), Shape::from([3]));
        broadcast(Binary::Sub, (&column, a), (&row, b), Shape::from([2, 3]), &mut y);
        assert_eq!(y, [-9.0, -19.0, -29.0, -8.0, -18.0, -28.0]);
    }
}
