//! The random numbers of a run.

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

use crate::still::Still;

/// A generator that a sampler draws from.
#[derive(Clone, Debug)]
pub enum Numbers {
    /// Random numbers, as the programs draw them.
    Drawn(StdRng),
    /// Numbers that are known: [`Still`].
    Still(Still),
}

impl Numbers {
    /// Random numbers of a seed.
    #[must_use]
    pub fn drawn(seed: u64) -> Self {
        Self::Drawn(StdRng::seed_from_u64(seed))
    }

    /// Numbers that are all the same.
    #[must_use]
    pub fn still() -> Self {
        Self::Still(Still::new())
    }
}

impl RngCore for Numbers {
    fn next_u32(&mut self) -> u32 {
        match self {
            Self::Drawn(rng) => rng.next_u32(),
            Self::Still(rng) => rng.next_u32(),
        }
    }

    fn next_u64(&mut self) -> u64 {
        match self {
            Self::Drawn(rng) => rng.next_u64(),
            Self::Still(rng) => rng.next_u64(),
        }
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        match self {
            Self::Drawn(rng) => rng.fill_bytes(bytes),
            Self::Still(rng) => rng.fill_bytes(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_numbers_are_those_of_the_programs() {
        let (mut ours, mut plain) = (Numbers::drawn(7), StdRng::seed_from_u64(7));
        let same = (0..50).all(|_| ours.next_u64() == plain.next_u64() && ours.next_u32() == plain.next_u32());
        assert!(same);
    }
}
