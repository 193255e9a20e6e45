//! One method on one closed form: ranks, coverage, and how far its samples are from exact ones.

use diffusion::Observer;
use imaging::{Noise, measure, sampler_rng};
use ndarray::{Array1, Array2, Array4, Axis, concatenate};
use rand::rngs::StdRng;

use crate::calibration::closed_forms::{ClosedForm, images, rows};
use crate::calibration::gaussians::Gaussians;
use crate::calibration::quantities::{Quantities, Trial, reference_points, repeated};
use crate::calibration::summary::Summary;
use crate::calibration::wasserstein::sliced_wasserstein;
use crate::error::MethodError;
use crate::stepping::Stepping;
use crate::{PosteriorMethod, Problem};

/// So many of the measurements get many samples, whose distribution is compared with exact draws.
const LOOKED_AT_CLOSELY: usize = 2;
/// So many.
const MANY: usize = 1000;
const DIRECTIONS: usize = 64;

/// How many images are drawn from the prior, and how many samples of each are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// At least 2.
    pub images: usize,
    /// One less than a multiple of 20, so that the 50 % and 90 % intervals are exactly that.
    pub samples: usize,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            images: 500,
            samples: 19,
        }
    }
}

/// What draws.
#[derive(Clone, Copy, Debug)]
pub enum Drawer<'a> {
    /// A method, with so many steps.
    Method(&'a dyn PosteriorMethod, Stepping),
    /// The posterior itself, or it with a fault: what the tests have to tell.
    Exact(Fault),
}

/// What is wrong with draws that are else exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// They are half as far from the posterior's mean.
    HalfSpread,
    /// Twice as far.
    DoubleSpread,
    /// Each number is too large by a third of its standard deviation.
    Shifted,
}

impl Fault {
    /// All of them, none first.
    pub const ALL: [Self; 4] = [Self::None, Self::HalfSpread, Self::DoubleSpread, Self::Shifted];

    /// What tables call draws with this fault.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::None => "exact draws",
            Self::HalfSpread => "exact, half the spread",
            Self::DoubleSpread => "exact, twice the spread",
            Self::Shifted => "exact, shifted by std / 3",
        }
    }

    fn draw(self, posterior: &Gaussians, count: usize, rng: &mut StdRng) -> Array2<f64> {
        let exact = posterior.sample(count, rng);
        let mean = posterior.mean();
        match self {
            Self::None => exact,
            Self::HalfSpread => (&exact - &mean) * 0.5 + &mean,
            Self::DoubleSpread => (&exact - &mean) * 2.0 + &mean,
            Self::Shifted => exact + posterior.variances().mapv(f64::sqrt) / 3.0,
        }
    }
}

/// Images, their measurements and their posteriors: the same for all that are compared.
#[derive(Debug)]
pub struct Study<'a> {
    form: &'a ClosedForm,
    size: Size,
    seed: u64,
    quantities: Quantities<'a>,
    truths: Array4<f32>,
    b: Array4<f32>,
    references: Array4<f32>,
    posteriors: Vec<Gaussians>,
}

/// What was found out about one of those that draw.
#[derive(Clone, Debug, PartialEq)]
pub struct Findings {
    /// Ranks, coverage and errors.
    pub summary: Summary,
    /// How many dB the PSNR of a sample is below that of the posterior's mean: 3.01 for exact samples, whose squared
    /// error is twice as large. No estimate whatever has a gap below 0, but by chance.
    pub gap_of_sample: f64,
    /// The same of the mean of all samples: `10 log10(1 + 1 / L)` for exact ones.
    pub gap_of_mean: f64,
    /// The sliced Wasserstein distance from exact draws, pixels being in [-1, 1]; of exact draws it is not 0, but what
    /// chance leaves.
    pub distance: f64,
}

impl<'a> Study<'a> {
    /// Draws the images and measures them.
    ///
    /// # Errors
    ///
    /// Those of the operator.
    pub fn new(form: &'a ClosedForm, size: Size, seed: u64) -> Result<Self, MethodError> {
        let rng = &mut sampler_rng(seed, 0, TRUTHS);
        let truths = form.draw(size.images, rng);
        let noise = Noise::Gaussian {
            sigma: ClosedForm::SIGMA,
        };
        let b = measure(form.operator(), &truths, noise, seed, 0)?;
        let references = reference_points(form.operator(), &form.draw(size.images, rng), &b)?;
        Ok(Self {
            form,
            size,
            seed,
            quantities: Quantities::new(form.operator())?,
            posteriors: b.outer_iter().map(|b| form.posterior(&b)).collect(),
            truths,
            b,
            references,
        })
    }

    /// What the ranks are called, in the order of [`Summary::ranks`].
    #[must_use]
    pub fn quantities(&self) -> Vec<String> {
        self.quantities.names()
    }

