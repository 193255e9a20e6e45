//! Watching a sampler: progress bars, trajectory plots and NaN checks all hang on an [`Observer`].

use ndarray::Array4;

use crate::model::ScoreError;
use crate::schedule::Step;

/// What a sampler shows of one step.
#[derive(Clone, Copy, Debug)]
pub struct StepView<'a> {
    /// The step that is being taken.
    pub step: &'a Step,
    /// Its place in the list of steps, from 0.
    pub index: usize,
    /// The number of steps in the list.
    pub num_steps: usize,
    /// The noisy images that the step starts from.
    pub x_t: &'a Array4<f32>,
    /// The clean images that the model expects behind `x_t`.
    pub x0_hat: &'a Array4<f32>,
    /// `||b - A x0_hat||` of each image, where the sampler solves an inverse problem.
    pub residual: Option<&'a [f32]>,
}

/// Sees every step of a sampler, in order; an error stops the sampler, which returns it.
///
/// `()` sees nothing, a tuple of observers shows the step to each of them, `&mut O` and `Box<O>` are observers
/// where `O` is one, and [`observe_with`] makes one from a closure:
///
/// ```
/// use diffusion::{FiniteCheck, Observer, Trajectory, observe_with};
///
/// let mut trajectory = Trajectory::new(8);
/// let mut count = 0;
/// let counter = observe_with(|_view| {
///     count += 1;
///     Ok(())
/// });
/// let mut all = (FiniteCheck, &mut trajectory, counter);
/// let _for_the_sampler: &mut dyn Observer = &mut all;
/// ```
pub trait Observer {
    /// Called once per step, after `x0_hat` is known and before `x_t` is replaced.
    ///
    /// # Errors
    ///
    /// Whatever the observer wants to stop the sampler with.
    fn observe(&mut self, view: &StepView<'_>) -> Result<(), ScoreError>;
}

impl<O: Observer + ?Sized> Observer for &mut O {
    fn observe(&mut self, view: &StepView<'_>) -> Result<(), ScoreError> {
        (**self).observe(view)
    }
}

impl<O: Observer + ?Sized> Observer for Box<O> {
    fn observe(&mut self, view: &StepView<'_>) -> Result<(), ScoreError> {
        (**self).observe(view)
    }
}

impl<O: Observer> Observer for Option<O> {
    fn observe(&mut self, view: &StepView<'_>) -> Result<(), ScoreError> {
        self.as_mut().map_or(Ok(()), |o| o.observe(view))
    }
}

impl Observer for () {
    fn observe(&mut self, _: &StepView<'_>) -> Result<(), ScoreError> {
        Ok(())
    }
}

macro_rules! observe_tuple {
    ($($name:ident $index:tt),+) => {
        impl<$($name: Observer),+> Observer for ($($name,)+) {
            fn observe(&mut self, view: &StepView<'_>) -> Result<(), ScoreError> {
                $(self.$index.observe(view)?;)+
                Ok(())
            }
        }
    };
}
observe_tuple!(A 0);
observe_tuple!(A 0, B 1);
observe_tuple!(A 0, B 1, C 2);
observe_tuple!(A 0, B 1, C 2, D 3);

/// An observer made from a closure; see [`observe_with`].
pub struct FnObserver<F>(F);

/// Makes an observer from a closure.
pub fn observe_with<F>(f: F) -> FnObserver<F>
where
    F: FnMut(&StepView<'_>) -> Result<(), ScoreError>,
{
    FnObserver(f)
}

impl<F> Observer for FnObserver<F>
where
    F: FnMut(&StepView<'_>) -> Result<(), ScoreError>,
{
    fn observe(&mut self, view: &StepView<'_>) -> Result<(), ScoreError> {
        (self.0)(view)
    }
}

/// Stops the sampler at the first NaN or infinity, and says at which `t` and in which array it was.
#[derive(Clone, Copy, Debug, Default)]
pub struct FiniteCheck;

impl Observer for FiniteCheck {
    fn observe(&mut self, view: &StepView<'_>) -> Result<(), ScoreError> {
        for (what, array) in [("x_t", view.x_t), ("x0_hat", view.x0_hat)] {
            if !array.iter().all(|v| v.is_finite()) {
                return Err(ScoreError::NonFinite { t: view.step.t, what });
            }
        }
        Ok(())
    }
}

/// One step that a [`Trajectory`] kept.
#[derive(Clone, Debug)]
pub struct TrajectoryFrame {
    /// The step.
    pub step: Step,
    /// Its place in the list of steps, from 0.
    pub index: usize,
    /// The noisy images.
    pub x_t: Array4<f32>,
    /// The clean images expected behind them.
    pub x0_hat: Array4<f32>,
    /// The residual of each image, where there was one.
    pub residual: Option<Vec<f32>>,
}

/// Keeps a number of evenly spaced steps of a run, always the first and the last.
#[derive(Clone, Debug)]
pub struct Trajectory {
    wanted: usize,
    frames: Vec<TrajectoryFrame>,
}

impl Trajectory {
    /// Will keep `wanted` steps of each run (all, if the run has fewer; at least the first and the last).
    #[must_use]
    pub fn new(wanted: usize) -> Self {
        Self {
            wanted: wanted.max(2),
            frames: Vec::new(),
        }
    }

    /// The steps that were kept, first step first.
    #[must_use]
    pub fn frames(&self) -> &[TrajectoryFrame] {
        &self.frames
    }

    /// The steps that were kept, by value.
    #[must_use]
    pub fn into_frames(self) -> Vec<TrajectoryFrame> {
        self.frames
    }

    /// Whether step `index` of `num_steps` is one of those to keep.
    fn keeps(&self, index: usize, num_steps: usize) -> bool {
        let last = num_steps.saturating_sub(1);
        if num_steps <= self.wanted || index == last {
            return true;
        }
        // Frame k stands at round(k last / (wanted - 1)); is there a k for this index?
        let gaps = self.wanted - 1;
        let place = |k: usize| (2 * k * last + gaps) / (2 * gaps);
        let k = index * gaps / last;
        place(k) == index || place(k + 1) == index
    }
}

impl Observer for Trajectory {
    fn observe(&mut self, view: &StepView<'_>) -> Result<(), ScoreError> {
        if view.index == 0 {
            self.frames.clear();
        }
        if self.keeps(view.index, view.num_steps) {
            self.frames.push(TrajectoryFrame {
                step: *view.step,
                index: view.index,
                x_t: view.x_t.clone(),
                x0_hat: view.x0_hat.clone(),
                residual: view.residual.map(<[f32]>::to_vec),
            });
        }
        Ok(())
    }
}
