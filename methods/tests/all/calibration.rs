//! The tests of calibration, tested: exact draws pass, draws with a fault do not, and how surely is what the law says.

use diffusion::{ScoreError, observe_with};
use methods::calibration::chance::{chi_squared_tail, normal_tails, smallest_of};
use methods::calibration::closed_forms::ClosedForm;
use methods::calibration::ranks::RankHistogram;
use methods::calibration::study::{Drawer, Fault, Findings, Size, Study};
use methods::registry;
use methods::stepping::Stepping;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const SAMPLES: usize = 19;
/// Of ranks of one quantity.
const DEGREES_OF_FREEDOM: usize = SAMPLES;
/// A test that fails this rarely on exact draws.
const ALPHA: f64 = 1e-3;

fn normal(rng: &mut impl Rng) -> f64 {
    use ndarray_rand::rand_distr::{Distribution, StandardNormal};
    StandardNormal.sample(rng)
}

/// A number that has the distribution `N(0, 1)`, and a sampler that draws `N(shift, spread^2)`.
#[derive(Clone, Copy, Debug)]
struct Wrong {
    shift: f64,
    spread: f64,
}

const WRONG: [Wrong; 3] = [
    Wrong {
        shift: 0.0,
        spread: 0.5,
    },
    Wrong {
        shift: 0.0,
        spread: 2.0,
    },
    Wrong {
        shift: 1.0 / 3.0,
        spread: 1.0,
    },
];

impl Wrong {
    fn rank(self, rng: &mut StdRng) -> usize {
        let truth = normal(rng);
        (0..SAMPLES)
            .filter(|_| self.shift + self.spread * normal(rng) < truth)
            .count()
    }

