//! Measurement noise: `b = A(x) + noise`, or photon counts.

use std::fmt;
use std::str::FromStr;

use ndarray::{Array4, ArrayRef4};
use ndarray_rand::rand_distr::{Poisson, StandardNormal};
use rand::Rng;

use crate::operator::{OperatorError, check_batch};

/// Full brightness is so many photons at rate 1: one for each level of an 8-bit image.
const LEVELS: f64 = 255.0;
/// Above so many photons the noise is smaller than the rounding of `f32`.
const MANY_PHOTONS: f64 = 1e15;

/// What a sensor adds to a noiseless measurement.
///
/// On the command line: `none`, `gaussian` or `gaussian:0.05`, `poisson` or `poisson:1`.
///
/// ```
/// use imaging::Noise;
/// use ndarray::Array4;
/// use rand::SeedableRng;
/// use rand::rngs::StdRng;
///
/// let noise: Noise = "gaussian:0.05".parse()?;
/// let b = Array4::zeros((1, 3, 64, 64));
/// // One seed gives one noise.
/// let noisy = noise.add(&b, &mut StdRng::seed_from_u64(7))?;
/// assert_eq!(noisy, noise.add(&b, &mut StdRng::seed_from_u64(7))?);
/// assert!((noisy.std(0.0) - 0.05).abs() < 0.003);
/// # Ok::<(), imaging::OperatorError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Noise {
    /// Nothing.
    None,
    /// `b + sigma n` with `n ~ N(0, I)`: the lecture's noise.
    Gaussian {
        /// The standard deviation on the scale of [-1, 1] pixels: 0.05 here is 0.025 of [0, 1]. At least 0.
        sigma: f64,
    },
    /// Photon counts, `Poisson(255 rate (b + 1) / 2)`, scaled back to [-1, 1]: Chung et al., "Diffusion posterior
    /// sampling for general noisy inverse problems", ICLR 2023, experiments (there with rate 1, and clipped to [-1, 1]
    /// afterwards, which shifts the mean; here without).
    ///
    /// The formula reads every number of a measurement as a brightness, -1 as no light at all. That suits operators
    /// whose measurement is an image, or pixels of one. For others (compressed sensing, phase retrieval) it is the same
    /// formula and no physics; whatever lies below -1 counts no photons, as black does.
    Poisson {
        /// Photons per level of an 8-bit image: white is `255 rate` photons. Above 0; the smaller, the more noise. The
        /// standard deviation at brightness `u` in [0, 1] is `sqrt(u / (255 rate))` on [0, 1], twice that on [-1, 1].
        rate: f64,
    },
}

impl Noise {
    /// The pinned setting's standard deviation, on the [-1, 1] scale.
    pub const SIGMA: f64 = 0.05;

    /// A noisy copy of the noiseless measurements `b`, `[B, C, H, W]` of any sizes.
    ///
    /// # Errors
    ///
    /// A NaN or an infinity in `b`, or a `sigma` or `rate` out of range.
    pub fn add(&self, b: &ArrayRef4<f32>, rng: &mut impl Rng) -> Result<Array4<f32>, OperatorError> {
        self.check()?;
        let shape = [b.shape()[1], b.shape()[2], b.shape()[3]];
        check_batch(self.name(), "the noiseless measurement", b, shape)?;
        Ok(match *self {
            Self::None => b.to_owned(),
            Self::Gaussian { sigma } => b.map(|&value| {
                let noise: f64 = rng.sample(StandardNormal);
                (f64::from(value) + sigma * noise) as f32
            }),
            Self::Poisson { rate } => b.map(|&value| {
                let white = LEVELS * rate;
                let mean = white * (f64::from(value) + 1.0) / 2.0;
                (2.0 * photons(mean, rng) / white - 1.0) as f32
            }),
        })
    }

    /// How the command line calls it, without its parameter.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gaussian { .. } => "gaussian",
            Self::Poisson { .. } => "poisson",
        }
    }

    /// Whether the parameter is in its range.
    ///
    /// # Errors
    ///
    /// A negative sigma, a rate that is not above 0, or no finite number.
    pub fn check(&self) -> Result<(), OperatorError> {
        let (what, expected, got) = match *self {
            Self::Gaussian { sigma } if !(0.0..=1e6).contains(&sigma) => (
                "the standard deviation",
                "0 or more (0.05 is usual), on the scale of [-1, 1]",
                sigma,
            ),
            Self::Poisson { rate } if !(rate > 0.0 && rate <= 1e9) => (
                "the rate",
                "photons per level of an 8-bit image, above 0 (1 is usual)",
                rate,
            ),
            _ => return Ok(()),
        };
        Err(OperatorError::Parameter {
            operator: self.name(),
            what: what.into(),
            expected: expected.into(),
            got: got.to_string(),
        })
    }
}

/// A photon count of the given mean; a mean of 0 or less gives none.
fn photons(mean: f64, rng: &mut impl Rng) -> f64 {
    if mean <= 0.0 {
        return 0.0;
    }
    if mean > MANY_PHOTONS {
        return mean;
    }
    // It refuses only what has just been sorted out.
    Poisson::new(mean).map_or(mean, |poisson| rng.sample(poisson))
}

impl fmt::Display for Noise {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(formatter, "none"),
            Self::Gaussian { sigma } => write!(formatter, "gaussian:{sigma}"),
            Self::Poisson { rate } => write!(formatter, "poisson:{rate}"),
        }
    }
}

impl FromStr for Noise {
    type Err = OperatorError;

    fn from_str(text: &str) -> Result<Self, OperatorError> {
        let refuse = || OperatorError::Parameter {
            operator: "noise",
            what: "its name and parameter".into(),
            expected: "`none`, `gaussian[:SIGMA]` (on the scale of [-1, 1], 0.05 if left out) or `poisson[:RATE]` \
                       (photons per 8-bit level, 1 if left out)"
                .into(),
            got: format!("`{text}`"),
        };
        let (name, parameter) = match text.split_once(':') {
            Some((name, parameter)) => (name, Some(parameter.trim().parse::<f64>().map_err(|_| refuse())?)),
            None => (text, None),
        };
        let noise = match (name.trim(), parameter) {
            ("none", None) => Self::None,
            ("gaussian", sigma) => Self::Gaussian {
                sigma: sigma.unwrap_or(Self::SIGMA),
            },
            ("poisson", rate) => Self::Poisson {
                rate: rate.unwrap_or(1.0),
            },
            _ => return Err(refuse()),
        };
        noise.check()?;
        Ok(noise)
    }
}
