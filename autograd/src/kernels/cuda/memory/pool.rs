//! Blocks that wait to be used again, by size.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Counts, Result};
use crate::kernels::cuda::driver::{Address, Driver};

/// Blocks up to this size are cut from slabs.
const SMALL: usize = 1 << 20;
/// What is asked of the driver at once for small blocks.
const SLAB: usize = 16 << 20;
/// Small blocks are multiples of this, so that all are aligned to 256 bytes.
const SMALL_STEP: usize = 512;
/// Large blocks are multiples of this, as the driver's own pages are.
const LARGE_STEP: usize = 2 << 20;

/// A piece of a device's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) address: Address,
    pub(super) size: usize,
}

/// Blocks that wait, and where to get more.
#[derive(Debug)]
pub(super) struct Pool {
    driver: Arc<dyn Driver>,
    counts: Arc<Counts>,
    shelves: Mutex<Shelves>,
}

#[derive(Debug, Default)]
struct Shelves {
    /// The addresses of blocks that wait, by size.
    waiting: BTreeMap<usize, Vec<Address>>,
    slabs: Vec<Address>,
    /// What is left of the newest slab.
    rest: Option<Block>,
}

impl Pool {
    pub(super) fn new(driver: Arc<dyn Driver>, counts: Arc<Counts>) -> Self {
        Self { driver, counts, shelves: Mutex::default() }
    }

    /// A block of at least `bytes` bytes: the smallest that waits and is not too large, else a new one.
    pub(super) fn take(&self, bytes: usize) -> Result<Block> {
        let size = size_class(bytes);
        let mut shelves = self.lock();
        let block = match shelves.pop(size) {
            Some(block) => block,
            None if size <= SMALL => shelves.cut(size, &*self.driver)?,
            None => Block { address: self.driver.allocate(size)?, size },
        };
        let in_use = self.counts.in_use.fetch_add(block.size, Ordering::Relaxed) + block.size;
        self.counts.peak.fetch_max(in_use, Ordering::Relaxed);
        Ok(block)
    }

    /// Takes back what [`take`](Self::take) gave.
    pub(super) fn give(&self, block: Block) {
        self.counts.in_use.fetch_sub(block.size, Ordering::Relaxed);
        self.lock().push(block);
    }

    /// Gives the large blocks that wait back to the driver. Slabs stay: some block of theirs is always in use.
    pub(super) fn trim(&self) {
        let large = self.lock().waiting.split_off(&(SMALL + 1));
        for address in large.into_values().flatten() {
            self.driver.free(address);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shelves> {
        // Nothing under the lock can leave a shelf half-changed, so a panicking thread poisons nothing.
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    /// Every buffer holds its pool, so all blocks have come back by now.
    fn drop(&mut self) {
        self.trim();
        let slabs = std::mem::take(&mut self.lock().slabs);
        for slab in slabs {
            self.driver.free(slab);
        }
    }
}

impl Shelves {
    fn push(&mut self, block: Block) {
        self.waiting.entry(block.size).or_default().push(block.address);
    }

    fn pop(&mut self, size: usize) -> Option<Block> {
        // Batches differ a little in size from step to step: a somewhat larger block that waits is better than a new
        // one, which would stop the card and would wait in its turn.
        let (&size, addresses) =
            self.waiting.range_mut(size..=2 * size).find(|(_, addresses)| !addresses.is_empty())?;
        addresses.pop().map(|address| Block { address, size })
    }

    fn cut(&mut self, size: usize, driver: &dyn Driver) -> Result<Block> {
        let rest = match self.rest.take_if(|rest| rest.size >= size) {
            Some(rest) => rest,
            None => {
                let address = driver.allocate(SLAB)?;
                self.slabs.push(address);
                // The old slab's rest is too small for this block, but may do for another.
                if let Some(rest) = self.rest.take() {
                    self.push(rest);
                }
                Block { address, size: SLAB }
            }
        };
        let left = Block { address: rest.address + size as Address, size: rest.size - size };
        self.rest = (left.size > 0).then_some(left);
        Ok(Block { address: rest.address, size })
    }
}

/// The next size of the form `2^k · {4, 5, 6, 7} / 4`, rounded up to whole steps: so that batches of slightly
/// different lengths share their blocks, and at most a quarter is wasted of all but the smallest.
pub(super) fn size_class(bytes: usize) -> usize {
    let bytes = bytes.max(SMALL_STEP);
    let quarter = 1 << (bytes.ilog2() - 2);
    let class = bytes.div_ceil(quarter) * quarter;
    class.next_multiple_of(if class <= SMALL { SMALL_STEP } else { LARGE_STEP })
}
