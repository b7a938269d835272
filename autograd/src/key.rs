//! What the random numbers of a tape are drawn from.

use std::fmt;

use crate::{Ids, rng};

/// The seed of a tape, of which all its random numbers are functions.
///
/// One that is [staged](Self::staged) also lies in the memory of a card, which reads it there: work that a card has recorded
/// draws other masks where another seed is put in its place. The masks are those of the plain number.
#[derive(Clone, Debug)]
pub struct Seed {
    value: u64,
    ids: Option<Ids>,
}

impl Seed {
    /// A seed that a card reads from its memory.
    pub fn staged(value: u64) -> Self {
        Self { value, ids: Some([value as u32, (value >> 32) as u32].into()) }
    }

    /// The number in two halves, the lower first, to [stage](crate::stage); `None` where it is no staged one.
    pub fn ids(&self) -> Option<&Ids> {
        self.ids.as_ref()
    }

    /// The key of the node at a place of the tape.
    pub fn at(&self, place: u64) -> Key {
        match &self.ids {
            None => rng::derive(self.value, place).into(),
            Some(_) => Key { number: place, seed: Some(self.clone()) },
        }
    }
}

impl From<u64> for Seed {
    fn from(value: u64) -> Self {
        Self { value, ids: None }
    }
}

/// The key of a node's random numbers: a number, or what it is a function of, the tape's seed and the node's place.
#[derive(Clone)]
pub struct Key {
    /// The key itself, or the place.
    number: u64,
    seed: Option<Seed>,
}

impl Key {
    /// The number.
    pub fn value(&self) -> u64 {
        self.seed.as_ref().map_or(self.number, |seed| rng::derive(seed.value, self.number))
    }

    /// Where a card finds the seed, and the place from which it derives the key with it.
    #[cfg(feature = "cuda")]
    pub(crate) fn staged(&self) -> Option<(&Ids, u64)> {
        Some((self.seed.as_ref()?.ids()?, self.number))
    }
}

impl From<u64> for Key {
    fn from(number: u64) -> Self {
        Self { number, seed: None }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staged_seed_gives_the_keys_of_the_plain_one() {
        for seed in [3, u64::MAX, 1 << 40] {
            for place in [0, 7, 1 << 33] {
                let [plain, staged] = [seed.into(), Seed::staged(seed)].map(|seed| seed.at(place).value());
                assert_eq!(plain, staged);
                assert_eq!(plain, rng::derive(seed, place));
            }
        }
    }
}
