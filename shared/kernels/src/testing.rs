//! What the unit tests share.

use std::sync::OnceLock;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::simd::SimdPath;

/// The paths that this machine can run.
pub(crate) fn paths() -> Vec<SimdPath> {
    SimdPath::ALL.into_iter().filter(|path| path.is_supported()).collect()
}

/// A source of random numbers with a fixed seed.
pub(crate) fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// Uniform values in [-1, 1]. The vector has no spare capacity, so that a tool that watches memory
/// sees a write past its end.
pub(crate) fn values(rng: &mut StdRng, len: usize) -> Vec<f32> {
    let values: Box<[f32]> = (0..len).map(|_| rng.random_range(-1.0..1.0)).collect();
    values.into_vec()
}

pub(crate) fn to_f64(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| value.into()).collect()
}

/// Fails unless every value is within `tolerance` of the expected one, relative to the larger of 1
/// and its size.
#[track_caller]
pub(crate) fn assert_close(what: &str, got: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{what}: length");
    for (index, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(got) - expected).abs() / expected.abs().max(1.0);
        assert!(
            error <= tolerance,
            "{what}: value {index} is {got}, expected {expected}"
        );
    }
}

/// The largest error, relative to the largest expected value; NaN where any is NaN.
pub(crate) fn relative_error(got: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len(), "length");
    let largest = expected.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    let errors = got
        .iter()
        .zip(expected)
        .map(|(&got, expected)| (f64::from(got) - expected).abs());
    errors.fold(
        0.0,
        |worst, error| if error > worst || error.is_nan() { error } else { worst },
    ) / largest
}

/// Runs `f` on pools of 1, 2, 3 and 7 threads and fails unless all results have the same bits.
#[track_caller]
pub(crate) fn assert_same_on_any_threads(what: &str, f: impl Fn() -> Vec<f32> + Sync) {
    /// Made once for all tests: starting threads takes longer than most of these.
    static POOLS: OnceLock<[ThreadPool; 4]> = OnceLock::new();
    let pool = |threads| {
        ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a thread pool")
    };
    let pools = POOLS.get_or_init(|| [1, 2, 3, 7].map(pool));
    let run = |pool: &ThreadPool| pool.install(|| f().iter().map(|value| value.to_bits()).collect::<Vec<u32>>());
    let expected = run(&pools[0]);
    for pool in &pools[1..] {
        let threads = pool.current_num_threads();
        assert!(
            run(pool) == expected,
            "{what}: {threads} threads give other bits than one"
        );
    }
}
