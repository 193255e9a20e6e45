//! What the trainer needs of the forward process, each image at a time of its own: noisy images, and the clean images
//! that a score expects behind them. Private to it, since task 2 asks for the same at one time.

use diffusion::{Schedule, ScoreError};
use ndarray::{Array4, ArrayRef4, Axis, Zip};

/// Noises image `i` to the time `ts[i]` with the noise `eps[i]`: `x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) eps`.
/// `t = 0` leaves an image as it is.
///
/// # Errors
///
/// If `eps` has another shape than `x0`, `ts` another length than the batch, or a time is outside `0..=T`.
pub(crate) fn noise_batch(
    schedule: &Schedule,
    x0: &ArrayRef4<f32>,
    ts: &[usize],
    eps: &ArrayRef4<f32>,
) -> Result<Array4<f32>, ScoreError> {
    check_same("eps", x0, eps)?;
    combine(schedule, x0, eps, ts, 0, |a| (a.sqrt(), (1.0 - a).sqrt()))
}

/// Tweedie's formula, image `i` being at the time `ts[i]`: `x0_hat = (x_t + (1 - alpha_bar) s) / sqrt(alpha_bar)`.
///
/// # Errors
///
/// If the shapes or the number of times do not fit, or a time is outside `1..=T`.
pub(crate) fn tweedie_batch(
    schedule: &Schedule,
    x_t: &ArrayRef4<f32>,
    ts: &[usize],
    score: &ArrayRef4<f32>,
) -> Result<Array4<f32>, ScoreError> {
    check_same("score", x_t, score)?;
    combine(schedule, x_t, score, ts, 1, |a| (1.0 / a.sqrt(), (1.0 - a) / a.sqrt()))
}

/// `a x + b y` with other coefficients for each image: those that `coefficients` makes of its `alpha_bar`.
fn combine(
    schedule: &Schedule,
    x: &ArrayRef4<f32>,
    y: &ArrayRef4<f32>,
    ts: &[usize],
    t_min: usize,
    coefficients: impl Fn(f64) -> (f64, f64),
) -> Result<Array4<f32>, ScoreError> {
    if ts.len() != x.dim().0 {
        return Err(ScoreError::Times {
            expected: x.dim().0,
            got: ts.len(),
        });
    }
    let max = schedule.num_steps();
    let mut out = Array4::zeros(x.dim());
    for (i, &t) in ts.iter().enumerate() {
        if !(t_min..=max).contains(&t) {
            return Err(ScoreError::Timestep { t, max });
        }
        let (a, b) = coefficients(schedule.alpha_bar(t));
        let (a, b) = (a as f32, b as f32);
        Zip::from(out.index_axis_mut(Axis(0), i))
            .and(x.index_axis(Axis(0), i))
            .and(y.index_axis(Axis(0), i))
            .for_each(|o, &x, &y| *o = a * x + b * y);
    }
    Ok(out)
}

/// Checks that `got` (named `what` in the error) has the shape of `like`.
fn check_same(what: &'static str, like: &ArrayRef4<f32>, got: &ArrayRef4<f32>) -> Result<(), ScoreError> {
    if like.dim() == got.dim() {
        return Ok(());
    }
    Err(ScoreError::Mismatch {
        what,
        expected: like.dim().into(),
        got: got.dim().into(),
    })
}

#[cfg(test)]
mod tests {
    use diffusion::score_from_noise;
    use ndarray::s;
    use ndarray_rand::RandomExt;
    use ndarray_rand::rand_distr::StandardNormal;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn noise(seed: u64, shape: (usize, usize, usize, usize)) -> Array4<f32> {
        Array4::random_using(shape, StandardNormal, &mut StdRng::seed_from_u64(seed))
    }

    #[test]
    fn noise_batch_and_tweedie_batch_undo_each_other() -> Result<(), ScoreError> {
        let schedule = Schedule::linear();
        let (x0, eps) = (noise(1, (4, 3, 2, 2)), noise(2, (4, 3, 2, 2)));
        let ts = [1, 30, 300, 700];
        let x_t = noise_batch(&schedule, &x0, &ts, &eps)?;
        let mut score = eps.clone();
        for (i, &t) in ts.iter().enumerate() {
            let single = score_from_noise(&eps.slice(s![i..=i, .., .., ..]), schedule.alpha_bar(t));
            score.index_axis_mut(Axis(0), i).assign(&single.index_axis(Axis(0), 0));
        }
        let back = tweedie_batch(&schedule, &x_t, &ts, &score)?;
        // Rounding of x_t, some 2e-7, is magnified by 1 / sqrt(alpha_bar), which is 12 at t = 700.
        let off = (&back - &x0).iter().fold(0.0f32, |most, d| most.max(d.abs()));
        assert!(off < 1e-5, "x0 comes back with an error of {off}");
        // t = 0 leaves the image as it is, and there is no Tweedie for it.
        assert_eq!(noise_batch(&schedule, &x0, &[0; 4], &eps)?, x0);
        assert!(matches!(
            tweedie_batch(&schedule, &x0, &[0; 4], &eps),
            Err(ScoreError::Timestep { t: 0, .. })
        ));
        assert!(matches!(
            noise_batch(&schedule, &x0, &[1; 3], &eps),
            Err(ScoreError::Times { .. })
        ));
        assert!(matches!(
            noise_batch(&schedule, &x0, &[1001; 4], &eps),
            Err(ScoreError::Timestep { .. })
        ));
        let other = noise(3, (4, 3, 2, 1));
        assert!(matches!(
            noise_batch(&schedule, &x0, &[1; 4], &other),
            Err(ScoreError::Mismatch { .. })
        ));
        Ok(())
    }
}
