//! What a run tells a page.

use serde::Serialize;

use crate::picture::Picture;

/// One thing that happened in a run.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Event {
    /// It waits for others.
    Queued {
        /// How many are before it.
        ahead: usize,
    },
    /// It begins.
    Started(Box<Started>),
    /// A step of one sample is about to be taken.
    Step(Box<StepOfOne>),
    /// A sample is complete.
    Sample(Box<Sample>),
    /// All samples are complete.
    Done(Box<Done>),
    /// It was stopped, and nothing is wrong.
    Stopped {
        /// Why, in a sentence.
        sentence: String,
    },
    /// It failed.
    Failed {
        /// Why, in a sentence.
        sentence: String,
    },
}

impl Event {
    /// What the page calls it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Queued { .. } => "queued",
            Self::Started(_) => "started",
            Self::Step(_) => "step",
            Self::Sample(_) => "sample",
            Self::Done(_) => "done",
            Self::Stopped { .. } => "stopped",
            Self::Failed { .. } => "failed",
        }
    }

    /// Whether nothing comes after it.
    #[must_use]
    pub fn ends_the_run(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Stopped { .. } | Self::Failed { .. })
    }
}

/// What is known before the first step.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Started {
    /// How many results there will be.
    pub samples: usize,
    /// How often the network will be called.
    pub evaluations: usize,
    /// What the method is set to.
    pub settings: String,
    /// The command line that does the same.
    pub command: String,
    /// The image that is measured or edited.
    pub image: Option<Picture>,
    /// The measurement as a picture.
    pub measurement: Option<Picture>,
    /// The size that the residual of the truth has: `sigma sqrt(M)` for `M` numbers in the measurement.
    pub noise_norm: Option<f64>,
    /// What the operator cannot tell, in words, if there is something.
    pub symmetry: Option<&'static str>,
}

/// A step of one sample.
#[derive(Clone, Debug, Serialize)]
pub struct StepOfOne {
    /// Which sample, from 0.
    pub sample: usize,
    /// The step's place in the sample's way, from 0.
    pub index: usize,
    /// How many there are.
    pub num_steps: usize,
    /// The time.
    pub t: usize,
    /// `||b - A x0_hat||`.
    pub residual: Option<f32>,
    /// Of `x0_hat` against the image, in dB.
    pub psnr: Option<f64>,
    /// Calls of the network so far, all samples together.
    pub done: usize,
    /// Seconds that are left, by what a call took so far.
    pub left: f64,
    /// The pictures, at some of the steps.
    pub frame: Option<Frame>,
}

/// What a step looks like.
#[derive(Clone, Debug, Serialize)]
pub struct Frame {
    /// The noisy image.
    pub x_t: Picture,
    /// The clean one that is expected behind it.
    pub x0_hat: Picture,
}

/// A result.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Which, from 0.
    pub sample: usize,
    /// The image.
    pub image: Picture,
    /// How near it is to the image that was measured or edited.
    pub nearness: Option<Nearness>,
}

/// How near two images are.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Nearness {
    /// In dB; none where they are equal.
    pub psnr: Option<f64>,
    /// None where they are too small for it.
    pub ssim: Option<f64>,
    /// With the embedded network; none where they are too small for it.
    pub lpips: Option<f64>,
}

/// What is known after the last sample.
#[derive(Clone, Debug, Serialize)]
pub struct Done {
    /// How long the run took.
    pub seconds: f64,
    /// Of several samples: what they agree on, and where they do not.
    pub agreement: Option<Agreement>,
}

/// The mean of several samples, and their spread.
#[derive(Clone, Debug, Serialize)]
pub struct Agreement {
    /// The mean.
    pub mean: Picture,
    /// How near the mean is to the image that was measured.
    pub nearness: Option<Nearness>,
    /// The standard deviation of each pixel: black is 0.
    pub spread: Picture,
    /// The standard deviation that is white.
    pub white: f32,
}
