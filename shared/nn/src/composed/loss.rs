//! The ends of a forward pass.

use dfdx::shapes::{Axis, HasShape, Rank0};
use dfdx::tensor::{Tape, Tensor};
use dfdx::tensor_ops::{MeanTo, ReshapeTo, SumTo, TryMul, TrySub};

use super::{Composed, resample};
use crate::{DeviceExt, Scalar, Tensor4};

pub fn inner_product<D: DeviceExt, T: Tape<f32, D>>(
    x: Tensor4<Composed<D>, T>,
    cotangent: &Tensor4<Composed<D>>,
) -> Result<Scalar<Composed<D>, T>, D::Err> {
    x.try_mul(cotangent.clone())?.try_sum::<Rank0, _>()
}

pub fn mean_squared_error<D: DeviceExt, T: Tape<f32, D>>(
    x: Tensor4<Composed<D>, T>,
    target: &Tensor4<Composed<D>>,
    weights: &[f32],
) -> Result<Scalar<Composed<D>, T>, D::Err> {
    let squares = x.try_sub(target.clone())?.try_square()?;
    resample::scale_images(squares, weights)?.try_mean::<Rank0, _>()
}

pub fn cross_entropy<D: DeviceExt, T: Tape<f32, D>>(
    scores: Tensor4<Composed<D>, T>,
    labels: &[usize],
    smoothing: f32,
) -> Result<Scalar<Composed<D>, T>, D::Err> {
    let &(batch, classes, height, width) = scores.shape();
    assert_eq!(batch, labels.len(), "a batch of {batch} images needs as many labels");
    let mut wanted = vec![smoothing / classes as f32; batch * classes];
    for (image, &label) in labels.iter().enumerate() {
        assert!(label < classes, "label {label} is not below the {classes} classes");
        wanted[image * classes + label] += 1.0 - smoothing;
    }
    let wanted: Tensor<(usize, usize), f32, D> = scores.device().try_tensor_from_vec(wanted, (batch, classes))?;
    scores
        .try_reshape_like(&(batch, classes, height * width))?
        .try_mean::<(usize, usize), Axis<2>>()?
        .try_log_softmax::<Axis<1>>()?
        .try_mul(wanted)?
        .try_sum::<Rank0, _>()?
        .try_mul(-1.0 / batch as f32)
}
