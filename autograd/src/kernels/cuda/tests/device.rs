//! What cases share: memory with values in it, launches by name, and comparisons.

use std::cell::RefCell;
use std::sync::Arc;

use crate::kernels::cuda::driver::{Address, Argument, Driver, Product, Threads};
use crate::kernels::cuda::source::{COLUMNS, ROWS, threads};
use crate::rng::Stream;

/// What lies behind an output, and must still lie there afterwards.
const GUARD: [u32; 4] = [0x7fc0_dead; 4];

/// What can be uploaded.
pub(super) trait Plain: Copy {
    fn bytes(self) -> Vec<u8>;
}

macro_rules! plain {
    ($($type:ty)*) => {$(
        impl Plain for $type {
            fn bytes(self) -> Vec<u8> {
                self.to_le_bytes().to_vec()
            }
        }
    )*};
}

plain!(u8 u32 u64 f32);

/// A driver under test.
pub(super) struct Device {
    driver: Arc<dyn Driver>,
    /// Entries that lie in front of floats.
    shift: usize,
    /// Whether outputs are followed by a guard. Under a sanitizer they are not: it sees for itself.
    guarded: bool,
    held: RefCell<Vec<Address>>,
    bits: RefCell<Vec<u32>>,
}

impl Device {
    pub(super) fn new(driver: Arc<dyn Driver>, shift: usize, guarded: bool) -> Self {
        Self { driver, shift, guarded, held: RefCell::default(), bits: RefCell::default() }
    }

    /// All that was read, one after the other.
    pub(super) fn bits(&self) -> Vec<u32> {
        self.bits.borrow().clone()
    }

    /// Whether floats lie where float4 can read them.
    pub(super) fn aligned(&self) -> bool {
        self.shift == 0
    }

    /// Bytes of shared memory that a launch of this kernel may ask for.
    pub(super) fn shared_limit(&self, kernel: &'static str) -> u32 {
        self.driver.shared_limit(kernel)
    }

    /// Values in the device's memory.
    pub(super) fn put<T: Plain>(&self, values: &[T]) -> Address {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.bytes()).collect();
        let address = self.driver.allocate(bytes.len().max(1)).unwrap();
        self.driver.upload(address, &bytes).unwrap();
        self.held.borrow_mut().push(address);
        address
    }

    /// Floats, at an address that may be aligned to 4 bytes only.
    pub(super) fn floats(&self, values: &[f32]) -> Address {
        let mut all = vec![f32::NAN; self.shift];
        all.extend(values);
        if self.guarded {
            all.extend(GUARD.map(f32::from_bits));
        }
        self.put(&all) + 4 * self.shift as u64
    }

    /// An output that nothing may read.
    pub(super) fn room(&self, len: usize) -> Address {
        self.floats(&vec![f32::NAN; len])
    }

    /// The floats at an address that [`floats`](Self::floats) or [`room`](Self::room) gave, of this many entries.
    pub(super) fn read(&self, address: Address, len: usize) -> Vec<f32> {
        let guard = if self.guarded { GUARD.len() } else { 0 };
        let mut bytes = vec![0; 4 * (len + guard)];
        self.driver.download(address, &mut bytes).unwrap();
        let words: Vec<u32> =
            bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
        assert!(words[len..].iter().all(|word| *word == GUARD[0]), "something was written behind an output");
        self.bits.borrow_mut().extend(&words[..len]);
        words[..len].iter().map(|word| f32::from_bits(*word)).collect()
    }

    /// Runs a kernel in blocks of the size that it is written for.
    pub(super) fn launch(&self, kernel: &'static str, blocks: [u32; 3], arguments: &[Argument<'_>]) {
        self.launch_with(kernel, blocks, 0, arguments);
    }

    /// Runs a kernel that asks for shared memory.
    pub(super) fn launch_with(
        &self,
        kernel: &'static str,
        blocks: [u32; 3],
        shared: u32,
        arguments: &[Argument<'_>],
    ) {
        let block = threads(kernel);
        self.driver.launch(kernel, Threads { blocks, block, shared }, arguments).unwrap();
    }

    /// Runs one block of so many threads.
    pub(super) fn launch_in(&self, kernel: &'static str, block: u32, arguments: &[Argument<'_>]) {
        self.driver.launch(kernel, Threads { blocks: [1, 1, 1], block, shared: 0 }, arguments).unwrap();
    }

    /// Multiplies matrices.
    pub(super) fn product(&self, product: &Product) {
        self.driver.product(product).unwrap();
    }

    /// Runs a kernel both ways, over NaN and added to ones; gives what it wrote over NaN. The last argument is `keep`.
    pub(super) fn both_ways(&self, len: usize, run: impl Fn(Address, i32)) -> Vec<f32> {
        let fresh = self.room(len);
        run(fresh, 0);
        let fresh = self.read(fresh, len);
        let added = self.floats(&vec![1.0; len]);
        run(added, 1);
        let expected: Vec<f64> = fresh.iter().map(|x| 1.0 + f64::from(*x)).collect();
        assert_near(&self.read(added, len), &expected, 1e-6);
        fresh
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        for address in self.held.take() {
            self.driver.free(address);
        }
    }
}

/// Blocks for entries that are taken in turns; few enough that some block takes two.
pub(super) fn any(count: usize) -> [u32; 3] {
    [count.div_ceil(1024).clamp(1, 3) as u32, 1, 1]
}

/// Blocks of which each warp takes a row.
pub(super) fn by_warps(rows: usize) -> [u32; 3] {
    [rows.div_ceil(ROWS as usize) as u32, 1, 1]
}

/// Blocks that sum columns, of so many chunks of rows.
pub(super) fn by_columns(n: usize, chunks: usize) -> [u32; 3] {
    [n.div_ceil(COLUMNS as usize) as u32, chunks as u32, 1]
}

/// Numbers drawn evenly from [−2, 2).
pub(super) fn random(len: usize, seed: u64) -> Vec<f32> {
    let mut stream = Stream::new(seed);
    (0..len).map(|_| (stream.uniform() * 4.0 - 2.0) as f32).collect()
}

/// Numbers below `end`.
pub(super) fn random_below(len: usize, end: u32, seed: u64) -> Vec<u32> {
    let mut stream = Stream::new(seed);
    (0..len).map(|_| (stream.uniform() * f64::from(end)) as u32).collect()
}

/// The same numbers in `f64`.
pub(super) fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|x| f64::from(*x)).collect()
}

/// Asserts that what is off is, as a vector, at most `tolerance` times as long as what is expected.
#[track_caller]
pub(super) fn assert_near(got: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len());
    let length = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let off = length(&mut got.iter().zip(expected).map(|(got, expected)| f64::from(*got) - expected));
    let all = length(&mut expected.iter().copied());
    assert!(off <= tolerance * all, "off by {:e} of its length, more than {tolerance:e}: {got:?}", off / all);
}
