//! Uploads that do not wait: bytes are copied to memory that the card reads by itself.

use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::result as cuda;
use cudarc::driver::sys;

use super::context::Context;
use crate::kernels::cuda::driver::{Address, Result};

/// Bytes of one part. Several uploads share a part; a longer one takes several.
const PART: usize = 4 << 20;
/// While the card reads one part, the next ones are filled.
const PARTS: usize = 4;

/// Page-locked memory, used in turns.
#[derive(Debug)]
pub(super) struct Staging {
    parts: Mutex<Parts>,
    context: Arc<Context>,
}

#[derive(Debug)]
struct Parts {
    parts: Vec<Part>,
    /// The part that is being filled, and how far.
    current: usize,
    used: usize,
}

#[derive(Debug)]
struct Part {
    memory: *mut u8,
    /// After the last copy from it.
    read: sys::CUevent,
}

// SAFETY: the memory and the events belong to the driver, which may be called from any thread.
unsafe impl Send for Parts {}

impl Staging {
    pub(super) fn new(context: Arc<Context>) -> Result<Self> {
        let parts = Parts { parts: Vec::with_capacity(PARTS), current: 0, used: 0 };
        // What was allocated before an error is given back as this is dropped.
        let mut staging = Self { parts: Mutex::new(parts), context };
        staging.context.enter()?;
        for _ in 0..PARTS {
            let part = Part::new(&staging.context)?;
            staging.parts.get_mut().unwrap_or_else(PoisonError::into_inner).parts.push(part);
        }
        Ok(staging)
    }

    /// Copies to the card after all work that was asked for before. `bytes` may be changed when it returns.
    pub(super) fn upload(&self, mut to: Address, mut bytes: &[u8]) -> Result<()> {
        self.context.live("an upload")?;
        self.context.enter()?;
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        while !bytes.is_empty() {
            if parts.used == PART {
                self.turn(&mut parts)?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(PART - parts.used));
            let Parts { parts: all, current, used } = &mut *parts;
            // SAFETY: `used + now.len() <= PART`, and the card has read what was there before.
            let copied = unsafe {
                let place = all[*current].memory.add(*used);
                std::ptr::copy_nonoverlapping(now.as_ptr(), place, now.len());
                let staged = std::slice::from_raw_parts(place, now.len());
                cuda::memcpy_htod_async(to, staged, self.context.stream())
            };
            self.context.check("an upload", copied)?;
            // Copies start at multiples of 256 bytes, which the card likes best.
            *used = (*used + now.len()).next_multiple_of(256).min(PART);
            to += now.len() as Address;
            bytes = later;
        }
        Ok(())
    }

    /// Goes on to the next part, once the card has read it.
    fn turn(&self, parts: &mut Parts) -> Result<()> {
        let (stream, next) = (self.context.stream(), (parts.current + 1) % PARTS);
        // SAFETY: the events are alive. One that was never recorded counts as past.
        let done = unsafe {
            cuda::event::record(parts.parts[parts.current].read, stream)
                .and_then(|()| cuda::event::synchronize(parts.parts[next].read))
        };
        self.context.check("waiting for an upload", done)?;
        (parts.current, parts.used) = (next, 0);
        Ok(())
    }
}

impl Part {
    /// Is given back by [`Staging`]'s drop.
    fn new(context: &Context) -> Result<Self> {
        let read = cuda::event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING);
        let read = context.check("creating an event", read)?;
        // SAFETY: asks for nothing that is in use.
        let memory = unsafe { cuda::malloc_host(PART, 0) };
        if memory.is_err() {
            // SAFETY: nobody uses it yet.
            let _ = unsafe { cuda::event::destroy(read) };
        }
        let memory = context.check("allocating page-locked memory", memory)?.cast();
        Ok(Self { memory, read })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // The card may still read. Errors are of no use at the end.
        let _ = self.context.synchronize();
        for part in self.parts.get_mut().unwrap_or_else(PoisonError::into_inner).parts.drain(..) {
            // SAFETY: allocated by `new`, used by nobody any more.
            unsafe {
                let _ = cuda::event::destroy(part.read);
                let _ = cuda::free_host(part.memory.cast());
            }
        }
    }
}
