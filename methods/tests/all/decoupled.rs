//! DAPS: that it samples what it says, keeps the best of its starts, and goes through its levels, as PnP-ADMM does.

use diffusion::{GaussianModel, Schedule, Trajectory};
use imaging::{ForwardOperator, Inpainting, OperatorKind};
use methods::posterior::daps::{Daps, DapsSettings};
use methods::posterior::pnp_admm::{PnpAdmm, PnpAdmmSettings};
use methods::stepping::Stepping;
use methods::{PosteriorMethod, Problem};
use ndarray::{Array1, Array4, ArrayRef4, array};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::posterior_limits::{B, Result, SHAPE, SIGMA, measurements, prior, rows};

/// A linear operator that does not say so.
#[derive(Debug)]
struct Disguised(Inpainting);

impl ForwardOperator for Disguised {
    fn name(&self) -> &'static str {
        "disguised"
    }
    fn kind(&self) -> OperatorKind {
        OperatorKind::Hdr
    }
    fn description(&self) -> String {
        String::new()
    }
    fn image_shape(&self) -> [usize; 3] {
        self.0.image_shape()
    }
    fn measurement_shape(&self) -> [usize; 3] {
        self.0.measurement_shape()
    }
    fn apply_unchecked(&self, x: &ArrayRef4<f32>) -> Array4<f32> {
        self.0.apply_unchecked(x)
    }
    fn vjp_unchecked(&self, x: &ArrayRef4<f32>, v: &ArrayRef4<f32>) -> Array4<f32> {
        self.0.vjp_unchecked(x, v)
    }
}

/// With a prior as good as flat, `x0_hat` is `x_t` without its scale and the sampler a Gibbs sampler of `p(x_0 | b)`:
/// what comes out at the last level is a sample of `N(b, sigma^2)` with the noise of that level.
fn daps_of_a_flat_prior(operator: &dyn ForwardOperator) -> Result<(f64, f64)> {
    const IMAGES: usize = 1000;
    let flat = GaussianModel::diagonal(Schedule::linear(), SHAPE, Array1::zeros(4), Array1::from_elem(4, 1e6))?;
    let b = Array4::from_elem((IMAGES, 1, 1, 4), 0.7);
    let problem = Problem {
        operator,
        b: &b,
        sigma: 0.5,
    };
    let settings = DapsSettings {
        ode_steps: 1,
        levels: (100.0, 0.1),
        langevin_steps: 400,
        rate: 2e-2,
        tau: 0.01,
    };
    let method = Daps::new(1, Some(settings));
    let rng = &mut StdRng::seed_from_u64(3);
    let images = rows(&method.solve(&flat, &problem, Stepping::new(60), rng, &mut ())?);
    let mean = images.mean().ok_or("no images")?;
    Ok((
        mean,
        images.mapv(|pixel| (pixel - mean).powi(2)).mean().ok_or("no images")?,
    ))
}

#[test]
fn daps_samples_exactly_where_the_operator_is_linear_and_by_langevin_steps_elsewhere() -> Result {
    let identity = || Inpainting::random(SHAPE, 0.0, 0);
    let expected = 0.5_f64.powi(2) + 0.1_f64.powi(2);
    for (operator, allowed) in [
        (Box::new(identity()?) as Box<dyn ForwardOperator>, 0.03),
        (Box::new(Disguised(identity()?)), 0.03),
    ] {
        let (mean, variance) = daps_of_a_flat_prior(operator.as_ref())?;
        // 4000 numbers: their mean is off by 0.008, their variance by 0.006 (one standard deviation each).
        assert!((mean - 0.7).abs() < 0.04, "{}: {mean}", operator.name());
        assert!(
            (variance - expected).abs() < allowed,
            "{}: {variance}, expected {expected}",
            operator.name()
        );
    }
    Ok(())
}

#[test]
fn the_best_of_several_starts_is_kept_image_by_image() -> Result {
    let prior = prior()?;
    let operator = Inpainting::from_mask(SHAPE, &array![[true, false], [false, true]])?;
    let b = measurements(&operator, &B, 5);
    let problem = Problem {
        operator: &operator,
        b: &b,
        sigma: SIGMA,
    };
    let rng = &mut StdRng::seed_from_u64(3);
    let best = Daps::new(3, None).solve(&prior, &problem, Stepping::new(10), rng, &mut ())?;
    let least = imaging::residual_norms(&operator, &b, &best)?;
    let rng = &mut StdRng::seed_from_u64(3);
    for _ in 0..3 {
        let one = Daps::ONE_START.solve(&prior, &problem, Stepping::new(10), rng, &mut ())?;
        let residuals = imaging::residual_norms(&operator, &b, &one)?;
        assert!(least.iter().zip(&residuals).all(|(least, one)| least <= one));
    }
    Ok(())
}

/// The noise of each observed step relative to the image, and whether the step leads to the clean image.
fn levels(method: &dyn PosteriorMethod, num_steps: usize) -> Result<Vec<(f64, bool)>> {
    let prior = prior()?;
    let operator = Inpainting::from_mask(SHAPE, &array![[true, false], [false, true]])?;
    let b = measurements(&operator, &B, 1);
    let problem = Problem {
        operator: &operator,
        b: &b,
        sigma: SIGMA,
    };
    let mut path = Trajectory::new(num_steps);
    let rng = &mut StdRng::seed_from_u64(3);
    method.solve(&prior, &problem, Stepping::new(num_steps), rng, &mut path)?;
    let level = |alpha_bar: f64| (1.0 / alpha_bar - 1.0).sqrt();
    let frames = path.frames().iter();
    Ok(frames
        .map(|frame| (level(frame.step.alpha_bar), frame.step.is_last()))
        .collect())
}

#[test]
fn methods_that_plan_by_the_noise_go_through_the_levels_that_they_are_set_to() -> Result {
    let settings = DapsSettings {
        ode_steps: 1,
        levels: (50.0, 0.2),
        langevin_steps: 0,
        rate: 0.0,
        tau: 0.05,
    };
    let pnp = PnpAdmmSettings {
        lambda: 1.0,
        levels: (50.0, 0.2),
    };
    let (daps, pnp) = (Daps::new(1, Some(settings)), PnpAdmm { settings: Some(pnp) });
    for method in [&daps as &dyn PosteriorMethod, &pnp] {
        let levels = levels(method, 20)?;
        assert_eq!(levels.len(), 20, "{}", method.name());
        assert!(
            levels.windows(2).all(|pair| pair[0].0 >= pair[1].0),
            "{}",
            method.name()
        );
        // A schedule of 1000 times has each of these levels to within some percent.
        assert!(
            (levels[0].0 / 50.0).ln().abs() < 0.05,
            "{}: {}",
            method.name(),
            levels[0].0
        );
        assert!(
            (levels[19].0 / 0.2).ln().abs() < 0.05,
            "{}: {}",
            method.name(),
            levels[19].0
        );
        assert!(levels.iter().all(|(_, ends)| *ends), "{}", method.name());
    }
    let five_calls = Daps::new(
        1,
        Some(DapsSettings {
            ode_steps: 5,
            ..settings
        }),
    );
    let ends: Vec<usize> = levels(&five_calls, 20)?
        .iter()
        .enumerate()
        .filter_map(|(index, (_, ends))| ends.then_some(index))
        .collect();
    assert_eq!(ends, [4, 9, 14, 19], "four levels, the ODE of each in five steps");
    Ok(())
}
