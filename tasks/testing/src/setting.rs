//! What a sampler is run with. A run is told by its setting alone, so that whoever calls the sampler, here or in
//! another process, runs it on the same.

use diffusion::{ScoreModel, Step};
use imaging::{Convolution, ForwardOperator};
use ndarray::{Array2, Array4, array};
use probe::{Log, ProbeOperator};

use crate::arrays::noise;

/// What a sampler is run with.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// `[C, H, W]`.
    pub shape: [usize; 3],
    /// How many of them.
    pub images: usize,
    /// The way back; of all passes, where there are several.
    pub steps: Vec<Step>,
    /// How many times the sampler goes it.
    pub passes: usize,
    /// Of the random numbers.
    pub seed: u64,
    /// What the random numbers are.
    pub draws: Draws,
    /// The model's call that fails, from 1.
    pub model_fails_at: Option<usize>,
    /// The observer's call that stops the sampler, from 1.
    pub observer_stops_at: Option<usize>,
    /// How many numbers a measurement has.
    pub measured: usize,
    /// Which of two guides and measurements.
    pub inputs: Inputs,
    /// The operator.
    pub operator: Operator,
    /// The number of a mask, for those who edit a part of an image.
    pub mask: Option<usize>,
    /// The measurement noise that Score-ALD reckons with, and its `lambda`: another one in each run, strong enough to
    /// be seen beside the prior, weak enough not to overshoot.
    pub guidance: (f64, f64),
    /// The step size of DPS.
    pub zeta: f64,
}

/// What a sampler draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draws {
    /// Random numbers.
    Random,
    /// The same number each time, so that nothing is left to chance: [`probe::still::Still`].
    Still,
}

/// One of two inputs that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inputs {
    /// The usual one.
    First,
    /// Another one.
    Other,
}

/// What measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// The probe, which is not linear.
    Probe,
    /// A blur that is not its own transpose.
    Blur,
}

impl Setting {
    /// Some images of a shape that is no square, in these steps.
    #[must_use]
    pub fn new(steps: Vec<Step>, seed: u64) -> Self {
        Self {
            shape: [2, 6, 5],
            images: 4,
            steps,
            passes: 1,
            seed,
            draws: Draws::Random,
            model_fails_at: None,
            observer_stops_at: None,
            measured: 24,
            inputs: Inputs::First,
            operator: Operator::Probe,
            mask: None,
            guidance: [(0.7, 2.9), (1.3, 0.83), (0.9, 1.7), (1.1, 3.7)][seed as usize % 4],
            zeta: 0.35,
        }
    }

    /// The same without the noise of the steps: what is left is exact.
    #[must_use]
    pub fn without_noise(mut self) -> Self {
        self.steps.iter_mut().for_each(|step| step.sigma = 0.0);
        self
    }

    /// The same with numbers that are known in the place of random ones.
    #[must_use]
    pub fn still(mut self) -> Self {
        self.draws = Draws::Still;
        self
    }

    /// The same with the other guide or measurement.
    #[must_use]
    pub fn with_other_inputs(mut self) -> Self {
        self.inputs = Inputs::Other;
        self
    }

    /// `[B, C, H, W]`.
    #[must_use]
    pub fn batch(&self) -> (usize, usize, usize, usize) {
        let [c, h, w] = self.shape;
        (self.images, c, h, w)
    }

    /// The steps of one pass.
    #[must_use]
    pub fn one_pass(&self) -> &[Step] {
        &self.steps[..self.steps.len() / self.passes.max(1)]
    }

    /// What an editor starts from: no two images alike, and another one for each seed.
    #[must_use]
    pub fn guide(&self) -> Array4<f32> {
        match self.inputs {
            Inputs::First => noise(self.batch(), 500 + self.seed) * 0.6,
            Inputs::Other => noise(self.batch(), 900 + self.seed) * 0.5,
        }
    }

    /// The probe as an operator; nobody reads what it writes down.
    #[must_use]
    pub fn probe(&self) -> ProbeOperator {
        ProbeOperator::new(self.shape, self.measured, &Log::default())
    }

    /// A measurement of each image.
    ///
    /// # Panics
    ///
    /// Does not: a blur fits its images.
    #[must_use]
    pub fn measurement(&self) -> Array4<f32> {
        let b = match self.operator {
            Operator::Probe => self.probe().of(&(noise(self.batch(), 1000) * 0.8)) + 0.1,
            Operator::Blur => self.blur().apply(&self.guide()).expect("images that fit") + 0.05,
        };
        match self.inputs {
            Inputs::First => b,
            Inputs::Other => b.mapv(|v| (2.0 * v).sin()),
        }
    }

    /// The kernel of [`Operator::Blur`].
    #[must_use]
    pub fn kernel() -> Array2<f64> {
        array![[0.5, 0.25, 0.0], [0.125, 0.0625, 0.0], [0.0625, 0.0, 0.0]]
    }

    /// [`Operator::Blur`].
    ///
    /// # Panics
    ///
    /// If images are smaller than its kernel.
    #[must_use]
    pub fn blur(&self) -> Convolution {
        Convolution::from_kernel(self.shape, &Self::kernel()).expect("a kernel smaller than the image")
    }

    /// The image that the operator starts from.
    ///
    /// # Panics
    ///
    /// Does not: the measurement is the operator's own.
    #[must_use]
    pub fn start_image(&self) -> Array4<f32> {
        let b = self.measurement();
        let start = match self.operator {
            Operator::Probe => self.probe().start_image(&b),
            Operator::Blur => self.blur().start_image(&b),
        };
        start.expect("a measurement that fits")
    }

    /// The pixels that may change, `[H, W]`: 1 there, 0 elsewhere.
    #[must_use]
    pub fn mask(&self) -> Option<Array2<f32>> {
        let [_, height, width] = self.shape;
        self.mask.map(|number| mask(height, width, number))
    }
}

/// Masks of a shape, neither symmetric nor half full; numbers 3 and 4 are the two ends.
#[must_use]
pub fn mask(height: usize, width: usize, number: usize) -> Array2<f32> {
    Array2::from_shape_fn((height, width), |(y, x)| {
        let may_change = match number {
            3 => true,
            4 => false,
            _ => (5 * y + 3 * x + y * x + number) % 7 < 3 + number % 2,
        };
        f32::from(u8::from(may_change))
    })
}

/// What a run is fed, for messages.
#[must_use]
pub fn describe(setting: &Setting) -> String {
    let times: Vec<String> = setting.steps.iter().take(4).map(|step| step.t.to_string()).collect();
    let more = if setting.steps.len() > 4 { ", ..." } else { "" };
    format!(
        "{} images of shape {:?}, {} steps from t = {}{more}, seed {}",
        setting.images,
        setting.shape,
        setting.steps.len(),
        times.join(", "),
        setting.seed
    )
}

/// The ways back that samplers are tried on: wide steps from `T`, and some that skip no time.
///
/// # Panics
///
/// If the model's schedule has fewer than 1000 steps.
#[must_use]
pub fn ways(model: &dyn ScoreModel) -> [Vec<Step>; 3] {
    let way = |start: usize, count: usize| {
        model
            .schedule()
            .steps_from(start, count)
            .expect("a number of steps within the schedule")
    };
    [way(1000, 12), way(9, 9), way(600, 1)]
}
