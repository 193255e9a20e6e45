//! The path of a batch's first image, without that of the others.

use diffusion::{Observer, ScoreError, StepView, Trajectory, TrajectoryFrame};
use ndarray::s;

/// Keeps the path of the first image of a batch. That of all, at each of a thousand steps, would take more memory than
/// the sampler does.
#[derive(Debug)]
pub(crate) struct FirstImage(Trajectory);

impl FirstImage {
    /// Keeps `wanted` steps at most, as [`Trajectory::new`].
    pub(crate) fn new(wanted: usize) -> Self {
        Self(Trajectory::new(wanted))
    }

    /// The steps, with batches of one.
    pub(crate) fn into_frames(self) -> Vec<TrajectoryFrame> {
        self.0.into_frames()
    }
}

impl Observer for FirstImage {
    fn observe(&mut self, view: &StepView<'_>) -> Result<(), ScoreError> {
        let first = s![..1, .., .., ..];
        let (x_t, x0_hat) = (view.x_t.slice(first).to_owned(), view.x0_hat.slice(first).to_owned());
        self.0.observe(&StepView {
            x_t: &x_t,
            x0_hat: &x0_hat,
            residual: view.residual.map(|residual| &residual[..residual.len().min(1)]),
            ..*view
        })
    }
}
