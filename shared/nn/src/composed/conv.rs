//! Convolution as one matrix product: the weights times all windows of all images.

use dfdx::shapes::{Axes2, Axes3, Axis, HasShape};
use dfdx::tensor::{Tape, Tensor};
use dfdx::tensor_ops::{BroadcastTo, GatherTo, PermuteTo, TryAdd, TryConcatAlong, TryMatMul};

use crate::backend::{Tensor2, Tensor4};
use crate::composed::{Composed, parameter, reshape};
use crate::device_ext::DeviceExt;
use crate::layers::Conv2d;

pub fn conv2d<D: DeviceExt, T: Tape<f32, D>>(
    x: Tensor4<Composed<D>, T>,
    layer: &Conv2d<Composed<D>>,
) -> Result<Tensor4<Composed<D>, T>, D::Err> {
    let &(batch, channels, height, width) = x.shape();
    let (c_in, c_out) = (layer.c_in, layer.c_out);
    assert_eq!(
        channels, c_in,
        "a convolution of {c_in} channels got an input of {channels}"
    );
    let (out_height, out_width) = (height.div_ceil(layer.stride), width.div_ceil(layer.stride));
    let weight = parameter::<_, T, _>(&layer.weight, (c_out, c_in * layer.kernel * layer.kernel))?;
    let y = weight.try_matmul(windows(x, layer)?)?;
    let y =
        reshape(y, (c_out, out_height * out_width, batch))?.try_permute::<(usize, usize, usize), Axes3<2, 0, 1>>()?;
    let bias = parameter::<_, T, _>(&layer.bias, (c_out,))?.try_broadcast_like::<_, Axes2<0, 2>>(y.shape())?;
    reshape(y.try_add(bias)?, (batch, c_out, out_height, out_width))
}

/// All windows of all images, `[C k k, H' W' B]`: what the weights are multiplied with. The images come last, since a
/// gather works on one axis and leaves those behind it alone.
fn windows<D: DeviceExt, T: Tape<f32, D>>(
    x: Tensor4<Composed<D>, T>,
    layer: &Conv2d<Composed<D>>,
) -> Result<Tensor2<Composed<D>, T>, D::Err> {
    let &(batch, channels, height, width) = x.shape();
    let pixels = reshape(x, (batch, channels, height * width))?;
    let pixels = pixels.try_permute::<(usize, usize, usize), Axes3<1, 2, 0>>()?;
    if layer.kernel == 1 {
        return reshape(pixels, (channels, height * width * batch));
    }
    let device = pixels.device().clone();
    let index = layer
        .cache
        .places(&device, (layer.kernel, layer.stride, height, width))?;
    let len = index.shape().0;
    // dfdx's kernels count in 32 bits, and beyond them they would start anew.
    debug_assert!(
        channels * len * batch <= u32::MAX as usize,
        "the windows of {batch} images have more elements than dfdx's kernels can count"
    );
    // The same places in every channel: an axis of stride zero, which takes no memory.
    let index = index.try_broadcast_like::<_, Axis<0>>(&(channels, len))?;
    let outside = layer.cache.outside(&device, (channels, 1, batch))?;
    let pixels = (pixels, outside).try_concat_along(Axis::<1>)?;
    let windows: Tensor<(usize, usize, usize), f32, D, T> = pixels.try_gather(index)?;
    let kernel_len = layer.kernel * layer.kernel;
    reshape(windows, (channels * kernel_len, len / kernel_len * batch))
}
