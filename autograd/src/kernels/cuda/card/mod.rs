//! The driver of a real card, through cudarc.
//!
//! * [`libraries`] finds what NVIDIA's software is there and says what is missing; after that no call panics;
//! * [`context`] is a card with one queue of work, [`recording`] keeps a piece of the queue to run it again;
//! * [`architecture`] is the kind of card it is, with what kernels count on;
//! * [`compile`] makes machine code of the kernels' text, [`kernels`] loads and launches them;
//! * [`product`] multiplies matrices, each in the way that turned out fastest;
//! * [`staging`] uploads without waiting.

mod architecture;
mod cache;
mod choices;
pub(crate) mod compile;
mod context;
mod kernels;
pub(crate) mod libraries;
mod plan;
mod problem;
mod product;
mod recording;
mod staging;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::result as cuda;

use super::driver::{Address, Argument, Driver, Graph, Product, Result, Threads};
use super::source;
use cache::Cache;
use context::Context;
use kernels::Kernels;
use product::Products;
use recording::Recorded;
use staging::Staging;

/// A card that runs the kernels.
#[derive(Debug)]
pub(crate) struct Card {
    staging: Staging,
    products: Arc<Products>,
    kernels: Arc<Kernels>,
    allocations: Mutex<Allocations>,
    /// Last, though each of the above holds it too.
    context: Arc<Context>,
}

/// What was allocated.
#[derive(Debug, Default)]
struct Allocations {
    bytes: HashMap<Address, usize>,
    now: usize,
    peak: usize,
    /// To be given back once nothing is recorded any more.
    waiting: Vec<Address>,
}

impl Card {
    /// Makes a card ready: compiles the kernels for it, unless that was done before.
    ///
    /// # Errors
    /// One line that says what is missing: a driver, a library, a card with this number.
    pub(crate) fn open(ordinal: usize) -> Result<Self> {
        let context = Arc::new(Context::open(ordinal)?);
        let cache = Cache::of_user();
        libraries::Library::Nvrtc.require(context::newest_cuda())?;
        let cubin = compile::cubin(&cache, &source::program(), context.architecture()?)?;
        let kernels = Arc::new(Kernels::load(Arc::clone(&context), &cubin, source::KERNELS)?);
        let products = Arc::new(Products::new(Arc::clone(&context), &cache)?);
        let staging = Staging::new(Arc::clone(&context))?;
        Ok(Self { staging, products, kernels, allocations: Mutex::default(), context })
    }

    /// The number of cards.
    ///
    /// # Errors
    /// Where there is no driver, or it is too old.
    pub(crate) fn count() -> Result<usize> {
        context::count()
    }

    fn allocations(&self) -> MutexGuard<'_, Allocations> {
        // Nothing under the lock can leave the counts half-changed, so a panicking thread poisons nothing.
        self.allocations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives back what was freed while work was recorded.
    fn free_waiting(&self) {
        // A lock taken in the loop's head would be held through the loop, and `free` takes it too.
        let waiting = std::mem::take(&mut self.allocations().waiting);
        for address in waiting {
            self.free(address);
        }
    }
}

impl Driver for Card {
    fn name(&self) -> String {
        self.context.name().to_owned()
    }

    fn allocate(&self, bytes: usize) -> Result<Address> {
        self.context.enter()?;
        // SAFETY: given back by `free`. The driver aligns to 256 bytes.
        let address = self.context.aside(|| unsafe { cuda::malloc_sync(bytes.max(1)) });
        let address = self.context.check(format_args!("allocating {bytes} bytes"), address)?;
        let mut allocations = self.allocations();
        allocations.bytes.insert(address, bytes);
        allocations.now += bytes;
        allocations.peak = allocations.peak.max(allocations.now);
        Ok(address)
    }

    fn free(&self, address: Address) {
        if self.context.is_recording() {
            self.allocations().waiting.push(address);
            return;
        }
        // Work that was asked for may still use it. What went wrong there is said when results are asked for.
        let _ = self.context.synchronize();
        let mut allocations = self.allocations();
        if let Some(bytes) = allocations.bytes.remove(&address) {
            allocations.now -= bytes;
            // SAFETY: `allocate` gave it, and it was not freed before.
            let _ = unsafe { cuda::free_sync(address) };
        }
    }

    fn upload(&self, to: Address, bytes: &[u8]) -> Result<()> {
        self.staging.upload(to, bytes)
    }

    fn download(&self, from: Address, bytes: &mut [u8]) -> Result<()> {
        self.context.synchronize()?;
        if bytes.is_empty() {
            return Ok(());
        }
        // SAFETY: that so many bytes are there is the care of whoever asks for them; the copy is waited for below.
        let copied = unsafe { cuda::memcpy_dtoh_async(bytes, from, self.context.stream()) };
        self.context.check("a download", copied)?;
        self.context.synchronize()
    }

    fn shared_limit(&self, kernel: &'static str) -> u32 {
        self.kernels.shared_limit(kernel)
    }

    fn launch(&self, kernel: &'static str, threads: Threads, arguments: &[Argument<'_>]) -> Result<()> {
        self.kernels.launch(kernel, threads, arguments)
    }

    fn product(&self, product: &Product) -> Result<()> {
        self.products.multiply(product)
    }

    fn synchronize(&self) -> Result<()> {
        self.context.synchronize()
    }

    fn capture(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<Box<dyn Graph>> {
        let needs = (Arc::clone(&self.kernels), Arc::clone(&self.products));
        let recorded = Recorded::new(&self.context, needs, work);
        self.free_waiting();
        Ok(Box::new(recorded?))
    }

    fn memory(&self) -> [usize; 2] {
        let allocations = self.allocations();
        [allocations.now, allocations.peak]
    }
}
