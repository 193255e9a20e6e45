//! The flow-matching view: the same prior as a velocity field.
//!
//! Flow matching (Lipman et al. 2023, "Flow matching for generative modeling"; Liu et al. 2023, "Flow straight and
//! fast") moves each image to its noise along a straight line, `x_u = (1 - u) x_0 + u eps`, with `u` from 0 to 1. The
//! velocity of the crowd at a place is the mean of the velocities that pass there, `v(x_u, u) = E[eps - x_0 | x_u]`,
//! and following it from noise to image draws a sample.
//!
//! That is the diffusion model in other coordinates: `x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) eps`, divided by
//! `sqrt(alpha_bar) + sqrt(1 - alpha_bar)`, is a point of the line, and `E[x_0 | x_t]` gives its velocity. So no
//! network has to be trained for it.

use ndarray::{Array4, ArrayRef4};

use crate::schedule::Schedule;

/// Where a time of a schedule lies on the straight path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PathPoint {
    /// The share of noise `u`, from 0 (the clean image) to nearly 1.
    pub u: f64,
    /// `x_t = scale x_u`; the scale is `sqrt(alpha_bar) + sqrt(1 - alpha_bar)`.
    pub scale: f64,
}

impl PathPoint {
    /// The point of time `t`.
    ///
    /// # Panics
    ///
    /// If `t` is outside `0..=T`.
    #[must_use]
    pub fn at(schedule: &Schedule, t: usize) -> Self {
        let (of_image, of_noise) = (schedule.alpha_bar(t).sqrt(), (1.0 - schedule.alpha_bar(t)).sqrt());
        let scale = of_image + of_noise;
        Self {
            u: of_noise / scale,
            scale,
        }
    }

    /// `v(x_u, u) = E[eps - x_0 | x_u] = (x_u - x0_hat) / u`, `[B, C, H, W]` like both arguments: solve
    /// `x_u = (1 - u) x_0 + u eps` for `eps` and take the mean.
    ///
    /// # Panics
    ///
    /// At `u = 0`, where no noise is left to tell the velocity from; if the shapes differ.
    #[must_use]
    pub fn velocity(self, x_u: &ArrayRef4<f32>, x0_hat: &ArrayRef4<f32>) -> Array4<f32> {
        assert!(
            self.u > 0.0,
            "the velocity is known from noise, and at u = 0 there is none"
        );
        (x_u - x0_hat) / self.u as f32
    }
}
