//! Times that a prior has, and that it has not.

use anyhow::{Result, bail, ensure};
use diffusion::ScoreModel;
use program::say;

/// The times that `flag` names, or, where it names none, those of `usual` that the prior has; one that it has not is
/// said to be left out.
///
/// # Errors
///
/// A time outside the prior's 1..=T; a prior without any of the usual times.
pub fn times(flag: &str, named: &[usize], usual: &[usize], prior: &dyn ScoreModel) -> Result<Vec<usize>> {
    check_times(flag, named, prior)?;
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    let max = prior.schedule().num_steps();
    let (there, lacking): (Vec<usize>, Vec<usize>) = usual.iter().partition(|t| **t <= max);
    ensure!(
        !there.is_empty(),
        "this prior has {max} times only: name some of them with {flag}"
    );
    if !lacking.is_empty() {
        say(&format!("this prior has {max} times only: without t = {lacking:?}"));
    }
    Ok(there)
}

/// Makes sure that the prior has all the times that `flag` names.
///
/// # Errors
///
/// A time outside the prior's 1..=T.
pub fn check_times(flag: &str, times: &[usize], prior: &dyn ScoreModel) -> Result<()> {
    let max = prior.schedule().num_steps();
    if let Some(t) = times.iter().find(|t| !(1..=max).contains(*t)) {
        bail!("{flag} {t} is no time of this prior: name times from 1 to {max}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use diffusion::{GaussianModel, Schedule};
    use ndarray::{Array1, Array2};

    use super::*;

    #[test]
    fn the_usual_times_are_those_that_the_prior_has() -> Result<()> {
        let model = |max| -> Result<GaussianModel> {
            let schedule = Schedule::linear_with(max, 1e-4, 0.02)?;
            Ok(GaussianModel::new(
                schedule,
                [1, 1, 1],
                Array1::zeros(1),
                Array2::eye(1),
            )?)
        };
        let of = |max, named: &[usize]| -> Result<Vec<usize>> { times("--t", named, &[30, 100, 300], &model(max)?) };
        assert_eq!(of(1000, &[])?, [30, 100, 300]);
        assert_eq!(of(100, &[])?, [30, 100]);
        assert_eq!(of(100, &[7])?, [7]);
        let refused = |max, named: &[usize]| of(max, named).map_or_else(|error| error.to_string(), |_| String::new());
        assert!(refused(100, &[300]).contains("--t 300 is no time of this prior: name times from 1 to 100"));
        assert!(refused(10, &[]).contains("name some of them with --t"));
        Ok(())
    }
}
