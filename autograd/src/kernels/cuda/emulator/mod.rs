//! The driver that runs the same kernels on the CPU: one fiber for each thread of a kernel, so that barriers and exchanges
//! between lanes mean what they mean on a card.
//!
//! It is there to find what is wrong with a kernel or a launch where there is no card. Fresh memory and shared memory are
//! NaN; arguments are compared with the kernel's parameters; threads that wait for each other in vain, or in different
//! places, end the launch with an error; and the order of threads and blocks can be chosen, on which no result may depend.
//! It cannot tell how fast a kernel is.

mod compile;
mod library;
mod memory;
mod product;

use std::ffi::c_void;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[cfg(test)]
pub(super) use self::compile::{compile, unit};
use self::library::Library;
use self::memory::Memory;
use super::driver::{
    Address, Argument, CudaError, Driver, Graph, Product, Result, Threads, check_shared, shared_beside,
};
use super::source::{self, KERNELS, declared};

/// The order in which blocks run, and the threads between two barriers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The first one first.
    Ascending,
    /// The last one first.
    Descending,
    /// Another one each time, drawn from a seed.
    Shuffled(u64),
}

impl Order {
    /// As `block.h` numbers them.
    fn number(self) -> u64 {
        match self {
            Self::Ascending => 0,
            Self::Descending => 1,
            Self::Shuffled(seed) => seed.saturating_add(2),
        }
    }
}

/// Bytes of shared memory that a block can have, unless another number is asked for: those of compute capability 9.0.
pub(crate) const MOST_SHARED: u32 = 227 << 10;

/// A machine that emulates a card.
#[derive(Debug)]
pub(crate) struct Emulator {
    machine: Arc<Machine>,
}

/// What an emulator and its graphs share.
struct Machine {
    library: Arc<Library>,
    order: Order,
    /// Bytes of shared memory that a block can have.
    shared: u32,
    memory: Mutex<Memory>,
    /// What was asked for while a graph is captured.
    recording: Mutex<Option<Vec<Work>>>,
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Machine");
        debug.field("order", &self.order).field("shared", &self.shared).finish_non_exhaustive()
    }
}

