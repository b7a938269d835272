//! An allocator that puts each block beside a page without access.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering::*};

/// Where the page without access lies that a block touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    After,
    Before,
}

thread_local! {
    /// How blocks of this thread are guarded; not at all where `None`.
    static ARMED: Cell<Option<Side>> = const { Cell::new(None) };
}

const PAGE: usize = 4096;

/// `(pages of a place, places)`: a place is followed by one page without access, and another one lies before the first.
const CLASSES: [(usize, usize); 4] = [(1, 6000), (4, 1500), (16, 300), (128, 40)];

/// A block larger than this is refused, as a system without so much memory would.
const MOST: usize = 1 << 27;

/// The number of the first place of a class among all.
const fn first_place(class: usize) -> usize {
    let (mut place, mut i) = (0, 0);
    while i < class {
        place += CLASSES[i].1;
        i += 1;
    }
    place
}

/// Where the places of a class begin, in bytes from the first page.
const fn start(class: usize) -> usize {
    let (mut pages, mut i) = (1, 0);
    while i < class {
        pages += CLASSES[i].1 * (CLASSES[i].0 + 1);
        i += 1;
    }
    pages * PAGE
}

const PLACES: usize = first_place(CLASSES.len());

static BASE: AtomicPtr<u8> = AtomicPtr::new(null_mut());
static LOCKED: AtomicBool = AtomicBool::new(false);
/// For each class the number, plus one, of a free place, and for each place that of the next one.
static FREE: [AtomicUsize; CLASSES.len()] = [const { AtomicUsize::new(0) }; CLASSES.len()];
static NEXT: [AtomicUsize; PLACES] = [const { AtomicUsize::new(0) }; PLACES];
/// Places of each class that were ever used.
static USED: [AtomicUsize; CLASSES.len()] = [const { AtomicUsize::new(0) }; CLASSES.len()];
static BLOCKS: AtomicU64 = AtomicU64::new(0);

/// Blocks that were guarded so far.
pub(super) fn blocks() -> u64 {
    BLOCKS.load(Relaxed)
}

/// From now on blocks of this thread are guarded so.
pub(super) fn arm(side: Option<Side>) {
    ARMED.set(side);
}

fn locked<R>(work: impl FnOnce() -> R) -> R {
    while LOCKED.compare_exchange_weak(false, true, Acquire, Relaxed).is_err() {
        std::hint::spin_loop();
    }
    let result = work();
    LOCKED.store(false, Release);
    result
}

pub(super) struct Guarded;

impl Guarded {
    /// A place of this class, its first byte.
    fn take(class: usize) -> Option<*mut u8> {
        locked(|| {
            let mut base = BASE.load(Relaxed);
            if base.is_null() {
                // SAFETY: new memory, which nothing else lies in.
                base = unsafe {
                    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
                    let end = start(CLASSES.len());
                    let region = libc::mmap(null_mut(), end, libc::PROT_NONE, flags, -1, 0);
                    if region == libc::MAP_FAILED {
                        return None;
                    }
                    region.cast()
                };
                BASE.store(base, Relaxed);
            }
            let (pages, places) = CLASSES[class];
            let (free, fresh) = (FREE[class].load(Relaxed), USED[class].load(Relaxed));
            let place = match free.checked_sub(1) {
                Some(place) => {
                    FREE[class].store(NEXT[first_place(class) + place].load(Relaxed), Relaxed);
                    place
                }
                None if fresh < places => {
                    USED[class].store(fresh + 1, Relaxed);
                    fresh
                }
                None => return None,
            };
            // SAFETY: the place lies within the region.
            let at = unsafe { base.add(start(class) + place * (pages + 1) * PAGE) };
            if free == 0 {
                // SAFETY: as above.
                let opened =
                    unsafe { libc::mprotect(at.cast(), pages * PAGE, libc::PROT_READ | libc::PROT_WRITE) };
                if opened != 0 {
                    return None;
                }
            }
            Some(at)
        })
    }

    /// The class and the number of the place in which this byte lies.
    fn place_of(at: *mut u8) -> Option<(usize, usize)> {
        let offset = (at as usize).checked_sub(BASE.load(Relaxed) as usize)?;
        let class = (0..CLASSES.len()).find(|&class| offset < start(class + 1))?;
        Some((class, (offset - start(class)) / ((CLASSES[class].0 + 1) * PAGE)))
    }
}

// SAFETY: a block lies within a place that is nobody else's until it is given back, or comes from the system.
unsafe impl GlobalAlloc for Guarded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        let Some(side) = ARMED.get() else {
            // SAFETY: as the caller says.
            return unsafe { System.alloc(layout) };
        };
        if size > MOST {
            return null_mut();
        }
        let class = CLASSES.iter().position(|&(pages, _)| size <= pages * PAGE && align <= PAGE);
        let Some((class, at)) = class.and_then(|class| Some((class, Self::take(class)?))) else {
            // SAFETY: as the caller says.
            return unsafe { System.alloc(layout) };
        };
        BLOCKS.fetch_add(1, Relaxed);
        match side {
            Side::Before => at,
            // SAFETY: within the place, which is no smaller than the block.
            Side::After => unsafe { at.add((CLASSES[class].0 * PAGE - size) / align * align) },
        }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        match Self::place_of(at) {
            None => {
                // SAFETY: what is in no place came from the system.
                unsafe { System.dealloc(at, layout) }
            }
            Some((class, place)) => locked(|| {
                NEXT[first_place(class) + place].store(FREE[class].load(Relaxed), Relaxed);
                FREE[class].store(place + 1, Relaxed);
            }),
        }
    }
}

static NUMBER: AtomicU64 = AtomicU64::new(0);
static NAME: AtomicPtr<u8> = AtomicPtr::new(null_mut());
static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// Lets a signal say which call it came from.
pub(super) fn announce(number: u64, name: &'static str) {
    NUMBER.store(number, Relaxed);
    LENGTH.store(name.len(), Relaxed);
    NAME.store(name.as_ptr().cast_mut(), Relaxed);
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        for signal in [libc::SIGSEGV, libc::SIGBUS] {
            // SAFETY: the handler does nothing but write, and let the next signal end the process.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = report as *const () as usize;
                action.sa_flags = libc::SA_ONSTACK | libc::SA_RESETHAND;
                libc::sigaction(signal, &action, null_mut());
            }
        }
    });
}

extern "C" fn report(_: libc::c_int) {
    let (mut digits, mut number, mut i) = ([b'0'; 20], NUMBER.load(Relaxed), 20);
    while number > 0 {
        i -= 1;
        digits[i] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    let say = |text: &[u8]| {
        // SAFETY: writes what is in the slice.
        let _ = unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
    };
    say(b"memory out of bounds in call ");
    say(&digits[i.min(19)..]);
    say(b", ");
    // SAFETY: the parts of a name that lives for ever.
    say(unsafe { std::slice::from_raw_parts(NAME.load(Relaxed), LENGTH.load(Relaxed)) });
    say(b"\n");
}
