//! Binary functions of operands that stretch to a common shape, and the sums that take gradients back.

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

/// `y = f(a, b)` for `a` and `b` stretched to `shape`, which both must broadcast to.
pub fn broadcast<T: Float>(f: Binary, a: Operand<'_, T>, b: Operand<'_, T>, shape: Shape, y: &mut [T]) {
    if a.1 == shape && b.1 == shape {
        return match f {
            Binary::Add => elementwise::add(a.0, b.0, y),
            Binary::Sub => elementwise::sub(a.0, b.0, y),
            Binary::Mul => elementwise::mul(a.0, b.0, y),
        };
    }
    let (a_strides, b_strides) = (stretched(a.1, shape), stretched(b.1, shape));
    // Trailing axes along which neither is stretched are one long row.
    let inner = inner_axes(shape, |axis| {
        let own = shape.strides()[axis];
        a_strides[axis] == own && b_strides[axis] == own
    });
    for ((i, j), y) in offsets(shape, inner, &a_strides, &b_strides).zip(y.chunks_exact_mut(inner.max(1))) {
        if inner > 1 {
            let (a, b) = (&a.0[i..i + inner], &b.0[j..j + inner]);
            match f {
                Binary::Add => elementwise::add(a, b, y),
                Binary::Sub => elementwise::sub(a, b, y),
                Binary::Mul => elementwise::mul(a, b, y),
            }
        } else {
            let (a, b) = (a.0[i], b.0[j]);
            y[0] = match f {
                Binary::Add => a + b,
                Binary::Sub => a - b,
                Binary::Mul => a * b,
            };
        }
    }
}

/// The adjoint of stretching: `dx (+)= ` the sums of `dy` (times `factor`, which broadcasts to its shape) over the axes
/// along which an input of `shape` was stretched.
pub fn reduce_broadcast<T: Float>(
    (dy, dy_shape): Operand<'_, T>,
    factor: Option<Operand<'_, T>>,
    shape: Shape,
    dx: &mut [T],
    keep: bool,
) {
    match factor {
        None if shape == dy_shape => return elementwise::copy_or_add(dy, dx, keep),
        Some((factor, factor_shape)) if shape == dy_shape && factor_shape == dy_shape => {
            return elementwise::mul_backward(dy, factor, dx, keep);
        }
        _ => {}
    }
    if !keep {
        dx.fill(T::ZERO);
    }
    let dx_strides = stretched(shape, dy_shape);
    let (factor, factor_strides) = match factor {
        Some((factor, factor_shape)) => (factor, stretched(factor_shape, dy_shape)),
        None => (&[T::ONE][..], [0; MAX_RANK]),
    };
    let pairs = offsets(dy_shape, 1, &dx_strides, &factor_strides);
    for ((i, j), &dy) in pairs.zip(dy) {
        dx[i] += dy * factor[j];
    }
}

fn stretched(shape: Shape, target: Shape) -> [usize; MAX_RANK] {
    shape
        .broadcast_strides(&target)
        .unwrap_or_else(|| panic!("broadcast: {shape} does not stretch to {target}"))
}

/// The number of entries in the trailing axes that all satisfy `whole`.
fn inner_axes(shape: Shape, whole: impl Fn(usize) -> bool) -> usize {
    (0..shape.rank()).rev().take_while(|&axis| whole(axis)).map(|axis| shape[axis]).product()
}

/// For every run of `inner` entries of `shape`, in order: where it begins in two operands with these strides.
fn offsets<'a>(
    shape: Shape,
    inner: usize,
    a_strides: &'a [usize; MAX_RANK],
    b_strides: &'a [usize; MAX_RANK],
) -> impl Iterator<Item = (usize, usize)> + use<'a> {
    let runs = shape.len() / inner.max(1);
    let own = shape.strides();
    (0..runs).map(move |run| {
        let entry = run * inner;
        let mut offset = (0, 0);
        for axis in 0..shape.rank() {
            let index = entry / own[axis].max(1) % shape[axis].max(1);
            offset.0 += index * a_strides[axis];
            offset.1 += index * b_strides[axis];
        }
        offset
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_and_a_row_make_a_table() {
        let (column, row) = ([1.0f64, 2.0], [10.0, 20.0, 30.0]);
        let mut y = [f64::NAN; 6];
        let (a, b) = (Shape::from([2, 1]), Shape::from([3]));
        broadcast(Binary::Sub, (&column, a), (&row, b), Shape::from([2, 3]), &mut y);
        assert_eq!(y, [-9.0, -19.0, -29.0, -8.0, -18.0, -28.0]);
    }

    #[test]
    fn gradients_of_stretched_operands_are_sums() {
        let dy = [1.0f64, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mut dx = [f64::NAN; 2];
        reduce_broadcast((&dy, Shape::from([2, 3])), None, Shape::from([2, 1]), &mut dx, false);
        assert_eq!(dx, [6.0, 15.0]);
        let factor = [1.0, 0.0, -1.0];
        let factor = Some((&factor[..], Shape::from([3])));
        reduce_broadcast((&dy, Shape::from([2, 3])), factor, Shape::from([2, 1]), &mut dx, true);
        assert_eq!(dx, [6.0 - 2.0, 15.0 - 2.0]);
    }
}
