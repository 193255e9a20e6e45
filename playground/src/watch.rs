//! Watches a sampler for the page: pictures, curves, the time that is left, and whether to stop.

use std::time::Instant;

use diffusion::{FiniteCheck, Observer, ScoreError, StepView};
use imaging::Symmetry;
use ndarray::{Array3, ArrayRef3, Axis};

use crate::event::{Event, Frame, StepOfOne};
use crate::log::Log;
use crate::picture::Picture;

/// So many pictures of x_t are kept of a run, and as many of x0_hat, all samples together: some 12 MB in 64x64 pixels.
const FRAMES: usize = 480;
/// So many of one sample at most; more than a hand can tell apart on a slider.
const FRAMES_OF_ONE: usize = 120;

/// An observer that tells a [`Log`] what it sees.
#[derive(Debug)]
pub struct Watch<'a> {
    /// Who is told.
    log: &'a Log,
    /// The image that `x0_hat` is compared with.
    truth: Option<&'a Array3<f32>>,
    symmetry: Symmetry,
    started: Instant,
    /// Calls of the network in the whole run.
    evaluations: usize,
    /// How many of them were for samples before these.
    before: usize,
    /// The number of the batch's first sample.
    first: usize,
    /// So many pictures of each sample.
    frames: usize,
    last_t: Option<usize>,
}

impl<'a> Watch<'a> {
    /// For a run of so many samples and calls of the network.
    #[must_use]
    pub fn new(log: &'a Log, samples: usize, evaluations: usize) -> Self {
        Self {
            log,
            truth: None,
            symmetry: Symmetry::None,
            started: Instant::now(),
            evaluations,
            before: 0,
            first: 0,
            frames: (FRAMES / samples.max(1)).min(FRAMES_OF_ONE),
            last_t: None,
        }
    }

    /// Compares with `truth`, `[C, H, W]`, but for what the operator cannot tell.
    #[must_use]
    pub fn compared_with(mut self, truth: &'a Array3<f32>, symmetry: Symmetry) -> Self {
        (self.truth, self.symmetry) = (Some(truth), symmetry);
        self
    }

    /// From now on it sees sample number `sample`, from 0, before which there were `before` calls of the network.
    pub fn begin_sample(&mut self, sample: usize, before: usize) {
        (self.first, self.before, self.last_t) = (sample, before, None);
    }

    /// The time of the step that was seen last.
    #[must_use]
    pub fn last_t(&self) -> Option<usize> {
        self.last_t
    }

    /// How long the run has taken so far, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// The image with what the operator cannot tell made as in the truth.
    #[must_use]
    pub fn aligned(&self, image: &ArrayRef3<f32>) -> Array3<f32> {
        match self.truth {
            Some(truth) => self.symmetry.align(image, truth),
            None => image.to_owned(),
        }
    }

    /// Evenly spaced, and always the first and the last.
    fn keeps(&self, index: usize, num_steps: usize) -> bool {
        let stride = num_steps.div_ceil(self.frames.max(1)).max(1);
        index.is_multiple_of(stride) || index + 1 == num_steps
    }

    fn step_of_one(&self, view: &StepView<'_>, place: usize) -> StepOfOne {
        let x0_hat = self.aligned(&view.x0_hat.index_axis(Axis(0), place));
        let psnr = self.truth.and_then(|truth| metrics::psnr(&x0_hat, truth).ok());
        let frame = self.keeps(view.index, view.num_steps).then(|| Frame {
            x_t: Picture::of(&view.x_t.index_axis(Axis(0), place)),
            x0_hat: Picture::of(&x0_hat),
        });
        // The call of this step is done already: x0_hat is made of it.
        let done = self.before + view.index + 1;
        StepOfOne {
            sample: self.first + place,
            index: view.index,
            num_steps: view.num_steps,
            t: view.step.t,
            residual: view.residual.and_then(|residual| residual.get(place).copied()),
            psnr,
            done,
            left: self.seconds() / done as f64 * self.evaluations.saturating_sub(done) as f64,
            frame,
        }
    }
}

impl Observer for Watch<'_> {
    fn observe(&mut self, view: &StepView<'_>) -> Result<(), ScoreError> {
        if self.log.should_stop() {
            return Err(ScoreError::Stopped);
        }
        FiniteCheck.observe(view)?;
        self.last_t = Some(view.step.t);
        for place in 0..view.x_t.dim().0 {
            self.log.tell(&Event::Step(Box::new(self.step_of_one(view, place))));
        }
        Ok(())
    }
}

/// Shows a [`Watch`] one of several passes: it sees one way through the steps of all.
#[derive(Debug)]
pub struct Pass<'p, 'a> {
    pass: usize,
    passes: usize,
    watch: &'p mut Watch<'a>,
}

impl<'p, 'a> Pass<'p, 'a> {
    /// Pass number `pass`, from 0, of `passes`.
    #[must_use]
    pub fn new(pass: usize, passes: usize, watch: &'p mut Watch<'a>) -> Self {
        Self { pass, passes, watch }
    }
}

impl Observer for Pass<'_, '_> {
    fn observe(&mut self, view: &StepView<'_>) -> Result<(), ScoreError> {
        self.watch.observe(&StepView {
            index: self.pass * view.num_steps + view.index,
            num_steps: self.passes * view.num_steps,
            ..*view
        })
    }
}
