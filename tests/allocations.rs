//! Claims: once a training is under way, its steps take no large block of memory from the system; and attention over long
//! sentences takes as much as they are long.
//!
//! A test program of its own, because the free lists are shared by all that runs in a process, and because allocations
//! are counted by replacing the allocator.
//!
//! What a matrix product takes to put its factors in order is not counted: the `gemm` crate asks for as much as suits the
//! caches of the machine, holds it no longer than the product lasts, and wants it aligned to cache lines. Nothing else asks for
//! such alignment; tensors' numbers are plain vectors. So what is counted is the same on every machine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(
    unsafe_code,
    reason = "an allocator that counts is made of the system's, whose functions are unsafe"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use gradus::autograd::ops::attention::Attention;
use gradus::autograd::rng::Stream;
use gradus::autograd::{Tape, Tensor, buffer};
use gradus::data::batch::Example;
use gradus::nn::{Init, Preset, Transformer};
use gradus::optim::Adam;
use gradus::train::step::{StepOptions, step};

/// The system's allocator, which counts what is asked of it.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that are held now, the most that were held since counting began, and the largest block that was asked for.
static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static LARGEST: AtomicUsize = AtomicUsize::new(0);

/// What is aligned to a cache line is room to pack a factor in.
fn counts(layout: Layout) -> bool {
    layout.align() < 32
}

fn taken(layout: Layout) {
    if counts(layout) {
        let held = HELD.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(held, Relaxed);
        LARGEST.fetch_max(layout.size(), Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        taken(layout);
        // SAFETY: the caller's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if counts(layout) {
            HELD.fetch_sub(layout.size(), Relaxed);
        }
        // SAFETY: the caller's.
        unsafe { System.dealloc(block, layout) }
    }
}

/// What `work` takes from the system.
struct Taken {
    /// The most bytes held at a time, of those that were taken since it began.
    peak: usize,
    /// The largest block.
    largest: usize,
    /// The bytes that it holds when it ends.
    left: usize,
}

fn taken_by(work: impl FnOnce()) -> Taken {
    let before = HELD.load(Relaxed);
    PEAK.store(before, Relaxed);
    LARGEST.store(0, Relaxed);
    work();
    let held = HELD.load(Relaxed).saturating_sub(before);
    Taken { peak: PEAK.load(Relaxed) - before, largest: LARGEST.load(Relaxed), left: held }
}

/// The free lists are shared: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Sentences of 5 to 12 words: batches of different lengths, as they come in a training.
fn examples(count: usize) -> Vec<Example> {
    let mut stream = Stream::new(8);
    let mut side = || {
        let length = 5 + stream.bits() % 8;
        (0..length).map(|_| 4 + (stream.bits() % 1990) as u32).chain([2]).collect::<Vec<_>>()
    };
    (0..count).map(|_| Example { source: side(), target: side() }).collect()
}

#[test]
fn steps_reuse_the_memory_of_those_before() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let examples = examples(64);
    let mut model: Transformer = Transformer::new(&Preset::Tiny.config(2000, 2000), &mut Init::seeded(1));
    let mut adam = Adam::default();
    let options =
        StepOptions { shards: 2, threads: 1, smoothing: 0.1, r_drop: 0.0, clip: 1.0, profile: false };
    let batches = [(0..64).collect::<Vec<_>>()];
    // The other test may have been here before.
    buffer::trim();
    let taken: Vec<Taken> = (0..8)
        .map(|number| {
            taken_by(|| {
                step(&mut model, &mut adam, &examples, &batches, &options, 1e-3, number);
            })
        })
        .collect();
    // The logits of a shard are more than two mebibytes, and all that the first step takes is more than forty.
    let [peaks, largest, left] = [
        taken.iter().map(|taken| taken.peak).collect::<Vec<_>>(),
        taken.iter().map(|taken| taken.largest).collect::<Vec<_>>(),
        taken.iter().map(|taken| taken.left).collect(),
    ];
    assert!(peaks[0] > 40_000_000, "the first step takes what all others use: {peaks:?}");
    assert!(left[0] > 40_000_000, "and leaves it on the free lists: {left:?}");
    assert!(largest[0] > 2_000_000, "what is looked for is there to be seen: {largest:?}");
    assert!(peaks[3..].iter().all(|&bytes| bytes < 1_000_000), "peaks {peaks:?}");
    assert!(largest[3..].iter().all(|&bytes| bytes < 100_000), "largest blocks {largest:?}");
    assert!(left[3..].iter().all(|&bytes| bytes < 10_000), "what is left {left:?}");
}

#[test]
fn the_memory_of_attention_grows_with_the_length_and_not_with_its_square() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let peak = |length: usize| {
        let mut stream = Stream::new(1);
        let [q, k, v] = [(); 3].map(|()| Tensor::<f32>::normal([1, length, 128], 1.0, &mut stream));
        buffer::trim();
        let taken = taken_by(|| {
            let tape = Tape::eval();
            let [q, k, v] = [q, k, v].map(|x| tape.input(x));
            q.attention(k, v, &Attention::plain(2)).sum().backward();
        });
        taken.peak as f64
    };
    let [short, middle, long] = [512, 1024, 2048].map(peak);
    for growth in [middle / short, long / middle] {
        assert!(growth < 2.2, "twice the length takes {growth} times the memory");
    }
    // The weights alone, had they ever existed, would take 32 MiB.
    assert!(long < 12e6, "{long} bytes");
}
