//! How much noise there is at a time, in the letters of three papers.
//!
//! All samplers of the lecture's map walk along the same noisy distributions. They differ in what they call the place:
//!
//! | letter | what it is | paper |
//! |---|---|---|
//! | `sigma` | noise against image, `sqrt(1 - alpha_bar) / sqrt(alpha_bar)` | Karras et al. 2022 |
//! | `lambda` | half the logarithm of the signal-to-noise ratio, `-ln(sigma)` | Lu et al. 2022 |
//! | `u` | the share of noise on a straight path, `sigma / (1 + sigma)` | Lipman et al. 2023 |
//!
//! A [`ScoreModel`](crate::ScoreModel) knows whole times `t` only. Where a paper asks for a `sigma`, a sampler takes
//! the time nearest to it and reckons with that time's own `sigma`: what is rounded is where a sampler stops on its
//! way, and no formula. `methods/README.md` says what that costs.

use crate::schedule::Schedule;

impl Schedule {
    /// `sigma(t) = sqrt((1 - alpha_bar_t) / alpha_bar_t)`, the standard deviation of the noise in `x_t` once the image
    /// in it is back at its own scale, pixels in [-1, 1]; 0 at `t = 0`. Karras et al. 2022, "Elucidating the design
    /// space of diffusion-based generative models", Table 1, column VP.
    ///
    /// # Panics
    ///
    /// If `t` is outside `0..=T`.
    #[must_use]
    pub fn noise_level(&self, t: usize) -> f64 {
        let alpha_bar = self.alpha_bar(t);
        ((1.0 - alpha_bar) / alpha_bar).sqrt()
    }

    /// `lambda(t) = ln(sqrt(alpha_bar_t) / sqrt(1 - alpha_bar_t))`, half the logarithm of the signal-to-noise ratio;
    /// infinite at `t = 0`. Lu et al. 2022, "DPM-Solver", section 3.1.
    ///
    /// # Panics
    ///
    /// If `t` is outside `0..=T`.
    #[must_use]
    pub fn half_log_snr(&self, t: usize) -> f64 {
        -self.noise_level(t).ln()
    }

    /// The time in `1..=T` whose noise level is nearest to `sigma`, by their ratio.
    #[must_use]
    pub fn nearest_time(&self, sigma: f64) -> usize {
        self.nearest(sigma.ln(), |t| self.noise_level(t).ln())
    }

    /// The time in `1..=T` at which `place`, which grows with time, is nearest to `wanted`.
    pub(crate) fn nearest(&self, wanted: f64, place: impl Fn(usize) -> f64) -> usize {
        let (mut below, mut above) = (1, self.num_steps());
        while above - below > 1 {
            let middle = (below + above) / 2;
            if place(middle) < wanted {
                below = middle;
            } else {
                above = middle;
            }
        }
        if wanted - place(below) < place(above) - wanted {
            below
        } else {
            above
        }
    }
}
