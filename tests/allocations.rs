//! Claims: once a training is under way, its steps take no large block of memory from the system; and attention over long
//! sentences takes as much as they are long.
//!
//! A test program of its own, because the free lists are shared by all that runs in a process, and because allocations
//! are counted by replacing the allocator.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::{Mutex, PoisonError};

use gradus::autograd::ops::attention::Attention;
use gradus::autograd::rng::Stream;
use gradus::autograd::{Tape, Tensor, buffer};
use gradus::data::batch::Example;
use gradus::nn::{Init, Preset, Transformer};
use gradus::optim::Adam;
use gradus::train::step::{StepOptions, step};

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
    let mut peaks = Vec::new();
    for number in 0..8 {
        let allocated = allocation_counter::measure(|| {
            step(&mut model, &mut adam, &examples, &batches, &options, 1e-3, number);
        });
        peaks.push(allocated.bytes_max);
    }
    // Matrix products take room to put a factor in order, and give it back at once: a mebibyte. The logits of a shard
    // are more than two, and all that the first step takes is more than forty.
    assert!(peaks[0] > 40_000_000, "the first step takes what all others use: {peaks:?}");
    assert!(peaks[3..].iter().all(|&bytes| bytes < 1_500_000), "{peaks:?}");
}

#[test]
fn the_memory_of_attention_grows_with_the_length_and_not_with_its_square() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let peak = |length: usize| {
        let mut stream = Stream::new(1);
        let [q, k, v] = [(); 3].map(|()| Tensor::<f32>::normal([1, length, 128], 1.0, &mut stream));
        buffer::trim();
        let allocated = allocation_counter::measure(|| {
            let tape = Tape::eval();
            let [q, k, v] = [q, k, v].map(|x| tape.input(x));
            q.attention(k, v, &Attention::plain(2)).sum().backward();
        });
        allocated.bytes_max as f64
    };
    let [short, middle, long] = [512, 1024, 2048].map(peak);
    for growth in [middle / short, long / middle] {
        assert!(growth < 2.2, "twice the length takes {growth} times the memory");
    }
    // The weights alone, had they ever existed, would take 32 MiB.
    assert!(long < 12e6, "{long} bytes");
}
