//! A prior, an operator and random numbers for examinations: nobody knows them, and they remember what they were asked.
//!
//! Samplers are run on them by the public tests and by the grader's workers. Nothing here says what is right, so that a
//! worker may hold it.

mod log;
mod mixing;
mod model;
mod numbers;
mod operator;
pub mod still;

pub use log::{Event, Log, Seen, Watch};
pub use model::{BROKEN, Probe, ProbeModel};
pub use numbers::Numbers;
pub use operator::ProbeOperator;

#[cfg(test)]
mod tests {
    use ndarray::Array4;
    use ndarray_rand::RandomExt;
    use ndarray_rand::rand_distr::StandardNormal;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn noise(shape: (usize, usize, usize, usize), seed: u64) -> Array4<f32> {
        Array4::random_using(shape, StandardNormal, &mut StdRng::seed_from_u64(seed))
    }

    /// `<J u, v>` by differences is `<u, J^T v>`.
    #[test]
    fn pullbacks_belong_to_what_they_pull_back() {
        let shape = [2, 3, 2];
        let dim = (2, 2, 3, 2);
        let (x, u, v) = (noise(dim, 1), noise(dim, 2), noise(dim, 3));
        let close = |a: f32, b: f32| (a - b).abs() < 2e-2 * (1.0 + a.abs());
        let probe = Probe::new(shape);
        let h = 1e-2;
        let ahead = (probe.score(&(&x + &(&u * h)), 300) - probe.score(&(&x - &(&u * h)), 300)) / (2.0 * h);
        let back = (probe.pull_back(&x, 300, &v) * &u).sum();
        assert!(close((ahead * &v).sum(), back));
        let operator = ProbeOperator::new(shape, 5, &Log::default());
        let w = noise((2, 1, 1, 5), 4);
        let ahead = (operator.of(&(&x + &(&u * h))) - operator.of(&(&x - &(&u * h)))) / (2.0 * h);
        assert!(close((ahead * &w).sum(), (operator.back(&x, &w) * &u).sum()));
    }
}
