//! One card, and the one queue of its work.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use cudarc::driver::result::{self as cuda, DriverError};
use cudarc::driver::sys::{self, CUdevice_attribute as Attribute};

use super::architecture::Architecture;
use super::libraries::Library;
use crate::kernels::cuda::driver::{CudaError, Result};

/// The oldest CUDA that a driver must know: all functions used here are older.
const OLDEST: i32 = 12_000;

/// A card with its context and stream.
#[derive(Debug)]
pub(super) struct Context {
    name: String,
    device: sys::CUdevice,
    context: sys::CUcontext,
    stream: sys::CUstream,
    /// Whether launches are being recorded rather than run.
    recording: AtomicBool,
}

// SAFETY: contexts and streams may be used from any thread in which the context is current, which `enter` sees to.
unsafe impl Send for Context {}
// SAFETY: as above; the driver locks.
unsafe impl Sync for Context {}

/// The number of cards.
///
/// # Errors
/// Where there is no driver, or an old one.
pub(super) fn count() -> Result<usize> {
    Library::Driver.require(None)?;
    cuda::init()
        .map_err(|error| CudaError::new(format!("the NVIDIA driver does not start: {}", describe(error))))?;
    let version = driver_version();
    if version < OLDEST {
        let dotted = |version: i32| format!("{}.{}", version / 1000, version % 1000 / 10);
        let [has, wants] = [version, OLDEST].map(dotted);
        return Err(CudaError::new(format!(
            "the NVIDIA driver knows CUDA {has}, and {wants} or newer is needed"
        )));
    }
    let count = cuda::device::get_count().map_err(|error| CudaError::new(describe(error)))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// The newest major version of CUDA that the driver understands. The driver must have been started.
pub(super) fn newest_cuda() -> Option<u32> {
    u32::try_from(driver_version() / 1000).ok().filter(|&major| major > 0)
}

fn driver_version() -> i32 {
    let mut version = 0;
    // SAFETY: writes one number. Where it fails, that stays 0.
    let _ = unsafe { sys::cuDriverGetVersion(&mut version) };
    version
}

impl Context {
    /// The card with this number.
    ///
    /// # Errors
    /// Where there is no such card, or it does not answer.
    pub(super) fn open(ordinal: usize) -> Result<Self> {
        let count = count()?;
        if ordinal >= count {
            let cards =
                if count == 1 { "is 1 CUDA device".to_owned() } else { format!("are {count} CUDA devices") };
            return Err(CudaError::new(format!("no cuda:{ordinal}: there {cards}, counted from 0")));
        }
        let failed = |error| CudaError::new(format!("cuda:{ordinal}: {}", describe(error)));
        let device = cuda::device::get(i32::try_from(ordinal).unwrap_or(i32::MAX)).map_err(failed)?;
        let name = format!("cuda:{ordinal}, {}", cuda::device::get_name(device).map_err(failed)?);
        // SAFETY: the driver gave the device, and is given its context back when this is dropped.
        let context = unsafe { cuda::primary_ctx::retain(device) }.map_err(failed)?;
        let mut opened =
            Self { name, device, context, stream: std::ptr::null_mut(), recording: AtomicBool::new(false) };
        opened.enter()?;
        // Does not wait for, nor is waited for by, what other libraries put on the default stream.
        opened.stream = cuda::stream::create(cuda::stream::StreamKind::NonBlocking).map_err(failed)?;
        Ok(opened)
    }

    /// `cuda:0, NVIDIA H200`.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where all work goes.
    pub(super) fn stream(&self) -> sys::CUstream {
        self.stream
    }

    /// What kernels are compiled for.
    ///
    /// # Errors
    /// Where they cannot run on this card.
    pub(super) fn architecture(&self) -> Result<Architecture> {
        let major = self.attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        let minor = self.attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
        let warp = self.attribute(Attribute::CU_DEVICE_ATTRIBUTE_WARP_SIZE)?;
        let named = |error| CudaError::new(format!("{}: {error}", self.name));
        Architecture::of(major, minor, warp).map_err(named)
    }

    /// The most bytes of shared memory that a block can have, where a kernel asks for more than the usual 48 KiB.
    pub(super) fn shared_limit(&self) -> Result<u32> {
        let most = self.attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?;
        Ok(u32::try_from(most).unwrap_or(0))
    }

    fn attribute(&self, attribute: Attribute) -> Result<i32> {
        // SAFETY: the driver gave the device.
        let value = unsafe { cuda::device::get_attribute(self.device, attribute) };
        self.check(format_args!("asking for {attribute:?}"), value)
    }

    /// Makes the context this thread's, which calls to the driver expect.
    pub(super) fn enter(&self) -> Result<()> {
        // SAFETY: the context lives as long as this.
        self.check("entering", unsafe { cuda::ctx::set_current(self.context) })
    }

    /// The driver's answer, with what was asked for in the message.
    pub(super) fn check<T>(
        &self,
        what: impl fmt::Display,
        answer: std::result::Result<T, DriverError>,
    ) -> Result<T> {
        answer.map_err(|error| CudaError::new(format!("{}: {what}: {}", self.name, describe(error))))
    }

    /// Waits for all work.
    pub(super) fn synchronize(&self) -> Result<()> {
        self.live("waiting for work")?;
        self.enter()?;
        // SAFETY: the stream is alive.
        self.check("waiting for work", unsafe { cuda::stream::synchronize(self.stream) })
    }

    /// Whether launches are being recorded rather than run.
    pub(super) fn is_recording(&self) -> bool {
        self.recording.load(Ordering::Acquire)
    }

    /// Says that launches are recorded from now on, or no more. Returns what held before.
    pub(super) fn set_recording(&self, recording: bool) -> bool {
        self.recording.swap(recording, Ordering::AcqRel)
    }

    /// Refuses what cannot be recorded: replays would repeat it with stale bytes, or it would wait for what does not
    /// run.
    pub(super) fn live(&self, what: &str) -> Result<()> {
        if self.is_recording() {
            return Err(CudaError::new(format!("{}: {what} cannot be recorded", self.name)));
        }
        Ok(())
    }

    /// Does what a recording thread may not do, like asking for memory, but which leaves the recording alone.
    pub(super) fn aside<R>(&self, work: impl FnOnce() -> R) -> R {
        let mut mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
        // SAFETY: sets this thread's mode and writes the old one, and the other way round. Where it fails, `work` does.
        let _ = unsafe { sys::cuThreadExchangeStreamCaptureMode(&mut mode) };
        let done = work();
        let _ = unsafe { sys::cuThreadExchangeStreamCaptureMode(&mut mode) };
        done
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: nobody holds the stream or the context any more. At the end of a process the driver may be gone
        // before, and answers with an error that is of no use.
        unsafe {
            if self.enter().is_ok() && !self.stream.is_null() {
                let _ = cuda::stream::destroy(self.stream);
            }
            let _ = cuda::primary_ctx::release(self.device);
        }
    }
}

/// The driver's words for an error: `out of memory`.
pub(super) fn describe(error: DriverError) -> String {
    match error.error_string() {
        Ok(text) => text.to_string_lossy().into_owned(),
        Err(_) => format!("{:?}", error.0),
    }
}
