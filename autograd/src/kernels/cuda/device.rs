//! A card, or its emulator, as a device that tensors lie on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::array::{self, CudaArray};
use super::card::Card;
use super::driver::{Argument, CudaError, Driver, Precision, Product, Threads};
use super::emulator::{Emulator, MOST_SHARED, Order};
use super::memory::{DeviceBuffer, Memory};
use super::source::{BLOCK, MOST_BLOCKS};
use crate::Float;
use crate::kernels::DeviceError;

/// A card, or its emulator. Cloning shares it.
#[derive(Clone)]
pub struct Cuda(Arc<Inner>);

struct Inner {
    memory: Arc<Memory>,
    name: String,
    precision: AtomicU8,
    /// Where numbers are put in order before they are copied: fresh memory would take longer than the rest of it.
    room: Mutex<Vec<u8>>,
    /// Columns of heads of which it was said that a general kernel computes their attention.
    said: Mutex<BTreeSet<usize>>,
}

/// How much a device has been asked to copy and to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Copies to the device so far.
    pub uploads: u64,
    /// Copies back so far.
    pub downloads: u64,
    /// Bytes of tensors that live now.
    pub in_use: usize,
    /// The most there ever were.
    pub peak: usize,
}

impl Cuda {
    /// Card `ordinal` of this machine, opened when it is first asked for.
    ///
    /// # Errors
    /// One line that says what is missing: the driver, a library, the card.
    pub fn open(ordinal: usize) -> Result<Self, DeviceError> {
        static OPEN: Mutex<Vec<(usize, Cuda)>> = Mutex::new(Vec::new());
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, cuda)) = open.iter().find(|(number, _)| *number == ordinal) {
            return Ok(cuda.clone());
        }
        let card = Card::open(ordinal).map_err(|error| DeviceError(format!("cuda:{ordinal}: {error}")))?;
        let cuda = Self::new(format!("cuda:{ordinal}"), Arc::new(card));
        open.push((ordinal, cuda.clone()));
        Ok(cuda)
    }

    /// An emulated card: the same kernels, compiled for this machine's processor by its C++ compiler. It is slow, and as
    /// exact as a card.
    ///
    /// # Errors
    /// Where there is no C++ compiler.
    pub fn emulator() -> Result<Self, DeviceError> {
        Self::emulator_of(MOST_SHARED)
    }

    /// An emulated card of which a block can have this many bytes of shared memory: a Turing has 64 KiB, a GeForce RTX 30, 40 or
    /// 50 has 99 KiB, an A100 163 KiB, an H100 227 KiB, as [`emulator`](Self::emulator) has. Whoever asks for as much shares it.
    ///
    /// # Errors
    /// Where there is no C++ compiler, or a kernel cannot do with so little.
    pub fn emulator_of(shared: u32) -> Result<Self, DeviceError> {
        static OPEN: Mutex<BTreeMap<u32, Cuda>> = Mutex::new(BTreeMap::new());
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cuda) = open.get(&shared) {
            return Ok(cuda.clone());
        }
        let cuda = Self::emulated_with(Order::Ascending, shared)?;
        open.insert(shared, cuda.clone());
        Ok(cuda)
    }

    /// Another emulated card, whose threads and blocks run in this order. No result may depend on it.
    ///
    /// # Errors
    /// Where there is no C++ compiler.
    pub fn emulated(order: Order) -> Result<Self, DeviceError> {
        Self::emulated_with(order, MOST_SHARED)
    }

    fn emulated_with(order: Order, shared: u32) -> Result<Self, DeviceError> {
        let name = match shared {
            MOST_SHARED => "emulator".to_owned(),
            _ if shared.is_multiple_of(1024) => format!("emulator:{}KiB", shared / 1024),
            _ => format!("emulator:{shared}B"),
        };
        let emulator =
            Emulator::limited(order, shared).map_err(|error| DeviceError(format!("{name}: {error}")))?;
        Ok(Self::new(name, Arc::new(emulator)))
    }

    /// The number of cards of this machine.
    ///
    /// # Errors
    /// Where there is no driver.
    pub fn count() -> Result<usize, DeviceError> {
        Card::count().map_err(|error| DeviceError(error.to_string()))
    }

    pub(super) fn new(name: String, driver: Arc<dyn Driver>) -> Self {
        Self(Arc::new(Inner {
            memory: Memory::new(driver),
            name,
            precision: AtomicU8::new(0),
            room: Mutex::default(),
            said: Mutex::default(),
        }))
    }

    /// What the maker calls it.
    pub fn model(&self) -> String {
        self.driver().name()
    }

    /// How its matrix products multiply from now on; `f32` at first.
    pub fn set_precision(&self, precision: Precision) {
        self.0.precision.store(precision as u8, Ordering::Relaxed);
    }

    /// How its matrix products multiply.
    pub fn precision(&self) -> Precision {
        let all = [Precision::F32, Precision::Tf32, Precision::Bf16];
        all[usize::from(self.0.precision.load(Ordering::Relaxed))]
    }

    /// How much was copied, and how much is held.
    pub fn traffic(&self) -> Traffic {
        let memory = &self.0.memory;
        let [uploads, downloads] = memory.copies();
        Traffic { uploads, downloads, in_use: memory.in_use(), peak: memory.peak() }
    }

    /// Starts the peak of [`traffic`](Self::traffic) anew at what is in use now.
    pub fn reset_peak(&self) {
        self.memory().reset_peak();
    }

    /// Waits until it has done all that it was asked to do.
    pub fn synchronize(&self) {
        self.expect("synchronize", self.driver().synchronize());
    }

    pub(super) fn memory(&self) -> &Arc<Memory> {
        &self.0.memory
    }

    pub(super) fn driver(&self) -> &Arc<dyn Driver> {
        self.0.memory.driver()
    }

    /// Whether this was not said of heads of so many columns before.
    pub(super) fn says_first(&self, columns: usize) -> bool {
        self.0.said.lock().unwrap_or_else(PoisonError::into_inner).insert(columns)
    }

    pub(super) fn room(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory that may hold anything.
    #[track_caller]
    pub(super) fn allocate(&self, bytes: usize) -> DeviceBuffer {
        self.expect("allocate", self.0.memory.allocate(bytes))
    }

    /// Bytes of the host, copied.
    #[track_caller]
    pub(super) fn copied(&self, bytes: &[u8]) -> DeviceBuffer {
        let buffer = self.allocate(bytes.len());
        self.expect("upload", buffer.upload(bytes));
        buffer
    }

    /// Numbers of the host, copied.
    #[track_caller]
    pub(crate) fn upload<T: Float>(&self, numbers: &[T]) -> CudaArray {
        assert!(T::NAME == f32::NAME, "{self}: a card computes in f32, not in {}", T::NAME);
        CudaArray::new(self.clone(), self.copied(&array::bytes(numbers)), numbers.len())
    }

    /// Runs a kernel, unless there is nothing for it to do.
    #[track_caller]
    pub(super) fn launch(&self, kernel: &'static str, threads: Threads, arguments: &[Argument<'_>]) {
        let ([x, y, z], [along_x, along_others]) = (threads.blocks, MOST_BLOCKS);
        assert!(
            x <= along_x && y <= along_others && z <= along_others,
            "{kernel} on {self}: {x} × {y} × {z} blocks, where a card runs at most {along_x} × {along_others} × \
             {along_others}"
        );
        if threads.blocks.iter().all(|&blocks| blocks > 0) {
            self.expect(kernel, self.driver().launch(kernel, threads, arguments));
        }
    }

    /// The same for each of `count` entries.
    #[track_caller]
    pub(super) fn launch_entries(&self, kernel: &'static str, count: usize, arguments: &[Argument<'_>]) {
        // Enough blocks to fill any card; a thread takes several entries where there are more.
        let blocks = count.div_ceil(4 * BLOCK as usize).min(4096) as u32;
        self.launch(kernel, Threads { blocks: [blocks, 1, 1], block: BLOCK, shared: 0 }, arguments);
    }

    #[track_caller]
    pub(super) fn multiply(&self, product: &Product) {
        self.expect("product", self.driver().product(product));
    }

    /// A device does not come back from an error, so that there is nothing better than to say which.
    #[track_caller]
    pub(super) fn expect<R>(&self, what: &str, result: Result<R, CudaError>) -> R {
        result.unwrap_or_else(|error| panic!("{what} on {self}: {error}"))
    }
}

impl PartialEq for Cuda {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Display for Cuda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name)
    }
}

impl fmt::Debug for Cuda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cuda({})", self.0.name)
    }
}
