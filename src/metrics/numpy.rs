//! NumPy's default random numbers, because sacreBLEU draws its samples with them: intervals and significance can then be
//! equal to its own, not only alike.

use rand_pcg::Lcg128Xsl64;
use rand_pcg::rand_core::Rng;

/// `numpy.random.default_rng(seed)`: a PCG64 generator (O'Neill 2014) seeded through NumPy's `SeedSequence`.
pub(super) struct Generator {
    pcg: Lcg128Xsl64,
    /// The upper half of the last 64 bits, which is the next number of 32.
    half: Option<u32>,
}

impl Generator {
    pub(super) fn new(seed: u64) -> Self {
        let [a, b, c, d] = seed_sequence(seed).map(u128::from);
        Self { pcg: Lcg128Xsl64::new(a << 64 | b, c << 64 | d), half: None }
    }

    fn bits(&mut self) -> u32 {
        self.half.take().unwrap_or_else(|| {
            let both = self.pcg.next_u64();
            self.half = Some((both >> 32) as u32);
            both as u32
        })
    }

    /// A number below `bound`, drawn evenly, as `integers` and `choice` do it (Lemire 2019, "Fast random integer generation
    /// in an interval").
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        if bound <= 1 {
            return 0;
        }
        let rejected = bound.wrapping_neg() % bound;
        loop {
            let product = u64::from(self.bits()) * u64::from(bound);
            if product as u32 >= rejected {
                return (product >> 32) as u32;
            }
        }
    }
}

/// The first four words of `numpy.random.SeedSequence(seed).generate_state(4, uint64)`.
fn seed_sequence(seed: u64) -> [u64; 4] {
    const LEFT: u32 = 0xca01_f9dd;
    const RIGHT: u32 = 0x4973_f715;
    /// Each number is hashed with another constant than the one before.
    fn hash(value: u32, constant: &mut u32, multiplier: u32) -> u32 {
        let value = value ^ *constant;
        *constant = constant.wrapping_mul(multiplier);
        let value = value.wrapping_mul(*constant);
        value ^ value >> 16
    }
    let mut constant = 0x43b0_d7e5;
    let mut mixing = |value| hash(value, &mut constant, 0x931e_8875);
    let mut pool = [seed as u32, (seed >> 32) as u32, 0, 0].map(&mut mixing);
    for from in 0..4 {
        for to in (0..4).filter(|&to| to != from) {
            let mixed = LEFT.wrapping_mul(pool[to]).wrapping_sub(RIGHT.wrapping_mul(mixing(pool[from])));
            pool[to] = mixed ^ mixed >> 16;
        }
    }
    let mut constant = 0x8b51_f9dd;
    let mut half = |i: usize| u64::from(hash(pool[i % 4], &mut constant, 0x58f3_8ded));
    std::array::from_fn(|i| half(2 * i) | half(2 * i + 1) << 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_numpy() {
        // numpy.random.default_rng(seed).choice(bound, size=8)
        let expected = [
            (12345, 1000, [699, 227, 788, 316, 204, 797, 642, 676]),
            (0, 7, [5, 4, 3, 1, 2, 0, 0, 0]),
            (
                9_876_543_210,
                3_000_000_000,
                [
                    1_241_369_555,
                    2_804_816_705,
                    1_620_495_872,
                    2_077_113_579,
                    2_312_949_565,
                    2_051_942_450,
                    1_162_194_436,
                    2_790_833_301,
                ],
            ),
            (12345, 1, [0; 8]),
        ];
        for (seed, bound, numbers) in expected {
            let mut generator = Generator::new(seed);
            assert_eq!([(); 8].map(|()| generator.below(bound)), numbers, "seed {seed}, below {bound}");
        }
    }
}
