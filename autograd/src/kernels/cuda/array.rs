//! The entries of a tensor that lies on a card.

use std::fmt;

use super::device::Cuda;
use super::driver::{Address, Argument};
use super::memory::DeviceBuffer;
use crate::Float;

/// Numbers on a card, `f32`.
pub(crate) struct CudaArray {
    device: Cuda,
    buffer: DeviceBuffer,
    len: usize,
}

impl CudaArray {
    pub(super) fn new(device: Cuda, buffer: DeviceBuffer, len: usize) -> Self {
        Self { device, buffer, len }
    }

    /// Room that may hold anything.
    #[track_caller]
    pub(super) fn stale(device: &Cuda, len: usize) -> Self {
        Self::new(device.clone(), device.allocate(4 * len), len)
    }

    pub(crate) fn device(&self) -> &Cuda {
        &self.device
    }

    /// Where the first entry is.
    pub(crate) fn address(&self) -> Address {
        self.buffer.address()
    }

    /// Waits for what is being computed, and copies it to the host.
    #[track_caller]
    pub(crate) fn download<T: Float>(&self, out: &mut [T]) {
        let mut bytes = vec![0; 4 * self.len];
        self.device.expect("download", self.buffer.download(&mut bytes));
        for (out, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
            *out = T::of(f64::from(f32::from_ne_bytes(*bytes)));
        }
    }

    /// Copies other entries from the host to here.
    #[track_caller]
    pub(crate) fn put<T: Float>(&self, entries: &[T]) {
        self.device.expect("upload", self.buffer.upload(&bytes(entries)));
    }

    /// Says that these entries cannot be read as if they were here.
    #[track_caller]
    pub(crate) fn not_here(&self) -> ! {
        panic!(
            "this tensor lies on {}: an op that reads entries one by one works on the processor only; \
             to(&Device::Cpu) copies it here",
            self.device
        )
    }
}

/// Entries as a card holds them.
pub(super) fn bytes<T: Float>(entries: &[T]) -> Vec<u8> {
    entries.iter().flat_map(|x| (x.to_f64() as f32).to_ne_bytes()).collect()
}

/// Copies the entries, on the card.
impl Clone for CudaArray {
    fn clone(&self) -> Self {
        let copy = Self::stale(&self.device, self.len);
        let arguments = [
            Argument::Address(self.address()),
            Argument::F32(1.0),
            Argument::Address(copy.address()),
            Argument::U64(self.len as u64),
            Argument::I32(0),
        ];
        self.device.launch_entries("scale", self.len, &arguments);
        copy
    }
}

impl fmt::Debug for CudaArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CudaArray {{ {} entries on {} }}", self.len, self.device)
    }
}
