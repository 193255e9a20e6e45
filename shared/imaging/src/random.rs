//! Random numbers that no two measurements and no two samples share, whatever the seed.

use rand::SeedableRng;
use rand::rngs::StdRng;

/// The first word of a stream's key: what its numbers are for.
#[derive(Clone, Copy)]
enum Purpose {
    MeasurementNoise = 1,
    Sampler = 2,
}

/// For the measurement noise of image number `place` among all images.
pub(crate) fn noise_rng(seed: u64, place: usize) -> StdRng {
    stream(Purpose::MeasurementNoise, seed, place, 0)
}

/// For one call of a sampler: sample number `sample` of a batch whose first image has the place `first` among all.
///
/// A sampler draws for a whole batch at a time, so an image's numbers depend on the batch that it is in.
///
/// ```
/// use imaging::sampler_rng;
/// assert_eq!(sampler_rng(7, 16, 0), sampler_rng(7, 16, 0));
/// assert_ne!(sampler_rng(7, 16, 0), sampler_rng(7, 17, 0));
/// assert_ne!(sampler_rng(7, 16, 0), sampler_rng(8, 15, 0));
/// ```
#[must_use]
pub fn sampler_rng(seed: u64, first: usize, sample: u64) -> StdRng {
    stream(Purpose::Sampler, seed, first, sample)
}

/// The numbers are the generator's key as they stand: different ones cannot add up to the same seed.
fn stream(purpose: Purpose, seed: u64, place: usize, sample: u64) -> StdRng {
    let mut key = [0; 32];
    let words = [purpose as u64, seed, place as u64, sample];
    for (bytes, word) in key.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    StdRng::from_seed(key)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::Rng;

    use super::*;

    #[test]
    fn no_two_streams_begin_alike() {
        let mut first_numbers = HashSet::new();
        for seed in 0..4 {
            for place in 0..4 {
                first_numbers.insert(noise_rng(seed, place).random::<u64>());
                for sample in 0..4 {
                    first_numbers.insert(sampler_rng(seed, place, sample).random::<u64>());
                }
            }
        }
        assert_eq!(first_numbers.len(), 4 * 4 * (1 + 4));
    }
}
