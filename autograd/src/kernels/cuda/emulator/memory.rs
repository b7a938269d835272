//! The emulator's memory: the host's, with a list of what is allocated.

use std::alloc::{Layout, alloc, dealloc};
use std::collections::BTreeMap;

use crate::kernels::cuda::driver::{Address, CudaError, Result};

/// What addresses are multiples of.
const ALIGNMENT: usize = 256;

/// Blocks of memory by their addresses.
#[derive(Debug, Default)]
pub(super) struct Memory {
    blocks: BTreeMap<Address, usize>,
    now: usize,
    most: usize,
}

fn layout(bytes: usize) -> Result<Layout> {
    Layout::from_size_align(bytes.max(1), ALIGNMENT)
        .map_err(|_| CudaError::new(format!("emulator: no memory of {bytes} bytes")))
}

impl Memory {
    /// A fresh block, every `f32` of which is NaN.
    pub(super) fn allocate(&mut self, bytes: usize) -> Result<Address> {
        let layout = layout(bytes)?;
        // SAFETY: the layout has at least a byte, and the block is as long as what is written.
        let address = unsafe {
            let block = alloc(layout);
            if block.is_null() {
                return Err(CudaError::new(format!("emulator: no memory of {bytes} bytes")));
            }
            block.write_bytes(0xff, layout.size());
            block as Address
        };
        self.blocks.insert(address, bytes);
        self.now += bytes;
        self.most = self.most.max(self.now);
        Ok(address)
    }

    /// Gives a block back; no other address does anything.
    pub(super) fn free(&mut self, address: Address) {
        let Some(bytes) = self.blocks.remove(&address) else { return };
        self.now -= bytes;
        if let Ok(layout) = layout(bytes) {
            // SAFETY: the block was allocated with this layout, and has left the list.
            unsafe { dealloc(address as *mut u8, layout) };
        }
    }

    /// How many bytes there are from an address to the end of its block; none where it lies in no block.
    pub(super) fn from(&self, address: Address) -> Option<usize> {
        let (start, bytes) = self.blocks.range(..=address).next_back()?;
        (*bytes as u64).checked_sub(address - start).map(|left| left as usize)
    }

    /// Asserts that all these bytes lie in one block.
    pub(super) fn check(&self, address: Address, bytes: usize, what: &str) -> Result<()> {
        match self.from(address) {
            Some(left) if bytes <= left => Ok(()),
            Some(left) => Err(CudaError::new(format!(
                "emulator: {what} wants {bytes} bytes, where its block has {left} more"
            ))),
            None => Err(CudaError::new(format!("emulator: {what} lies in no allocated block"))),
        }
    }

    /// Bytes allocated now, and the most there ever were.
    pub(super) fn counts(&self) -> [usize; 2] {
        [self.now, self.most]
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        while let Some((&address, _)) = self.blocks.first_key_value() {
            self.free(address);
        }
    }
}
