//! Priors and operators whose posterior is known.

use diffusion::{GaussianMixtureModel, GaussianModel, Schedule, ScoreModel};
use imaging::{Convolution, ForwardOperator, Inpainting, Noise};
use ndarray::{Array1, Array2, Array4, ArrayRef4, ArrayView3, array};
use rand::Rng;

use crate::PosteriorMethod;
use crate::calibration::gaussians::Gaussians;
use crate::posterior::dps::Dps;
use crate::posterior::mcg::Mcg;
use crate::registry;

/// One channel, 4x4 pixels: small enough for thousands of samples in seconds.
pub const SHAPE: [usize; 3] = [1, 4, 4];
const PIXELS: usize = 16;

/// The prior: both have pixels that know of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedPrior {
    /// A Gaussian whose pixels are the more alike the nearer they are.
    Gaussian,
    /// A mixture: brighter to the right, brighter to the left, or dark, with noise.
    Mixture,
}

/// The operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedOperator {
    /// Five pixels of sixteen are observed, none of them where the mixture's components differ most.
    Inpainting,
    /// A blur of 3x3 pixels.
    Deconvolution,
}

/// A prior with an exact score, a linear operator, and noise: the posterior is known.
#[derive(Debug)]
pub struct ClosedForm {
    /// Which prior.
    pub prior: ClosedPrior,
    /// Which operator.
    pub kind: ClosedOperator,
    model: Model,
    images: Gaussians,
    operator: Box<dyn ForwardOperator>,
    /// The operator's matrix, `[M, d]`.
    matrix: Array2<f64>,
}

#[derive(Debug)]
enum Model {
    Gaussian(GaussianModel),
    Mixture(GaussianMixtureModel),
}

impl ClosedForm {
    /// The standard deviation of the noise in the measurements.
    pub const SIGMA: f64 = Noise::SIGMA;

    /// Both priors with both operators.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let priors = [ClosedPrior::Gaussian, ClosedPrior::Mixture];
        let operators = [ClosedOperator::Inpainting, ClosedOperator::Deconvolution];
        let both = priors
            .iter()
            .flat_map(|&prior| operators.map(|kind| Self::new(prior, kind)));
        both.collect()
    }

    /// This prior with this operator.
    #[must_use]
    pub fn new(prior: ClosedPrior, kind: ClosedOperator) -> Self {
        let operator = kind.build();
        Self {
            prior,
            kind,
            model: prior.model(),
            images: prior.images(),
            matrix: matrix(operator.as_ref()),
            operator,
        }
    }

    /// `Gaussian, inpainting`.
    #[must_use]
    pub fn name(&self) -> String {
        let prior = match self.prior {
            ClosedPrior::Gaussian => "Gaussian",
            ClosedPrior::Mixture => "mixture",
        };
        let operator = match self.kind {
            ClosedOperator::Inpainting => "inpainting",
            ClosedOperator::Deconvolution => "deconvolution",
        };
        format!("{prior}, {operator}")
    }

    /// The prior's scores, of images of [`SHAPE`].
    #[must_use]
    pub fn model(&self) -> &dyn ScoreModel {
        match &self.model {
            Model::Gaussian(model) => model,
            Model::Mixture(model) => model,
        }
    }

    /// What measures.
    #[must_use]
    pub fn operator(&self) -> &dyn ForwardOperator {
        self.operator.as_ref()
    }

    /// Images that are drawn from the prior, `[count, C, H, W]`.
    pub fn draw(&self, count: usize, rng: &mut impl Rng) -> Array4<f32> {
        images(&self.images.sample(count, rng))
    }

    /// What is known of an image after its measurement, which has the operator's shape.
    #[must_use]
    pub fn posterior(&self, b: &ArrayView3<'_, f32>) -> Gaussians {
        let b: Array1<f64> = b.iter().map(|&b| f64::from(b)).collect();
        self.images.given(&self.matrix, &b, Self::SIGMA)
    }

    /// All methods of the registry, as they are set there. The step of those that go down the gradient of a norm is
    /// shortened: with the root of the number of pixels, by which that norm is smaller than where they were tuned.
    #[must_use]
    pub fn methods() -> Vec<&'static dyn PosteriorMethod> {
        /// The root of 16 over the 3 x 64 x 64 numbers of the images that settings were tuned on.
        const SCALE: f64 = 0.036;
        let scaled = |&method: &&'static dyn PosteriorMethod| -> &'static dyn PosteriorMethod {
            match method.name() {
                "dps" => &const { Dps::ONE_SAMPLE.scaled(SCALE) },
                "dps-few-times" => &const { Dps::FEW_TIMES.scaled(SCALE) },
                "dps-mean" => &const { Dps::MEAN.scaled(SCALE) },
                "dps-mean-long" => &const { Dps::MEAN_LONG.scaled(SCALE) },
                "dps-long" => &const { Dps::LONG.scaled(SCALE) },
                "mcg" => &const { Mcg::TUNED.scaled(SCALE) },
                _ => method,
            }
        };
        registry::posterior_methods().iter().map(scaled).collect()
    }
}

