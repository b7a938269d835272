//! The sizes of a tensor's axes.

use std::fmt;
use std::ops::Deref;

/// The most axes a tensor can have.
pub const MAX_RANK: usize = 6;

/// The sizes of a tensor's axes, outermost first: a small `Copy` value that reads as a slice.
///
/// ```
/// use autograd::Shape;
/// let shape = Shape::from([2, 3, 4]);
/// assert_eq!(shape.len(), 24);
/// assert_eq!(shape[1], 3);
/// assert_eq!(format!("{shape}"), "[2, 3, 4]");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    dims: [usize; MAX_RANK],
    rank: u8,
}

impl Shape {
    /// The shape of a scalar: no axes, one entry.
    pub const SCALAR: Self = Self { dims: [0; MAX_RANK], rank: 0 };

    /// The number of entries.
    #[allow(clippy::len_without_is_empty, reason = "a shape is no collection")]
    pub fn len(&self) -> usize {
        self.iter().product()
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        usize::from(self.rank)
    }

    /// The size of the last axis; 1 for a scalar.
    pub fn last(&self) -> usize {
        self.as_slice().last().copied().unwrap_or(1)
    }

    /// The number of rows when the tensor is read as a matrix of rows along its last axis.
    pub fn rows(&self) -> usize {
        self.as_slice().split_last().map_or(1, |(_, outer)| outer.iter().product())
    }

    /// The sizes as a slice.
    pub fn as_slice(&self) -> &[usize] {
        &self.dims[..self.rank()]
    }

    /// The same shape with axis `axis` of another size.
    #[track_caller]
    pub fn with(mut self, axis: usize, size: usize) -> Self {
        assert!(axis < self.rank(), "shape: no axis {axis} in {self}");
        self.dims[axis] = size;
        self
    }

    /// The shape without its last axis.
    #[track_caller]
    pub fn without_last(self) -> Self {
        assert!(self.rank > 0, "shape: a scalar has no last axis");
        Self::from(&self.as_slice()[..self.rank() - 1])
    }

    /// The distance in entries between neighbours along each axis of a contiguous tensor.
    pub fn strides(&self) -> [usize; MAX_RANK] {
        let mut strides = [0; MAX_RANK];
        let mut step = 1;
        for axis in (0..self.rank()).rev() {
            strides[axis] = step;
            step *= self.dims[axis];
        }
        strides
    }

    /// The shape two operands broadcast to: axes are aligned at the end, and a size of 1 stretches.
    pub fn broadcast(&self, other: &Self) -> Option<Self> {
        let rank = self.rank().max(other.rank());
        let mut dims = [0; MAX_RANK];
        for (axis, dim) in dims[..rank].iter_mut().enumerate() {
            *dim = match (self.aligned(axis, rank), other.aligned(axis, rank)) {
                (a, b) if a == b => a,
                (1, b) => b,
                (a, 1) => a,
                _ => return None,
            };
        }
        Some(Self { dims, rank: rank as u8 })
    }

    /// Strides that read this shape as if it were `target`: stretched axes get stride 0.
    ///
    /// `None` where this shape does not broadcast to `target`.
    pub fn broadcast_strides(&self, target: &Self) -> Option<[usize; MAX_RANK]> {
        if self.rank() > target.rank() {
            return None;
        }
        let own = self.strides();
        let missing = target.rank() - self.rank();
        let mut strides = [0; MAX_RANK];
        for axis in missing..target.rank() {
            let size = self.dims[axis - missing];
            if size == target.dims[axis] {
                strides[axis] = own[axis - missing];
            } else if size != 1 {
                return None;
            }
        }
        Some(strides)
    }

    fn aligned(&self, axis: usize, rank: usize) -> usize {
        (axis + self.rank()).checked_sub(rank).map_or(1, |own| self.dims[own])
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        self.as_slice()
    }
}

impl From<&[usize]> for Shape {
    #[track_caller]
    fn from(sizes: &[usize]) -> Self {
        assert!(sizes.len() <= MAX_RANK, "shape: {sizes:?} has more than {MAX_RANK} axes");
        let mut dims = [0; MAX_RANK];
        dims[..sizes.len()].copy_from_slice(sizes);
        Self { dims, rank: sizes.len() as u8 }
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    #[track_caller]
    fn from(sizes: [usize; N]) -> Self {
        Self::from(sizes.as_slice())
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_slice(), f)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Through a string, so that a width given by the caller pads the whole.
        f.pad(&format!("{:?}", self.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_aligns_at_the_end() {
        let (a, b) = (Shape::from([4, 1, 3]), Shape::from([2, 1]));
        assert_eq!(a.broadcast(&b), Some(Shape::from([4, 2, 3])));
        assert_eq!(a.broadcast(&Shape::from([2])), None);
        assert_eq!(
            Shape::from([3]).broadcast_strides(&Shape::from([2, 3])).map(|s| [s[0], s[1]]),
            Some([0, 1])
        );
    }
}
