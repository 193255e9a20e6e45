//! Convolution as one matrix product: the weights times all windows of all images.

use dfdx::shapes::{Axes2, Axes3, Axis, HasShape};
use dfdx::tensor::{Tape, Tensor};
use dfdx::tensor_ops::{BroadcastTo, GatherTo, PermuteTo, TryAdd, TryConcatAlong, TryMatMul};

use crate::backend::{Tensor2, Tensor4};
use crate::composed::{Composed, parameter, reshape};
use crate::device_ext::DeviceExt;
use crate::layers::Conv2d;
use crate::versioned::Versioned;

/// Which pixel each place of each window shows, for the image size `(H, W)` that came last.
pub type WindowIndex<D> = Versioned<Tensor<(usize,), usize, D>, (usize, usize)>;

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
    let weight = parameter::<D, T, _>(&layer.weight, (c_out, c_in * layer.kernel * layer.kernel))?;
    let y = weight.try_matmul(windows(x, layer)?)?;
    let y =
        reshape(y, (c_out, out_height * out_width, batch))?.try_permute::<(usize, usize, usize), Axes3<2, 0, 1>>()?;
    let bias = parameter::<D, T, _>(&layer.bias, (c_out,))?.try_broadcast_like::<_, Axes2<0, 2>>(y.shape())?;
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
    let index = layer.cache.try_get((height, width), || {
        let places = window_places(layer.kernel, layer.stride, height, width);
        let len = places.len();
        device.try_tensor_from_vec(places, (len,))
    })?;
    let len = index.shape().0;
    // The same places in every channel: an axis of stride zero, which takes no memory.
    let index = (*index).clone().try_broadcast_like::<_, Axis<0>>(&(channels, len))?;
    // One more pixel, of value zero, stands for all that lie outside of the image.
    let outside: Tensor<(usize, usize, usize), f32, D> = device.try_zeros_like(&(channels, 1, batch))?;
    let pixels = (pixels, outside).try_concat_along(Axis::<1>)?;
    let windows: Tensor<(usize, usize, usize), f32, D, T> = pixels.try_gather(index)?;
    let kernel_len = layer.kernel * layer.kernel;
    reshape(windows, (channels * kernel_len, len / kernel_len * batch))
}

/// The pixel `y W + x` that each place of a window shows, `[k k, H', W']`; `H W` where it lies outside of the image.
fn window_places(kernel: usize, stride: usize, height: usize, width: usize) -> Vec<usize> {
    let pad = kernel / 2;
    // The coordinate that place `offset` of window number `window` shows along an axis of length `len`.
    let shown =
        |window: usize, offset: usize, len: usize| (window * stride + offset).checked_sub(pad).filter(|&at| at < len);
    let (out_height, out_width) = (height.div_ceil(stride), width.div_ceil(stride));
    let mut places = Vec::with_capacity(kernel * kernel * out_height * out_width);
    for (dy, dx) in (0..kernel).flat_map(|dy| (0..kernel).map(move |dx| (dy, dx))) {
        for (y, x) in (0..out_height).flat_map(|y| (0..out_width).map(move |x| (y, x))) {
            let pixel = shown(y, dy, height).zip(shown(x, dx, width));
            places.push(pixel.map_or(height * width, |(y, x)| y * width + x));
        }
    }
    places
}
