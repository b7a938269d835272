//! Whole numbers: token ids, class labels.

use std::sync::Arc;

use crate::{Device, Shape};

/// An array of token ids or class labels, contiguous and row-major. Cloning shares the storage.
#[derive(Clone, Debug)]
pub struct Ids {
    data: Arc<[u32]>,
    shape: Shape,
    /// The same numbers on a card, once they were wanted there.
    #[cfg(feature = "cuda")]
    pub(crate) staged: Arc<std::sync::OnceLock<crate::kernels::cuda::StagedIds>>,
}

impl PartialEq for Ids {
    fn eq(&self, other: &Self) -> bool {
        (&self.data, self.shape) == (&other.data, other.shape)
    }
}

impl Eq for Ids {}

impl Ids {
    /// Ids of the given shape, in row-major order.
    ///
    /// # Panics
    /// Where the number of ids is not that of the shape.
    #[track_caller]
    pub fn new(shape: impl Into<Shape>, data: impl Into<Arc<[u32]>>) -> Self {
        let (shape, data) = (shape.into(), data.into());
        assert!(shape.len() == data.len(), "ids: {} entries do not fill {shape}", data.len());
        Self {
            data,
            shape,
            #[cfg(feature = "cuda")]
            staged: Arc::default(),
        }
    }

    /// The sizes of the axes.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The ids in row-major order.
    pub fn as_slice(&self) -> &[u32] {
        &self.data
    }
}

/// Numbers along one axis.
impl<const N: usize> From<[u32; N]> for Ids {
    fn from(numbers: [u32; N]) -> Self {
        Self::new([N], numbers)
    }
}

/// Brings numbers to the places of others, which were staged at once, on the same device, and are as many: recorded work
/// reads these then. On the processor nothing is recorded, and there is nothing to do.
///
/// # Panics
/// Where they do not fit there.
#[track_caller]
#[cfg_attr(not(feature = "cuda"), allow(unused_variables, reason = "only a card wants them"))]
pub fn restage(device: &Device, there: [&[&Ids]; 2], [picks, numbers]: [&[&Ids]; 2]) {
    match device {
        Device::Cpu => {}
        #[cfg(feature = "cuda")]
        Device::Cuda(cuda) => cuda.restage(there, [picks, numbers]),
    }
}

/// Brings numbers to the device where a computation will want them, all in one copy: `picks` of rows of trained tables, and
/// others. On the processor there is nothing to do.
#[cfg_attr(not(feature = "cuda"), allow(unused_variables, reason = "only a card wants them"))]
pub fn stage(device: &Device, picks: &[&Ids], numbers: &[&Ids]) {
    match device {
        Device::Cpu => {}
        #[cfg(feature = "cuda")]
        Device::Cuda(cuda) => cuda.stage(picks, numbers),
    }
}