impl ClosedPrior {
    fn images(self) -> Gaussians {
        match self {
            Self::Gaussian => Gaussians::new(vec![(1.0, gaussian_mean(), gaussian_covariance())]),
            Self::Mixture => {
                let (weights, means) = (mixture_weights(), mixture_means());
                let of_one = |(k, &weight): (usize, &f64)| {
                    (weight, means.row(k).to_owned(), Array2::eye(PIXELS) * MIXTURE_VARIANCE)
                };
                Gaussians::new(weights.iter().enumerate().map(of_one).collect())
            }
        }
    }

    fn model(self) -> Model {
        let schedule = Schedule::linear();
        match self {
            Self::Gaussian => {
                let model = GaussianModel::new(schedule, SHAPE, gaussian_mean(), gaussian_covariance());
                Model::Gaussian(model.expect("a Gaussian of this shape"))
            }
            Self::Mixture => {
                let variances = Array1::from_elem(mixture_weights().len(), MIXTURE_VARIANCE);
                let model =
                    GaussianMixtureModel::isotropic(schedule, SHAPE, mixture_weights(), mixture_means(), variances);
                Model::Mixture(model.expect("a mixture of this shape"))
            }
        }
    }
}

impl ClosedOperator {
    fn build(self) -> Box<dyn ForwardOperator> {
        let (seen, hidden) = (true, false);
        match self {
            Self::Inpainting => {
                let observed = array![
                    [hidden, seen, hidden, hidden],
                    [hidden, hidden, seen, hidden],
                    [hidden, seen, seen, hidden],
                    [hidden, hidden, seen, hidden],
                ];
                Box::new(Inpainting::from_mask(SHAPE, &observed).expect("a mask of this shape"))
            }
            Self::Deconvolution => {
                Box::new(Convolution::gaussian(SHAPE, 3, 0.8).expect("a kernel that fits this shape"))
            }
        }
    }
}

const MIXTURE_VARIANCE: f64 = 0.04;

fn mixture_weights() -> Array1<f64> {
    array![0.4, 0.35, 0.25]
}

fn mixture_means() -> Array2<f64> {
    Array2::from_shape_fn((3, PIXELS), |(k, pixel)| {
        let to_the_right = [-0.6, -0.1, 0.1, 0.6][pixel % 4];
        [to_the_right, -to_the_right, -0.4][k]
    })
}

fn gaussian_mean() -> Array1<f64> {
    Array1::from_shape_fn(PIXELS, |pixel| 0.2 - 0.1 * (pixel / 4) as f64)
}

fn gaussian_covariance() -> Array2<f64> {
    Array2::from_shape_fn((PIXELS, PIXELS), |(i, j)| {
        let (dy, dx) = ((i / 4).abs_diff(j / 4) as f64, (i % 4).abs_diff(j % 4) as f64);
        0.12 * (-dy.hypot(dx) / 2.0).exp()
    })
}

/// The matrix of a linear operator: it measures each pixel by itself.
fn matrix(operator: &dyn ForwardOperator) -> Array2<f64> {
    let pixels = images(&Array2::eye(PIXELS));
    let measured = operator.apply(&pixels).expect("images of the operator's shape");
    rows(&measured).t().to_owned()
}

/// Images as rows of numbers.
pub(crate) fn rows(images: &ArrayRef4<f32>) -> Array2<f64> {
    let (count, c, h, w) = images.dim();
    let numbers = images.iter().map(|&x| f64::from(x)).collect();
    Array2::from_shape_vec((count, c * h * w), numbers).expect("as many numbers")
}

/// Rows of numbers as images of [`SHAPE`].
pub(crate) fn images(rows: &Array2<f64>) -> Array4<f32> {
    let [c, h, w] = SHAPE;
    let numbers = rows.iter().map(|&x| x as f32).collect();
    Array4::from_shape_vec((rows.nrows(), c, h, w), numbers).expect("as many numbers")
}
