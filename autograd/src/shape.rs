//! The sizes of a tensor's axes.

use std::fmt;
use std::ops::Deref;

/// The most axes a tensor can have.
pub const MAX_RANK: usize = 6;

/// The sizes of a tensor's axes, outermost first: a small `Copy` value that reads as a slice.
///
/// The sizes other than 0 multiply to at most `isize::MAX`, so no count of entries or rows and no stride of a shape
/// overflows.
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

    /// The shape of these sizes; `None` where there are more than [`MAX_RANK`] of them, or where the sizes other than 0
    /// multiply to more than `isize::MAX`. The conversions `From` panic there.
    ///
    /// ```
    /// use autograd::Shape;
    /// assert_eq!(Shape::checked(&[2, 3]), Some(Shape::from([2, 3])));
    /// assert_eq!(Shape::checked(&[1 << 40, 1 << 40]), None);
    /// ```
    pub fn checked(sizes: &[usize]) -> Option<Self> {
        let count = sizes.iter().filter(|&&size| size > 0).try_fold(1usize, |n, &size| n.checked_mul(size));
        if sizes.len() > MAX_RANK || count.is_none_or(|count| isize::try_from(count).is_err()) {
            return None;
        }
        let mut dims = [0; MAX_RANK];
        dims[..sizes.len()].copy_from_slice(sizes);
        Some(Self { dims, rank: sizes.len() as u8 })
    }

    /// The shape of these sizes, for the op of this name.
    #[track_caller]
    pub(crate) fn of(op: &str, sizes: &[usize]) -> Self {
        match Self::checked(sizes) {
            Some(shape) => shape,
            None if sizes.len() > MAX_RANK => panic!("{op}: {sizes:?} has more than {MAX_RANK} axes"),
            None => panic!("{op}: {sizes:?} has more entries than can be counted"),
        }
    }

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
    ///
    /// # Panics
    /// Where there is no such axis, or the result has more entries than can be counted.
    #[track_caller]
    pub fn with(self, axis: usize, size: usize) -> Self {
        assert!(axis < self.rank(), "shape: no axis {axis} in {self}");
        self.resized("shape", axis, size)
    }

    /// The same for the op of this name, whose axis is known to be there.
    #[track_caller]
    pub(crate) fn resized(mut self, op: &str, axis: usize, size: usize) -> Self {
        self.dims[axis] = size;
        Self::of(op, self.as_slice())
    }

    /// The shape without its last axis.
    ///
    /// # Panics
    /// Where it is that of a scalar.
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

    /// The shape two operands broadcast to: axes are aligned at the end, and a size of 1 stretches. `None` where they do not
    /// fit, or the result has more entries than can be counted.
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
        Self::checked(&dims[..rank])
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

/// # Panics
/// Where there are more than [`MAX_RANK`] sizes, or more entries than can be counted: see [`Shape::checked`].
impl From<&[usize]> for Shape {
    #[track_caller]
    fn from(sizes: &[usize]) -> Self {
        Self::of("shape", sizes)
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
    fn a_shape_whose_sizes_overflow_is_none_also_beside_a_size_of_zero() {
        let half = 1 << 32;
        for sizes in [&[half, half][..], &[half, 0, half], &[0, half, half], &[1 << 63], &[usize::MAX, 3]] {
            assert_eq!(Shape::checked(sizes), None, "{sizes:?}");
        }
        let widest = Shape::checked(&[0, half, 0, half / 4]).expect("2⁶² can be counted");
        assert_eq!((widest.len(), widest.rows(), widest.strides()[0]), (0, 0, 0));
        assert_eq!(Shape::from([half, 1, 0]).broadcast(&Shape::from([half, 1])), None);
        assert_eq!(Shape::checked(&[1; MAX_RANK + 1]), None);
    }

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
