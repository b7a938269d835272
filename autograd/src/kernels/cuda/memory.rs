//! A device's memory, recycled: a dropped buffer waits for the next tensor of its size.
//!
//! Asking the driver for memory stops the card until all its work is done, so a training step must not. All work runs
//! in the order in which it is asked for (see [`Driver`]), so a buffer that is dropped while kernels still read it may
//! be handed out at once: whoever writes to it comes later.

mod buffer;
mod pool;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use buffer::DeviceBuffer;
use pool::Pool;

use super::driver::{CudaError, Driver, Result};

/// The memory of one device, and the way to that device.
///
/// ```text
/// let memory = Memory::new(driver);
/// let x = memory.allocate(4 * rows * n)?;          // DeviceBuffer: x.address() is for launches
/// x.upload(bytes)?;
/// x.memory().driver().launch("scale", threads, &[Argument::Address(x.address()), …])?;
/// drop(x);                                         // waits for the next buffer of its size
/// ```
#[derive(Debug)]
pub(crate) struct Memory {
    driver: Arc<dyn Driver>,
    counts: Arc<Counts>,
    /// Where buffers come from outside [`within`](Self::within).
    common: Arc<Pool>,
    /// Where buffers come from now.
    current: Mutex<Arc<Pool>>,
}

/// What was handed out and copied, over all pools of a device.
#[derive(Debug, Default)]
struct Counts {
    in_use: AtomicUsize,
    peak: AtomicUsize,
    uploads: AtomicU64,
    downloads: AtomicU64,
}

/// Memory set apart for recorded work, which runs again with the addresses that it had when it was recorded. As long as
/// the reserve lives, nobody else is given what was allocated [`within`](Memory::within) it.
///
/// Drop it after the [`Graph`](super::driver::Graph)s that were recorded within it. Several graphs may share one where
/// what one of them leaves behind is read before another runs.
#[derive(Debug)]
pub(crate) struct Reserve(Arc<Pool>);

impl Memory {
    /// The memory of `driver`'s device, none of it asked for yet.
    pub(crate) fn new(driver: Arc<dyn Driver>) -> Arc<Self> {
        let counts = Arc::new(Counts::default());
        let common = Arc::new(Pool::new(Arc::clone(&driver), Arc::clone(&counts)));
        let current = Mutex::new(Arc::clone(&common));
        Arc::new(Self { driver, counts, common, current })
    }

    /// The device.
    pub(crate) fn driver(&self) -> &Arc<dyn Driver> {
        &self.driver
    }

    /// A buffer of `bytes` bytes that may hold **anything**, aligned to 256 bytes, never at address 0.
    ///
    /// # Errors
    /// Where the device has no memory left, also after what waits was given back to the driver.
    pub(crate) fn allocate(self: &Arc<Self>, bytes: usize) -> Result<DeviceBuffer> {
        let pool = Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner));
        let block = pool.take(bytes).or_else(|_| {
            // Only what waits outside of reserves: recorded graphs use what waits in them.
            self.trim();
            pool.take(bytes).map_err(|refusal| self.out_of_memory(bytes, &refusal))
        })?;
        Ok(DeviceBuffer::new(Arc::clone(self), pool, block, bytes))
    }

    /// Gives what waits outside of reserves back to the driver, for example between training and a long evaluation.
    pub(crate) fn trim(&self) {
        self.common.trim();
    }

    /// An empty reserve, to record work [`within`](Self::within).
    pub(crate) fn reserve(&self) -> Reserve {
        Reserve(Arc::new(Pool::new(Arc::clone(&self.driver), Arc::clone(&self.counts))))
    }

    /// Does `work` with all buffers allocated from `reserve`; buffers that live on return to it. For one thread at a
    /// time.
    ///
    /// Within a reserve nothing that waits elsewhere is reused. Do the same work once unrecorded within the reserve: that fills it, and drivers need not give memory
    /// while they record.
    pub(crate) fn within<R>(&self, reserve: &Reserve, work: impl FnOnce() -> R) -> R {
        /// Puts the pool back, also where the work panics.
        struct Restore<'a>(&'a Memory, Option<Arc<Pool>>);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                if let Some(before) = self.1.take() {
                    *self.0.current.lock().unwrap_or_else(PoisonError::into_inner) = before;
                }
            }
        }
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *current, Arc::clone(&reserve.0));
        drop(current);
        let _restore = Restore(self, Some(before));
        work()
    }

    /// Bytes in buffers that live now, each counted as the block that holds it. What the device holds in all, with what
    /// waits, is the driver's [`memory`](Driver::memory).
    pub(crate) fn in_use(&self) -> usize {
        self.counts.in_use.load(Ordering::Relaxed)
    }

    /// The most that was [`in_use`](Self::in_use) since the start or the last [`reset_peak`](Self::reset_peak).
    pub(crate) fn peak(&self) -> usize {
        self.counts.peak.load(Ordering::Relaxed)
    }

    /// Starts the [`peak`](Self::peak) anew at what is in use now.
    pub(crate) fn reset_peak(&self) {
        self.counts.peak.store(self.in_use(), Ordering::Relaxed);
    }

    /// The number of copies to the device and back so far. Inside a training step neither may rise.
    pub(crate) fn copies(&self) -> [u64; 2] {
        [self.counts.uploads.load(Ordering::Relaxed), self.counts.downloads.load(Ordering::Relaxed)]
    }

    fn out_of_memory(&self, bytes: usize, refusal: &CudaError) -> CudaError {
        let [held, _] = self.driver.memory();
        let in_use = self.in_use();
        let [wanted, waiting] = [bytes, held.saturating_sub(in_use)].map(readable);
        let in_use = readable(in_use);
        CudaError::new(format!(
            "{refusal}: {wanted} wanted beside {in_use} in use and {waiting} kept for reuse"
        ))
    }
}

/// `1.5 GiB`, `312.0 KiB`, `17 bytes`.
fn readable(bytes: usize) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|&(size, _)| bytes >= size) {
        Some((size, unit)) => format!("{:.1} {unit}", bytes as f64 / size as f64),
        None => format!("{bytes} bytes"),
    }
}
