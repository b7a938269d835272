//! What a launch is made of: addresses, numbers, and how many threads.

use super::device::Cuda;
use super::driver::{Address, Argument, Threads};
use super::memory::DeviceBuffer;
use super::source::arguments::Dropout;
use super::source::{BLOCK, ROWS};
use crate::kernels::Storage;
use crate::{Float, Key, Tensor};

impl Cuda {
    /// Where the entries of a tensor lie.
    #[track_caller]
    pub(super) fn address<T: Float>(&self, x: &Tensor<T>) -> Address {
        match x.storage() {
            Storage::Cuda(array) if array.device() == self => array.address(),
            _ => panic!("one tensor lies on {}, another on {self}", x.device()),
        }
    }

    /// The same as an argument.
    #[track_caller]
    pub(super) fn of<T: Float>(&self, x: &Tensor<T>) -> Argument<'static> {
        Argument::Address(self.address(x))
    }

    /// The same of one to write to, which nobody else holds then.
    #[track_caller]
    pub(super) fn to<T: Float>(&self, y: &mut Tensor<T>) -> Argument<'static> {
        y.storage_mut();
        self.of(y)
    }

    /// The same where there is one to write to, and whether to keep what it holds.
    #[track_caller]
    pub(super) fn to_some<T: Float>(
        &self,
        y: Option<(&mut Tensor<T>, bool)>,
    ) -> (Argument<'static>, Argument<'static>) {
        match y {
            Some((y, keep)) => (self.to(y), flag(keep)),
            None => (Argument::Address(0), flag(false)),
        }
    }

    /// A warp for each of `rows` rows.
    #[track_caller]
    pub(super) fn launch_warps(&self, kernel: &'static str, rows: usize, arguments: &[Argument<'_>]) {
        let blocks = blocks(rows.div_ceil(ROWS as usize));
        self.launch(kernel, Threads { blocks: [blocks, 1, 1], block: BLOCK, shared: 0 }, arguments);
    }

    /// A block for each of `blocks` times `others`.
    #[track_caller]
    pub(super) fn launch_blocks(&self, kernel: &'static str, blocks: [usize; 2], arguments: &[Argument<'_>]) {
        let [x, y] = blocks.map(self::blocks);
        self.launch(kernel, Threads { blocks: [x, y, 1], block: BLOCK, shared: 0 }, arguments);
    }

    /// `y[0] = factor · Σ x` of `count` numbers.
    #[track_caller]
    pub(super) fn add_up(&self, x: Address, count: usize, factor: f64, y: Argument<'_>) {
        let blocks = count.div_ceil(8 * BLOCK as usize).clamp(1, 512);
        let scratch = self.allocate(4 * blocks);
        let room = Argument::Address(scratch.address());
        self.launch_blocks("sum_partial", [blocks, 1], &[Argument::Address(x), room, whole(count)]);
        let arguments = [room, Argument::F32(factor as f32), y, int(blocks)];
        self.launch_blocks("sum_finish", [1, 1], &arguments);
    }

    /// What a kernel is told of a mask.
    #[track_caller]
    pub(super) fn mask(&self, (p, key): (f64, &Key)) -> Dropout {
        match key.staged() {
            // What drops nothing asks for no seed.
            Some((seed, place)) if p > 0.0 => {
                Dropout { seed: self.staged(seed, false).address(), ..Dropout::new(place, p) }
            }
            _ => Dropout::new(key.value(), p),
        }
    }

    /// Flags of the host, copied.
    #[track_caller]
    pub(super) fn flags(&self, flags: &[bool]) -> DeviceBuffer {
        self.copied(&flags.iter().map(|&flag| u8::from(flag)).collect::<Vec<_>>())
    }
}

/// A number of blocks. That a grid has as many along its axis is checked by the launch.
#[track_caller]
pub(super) fn blocks(count: usize) -> u32 {
    u32::try_from(count).unwrap_or_else(|_| panic!("{count} blocks are more than a card counts"))
}

/// `keep`, or another flag.
pub(super) fn flag(flag: bool) -> Argument<'static> {
    Argument::I32(i32::from(flag))
}

/// A number of rows or columns.
#[track_caller]
pub(super) fn int(count: usize) -> Argument<'static> {
    Argument::I32(
        i32::try_from(count)
            .unwrap_or_else(|_| panic!("{count} rows or columns are more than a card counts")),
    )
}

/// A number of entries.
pub(super) fn whole(count: usize) -> Argument<'static> {
    Argument::U64(count as u64)
}

pub(super) fn float<T: Float>(x: T) -> Argument<'static> {
    Argument::F32(x.to_f64() as f32)
}
