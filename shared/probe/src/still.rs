//! Random numbers that do not differ: whatever is drawn first is known, in any order. What a sampler makes of its noise
//! is then exact.

use ndarray::Array4;
use ndarray_rand::rand_distr::{Distribution, StandardNormal};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

/// A generator of one word, so that every standard normal number is the same. After very many words it turns to real
/// random numbers, so that nobody waits for another one in vain.
#[derive(Clone, Debug)]
pub struct Still {
    left: usize,
    then: StdRng,
}

/// Neither one of the rare words that are followed by another, nor one whose number is special.
const WORD: u64 = 0x2d3a_9c41_7e21_7b35;
const MOST_WORDS: usize = 1_000_000;

impl Still {
    /// A new one; all are the same.
    #[must_use]
    pub fn new() -> Self {
        Self {
            left: MOST_WORDS,
            then: StdRng::seed_from_u64(1),
        }
    }

    /// The number that stands for a standard normal one.
    #[must_use]
    pub fn number() -> f32 {
        StandardNormal.sample(&mut Self::new())
    }

    /// An array of it, `[B, C, H, W]`.
    #[must_use]
    pub fn array(shape: (usize, usize, usize, usize)) -> Array4<f32> {
        Array4::from_elem(shape, Self::number())
    }
}

impl Default for Still {
    fn default() -> Self {
        Self::new()
    }
}

impl RngCore for Still {
    fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        if self.left == 0 {
            return self.then.next_u64();
        }
        self.left -= 1;
        WORD
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_takes_one_word_and_is_the_same() {
        let mut rng = Still::new();
        let numbers: Vec<f32> = (0..5).map(|_| StandardNormal.sample(&mut rng)).collect();
        assert!(numbers.iter().all(|number| *number == Still::number()), "{numbers:?}");
        assert_eq!(rng.left, MOST_WORDS - 5);
        assert!((0.3..1.5).contains(&Still::number().abs()), "{}", Still::number());
    }
}