    /// Has it draw, and compares. The observer sees every step of a method, and can stop it.
    ///
    /// # Errors
    ///
    /// Those of the method.
    ///
    /// # Panics
    ///
    /// If the size is of no images or no samples.
    pub fn measure(&self, drawer: Drawer<'_>, observer: &mut dyn Observer) -> Result<Findings, MethodError> {
        let rng = &mut sampler_rng(self.seed, 0, SAMPLES);
        let draws = match drawer {
            Drawer::Method(method, stepping) => self.drawn_by(method, stepping, rng, observer)?,
            Drawer::Exact(fault) => self.exact(fault, rng),
        };
        let mut observations = Vec::new();
        for (index, truth) in self.truths.outer_iter().enumerate() {
            observations.push(self.quantities.observe(&Trial {
                truth,
                b: self.b.index_axis(Axis(0), index),
                samples: &draws.of_each[index],
                reference: self.references.index_axis(Axis(0), index),
            })?);
        }
        let summary = Summary::of(&observations).expect("observations of one study");
        let best = self.error_of_posterior_means();
        Ok(Findings {
            gap_of_sample: 10.0 * (summary.error_of_samples / best).log10(),
            gap_of_mean: 10.0 * (summary.error_of_mean / best).log10(),
            distance: self.distance(&draws.of_some),
            summary,
        })
    }

    /// How many samples of each measurement: some get more.
    fn counts(&self) -> Vec<usize> {
        let some = LOOKED_AT_CLOSELY.min(self.size.images);
        [vec![self.size.samples; self.size.images], vec![MANY; some]].concat()
    }

    /// The measurements and, once more, those that are looked at closely.
    fn measurements(&self) -> impl Iterator<Item = usize> {
        (0..self.size.images).chain(0..LOOKED_AT_CLOSELY.min(self.size.images))
    }

    fn exact(&self, fault: Fault, rng: &mut StdRng) -> Draws {
        let places = self.measurements().zip(self.counts());
        let draw = |(place, count): (usize, usize)| images(&fault.draw(&self.posteriors[place], count, rng));
        Draws::new(places.map(draw).collect(), self.size.images)
    }

    /// One sample of each, and all if the first took chance into its service: a method that draws nothing has the same
    /// result each time.
    fn drawn_by(
        &self,
        method: &dyn PosteriorMethod,
        stepping: Stepping,
        rng: &mut StdRng,
        observer: &mut dyn Observer,
    ) -> Result<Draws, MethodError> {
        let before = rng.clone();
        let mut solve = |b: &Array4<f32>, rng: &mut StdRng| {
            let problem = &Problem {
                operator: self.form.operator(),
                b,
                sigma: ClosedForm::SIGMA,
            };
            method.solve(self.form.model(), problem, stepping, rng, observer)
        };
        let once = solve(&self.b, rng)?;
        let places = self.measurements().zip(self.counts());
        if *rng == before {
            let copies = places.map(|(place, count)| repeated(&once.index_axis(Axis(0), place), count));
            return Ok(Draws::new(copies.collect(), self.size.images));
        }
        let copies: Vec<_> = places
            .map(|(place, count)| repeated(&self.b.index_axis(Axis(0), place), count))
            .collect();
        let views: Vec<_> = copies.iter().map(|copies| copies.view()).collect();
        let all = concatenate(Axis(0), &views).expect("measurements of one shape");
        let drawn = solve(&all, rng)?;
        let mut left = drawn.view();
        let mut batches = Vec::new();
        for count in self.counts() {
            let (batch, rest) = left.split_at(Axis(0), count);
            batches.push(batch.to_owned());
            left = rest;
        }
        Ok(Draws::new(batches, self.size.images))
    }

    /// The mean squared error of the best estimate that there is.
    fn error_of_posterior_means(&self) -> f64 {
        let truths = rows(&self.truths);
        let means = self.posteriors.iter().map(Gaussians::mean);
        let error = |(truth, mean): (ndarray::ArrayView1<'_, f64>, Array1<f64>)| {
            (&truth - &mean).mapv(|x| x * x).mean().unwrap_or_default()
        };
        truths.rows().into_iter().zip(means).map(error).sum::<f64>() / self.posteriors.len() as f64
    }

    /// The root of the mean square over the measurements that are looked at closely.
    fn distance(&self, of_some: &[Array4<f32>]) -> f64 {
        let rng = &mut sampler_rng(self.seed, 0, REFERENCE);
        let squares = of_some.iter().zip(&self.posteriors).map(|(drawn, posterior)| {
            let exact = posterior.sample(MANY, rng);
            sliced_wasserstein(&rows(drawn), &exact, DIRECTIONS, rng).powi(2)
        });
        (squares.sum::<f64>() / of_some.len() as f64).sqrt()
    }
}

/// The number of each stream of random numbers.
const TRUTHS: u64 = 0;
const SAMPLES: u64 = 1;
const REFERENCE: u64 = 2;

/// Samples of each measurement, and many of some.
struct Draws {
    of_each: Vec<Array4<f32>>,
    of_some: Vec<Array4<f32>>,
}

impl Draws {
    fn new(mut batches: Vec<Array4<f32>>, images: usize) -> Self {
        let of_some = batches.split_off(images);
        Self {
            of_each: batches,
            of_some,
        }
    }
}
