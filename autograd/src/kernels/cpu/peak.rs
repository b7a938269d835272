//! How fast multiply-adds can be at best: the measure of every matrix product.

use crate::simd;

/// Vectors that are worked on side by side: enough to hide the latency of a multiply-add (4 cycles on two ports of
/// today's cores), and few enough for the sixteen registers of the smaller vector units.
const CHAINS: usize = 12;

simd! {
    /// Does `rounds` times twelve vector multiply-adds on numbers that stay in registers; gives their sum, which nobody
    /// needs, so that the work is not left out. The number of operations is [`multiply_add_flops`].
    pub fn multiply_adds<T>(s, rounds: usize, factor: T, term: T) -> T {
        let (factor, term) = (s.splat(factor), s.splat(term));
        let mut chains = [s.splat(T::ZERO); CHAINS];
        for (i, chain) in chains.iter_mut().enumerate() {
            *chain = s.splat(T::of(i as f64));
        }
        for _ in 0..rounds {
            for chain in &mut chains {
                *chain = s.fma(*chain, factor, term);
            }
        }
        let mut sum = s.splat(T::ZERO);
        for chain in chains {
            sum = s.add(sum, chain);
        }
        s.sum(sum)
    }

    /// The additions and multiplications of [`multiply_adds`], summing up left out.
    pub fn multiply_add_flops<T>(_s, rounds: usize, _type: std::marker::PhantomData<T>) -> f64 {
        (2 * CHAINS * S::LANES) as f64 * rounds as f64
    }
}

#[cfg(test)]
mod tests {
    use std::marker::PhantomData;

    use super::*;

    #[test]
    fn every_round_multiplies_and_adds_in_every_lane() {
        // x → x/2 + 1 leads from i to 2 + (i − 2)/2ⁿ, exactly for these numbers.
        let lanes = multiply_add_flops(1, PhantomData::<f32>) / (2 * CHAINS) as f64;
        for rounds in [0, 1, 5] {
            let chain = |i: usize| 2.0 + (i as f64 - 2.0) * 0.5f64.powi(rounds as i32);
            let sum: f64 = (0..CHAINS).map(chain).sum();
            assert_eq!(f64::from(multiply_adds(rounds, 0.5f32, 1.0)), lanes * sum);
            assert_eq!(multiply_adds(rounds, 0.5f64, 1.0), sum);
        }
        assert_eq!(multiply_add_flops(10, PhantomData::<f64>), 240.0);
    }
}
