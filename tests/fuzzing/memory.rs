//! An allocator that counts what a thread has taken, and ends the program where that is too much.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[global_allocator]
static COUNTED: Counted = Counted;

struct Counted;

/// Bytes that a thread has taken since it began to count; memory of before may be given back meanwhile.
#[derive(Clone, Copy)]
struct Taken {
    now: isize,
    peak: isize,
    limit: isize,
}

thread_local! {
    static TAKEN: Cell<Taken> = const { Cell::new(Taken { now: 0, peak: 0, limit: isize::MAX }) };
}

fn count(bytes: isize) {
    // A thread that ends gives memory back when its own is gone.
    let _ = TAKEN.try_with(|taken| {
        let Taken { now, peak, limit } = taken.get();
        let now = now.saturating_add(bytes);
        if now > limit {
            taken.set(Taken { now, peak: now, limit: isize::MAX });
            super::run::give_up(&format!("takes {now} bytes of memory, and {limit} are allowed"));
        }
        taken.set(Taken { now, peak: peak.max(now), limit });
    });
}

// SAFETY: every call is passed on to the system's allocator as it is; counting takes no memory.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as this function's caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as this function's caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as this function's caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both may exist at once.
        count(size as isize);
        count(-(layout.size() as isize));
        // SAFETY: as this function's caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Calls `f`, which may take `limit` bytes.
pub(crate) fn limited<R>(limit: usize, f: impl FnOnce() -> R) -> R {
    TAKEN.set(Taken { now: 0, peak: 0, limit: limit as isize });
    let result = f();
    TAKEN.set(Taken { now: 0, peak: 0, limit: isize::MAX });
    result
}

/// Lets this thread take what it likes from now on: what says that a test has failed needs memory.
pub(crate) fn unlimited() {
    TAKEN.set(Taken { limit: isize::MAX, ..TAKEN.get() });
}

/// Calls `f`; what it gives, and the most memory that it had at once.
pub(crate) fn peak_of<R>(f: impl FnOnce() -> R) -> (R, usize) {
    TAKEN.set(Taken { now: 0, peak: 0, limit: isize::MAX });
    let result = f();
    (result, TAKEN.get().peak.unsigned_abs())
}
