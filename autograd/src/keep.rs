//! Which entries of a tensor are kept: the flags of a mask.

use std::sync::Arc;

use crate::Shape;

/// A flag for every entry of a tensor it broadcasts to; `true` means *kept*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    flags: Arc<[bool]>,
    shape: Shape,
}

impl Keep {
    /// Flags of the given shape, in row-major order.
    ///
    /// # Panics
    /// Where the number of flags is not that of the shape.
    #[track_caller]
    pub fn new(shape: impl Into<Shape>, flags: impl Into<Arc<[bool]>>) -> Self {
        let (shape, flags) = (shape.into(), flags.into());
        assert!(shape.len() == flags.len(), "keep: {} flags do not fill {shape}", flags.len());
        Self { flags, shape }
    }

    /// The sizes of the axes.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The flags in row-major order.
    pub fn as_slice(&self) -> &[bool] {
        &self.flags
    }

    /// The flags of every entry of a tensor of shape `target`.
    ///
    /// # Panics
    /// Where this does not broadcast to it.
    #[track_caller]
    pub(crate) fn expand(&self, op: &str, target: Shape) -> Arc<[bool]> {
        if self.shape == target {
            return Arc::clone(&self.flags);
        }
        let Some(strides) = self.shape.broadcast_strides(&target) else {
            panic!("{op}: a mask of {} does not broadcast to {target}", self.shape)
        };
        let own = target.strides();
        (0..target.len())
            .map(|i| {
                let offset: usize = (target.iter().enumerate())
                    .map(|(axis, &size)| i / own[axis] % size * strides[axis])
                    .sum();
                self.flags[offset]
            })
            .collect()
    }
}
