//! All that the device code asks of a machine: the one trait below which a card and its emulator differ.

use std::ffi::c_void;
use std::fmt;

pub(crate) use crate::kernels::Precision;

/// An address in a device's memory.
pub(crate) type Address = u64;

/// What went wrong on the way to a device, or on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CudaError(String);

impl CudaError {
    /// An error with this message: one line, unless it quotes a compiler.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for CudaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CudaError {}

/// What a fallible call on a device gives.
pub(crate) type Result<T> = std::result::Result<T, CudaError>;

/// One argument of a kernel, passed by value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Argument<'a> {
    /// A pointer into the device's memory; 0 is a null pointer.
    Address(Address),
    /// `int`
    I32(i32),
    /// `unsigned`
    U32(u32),
    /// `unsigned long long`
    U64(u64),
    /// `float`
    F32(f32),
    /// A struct, laid out as C++ does.
    Struct(&'a [u8]),
}

impl Argument<'_> {
    /// Where the value lies, as a launch wants it.
    pub(crate) fn pointer(&self) -> *mut c_void {
        match self {
            Self::Address(value) | Self::U64(value) => std::ptr::from_ref(value).cast_mut().cast(),
            Self::I32(value) => std::ptr::from_ref(value).cast_mut().cast(),
            Self::U32(value) => std::ptr::from_ref(value).cast_mut().cast(),
            Self::F32(value) => std::ptr::from_ref(value).cast_mut().cast(),
            Self::Struct(bytes) => bytes.as_ptr().cast_mut().cast(),
        }
    }
}

/// How many threads run a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Threads {
    /// Blocks, along x, y and z.
    pub(crate) blocks: [u32; 3],
    /// Threads of a block.
    pub(crate) block: u32,
    /// Bytes of shared memory that a block asks for at the launch.
    pub(crate) shared: u32,
}

/// A factor of a product: row-major `[rows, columns]` with `stride` entries from row to row, of which the transpose may be
/// meant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Factor {
    /// Its first entry.
    pub(crate) address: Address,
    /// Entries from one row, as it lies in memory, to the next.
    pub(crate) stride: usize,
    /// Whether the transpose of what lies in memory is multiplied.
    pub(crate) transposed: bool,
    /// Entries from one matrix of a batch to the next; 0 where all share one.
    pub(crate) step: usize,
}

/// `C (+)= A·B` in row-major `f32`, `batch` times: A `[m, k]`, B `[k, n]`, C `[m, n]` contiguous.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product {
    /// Rows of the result.
    pub(crate) m: usize,
    /// The length of each sum. May be 0: then C is zero, or stays.
    pub(crate) k: usize,
    /// Columns of the result.
    pub(crate) n: usize,
    /// The number of products.
    pub(crate) batch: usize,
    /// The left factor.
    pub(crate) a: Factor,
    /// The right factor.
    pub(crate) b: Factor,
    /// The result's first entry.
    pub(crate) c: Address,
    /// Whether to add to what C holds. If not, C may hold anything, NaN included.
    pub(crate) keep: bool,
    /// How to multiply.
    pub(crate) precision: Precision,
}

/// Bytes of shared memory that launches of `kernel` may ask for beside the `declared` ones, where a block can have `most`.
///
/// # Errors
/// Where the declared ones are too many.
pub(crate) fn shared_beside(kernel: &str, declared: u32, most: u32) -> Result<u32> {
    most.checked_sub(declared).ok_or_else(|| {
        CudaError::new(format!(
            "{kernel} wants {declared} bytes of shared memory, and a block can have {most}"
        ))
    })
}

/// Refuses a kernel that is written for larger blocks than can run.
pub(crate) fn check_threads(kernel: &str, wanted: u32, most: u32) -> Result<()> {
    if wanted > most {
        return Err(CudaError::new(format!("{kernel} wants blocks of {wanted} threads, and {most} can run")));
    }
    Ok(())
}

/// Refuses a launch of `kernel` that asks for more shared memory than it may.
pub(crate) fn check_shared(kernel: &str, asked: u32, limit: u32) -> Result<()> {
    if asked > limit {
        return Err(CudaError::new(format!(
            "{kernel} asks for {asked} bytes of shared memory, and a block can have {limit}"
        )));
    }
    Ok(())
}

/// A machine that runs kernels, in the order in which they are asked for. Calls return before the work is done, except
/// `download` and `synchronize`.
pub(crate) trait Driver: Send + Sync + fmt::Debug {
    /// What people call it: `cuda:0, NVIDIA H200`, `emulator`.
    fn name(&self) -> String;

    /// Fresh memory that may hold anything, aligned to 256 bytes.
    fn allocate(&self, bytes: usize) -> Result<Address>;

    /// Gives memory back that [`allocate`](Self::allocate) gave; the allocator above caches, so this is rare.
    fn free(&self, address: Address);

    /// Copies to the device. `bytes` may be changed when it returns.
    fn upload(&self, to: Address, bytes: &[u8]) -> Result<()>;

    /// Waits for all work and copies to the host.
    fn download(&self, from: Address, bytes: &mut [u8]) -> Result<()>;

    /// Bytes of shared memory that a launch of this kernel may ask for, beside what the kernel declares itself.
    fn shared_limit(&self, kernel: &'static str) -> u32;

    /// Runs a kernel.
    fn launch(&self, kernel: &'static str, threads: Threads, arguments: &[Argument<'_>]) -> Result<()>;

    /// Multiplies matrices.
    fn product(&self, product: &Product) -> Result<()>;

    /// Waits for all work.
    fn synchronize(&self) -> Result<()>;

    /// Records what `work` asks for (launches and products only) instead of running it.
    fn capture(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<Box<dyn Graph>>;

    /// Bytes allocated now, and the most there ever were.
    fn memory(&self) -> [usize; 2];
}

/// Work that was recorded once, to be run again with the same addresses and arguments.
pub(crate) trait Graph: Send + Sync + fmt::Debug {
    /// Runs it again.
    fn replay(&self) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_block_cannot_have_is_refused_in_one_line() {
        assert_eq!(shared_beside("sum", 1024, 65_536), Ok(64_512));
        assert_eq!(shared_beside("sum", 1024, 1024), Ok(0));
        let said = shared_beside("sum", 1024, 1023).unwrap_err().to_string();
        assert_eq!(said, "sum wants 1024 bytes of shared memory, and a block can have 1023");
        assert_eq!(check_shared("sum", 64_512, 64_512), Ok(()));
        let said = check_shared("sum", 64_513, 64_512).unwrap_err().to_string();
        assert_eq!(said, "sum asks for 64513 bytes of shared memory, and a block can have 64512");
        assert_eq!(check_threads("sum", 256, 256), Ok(()));
        let said = check_threads("sum", 256, 192).unwrap_err().to_string();
        assert_eq!(said, "sum wants blocks of 256 threads, and 192 can run");
    }
}
