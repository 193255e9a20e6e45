//! Two numbers in place of an image, so that a whole distribution can be drawn.

use anyhow::{Result, ensure};
use diffusion::{GaussianMixtureModel, ScoreModel};
use ndarray::{Array4, ArrayRef4, ArrayView1};
use plots::{Arrow, FlowPanel};

/// So many arrows stand in a row.
const ARROWS: usize = 11;

/// The points of a batch of "images" of two numbers, `[B, 2, 1, 1]`.
///
/// # Errors
///
/// If the images have another shape.
pub fn coordinates(batch: &ArrayRef4<f32>) -> Result<Vec<(f64, f64)>> {
    ensure!(
        batch.shape()[1..] == [2, 1, 1],
        "points in the plane have the shape [B, 2, 1, 1], not {:?}",
        batch.shape()
    );
    let point = |i: usize| (f64::from(batch[[i, 0, 0, 0]]), f64::from(batch[[i, 1, 0, 0]]));
    Ok((0..batch.dim().0).map(point).collect())
}

/// One moment of a sampler on a mixture in the plane: where the points are at the time `t`, the score on a grid that
/// reaches from `-extent` to `extent`, and crosses where the modes are at that time. At `t = 0`, where there is no
/// score, without arrows.
///
/// # Errors
///
/// A batch that is not of points in the plane, a `t` outside of the schedule.
pub fn panel(model: &GaussianMixtureModel, batch: &ArrayRef4<f32>, t: usize, extent: f64) -> Result<FlowPanel> {
    ensure!(
        t <= model.schedule().num_steps(),
        "t = {t} is after the end of the schedule"
    );
    let shrink = model.schedule().alpha_bar(t).sqrt();
    let mode = |mean: ArrayView1<'_, f64>| (shrink * mean[0], shrink * mean[1]);
    Ok(FlowPanel {
        title: format!("t = {t}"),
        points: coordinates(batch)?,
        arrows: if t == 0 {
            Vec::new()
        } else {
            score_field(model, t, extent)?
        },
        marks: model.means().rows().into_iter().map(mode).collect(),
    })
}

fn score_field(model: &GaussianMixtureModel, t: usize, extent: f64) -> Result<Vec<Arrow>> {
    let place = |k: usize| extent * (2.0 * (k as f64 + 0.5) / ARROWS as f64 - 1.0);
    let grid = Array4::from_shape_fn((ARROWS * ARROWS, 2, 1, 1), |(i, axis, _, _)| {
        place(if axis == 0 { i % ARROWS } else { i / ARROWS }) as f32
    });
    let score = model.score(&grid, t)?;
    Ok(coordinates(&grid)?.into_iter().zip(coordinates(&score)?).collect())
}

#[cfg(test)]
mod tests {
    use diffusion::Schedule;
    use ndarray::array;

    use super::*;

    #[test]
    fn the_field_points_at_the_only_mode() -> Result<()> {
        let means = array![[0.5, -0.5]];
        let model = GaussianMixtureModel::isotropic(Schedule::linear(), [2, 1, 1], array![1.0], means, array![0.1])?;
        let moment = panel(&model, &Array4::zeros((3, 2, 1, 1)), 100, 2.0)?;
        assert_eq!(
            (moment.points.len(), moment.arrows.len(), moment.marks.len()),
            (3, 121, 1)
        );
        let mode = moment.marks[0];
        for (at, v) in &moment.arrows {
            let (dx, dy) = (mode.0 - at.0, mode.1 - at.1);
            assert!(
                (dx * v.1 - dy * v.0).abs() < 1e-4 && dx * v.0 + dy * v.1 >= 0.0,
                "{at:?} {v:?}"
            );
        }
        assert!(panel(&model, &Array4::zeros((3, 2, 1, 1)), 0, 2.0)?.arrows.is_empty());
        assert!(panel(&model, &Array4::zeros((3, 3, 1, 1)), 100, 2.0).is_err());
        Ok(())
    }
}
