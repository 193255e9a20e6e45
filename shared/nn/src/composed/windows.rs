//! What the convolutions of a device share: which pixels a window shows, and the pixel that stands for those outside.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use dfdx::tensor::Tensor;

use crate::device_ext::DeviceExt;

/// Kernel size, stride, height and width.
type Kind = (usize, usize, usize, usize);
/// A pixel of each channel and image, `[C, 1, B]`.
type Pixel<D> = Tensor<(usize, usize, usize), f32, D>;

/// Tensors that are made once for each size that comes, and stay on the device: a network has dozens of convolutions,
/// and a handful of sizes. A clone shares them.
#[derive(Clone, Debug)]
pub struct Windows<D: DeviceExt> {
    places: Kept<Kind, Tensor<(usize,), usize, D>>,
    outside: Kept<(usize, usize, usize), Pixel<D>>,
}

type Kept<K, V> = Arc<Mutex<HashMap<K, V>>>;

impl<D: DeviceExt> Default for Windows<D> {
    fn default() -> Self {
        Self {
            places: Kept::default(),
            outside: Kept::default(),
        }
    }
}

impl<D: DeviceExt> Windows<D> {
    /// The pixel that each place of each window shows, see [`window_places`].
    pub fn places(&self, device: &D, kind: Kind) -> Result<Tensor<(usize,), usize, D>, D::Err> {
        kept(&self.places, kind, || {
            let places = window_places(kind);
            let len = places.len();
            device.try_tensor_from_vec(places, (len,))
        })
    }

    /// A pixel of value zero, which stands for all that lie outside of an image. Every backward pass adds to its
    /// gradient, which nobody reads.
    pub fn outside(&self, device: &D, shape: (usize, usize, usize)) -> Result<Pixel<D>, D::Err> {
        kept(&self.outside, shape, || device.try_zeros_like(&shape))
    }
}

fn kept<K: Eq + Hash, V: Clone, E>(all: &Kept<K, V>, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(value) = all.get(&key) {
        return Ok(value.clone());
    }
    let value = make()?;
    all.insert(key, value.clone());
    Ok(value)
}

/// The pixel `y W + x` that each place of a window shows, `[k k, H', W']`; `H W` where it lies outside of the image.
fn window_places((kernel, stride, height, width): Kind) -> Vec<usize> {
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
