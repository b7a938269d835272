//! The peak that products are compared with.

use std::hint::black_box;
use std::marker::PhantomData;
use std::sync::Barrier;
use std::time::Instant;

use autograd::kernels::cpu::peak::{multiply_add_flops, multiply_adds};

/// Rounds of a burst: about 15 milliseconds.
const ROUNDS: usize = 4_000_000;

/// Bursts, of which the best counts: whatever else the machine does can only slow one down.
const BURSTS: usize = 10;

/// The single-precision multiply-adds that `threads` threads can do at the same time, in GFLOP/s.
pub fn peak_gflops(threads: usize) -> f64 {
    let flops = threads as f64 * multiply_add_flops(ROUNDS, PhantomData::<f32>);
    let start = Barrier::new(threads);
    let burst = || {
        let mut seconds = [0.0; BURSTS];
        for seconds in &mut seconds {
            start.wait();
            let start = Instant::now();
            black_box(multiply_adds(black_box(ROUNDS), black_box(0.999f32), black_box(0.001)));
            *seconds = start.elapsed().as_secs_f64();
        }
        seconds
    };
    let times: Vec<[f64; BURSTS]> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(burst)).collect();
        let own = burst();
        let others = others
            .into_iter()
            .map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        std::iter::once(own).chain(others).collect()
    });
    // A burst has taken as long as its slowest thread.
    let slowest = |burst: usize| times.iter().map(|times| times[burst]).fold(0.0, f64::max);
    let best = (0..BURSTS).map(slowest).fold(f64::INFINITY, f64::min);
    flops / best / 1e9
}
