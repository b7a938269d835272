//! Values: shared contiguous storage with a shape.

use std::fmt;
use std::sync::Arc;

use ndarray::{ArrayD, ArrayViewD, IxDyn};
use rand_distr::{Distribution, StandardNormal};

use crate::buffer::Buffer;
use crate::kernels::cpu::device::Cpu;
use crate::kernels::{Device, Kernels, Storage};
use crate::rng::Stream;
use crate::{Float, Ids, Shape};

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
        assert!(shape.len() == data.len(), "tensor: {} entries do not fill {shape}", data.len());
        Self::from_buffer(shape, Buffer::from(data))
    }

    /// All entries equal to `value`.
    ///
    /// # Panics
    /// Where there is no memory for them.
    #[track_caller]
    pub fn full(shape: impl Into<Shape>, value: T) -> Self {
        Self::fill_with(shape, |out| out.fill(value))
    }

    /// All entries zero.
    ///
    /// # Panics
    /// Where there is no memory for them.
    #[track_caller]
    pub fn zeros(shape: impl Into<Shape>) -> Self {
        Self::full(shape, T::ZERO)
    }

    /// Zeros of the same shape, on the same device.
    #[must_use]
    pub fn zeros_like(&self) -> Self {
        self.alike(self.shape, |kernels, y| kernels.fill(T::ZERO, y))
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
    ///
    /// # Panics
    /// Where there is no memory for them.
    #[track_caller]
    pub fn fill_with(shape: impl Into<Shape>, fill: impl FnOnce(&mut [T])) -> Self {
        let shape = shape.into();
        let mut buffer = room(shape);
        fill(&mut buffer);
        Self::from_buffer(shape, buffer)
    }

    fn from_buffer(shape: Shape, buffer: Buffer<T>) -> Self {
        Self::from_storage(shape, Storage::Cpu(buffer))
    }

    pub(crate) fn from_storage(shape: Shape, storage: Storage<T>) -> Self {
        Self { storage: Arc::new(storage), shape }
    }

    #[cfg(feature = "cuda")]
    pub(crate) fn storage(&self) -> &Storage<T> {
        &self.storage
    }

    /// The storage, to write to; copied first where it is shared.
    #[cfg(feature = "cuda")]
    pub(crate) fn storage_mut(&mut self) -> &mut Storage<T> {
        Arc::make_mut(&mut self.storage)
    }

    /// Where it lies in a card's memory, if it does so and nobody shares it: recorded work that writes to it holds to this.
    #[cfg(feature = "cuda")]
    pub fn address(&self) -> Option<u64> {
        match &*self.storage {
            Storage::Cuda(array) if self.is_unique() => Some(array.address()),
            _ => None,
        }
    }

    /// The device that it lies on.
    pub fn device(&self) -> Device {
        match &*self.storage {
            Storage::Cpu(_) => Device::Cpu,
            #[cfg(feature = "cuda")]
            Storage::Cuda(array) => Device::Cuda(array.device().clone()),
        }
    }

    pub(crate) fn kernels(&self) -> &dyn Kernels<T> {
        match &*self.storage {
            Storage::Cpu(_) => &Cpu,
            #[cfg(feature = "cuda")]
            Storage::Cuda(array) => array.device(),
        }
    }

    /// A tensor on the same device, whose entries `write` writes. It is handed stale memory and must write every entry.
    #[track_caller]
    pub(crate) fn alike(
        &self,
        shape: impl Into<Shape>,
        write: impl FnOnce(&dyn Kernels<T>, &mut Self),
    ) -> Self {
        let (shape, kernels) = (shape.into(), self.kernels());
        let storage = match &*self.storage {
            Storage::Cpu(_) => Storage::Cpu(room(shape)),
            #[cfg(feature = "cuda")]
            Storage::Cuda(_) => kernels.stale(shape.len()),
        };
        let mut tensor = Self::from_storage(shape, storage);
        write(kernels, &mut tensor);
        tensor
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
    ///
    /// # Panics
    /// Where it lies on a card: nothing is copied from there unless [`to`](Self::to) or [`item`](Self::item) asks for it.
    #[track_caller]
    #[inline]
    pub fn as_slice(&self) -> &[T] {
        match &*self.storage {
            Storage::Cpu(buffer) => buffer,
            #[cfg(feature = "cuda")]
            Storage::Cuda(array) => array.not_here(),
        }
    }

    /// The entries, to write to. Copies the storage first where it is shared.
    ///
    /// # Panics
    /// Where it lies on a card.
    #[track_caller]
    #[inline]
    pub fn make_mut(&mut self) -> &mut [T] {
        match Arc::make_mut(&mut self.storage) {
            Storage::Cpu(buffer) => buffer,
            #[cfg(feature = "cuda")]
            Storage::Cuda(array) => array.not_here(),
        }
    }

    /// Other entries, in row-major order, in the same place where nobody shares it: also on a card, where recorded work reads
    /// them.
    ///
    /// # Panics
    /// Where there are not as many.
    #[track_caller]
    pub fn put(&mut self, entries: &[T]) {
        assert!(entries.len() == self.len(), "put: {} entries do not fill {}", entries.len(), self.shape);
        match Arc::make_mut(&mut self.storage) {
            Storage::Cpu(buffer) => buffer.copy_from_slice(entries),
            #[cfg(feature = "cuda")]
            Storage::Cuda(array) => array.put(entries),
        }
    }

    /// The same values on a device; shared where they lie there already.
    ///
    /// # Panics
    /// Where the device is a card and the entries are not `f32`, which is all that a card computes with; where its memory
    /// is full.
    #[track_caller]
    #[must_use]
    pub fn to(&self, device: &Device) -> Self {
        if self.device() == *device {
            return self.clone();
        }
        match device {
            Device::Cpu => Self::fill_with(self.shape, |out| match &*self.storage {
                Storage::Cpu(buffer) => out.copy_from_slice(buffer),
                #[cfg(feature = "cuda")]
                Storage::Cuda(array) => array.download(out),
            }),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => {
                let here = self.to(&Device::Cpu);
                Self::from_storage(self.shape, Storage::Cuda(cuda.upload(here.as_slice())))
            }
        }
    }

    /// Whether no other tensor shares the storage, so that [`make_mut`](Self::make_mut) writes in place.
    pub fn is_unique(&self) -> bool {
        Arc::strong_count(&self.storage) == 1
    }

    /// The only entry; copied from the card where it lies on one.
    ///
    /// # Panics
    /// Where there is not exactly one.
    #[track_caller]
    pub fn item(&self) -> T {
        assert!(self.len() == 1, "item: {} has {} entries, not one", self.shape, self.len());
        match &*self.storage {
            Storage::Cpu(buffer) => buffer[0],
            #[cfg(feature = "cuda")]
            Storage::Cuda(_) => self.to(&Device::Cpu).item(),
        }
    }

    /// The same entries under another shape. Shares the storage.
    ///
    /// # Panics
    /// Where the number of entries differs.
    #[track_caller]
    pub fn reshape(&self, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        assert!(shape.len() == self.len(), "reshape: {shape} does not hold the entries of {}", self.shape);
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

    /// The same values in another number type, on the processor.
    pub fn cast<U: Float>(&self) -> Tensor<U> {
        let here = self.to(&Device::Cpu);
        Tensor::from_fn(self.shape, |i| U::of(here.as_slice()[i].to_f64()))
    }

    /// `self + share·(other − self)`, on the same device.
    ///
    /// # Panics
    /// Where the shapes differ.
    #[track_caller]
    #[must_use]
    pub fn towards(&self, other: &Self, share: f64) -> Self {
        assert!(self.shape == other.shape, "towards: {} and {} differ", self.shape, other.shape);
        self.alike(self.shape, |kernels, y| {
            kernels.scale(self, T::of(1.0 - share), y, false);
            kernels.scale(other, T::of(share), y, true);
        })
    }

    /// The rows of this table `[V, D]` that `ids [N]` name: `[N, D]`. Not on a tape: see [`Var::embedding`](crate::Var).
    ///
    /// # Panics
    /// Where it is no table, or has no such row.
    #[track_caller]
    #[must_use]
    pub fn pick(&self, ids: &Ids) -> Self {
        self.alike(crate::ops::embedding::shape(self, ids), |kernels, y| kernels.embedding(self, ids, y))
    }

    /// The entries as an `ndarray` view.
    pub fn view(&self) -> ArrayViewD<'_, T> {
        ArrayViewD::from_shape(IxDyn(&self.shape), self.as_slice())
            .unwrap_or_else(|_| unreachable!("a tensor's storage has the size of its shape"))
    }
}

/// Memory for the entries of a tensor of this shape, which hold anything.
#[track_caller]
fn room<T: Float>(shape: Shape) -> Buffer<T> {
    match Buffer::try_stale(shape.len()) {
        Some(buffer) => buffer,
        None => {
            let gigabytes = shape.len() as f64 * size_of::<T>() as f64 / f64::from(1 << 30);
            panic!("tensor: no memory for {shape} of {}, {gigabytes:.1} GiB", T::NAME)
        }
    }
}

/// # Panics
/// Where the array has more axes than a [`Shape`] can.
impl<T: Float> From<ArrayD<T>> for Tensor<T> {
    #[track_caller]
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
        let [a, b] = [self, other].map(|x| x.to(&Device::Cpu));
        a.shape == b.shape && a.as_slice() == b.as_slice()
    }
}

impl<T: Float> fmt::Debug for Tensor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor<{}> {} ", T::NAME, self.shape)?;
        if !self.device().is_cpu() {
            write!(f, "on {} ", self.device())?;
        }
        fmt::Display::fmt(self, f)
    }
}

/// As `ndarray` prints arrays; a precision such as `{:.3}` applies to the entries.
impl<T: Float> fmt::Display for Tensor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to(&Device::Cpu).view(), f)
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
