//! Values: shared contiguous storage with a shape.

use std::fmt;
use std::sync::Arc;

use ndarray::{ArrayD, ArrayViewD, IxDyn};
use rand_distr::{Distribution, StandardNormal};

use crate::buffer::Buffer;
use crate::kernels::Storage;
use crate::rng::Stream;
use crate::{Float, Shape};

/// An array of numbers, contiguous and row-major. Cloning shares the storage; writing through [`make_mut`] copies it
/// first where it is shared.
///
/// ```
/// use autograd::Tensor;
/// let x = Tensor::new([2, 2], vec![1.0f32, 2.0, 3.0, 4.0]);
/// assert_eq!(x.shape(), [2, 2].into());
/// assert_eq!(x.view()[[1, 0]], 3.0);
/// ```
///
/// [`make_mut`]: Tensor::make_mut
#[derive(Clone)]
pub struct Tensor<T: Float = f32> {
    storage: Arc<Storage<T>>,
    shape: Shape,
}

impl<T: Float> Tensor<T> {
    /// A tensor of the given entries, in row-major order.
    ///
    /// # Panics
    /// Where the number of entries is not that of the shape.
    #[track_caller]
    pub fn new(shape: impl Into<Shape>, data: Vec<T>) -> Self {
        let shape = shape.into();
        assert_eq!(shape.len(), data.len(), "tensor: {} entries do not fill {shape}", data.len());
        Self::from_buffer(shape, Buffer::from(data))
    }

    /// All entries equal to `value`.
    #[track_caller]
    pub fn full(shape: impl Into<Shape>, value: T) -> Self {
        let shape = shape.into();
        Self::from_buffer(shape, Buffer::filled(shape.len(), value))
    }

    /// All entries zero.
    #[track_caller]
    pub fn zeros(shape: impl Into<Shape>) -> Self {
        Self::full(shape, T::ZERO)
    }

    /// A tensor without axes.
    pub fn scalar(value: T) -> Self {
        Self::full([], value)
    }

    /// Entry `i` in row-major order is `entry(i)`.
    #[track_caller]
    pub fn from_fn(shape: impl Into<Shape>, mut entry: impl FnMut(usize) -> T) -> Self {
        Self::fill_with(shape, |out| out.iter_mut().enumerate().for_each(|(i, out)| *out = entry(i)))
    }

    /// Entries drawn independently from the normal distribution with mean 0 and the given standard deviation.
    #[track_caller]
    pub fn normal(shape: impl Into<Shape>, deviation: f64, stream: &mut Stream) -> Self {
        Self::from_fn(shape, |_| {
            let z: f64 = StandardNormal.sample(stream);
            T::of(deviation * z)
        })
    }

    /// Entries drawn evenly from `[−bound, bound)`.
    #[track_caller]
    pub fn uniform(shape: impl Into<Shape>, bound: f64, stream: &mut Stream) -> Self {
        Self::from_fn(shape, |_| T::of(bound * (2.0 * stream.uniform() - 1.0)))
    }

    /// A tensor whose entries `fill` writes. It is handed stale memory and must write every entry.
    #[track_caller]
    pub fn fill_with(shape: impl Into<Shape>, fill: impl FnOnce(&mut [T])) -> Self {
        let shape = shape.into();
        let mut buffer = Buffer::stale(shape.len());
        fill(&mut buffer);
        Self::from_buffer(shape, buffer)
    }

    fn from_buffer(shape: Shape, buffer: Buffer<T>) -> Self {
        Self { storage: Arc::new(Storage::Cpu(buffer)), shape }
    }

    /// The sizes of the axes.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The number of entries.
    #[allow(clippy::len_without_is_empty, reason = "a tensor is no collection")]
    pub fn len(&self) -> usize {
        self.shape.len()
    }

    /// The entries in row-major order.
    pub fn as_slice(&self) -> &[T] {
        let Storage::Cpu(buffer) = &*self.storage;
        buffer
    }

    /// The entries, to write to. Copies the storage first where it is shared.
    pub fn make_mut(&mut self) -> &mut [T] {
        let Storage::Cpu(buffer) = Arc::make_mut(&mut self.storage);
        buffer
    }

    /// Whether no other tensor shares the storage, so that [`make_mut`](Self::make_mut) writes in place.
    pub fn is_unique(&self) -> bool {
        Arc::strong_count(&self.storage) == 1
    }

    /// The only entry.
    ///
    /// # Panics
    /// Where there is not exactly one.
    #[track_caller]
    pub fn item(&self) -> T {
        assert_eq!(self.len(), 1, "item: {} has {} entries, not one", self.shape, self.len());
        self.as_slice()[0]
    }

    /// The same entries under another shape. Shares the storage.
    ///
    /// # Panics
    /// Where the number of entries differs.
    #[track_caller]
    pub fn reshape(&self, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        assert_eq!(shape.len(), self.len(), "reshape: {} does not hold the entries of {}", shape, self.shape);
        Self { storage: Arc::clone(&self.storage), shape }
    }

    /// Each entry mapped.
    pub fn map(&self, f: impl Fn(T) -> T) -> Self {
        Self::fill_with(self.shape, |out| {
            for (out, &x) in out.iter_mut().zip(self.as_slice()) {
                *out = f(x);
            }
        })
    }

    /// The same values in another number type.
    pub fn cast<U: Float>(&self) -> Tensor<U> {
        Tensor::from_fn(self.shape, |i| U::of(self.as_slice()[i].to_f64()))
    }

    /// The entries as an `ndarray` view.
    pub fn view(&self) -> ArrayViewD<'_, T> {
        ArrayViewD::from_shape(IxDyn(&self.shape), self.as_slice())
            .unwrap_or_else(|_| unreachable!("a tensor's storage has the size of its shape"))
    }
}

impl<T: Float> From<ArrayD<T>> for Tensor<T> {
    fn from(array: ArrayD<T>) -> Self {
        let shape = Shape::from(array.shape());
        match array.try_into_owned_nocopy() {
            Ok(array) if array.is_standard_layout() => Self::new(shape, array.into_raw_vec_and_offset().0),
            Ok(array) => Self::new(shape, array.iter().copied().collect()),
            Err(array) => Self::new(shape, array.iter().copied().collect()),
        }
    }
}

impl<T: Float> PartialEq for Tensor<T> {
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape && self.as_slice() == other.as_slice()
    }
}

impl<T: Float> fmt::Debug for Tensor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor<{}> {} ", T::NAME, self.shape)?;
        fmt::Display::fmt(self, f)
    }
}

/// As `ndarray` prints arrays; a precision such as `{:.3}` applies to the entries.
impl<T: Float> fmt::Display for Tensor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.view(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_to_a_shared_tensor_leaves_the_other_alone() {
        let a = Tensor::full([3], 1.0f32);
        let mut b = a.clone();
        b.make_mut()[0] = 2.0;
        assert_eq!((a.as_slice()[0], b.as_slice()[0]), (1.0, 2.0));
    }

    #[test]
    fn arrays_of_any_layout_become_row_major() {
        let array = ndarray::array![[1.0f64, 2.0], [3.0, 4.0]];
        let tensor = Tensor::from(array.reversed_axes().into_dyn());
        assert_eq!(tensor.as_slice(), [1.0, 3.0, 2.0, 4.0]);
    }
}