    /// The probability of each rank: that of so many samples below `x`, averaged over the truth's distribution.
    fn probabilities(self) -> Vec<f64> {
        const STEP: f64 = 0.002;
        let mut probabilities = vec![0.0; SAMPLES + 1];
        for place in -4000..4000 {
            let x = STEP * f64::from(place);
            let density = (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
            let below = cumulative((x - self.shift) / self.spread);
            let mut ways = 1.0;
            for (rank, probability) in probabilities.iter_mut().enumerate() {
                let others = SAMPLES - rank;
                *probability += STEP * density * ways * below.powi(rank as i32) * (1.0 - below).powi(others as i32);
                ways *= others as f64 / (rank + 1) as f64;
            }
        }
        probabilities
    }

    /// How surely Pearson's test at the level `alpha` tells it by the ranks of so many images: the tail of the
    /// noncentral chi-squared law, a mixture of central ones by Poisson's weights.
    fn power(self, images: usize, alpha: f64) -> f64 {
        let even = 1.0 / (SAMPLES + 1) as f64;
        let squares = self.probabilities().into_iter().map(|p| (p - even).powi(2) / even);
        let half = images as f64 * squares.sum::<f64>() / 2.0;
        let critical = critical(alpha);
        let mut log_weight = -half;
        let mut power = 0.0;
        for j in 0..(4.0 * half + 100.0) as usize {
            power += log_weight.exp() * chi_squared_tail(critical, DEGREES_OF_FREEDOM + 2 * j);
            log_weight += (half / (j + 1) as f64).ln();
        }
        power
    }
}

/// Where the tail of the chi-squared law is `alpha`.
fn critical(alpha: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1e4);
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if chi_squared_tail(middle, DEGREES_OF_FREEDOM) > alpha {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The normal law's distribution function.
fn cumulative(x: f64) -> f64 {
    if x < 0.0 {
        normal_tails(x) / 2.0
    } else {
        1.0 - normal_tails(x) / 2.0
    }
}

/// How often, of so many repetitions, ranks by chance are refused.
fn refused(repetitions: u64, images: usize, alpha: f64, rank: impl Fn(&mut StdRng) -> usize) -> Result<f64> {
    let mut count = 0;
    for seed in 0..repetitions {
        let rng = &mut StdRng::seed_from_u64(seed);
        let ranks = RankHistogram::new(SAMPLES, (0..images).map(|_| rank(rng)));
        count += usize::from(ranks.uniformity().ok_or("enough ranks")? < alpha);
    }
    Ok(count as f64 / repetitions as f64)
}

#[test]
fn the_tails_are_those_of_the_tables() {
    for (x, degrees_of_freedom, tail) in [
        (3.841_459, 1, 0.05),
        (5.991_465, 2, 0.05),
        (30.143_527, 19, 0.05),
        (29.588_298, 10, 0.001),
        (10.117_013, 19, 0.95),
        (200.0, 2, (-100.0_f64).exp()),
    ] {
        let found = chi_squared_tail(x, degrees_of_freedom);
        assert!((found / tail - 1.0).abs() < 1e-6, "{x}, {degrees_of_freedom}: {found}");
    }
    assert!((normal_tails(1.959_963_985) / 0.05 - 1.0).abs() < 1e-8);
    assert!((normal_tails(-4.0) / 6.334_248_367e-5 - 1.0).abs() < 1e-8);
    assert_eq!((normal_tails(0.0), chi_squared_tail(0.0, 3)), (1.0, 1.0));
    // Both ways to compute it meet.
    let (below, above) = (normal_tails(2.828_427_1), normal_tails(2.828_427_2));
    assert!(above < below && below - above < 1e-8);
    assert_eq!(
        (smallest_of(&[0.3, 0.01, 0.9]), smallest_of(&[0.5, 0.6])),
        (Some(0.03), Some(1.0))
    );
}

/// The law of the statistic, with a fault and without: the share of refusals is what it says.
#[test]
fn the_power_of_the_test_is_what_the_law_says() -> Result {
    const REPETITIONS: u64 = 2000;
    const IMAGES: usize = 100;
    let exact = Wrong {
        shift: 0.0,
        spread: 1.0,
    };
    for wrong in [exact, Wrong { spread: 1.25, ..exact }, WRONG[2]] {
        for alpha in [0.05, 0.01] {
            let expected = wrong.power(IMAGES, alpha);
            let found = refused(REPETITIONS, IMAGES, alpha, |rng| wrong.rank(rng))?;
            // Five standard deviations, and what Pearson's statistic of 5 expected in a bin is off its law.
            let allowed = 5.0 * (expected * (1.0 - expected) / REPETITIONS as f64).sqrt() + 0.005 + 0.02 * expected;
            assert!(
                (found - expected).abs() < allowed,
                "{wrong:?}, {alpha}: {found}, expected {expected}"
            );
        }
    }
    Ok(())
}

#[test]
fn ranks_of_wrong_draws_are_told_and_how_surely_is_known() -> Result {
    for wrong in WRONG {
        let power = wrong.power(500, ALPHA);
        assert!(power > 0.96, "{wrong:?}: {power}");
        let found = refused(100, 500, ALPHA, |rng| wrong.rank(rng))?;
        // Five standard deviations of a binomial.
        let allowed = 5.0 * (power * (1.0 - power) / 100.0).sqrt();
        assert!(found >= power - allowed, "{wrong:?}: {found}, expected {power}");
    }
    Ok(())
}

#[test]
fn few_ranks_share_bins_and_fewer_tell_nothing() {
    let even = |trials: usize| RankHistogram::new(SAMPLES, (0..trials).map(|k| k % (SAMPLES + 1)));
    assert_eq!(even(8).uniformity(), None);
    assert_eq!(even(9).uniformity(), None);
    assert_eq!(even(100).uniformity(), Some(1.0));
    // 20 ranks fill four bins: 2 in the first, 18 in the last.
    let uneven = RankHistogram::new(SAMPLES, (0..20).map(|k| if k < 2 { 0 } else { SAMPLES }));
    let chi_squared = (3.0 * 3.0 + 5.0 * 5.0 + 5.0 * 5.0 + 13.0 * 13.0) / 5.0;
    let found = uneven.uniformity().unwrap_or_default();
    assert!((found / chi_squared_tail(chi_squared, 3) - 1.0).abs() < 1e-9, "{found}");
    let outside = RankHistogram::new(SAMPLES, (0..10).map(|k| if k < 5 { 0 } else { SAMPLES }));
    assert_eq!(outside.uniformity(), Some(1.0), "five in either half");
    assert!((outside.largest_gap() - 0.45).abs() < 1e-12);
}

/// The three tests of one study: ranks, TARP, coverage.
fn chances(findings: &Findings) -> Result<[f64; 3]> {
    let summary = &findings.summary;
    Ok([
        summary.uniformity().ok_or("ranks")?,
        summary.tarp().ok_or("distances")?,
        summary.coverage().ok_or("shares")?,
    ])
}

fn study(form: &ClosedForm, images: usize, seed: u64, fault: Fault) -> Result<Findings> {
    let size = Size {
        images,
        samples: SAMPLES,
    };
    Ok(Study::new(form, size, seed)?.measure(Drawer::Exact(fault), &mut ())?)
}

#[test]
fn exact_draws_pass() -> Result {
    const SEEDS: u64 = 15;
    let mut refusals = [0; 3];
    for form in &ClosedForm::all() {
        for seed in 0..SEEDS {
            let findings = study(form, 500, seed, Fault::None)?;
            for (count, chance) in refusals.iter_mut().zip(chances(&findings)?) {
                *count += usize::from(chance < 0.05);
            }
            // Its squared error is twice that of the mean, on average: 3.01 dB.
            assert!((2.3..3.7).contains(&findings.gap_of_sample), "{findings:?}");
        }
    }
    // Of 60, 3 are expected, and more than 14 come once in a million times.
    assert!(refusals.iter().all(|&count| count <= 14), "{refusals:?}");
    Ok(())
}

#[test]
fn draws_with_a_fault_fail() -> Result {
    const IMAGES: usize = 1000;
    // Where a quantity has a normal posterior; others, like the brightness of many pixels, show a shift better.
    let quantities = 5.0;
    for wrong in WRONG {
        let power = wrong.power(IMAGES, ALPHA / quantities);
        assert!(power > 0.9995, "{wrong:?}: {power}");
    }
    for form in &ClosedForm::all() {
        for fault in [Fault::HalfSpread, Fault::DoubleSpread, Fault::Shifted] {
            for seed in 0..3 {
                let findings = study(form, IMAGES, seed, fault)?;
                let [ranks, tarp, coverage] = chances(&findings)?;
                let what = format!("{}, {}, seed {seed}", form.name(), fault.title());
                assert!(ranks < ALPHA, "{what}: {ranks}");
                if fault != Fault::Shifted {
                    assert!(tarp < ALPHA && coverage < ALPHA, "{what}: {tarp}, {coverage}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn spread_distance_and_gap_say_what_is_wrong() -> Result {
    let form = &ClosedForm::all()[0];
    let exact = study(form, 500, 0, Fault::None)?;
    let narrow = study(form, 500, 0, Fault::HalfSpread)?;
    let wide = study(form, 500, 0, Fault::DoubleSpread)?;
    let shifted = study(form, 500, 0, Fault::Shifted)?;
    // With 19 samples and a known posterior, the ratio's square is (a^2 20 / 19) / (1 + a^2 / 19).
    for (findings, a) in [(&exact, 1.0_f64), (&narrow, 0.5), (&wide, 2.0)] {
        let expected = (a * a * (20.0 / 19.0) / (1.0 + a * a / 19.0)).sqrt();
        let found = findings.summary.spread_to_skill();
        assert!((found / expected - 1.0).abs() < 0.05, "{found}, expected {expected}");
    }
    for wrong in [&narrow, &wide, &shifted] {
        assert!(
            wrong.distance > 2.0 * exact.distance,
            "{} {}",
            wrong.distance,
            exact.distance
        );
    }
    assert!(narrow.gap_of_sample < exact.gap_of_sample && exact.gap_of_sample < wide.gap_of_sample);
    Ok(())
}

#[test]
fn a_point_estimate_covers_nothing_and_draws_nothing() -> Result {
    let form = &ClosedForm::all()[0];
    let size = Size {
        images: 40,
        samples: SAMPLES,
    };
    let study = Study::new(form, size, 0)?;
    let mut steps = 0;
    let mut observer = observe_with(|_| {
        steps += 1;
        Ok(())
    });
    let drawer = Drawer::Method(registry::posterior_method("pnp-admm")?, Stepping::new(10));
    let findings = study.measure(drawer, &mut observer)?;
    assert_eq!(steps, 10, "solved once");
    assert_eq!(findings.summary.covered.map(|share| share.mean), [0.0, 0.0]);
    // A mean of equal numbers is off by rounding.
    assert!(findings.summary.spread_to_skill() < 1e-5);
    assert!((findings.gap_of_sample - findings.gap_of_mean).abs() < 1e-5);
    assert!(findings.summary.coverage() < Some(ALPHA));
    Ok(())
}

#[test]
fn every_method_can_be_studied_repeats_itself_and_can_be_stopped() -> Result {
    let size = Size {
        images: 5,
        samples: SAMPLES,
    };
    for form in &ClosedForm::all() {
        let study = Study::new(form, size, 0)?;
        for method in ClosedForm::methods() {
            let drawer = Drawer::Method(method, Stepping::new(3));
            let findings = study.measure(drawer, &mut ())?;
            assert_eq!(findings, study.measure(drawer, &mut ())?, "{}", method.name());
            assert_eq!(findings.summary.ranks.len(), study.quantities().len());
        }
        let mut stop = observe_with(|_| Err(ScoreError::Interrupted));
        let dps = Drawer::Method(registry::posterior_method("dps")?, Stepping::new(3));
        assert!(study.measure(dps, &mut stop).is_err());
    }
    Ok(())
}