/// A launch or a product, with its arguments.
#[derive(Debug)]
enum Work {
    Launch(&'static str, Threads, Arguments),
    Product(Product),
}

/// The values of a kernel's arguments, each aligned to 8 bytes.
#[derive(Debug)]
struct Arguments {
    words: Vec<u64>,
    starts: Vec<usize>,
}

impl Arguments {
    fn new(arguments: &[Argument<'_>]) -> Self {
        let (mut words, mut starts) = (Vec::new(), Vec::new());
        for argument in arguments {
            starts.push(words.len());
            match argument {
                Argument::Address(value) | Argument::U64(value) => words.push(*value),
                Argument::I32(value) => words.push(u64::from(*value as u32)),
                Argument::U32(value) => words.push(u64::from(*value)),
                Argument::F32(value) => words.push(u64::from(value.to_bits())),
                Argument::Struct(bytes) => words.extend(bytes.chunks(8).map(|chunk| {
                    let mut word = [0; 8];
                    word[..chunk.len()].copy_from_slice(chunk);
                    u64::from_le_bytes(word)
                })),
            }
        }
        Self { words, starts }
    }

    fn pointers(&self) -> Vec<*const c_void> {
        self.starts.iter().map(|&start| self.words[start..].as_ptr().cast()).collect()
    }
}

/// Arguments as a kernel's signature spells its parameters.
fn signature(arguments: &[Argument<'_>]) -> String {
    let letter = |argument: &Argument<'_>| match argument {
        Argument::Address(_) => "p".to_string(),
        Argument::I32(_) => "i".to_string(),
        Argument::U32(_) => "u".to_string(),
        Argument::U64(_) => "q".to_string(),
        Argument::F32(_) => "f".to_string(),
        Argument::Struct(bytes) => format!("s{} ", bytes.len()),
    };
    arguments.iter().map(letter).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Emulator {
    /// An emulator of all kernels. The first one compiles them, which takes some seconds.
    ///
    /// # Errors
    ///
    /// There is no C++ compiler.
    #[cfg(test)]
    pub(crate) fn new(order: Order) -> Result<Self> {
        Self::limited(order, MOST_SHARED)
    }

    /// An emulator of all kernels, of which a block can have this many bytes of shared memory.
    ///
    /// # Errors
    ///
    /// There is no C++ compiler, or kernels declare more shared memory than that.
    pub(crate) fn limited(order: Order, shared: u32) -> Result<Self> {
        for kernel in KERNELS {
            shared_beside(kernel, declared(kernel), shared)?;
        }
        Self::made(&source::program(), &[], order, shared)
    }

    /// An emulator of another program, with these kernels besides the listed ones.
    #[cfg(test)]
    pub(crate) fn of(program: &str, extra: &[&str], order: Order) -> Result<Self> {
        Self::made(program, extra, order, MOST_SHARED)
    }

    fn made(program: &str, extra: &[&str], order: Order, shared: u32) -> Result<Self> {
        let library = Library::of(program, extra)?;
        let machine =
            Machine { library, order, shared, memory: Mutex::default(), recording: Mutex::default() };
        Ok(Self { machine: Arc::new(machine) })
    }

    /// Some calls cannot become part of a graph.
    fn outside_capture(&self, what: &str) -> Result<()> {
        if lock(&self.machine.recording).is_some() {
            return Err(CudaError::new(format!("emulator: {what} while a graph is captured")));
        }
        Ok(())
    }
}

impl Machine {
    /// Compares a launch with what the kernel wants.
    fn check(&self, kernel: &str, threads: Threads, arguments: &[Argument<'_>]) -> Result<()> {
        let (wanted, given) = (&self.library.kernel(kernel)?.signature, signature(arguments));
        if *wanted != given {
            return Err(CudaError::new(format!("emulator: {kernel} takes ({wanted}), not ({given})")));
        }
        check_shared(kernel, threads.shared, self.shared_limit(kernel))
            .map_err(|error| CudaError::new(format!("emulator: {error}")))?;
        let memory = lock(&self.memory);
        for (i, argument) in arguments.iter().enumerate() {
            match argument {
                Argument::Address(address) if *address != 0 && memory.from(*address).is_none() => {
                    return Err(CudaError::new(format!(
                        "emulator: argument {i} of {kernel} lies in no allocated block"
                    )));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn shared_limit(&self, kernel: &str) -> u32 {
        self.shared.saturating_sub(declared(kernel))
    }

    fn run(&self, work: &Work) -> Result<()> {
        match work {
            Work::Launch(name, threads, arguments) => {
                let kernel = self.library.kernel(name)?;
                // SAFETY: the arguments were compared with the signature. That the kernel stays within its memory is what
                // the tests under an address sanitizer show.
                unsafe { self.library.launch(kernel, *threads, &arguments.pointers(), self.order.number()) }
                    .map_err(|said| CudaError::new(format!("emulator: {name}: {said}")))
            }
            Work::Product(product) => product::product(&lock(&self.memory), product),
        }
    }

    /// Runs it now, or keeps it for the graph.
    fn take(&self, work: Work) -> Result<()> {
        if let Some(recorded) = lock(&self.recording).as_mut() {
            recorded.push(work);
            return Ok(());
        }
        self.run(&work)
    }
}

impl Driver for Emulator {
    fn name(&self) -> String {
        "emulator".to_string()
    }

    fn allocate(&self, bytes: usize) -> Result<Address> {
        self.outside_capture("memory is allocated")?;
        lock(&self.machine.memory).allocate(bytes)
    }

    fn free(&self, address: Address) {
        lock(&self.machine.memory).free(address);
    }

    fn upload(&self, to: Address, bytes: &[u8]) -> Result<()> {
        self.outside_capture("memory is uploaded")?;
        let memory = lock(&self.machine.memory);
        memory.check(to, bytes.len(), "an upload")?;
        // SAFETY: just checked.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to as *mut u8, bytes.len()) };
        Ok(())
    }

    fn download(&self, from: Address, bytes: &mut [u8]) -> Result<()> {
        self.outside_capture("memory is downloaded")?;
        let memory = lock(&self.machine.memory);
        memory.check(from, bytes.len(), "a download")?;
        // SAFETY: just checked.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    fn shared_limit(&self, kernel: &'static str) -> u32 {
        self.machine.shared_limit(kernel)
    }

    fn launch(&self, kernel: &'static str, threads: Threads, arguments: &[Argument<'_>]) -> Result<()> {
        self.machine.check(kernel, threads, arguments)?;
        if threads.blocks.contains(&0) {
            return Err(CudaError::new(format!("emulator: {kernel}: a launch of no blocks")));
        }
        self.machine.take(Work::Launch(kernel, threads, Arguments::new(arguments)))
    }

    fn product(&self, product: &Product) -> Result<()> {
        self.machine.take(Work::Product(*product))
    }

    fn synchronize(&self) -> Result<()> {
        self.outside_capture("work is waited for")
    }

    fn capture(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<Box<dyn Graph>> {
        self.outside_capture("another one is asked for")?;
        /// Ends the recording, if `work` panics too.
        struct Ends<'m>(&'m Machine);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                *lock(&self.0.recording) = None;
            }
        }
        let _ends = Ends(&self.machine);
        *lock(&self.machine.recording) = Some(Vec::new());
        work()?;
        let recorded = lock(&self.machine.recording).take().unwrap_or_default();
        Ok(Box::new(Recorded { machine: Arc::clone(&self.machine), work: recorded }))
    }

    fn memory(&self) -> [usize; 2] {
        lock(&self.machine.memory).counts()
    }
}

/// What was captured.
#[derive(Debug)]
struct Recorded {
    machine: Arc<Machine>,
    work: Vec<Work>,
}

impl Graph for Recorded {
    fn replay(&self) -> Result<()> {
        self.work.iter().try_for_each(|work| self.machine.run(work))
    }
}
