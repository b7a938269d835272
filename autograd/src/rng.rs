//! Counter-based random numbers: the n-th number of a stream is a pure function of `(key, n)`.
//!
//! The same seed, step and node therefore give the same dropout mask on any number of threads, and the backward pass
//! draws the mask again instead of storing it (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).

use rand::rand_core::{Infallible, TryRng};

/// A stream of random numbers that `rand` and `rand_distr` can draw from: SplitMix64 (Steele, Lea and Flood, "Fast
/// splittable pseudorandom number generators", 2014), whose state is a counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    state: u64,
}

impl Stream {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: mix(seed) }
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// A number drawn evenly from `[0, 1)`.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (-53f64).exp2()
    }
}

impl TryRng for Stream {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.bits() >> 32) as u32)
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.bits())
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.bits().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// A seed for the sub-stream `index` of `seed`: for a step, a shard, a node.
pub fn derive(seed: u64, index: u64) -> u64 {
    mix(mix(seed).wrapping_add(index.wrapping_mul(GOLDEN)))
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniform_numbers_fill_the_interval_evenly() {
        let mut stream = Stream::new(1);
        let mut counts = [0usize; 10];
        for _ in 0..100_000 {
            counts[(stream.uniform() * 10.0) as usize] += 1;
        }
        // 10 000 expected in each, standard deviation 95: five of them leave no room for a biased generator.
        assert!(counts.iter().all(|&count| count.abs_diff(10_000) < 475), "{counts:?}");
    }

    #[test]
    fn derived_seeds_differ() {
        let mut seeds: Vec<u64> = (0..1000).flat_map(|seed| (0..100).map(move |i| derive(seed, i))).collect();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 100_000);
    }
}
