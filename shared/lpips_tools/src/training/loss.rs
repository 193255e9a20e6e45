//! The loss of a classification network, with its gradient in closed form.

use dfdx::shapes::{HasShape, Rank0};
use dfdx::tensor::{Cpu, CpuError, OwnedTape, PutTape, SplitTape, Tape, TensorFromVec};
use nn::{Scalar, Traced4};

/// The mean cross-entropy of image classification. `scores` are `[B, K, H, W]`, one score for each of `K` classes at
/// every pixel; they are averaged over the pixels first (a linear layer after global average pooling is a 1x1
/// convolution before it). Image `i` is of class `labels[i]`; that class is asked for with probability `1 - smoothing`,
/// and all `K` together, it among them, share the rest (label smoothing, Szegedy et al. 2016, section 7).
///
/// # Errors
///
/// What the device reports, such as lack of memory.
///
/// # Panics
///
/// If there is not one label below `K` for each image.
pub fn cross_entropy(
    scores: Traced4<Cpu>,
    labels: &[usize],
    smoothing: f32,
) -> Result<Scalar<Cpu, OwnedTape<f32, Cpu>>, CpuError> {
    let &(batch, classes, height, width) = scores.shape();
    assert_eq!(batch, labels.len(), "a batch of {batch} images needs as many labels");
    let pixels = height * width;
    let (scores, mut tape) = scores.split_tape();
    let mut slope = scores.as_vec();
    let mut sum = 0.0;
    for (image, &label) in slope.chunks_exact_mut(classes * pixels).zip(labels) {
        assert!(label < classes, "label {label} is not below the {classes} classes");
        let pooled = image
            .chunks_exact(pixels)
            .map(|s| s.iter().sum::<f32>() / pixels as f32);
        let log_p = log_softmax(pooled.map(f64::from).collect());
        for (class, (log_p, slope)) in log_p.iter().zip(image.chunks_exact_mut(pixels)).enumerate() {
            let label_share = if class == label {
                1.0 - f64::from(smoothing)
            } else {
                0.0
            };
            let wanted = f64::from(smoothing) / classes as f64 + label_share;
            sum -= wanted * log_p;
            slope.fill(((log_p.exp() - wanted) / (batch * pixels) as f64) as f32);
        }
    }
    let mean = (sum / batch as f64) as f32;
    let loss = scores.device().try_tensor_from_vec(vec![mean], Rank0::default())?;
    let (scores_ghost, loss_ghost) = (scores.ghost(), loss.ghost());
    tape.add_backward_op(move |gradients| {
        let d = gradients.get_or_alloc_mut(&loss_ghost)?[0];
        let dx = gradients.get_or_alloc_mut(&scores_ghost)?;
        dx.iter_mut().zip(&slope).for_each(|(dx, slope)| *dx += d * slope);
        Ok(())
    });
    Ok(loss.put_tape(tape))
}

/// The logarithms of the probabilities that are proportional to `exp(score)`.
fn log_softmax(scores: Vec<f64>) -> Vec<f64> {
    let largest = scores.iter().fold(f64::NEG_INFINITY, |m, s| m.max(*s));
    let log_sum = scores.iter().map(|s| (s - largest).exp()).sum::<f64>().ln();
    scores.iter().map(|s| s - largest - log_sum).collect()
}

#[cfg(test)]
mod tests {
    use dfdx::shapes::Axis;
    use dfdx::tensor::{AsArray, Tensor, Trace};
    use dfdx::tensor_ops::{Backward, MeanTo, ReshapeTo, SumTo};

    use super::*;

    const SHAPE: (usize, usize, usize, usize) = (2, 3, 2, 2);
    const LABELS: [usize; 2] = [2, 0];
    const SMOOTHING: f32 = 0.1;

    /// Scores of two images with nothing in common.
    fn scores() -> Vec<f32> {
        (0..24).map(|i| (1.7 * i as f32 + 0.3).sin()).collect()
    }

    fn loss_and_gradient(scores: &[f32]) -> (f32, Vec<f32>) {
        let x = Cpu::default().tensor_from_vec(scores.to_vec(), SHAPE);
        let loss = cross_entropy(x.leaky_trace(), &LABELS, SMOOTHING).expect("a loss");
        let value = loss.array();
        (value, loss.backward().get(&x).as_vec())
    }

    /// The definition, in f64.
    fn expected(scores: &[f32]) -> f64 {
        let image = |n: usize, label: usize| {
            let pooled = |k: usize| scores[12 * n + 4 * k..][..4].iter().map(|s| f64::from(*s)).sum::<f64>() / 4.0;
            let total: f64 = (0..3).map(|k| pooled(k).exp()).sum();
            let wanted = |k: usize| 0.1 / 3.0 + if k == label { 0.9 } else { 0.0 };
            -(0..3).map(|k| wanted(k) * (pooled(k).exp() / total).ln()).sum::<f64>()
        };
        (image(0, LABELS[0]) + image(1, LABELS[1])) / 2.0
    }

    #[test]
    fn cross_entropy_of_pooled_scores() {
        let scores = scores();
        let (value, gradient) = loss_and_gradient(&scores);
        assert!((f64::from(value) - expected(&scores)).abs() < 1e-6, "{value}");
        let step = 1e-2;
        for i in 0..scores.len() {
            let at = |delta: f32| {
                let mut moved = scores.clone();
                moved[i] += delta;
                expected(&moved)
            };
            let numeric = (at(step) - at(-step)) / f64::from(2.0 * step);
            // The curvature's part of a central difference is far below this, and the slopes are up to 0.1.
            assert!(
                (numeric - f64::from(gradient[i])).abs() < 1e-5,
                "slope {i}: {} instead of {numeric}",
                gradient[i]
            );
        }
    }

    #[test]
    fn it_is_what_dfdxs_own_ops_make() {
        let cpu = Cpu::default();
        let x = cpu.tensor_from_vec(scores(), SHAPE);
        let mut wanted = vec![SMOOTHING / 3.0; 6];
        for (image, label) in LABELS.into_iter().enumerate() {
            wanted[3 * image + label] += 1.0 - SMOOTHING;
        }
        let wanted: Tensor<(usize, usize), f32, Cpu> = cpu.tensor_from_vec(wanted, (2, 3));
        let pooled = x
            .leaky_trace()
            .reshape_like(&(2, 3, 4))
            .mean::<(usize, usize), Axis<2>>();
        let loss = (pooled.log_softmax::<Axis<1>>() * wanted).sum::<Rank0, _>() * -0.5;
        let (value, gradient) = loss_and_gradient(&x.as_vec());
        assert!((loss.array() - value).abs() < 1e-6);
        for (ours, theirs) in gradient.iter().zip(loss.backward().get(&x).as_vec()) {
            assert!((ours - theirs).abs() < 1e-6, "{ours} instead of {theirs}");
        }
    }
}
