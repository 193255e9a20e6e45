//! The embedded backbone: a small residual network that tells the ten classes of CIFAR-10 apart.

use dfdx::tensor::Tape;
use nn::{Backend, Conv2d, Features, GroupNorm, Tensor4, parameters};

/// Channels of the five stages; each but the first and the last halves height and width.
pub(crate) const STAGE_CHANNELS: [usize; 5] = [32, 64, 128, 192, 192];
/// Whether a stage begins with a convolution of stride 2.
const HALVES: [bool; 5] = [false, true, true, true, false];
/// Images must be at least so large that the last stage has 2x2 pixels.
pub(crate) const SMALLEST: usize = 16;
const CLASSES: usize = 10;
/// Channels that share mean and variance in a group normalisation.
const GROUP: usize = 16;

/// The network: a first convolution, four stages, and one score for each class at every pixel of the last stage.
#[derive(Debug)]
pub struct FeatureNet<B: Backend> {
    stem: Conv2d<B>,
    stages: Vec<Stage<B>>,
    norm_out: GroupNorm<B>,
    classes: Conv2d<B>,
}
parameters!(FeatureNet: stem, stages, norm_out, classes);

/// A change of resolution and channels, where there is one, then a residual step `x + conv(silu(norm(x)))`.
#[derive(Debug)]
struct Stage<B: Backend> {
    halve: Option<Unit<B>>,
    residual: Unit<B>,
}
parameters!(Stage: halve, residual);

/// `conv(silu(norm(x)))`.
#[derive(Debug)]
struct Unit<B: Backend> {
    norm: GroupNorm<B>,
    conv: Conv2d<B>,
}
parameters!(Unit: norm, conv);

impl<B: Backend> Unit<B> {
    fn new(backend: &B, c_in: usize, c_out: usize, stride: usize, draw: &mut dyn FnMut(f32) -> f32) -> Self {
        Self {
            norm: GroupNorm::new(backend, c_in, c_in / GROUP),
            conv: Conv2d::new(backend, c_in, c_out, 3, stride, draw),
        }
    }

    fn forward<T: Tape<f32, B::Device>>(&self, x: Features<B, T>) -> Result<Features<B, T>, B::Err> {
        self.norm.silu_conv(x, &self.conv)
    }
}

impl<B: Backend> Stage<B> {
    fn forward<T: Tape<f32, B::Device>>(&self, x: Features<B, T>) -> Result<Features<B, T>, B::Err> {
        let x = match &self.halve {
            Some(halve) => halve.forward(x)?,
            None => x,
        };
        B::add(self.residual.forward(x.with_empty_tape())?, x)
    }
}

impl<B: Backend> FeatureNet<B> {
    /// A fresh network. `draw(bound)` returns a number uniform in `[-bound, bound]`.
    #[must_use]
    pub fn new(backend: &B, draw: &mut dyn FnMut(f32) -> f32) -> Self {
        let stem = Conv2d::new(backend, 3, STAGE_CHANNELS[0], 3, 1, draw);
        let mut stages = Vec::new();
        for index in 1..STAGE_CHANNELS.len() {
            let (c_in, c_out) = (STAGE_CHANNELS[index - 1], STAGE_CHANNELS[index]);
            stages.push(Stage {
                halve: HALVES[index].then(|| Unit::new(backend, c_in, c_out, 2, draw)),
                residual: Unit::new(backend, c_out, c_out, 1, draw),
            });
        }
        let last = STAGE_CHANNELS[STAGE_CHANNELS.len() - 1];
        Self {
            stem,
            stages,
            norm_out: GroupNorm::new(backend, last, last / GROUP),
            classes: Conv2d::new(backend, last, CLASSES, 1, 1, draw),
        }
    }

    /// `[B, 3, H, W]` in [-1, 1] to the outputs of the five stages. Each has a tape of its own; together they lead back
    /// to `x`.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn features<T: Tape<f32, B::Device>>(&self, x: Tensor4<B, T>) -> Result<Vec<Tensor4<B, T>>, B::Err> {
        let mut features = vec![self.stem.forward(B::features(x)?)?];
        for stage in &self.stages {
            let Some(last) = features.pop() else { break };
            features.push(last.with_empty_tape());
            features.push(stage.forward(last)?);
        }
        features.into_iter().map(B::images).collect()
    }

    /// `[B, 3, H, W]` in [-1, 1] to `[B, 10, H / 8, W / 8]`: class scores, to be averaged over the pixels.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn class_scores<T: Tape<f32, B::Device>>(&self, x: Tensor4<B, T>) -> Result<Tensor4<B, T>, B::Err> {
        let mut x = self.stem.forward(B::features(x)?)?;
        for stage in &self.stages {
            x = stage.forward(x)?;
        }
        B::images(self.norm_out.silu_conv(x, &self.classes)?)
    }
}
