//! Flow matching: the same prior as a velocity field on the straight path from image to noise.

use diffusion::{Observer, PathPoint, Schedule, ScoreModel, Spacing};
use ndarray::Array4;
use rand::RngCore;

use crate::Sampler;
use crate::error::MethodError;
use crate::parts::{linear, standard_normal};
use crate::samplers::denoiser::Denoiser;
use crate::stepping::Stepping;

/// Sampling as in flow matching: Lipman, Chen, Ben-Hamu, Nickel and Le 2023, "Flow matching for generative modeling",
/// Eq. 1 on the path of Example II. `x_u = (1 - u) x_0 + u eps` runs from the image, `u = 0`, to noise, `u = 1` (the
/// paper counts the other way), and
///
/// ```text
/// dx_u / du = v(x_u, u) = E[eps - x_0 | x_u]
/// ```
///
/// is followed from noise to image in even steps of `u`. [`PathPoint::velocity`] gets `v` from the prior's `x0_hat`; no
/// network was trained for it.
///
/// Euler's method takes a step for each call of the network, `x_{u'} = x_u + (u' - u) v(x_u, u)`; the midpoint method
/// asks again halfway, at `m`, and goes the whole step with what it learns there. As `m` is that of a whole time, it
/// lies not quite halfway; the rule of second order for any place `c = (m - u) / (u' - u)` (Karras et al. 2022,
/// Algorithm 3, whose `alpha` it is) is
///
/// ```text
/// x_m    = x_u + (m - u) v(x_u, u)
/// x_{u'} = x_u + (u' - u) [(1 - 1 / (2 c)) v(x_u, u) + 1 / (2 c) v(x_m, m)]
/// ```
///
/// With an odd number of calls the midpoint method ends with a step of Euler's. Such a step is one of
/// [DDIM](crate::samplers::ddim), on other stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// How a step is taken.
    pub rule: Rule,
}

/// How one step along the velocity field is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// With the velocity at its start.
    Euler,
    /// With the velocity halfway.
    Midpoint,
}

impl Flow {
    /// Euler's method.
    pub const EULER: Self = Self { rule: Rule::Euler };
    /// The midpoint method.
    pub const MIDPOINT: Self = Self { rule: Rule::Midpoint };

    /// How many of the stops one step takes.
    fn calls_of_a_step(self) -> usize {
        match self.rule {
            Rule::Euler => 1,
            Rule::Midpoint => 2,
        }
    }
}

/// The velocity `v` at `x_u`, at time `t` on the way to `t_prev`.
fn velocity(
    denoiser: &mut Denoiser<'_>,
    point: PathPoint,
    x_u: &Array4<f32>,
    (t, t_prev): (usize, usize),
) -> Result<Array4<f32>, MethodError> {
    let x_t = x_u * point.scale as f32;
    Ok(point.velocity(x_u, &denoiser.x0_hat(&x_t, t, t_prev)?))
}

/// One step from the first of the `stops` to `t_prev`, with a look at the second, where there is one.
fn step(
    denoiser: &mut Denoiser<'_>,
    schedule: &Schedule,
    x_u: &Array4<f32>,
    stops: &[usize],
    t_prev: usize,
) -> Result<Array4<f32>, MethodError> {
    let at = |t| PathPoint::at(schedule, t);
    let t = stops[0];
    let (u, u_prev) = (at(t).u, at(t_prev).u);
    let Some(&t_m) = stops.get(1) else {
        let v = velocity(denoiser, at(t), x_u, (t, t_prev))?;
        return Ok(linear(1.0, x_u, u_prev - u, &v));
    };
    let m = at(t_m).u;
    let v = velocity(denoiser, at(t), x_u, (t, t_m))?;
    let x_m = linear(1.0, x_u, m - u, &v);
    let v_m = velocity(denoiser, at(t_m), &x_m, (t_m, t_prev))?;
    let c = (m - u) / (u_prev - u);
    let mean = linear(1.0 - 0.5 / c, &v, 0.5 / c, &v_m);
    Ok(linear(1.0, x_u, u_prev - u, &mean))
}

impl Sampler for Flow {
    fn name(&self) -> &'static str {
        match self.rule {
            Rule::Euler => "flow-euler",
            Rule::Midpoint => "flow-midpoint",
        }
    }

    fn title(&self) -> String {
        match self.rule {
            Rule::Euler => "flow matching, Euler".to_owned(),
            Rule::Midpoint => "flow matching, midpoint".to_owned(),
        }
    }

    fn reference(&self) -> &'static str {
        "Lipman et al. 2023, Flow Matching for Generative Modeling, Eq. 1"
    }

    fn settings(&self) -> String {
        String::new()
    }

    fn evaluations(&self, num_steps: usize) -> usize {
        num_steps
    }

    fn sample(
        &self,
        model: &dyn ScoreModel,
        num_images: usize,
        stepping: Stepping,
        rng: &mut dyn RngCore,
        observer: &mut dyn Observer,
    ) -> Result<Array4<f32>, MethodError> {
        let schedule = model.schedule();
        let times = Spacing::StraightPath.times(schedule, stepping.num_steps)?;
        let denoiser = &mut Denoiser::new(model, observer, times.len());
        let mut x_u = standard_normal(num_images, model.image_shape(), rng);
        x_u /= PathPoint::at(schedule, schedule.num_steps()).scale as f32;
        let calls = self.calls_of_a_step();
        for (index, stops) in times.chunks(calls).enumerate() {
            let t_prev = times.get((index + 1) * calls).copied().unwrap_or(0);
            x_u = step(denoiser, schedule, &x_u, stops, t_prev)?;
        }
        Ok(x_u)
    }
}
