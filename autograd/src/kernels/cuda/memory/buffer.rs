//! A block of a device's memory that somebody owns.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::pool::{Block, Pool};
use super::{CudaError, Memory, Result};
use crate::kernels::cuda::driver::Address;

/// Bytes on a device. Dropped, they wait for the next buffer of their size.
pub(crate) struct DeviceBuffer {
    memory: Arc<Memory>,
    /// Where the block came from, and goes to.
    pool: Arc<Pool>,
    block: Block,
    bytes: usize,
}

impl DeviceBuffer {
    pub(super) fn new(memory: Arc<Memory>, pool: Arc<Pool>, block: Block, bytes: usize) -> Self {
        Self { memory, pool, block, bytes }
    }

    /// Its first byte, for launches: a multiple of 256, and not 0 even where the buffer is empty.
    pub(crate) fn address(&self) -> Address {
        self.block.address
    }

    /// How many bytes were asked for.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Overwrites its first `bytes.len()` bytes.
    ///
    /// # Errors
    /// Where it is shorter, and what the driver says.
    pub(crate) fn upload(&self, bytes: &[u8]) -> Result<()> {
        self.check("upload", bytes.len())?;
        self.memory.counts.uploads.fetch_add(1, Ordering::Relaxed);
        self.memory.driver.upload(self.block.address, bytes)
    }

    /// Waits for all work and reads its first `bytes.len()` bytes.
    ///
    /// # Errors
    /// Where it is shorter, and what the driver says: also what went wrong in a kernel before.
    pub(crate) fn download(&self, bytes: &mut [u8]) -> Result<()> {
        self.check("download", bytes.len())?;
        self.memory.counts.downloads.fetch_add(1, Ordering::Relaxed);
        self.memory.driver.download(self.block.address, bytes)
    }

    fn check(&self, what: &str, bytes: usize) -> Result<()> {
        if bytes <= self.bytes {
            return Ok(());
        }
        Err(CudaError::new(format!("{what} of {bytes} bytes in a device buffer of {}", self.bytes)))
    }
}

impl Drop for DeviceBuffer {
    fn drop(&mut self) {
        self.pool.give(self.block);
    }
}

impl fmt::Debug for DeviceBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceBuffer({} bytes at {:#x})", self.bytes, self.block.address)
    }
}
