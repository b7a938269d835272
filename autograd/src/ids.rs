//! Whole numbers: token ids, class labels.

use std::sync::Arc;

use crate::Shape;

/// An array of token ids or class labels, contiguous and row-major. Cloning shares the storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    data: Arc<[u32]>,
    shape: Shape,
}

impl Ids {
    /// Ids of the given shape, in row-major order.
    ///
    /// # Panics
    /// Where the number of ids is not that of the shape.
    #[track_caller]
    pub fn new(shape: impl Into<Shape>, data: impl Into<Arc<[u32]>>) -> Self {
        let (shape, data) = (shape.into(), data.into());
        assert_eq!(shape.len(), data.len(), "ids: {} entries do not fill {shape}", data.len());
        Self { data, shape }
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
