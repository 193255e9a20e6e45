//! Layers: parameters with their sizes. What they compute is in [`Backend`].

use dfdx::tensor::{Merge, NoneTape, Tape, WithEmptyTape};

use crate::{Backend, Parameter, Tensor2, Tensor4, parameters};

/// Draws one weight at a time for a fresh layer; the argument is the bound of the uniform distribution.
type Draw<'a> = &'a mut dyn FnMut(f32) -> f32;

/// `count` values drawn uniformly from `[-1/sqrt(fan_in), 1/sqrt(fan_in)]`, PyTorch's default for weights and biases.
fn uniform(count: usize, fan_in: usize, draw: Draw) -> Vec<f32> {
    let bound = 1.0 / (fan_in as f32).sqrt();
    (0..count).map(|_| draw(bound)).collect()
}

/// A 3x3 or 1x1 convolution with bias, padding `kernel / 2`, stride 1 or 2.
#[derive(Debug)]
pub struct Conv2d<D: Backend> {
    /// `[c_out, c_in, kernel, kernel]`.
    pub weight: Parameter<D>,
    /// `[c_out]`.
    pub bias: Parameter<D>,
    /// Channels of the input.
    pub c_in: usize,
    /// Channels of the output.
    pub c_out: usize,
    /// Side of the kernel, 1 or 3.
    pub kernel: usize,
    /// 1, or 2 with a 3x3 kernel: halves height and width.
    pub stride: usize,
    pub(crate) cache: D::ConvCache,
}
parameters!(Conv2d: weight, bias);

impl<D: Backend> Conv2d<D> {
    /// A fresh layer with weights from `draw` (see [`Linear::new`]).
    pub fn new(device: &D, c_in: usize, c_out: usize, kernel: usize, stride: usize, draw: Draw) -> Self {
        let fan_in = c_in * kernel * kernel;
        Self {
            weight: Parameter::new(
                device,
                &[c_out, c_in, kernel, kernel],
                uniform(c_out * fan_in, fan_in, draw),
            ),
            bias: Parameter::new(device, &[c_out], uniform(c_out, fan_in, draw)),
            c_in,
            c_out,
            kernel,
            stride,
            cache: D::ConvCache::default(),
        }
    }

    /// A fresh layer that outputs zero: the last layer of a residual branch starts that way, so that the branch starts
    /// as the identity.
    pub fn zeros(device: &D, c_in: usize, c_out: usize, kernel: usize) -> Self {
        Self {
            weight: Parameter::filled(device, &[c_out, c_in, kernel, kernel], 0.0),
            bias: Parameter::filled(device, &[c_out], 0.0),
            c_in,
            c_out,
            kernel,
            stride: 1,
            cache: D::ConvCache::default(),
        }
    }

    /// `[B, c_in, H, W] -> [B, c_out, H', W']`.
    pub fn forward<T: Tape<f32, D::Device>>(&self, x: Tensor4<D, T>) -> Result<Tensor4<D, T>, D::Err> {
        D::conv2d(x, self)
    }
}

/// A fully connected layer with bias.
#[derive(Debug)]
pub struct Linear<D: Backend> {
    /// `[features_out, features_in]`.
    pub weight: Parameter<D>,
    /// `[features_out]`.
    pub bias: Parameter<D>,
    /// Length of an input vector.
    pub features_in: usize,
    /// Length of an output vector.
    pub features_out: usize,
    pub(crate) cache: D::LinearCache,
}
parameters!(Linear: weight, bias);

impl<D: Backend> Linear<D> {
    /// A fresh layer. `draw(bound)` returns a number uniform in `[-bound, bound]`, so that the caller's seed decides.
    pub fn new(device: &D, features_in: usize, features_out: usize, draw: Draw) -> Self {
        let weight = uniform(features_out * features_in, features_in, draw);
        Self {
            weight: Parameter::new(device, &[features_out, features_in], weight),
            bias: Parameter::new(device, &[features_out], uniform(features_out, features_in, draw)),
            features_in,
            features_out,
            cache: D::LinearCache::default(),
        }
    }

    /// `[B, features_in] -> [B, features_out]`.
    pub fn forward<T: Tape<f32, D::Device>>(&self, x: Tensor2<D, T>) -> Result<Tensor2<D, T>, D::Err> {
        D::linear(x, self)
    }
}

/// Group normalisation (Wu and He 2018) with a learned scale and shift per channel, epsilon 1e-5.
#[derive(Debug)]
pub struct GroupNorm<D: Backend> {
    /// `[channels]`.
    pub weight: Parameter<D>,
    /// `[channels]`.
    pub bias: Parameter<D>,
    /// Channels of the input, a multiple of `groups`.
    pub channels: usize,
    /// Groups of channels that share mean and variance.
    pub groups: usize,
}
parameters!(GroupNorm: weight, bias);

impl<D: Backend> GroupNorm<D> {
    /// A fresh layer with scale 1 and shift 0.
    pub fn new(device: &D, channels: usize, groups: usize) -> Self {
        Self {
            weight: Parameter::filled(device, &[channels], 1.0),
            bias: Parameter::filled(device, &[channels], 0.0),
            channels,
            groups,
        }
    }

    /// `conv(group_norm(x))`.
    ///
    /// # Errors
    /// What the device reports, such as lack of memory; so do all layers.
    pub fn conv<T: Tape<f32, D::Device>>(&self, x: Tensor4<D, T>, conv: &Conv2d<D>) -> Result<Tensor4<D, T>, D::Err> {
        D::norm_conv::<T, NoneTape>(x, self, None, false, conv)
    }

    /// `conv(silu(group_norm(x)))`.
    pub fn silu_conv<T: Tape<f32, D::Device>>(
        &self,
        x: Tensor4<D, T>,
        conv: &Conv2d<D>,
    ) -> Result<Tensor4<D, T>, D::Err> {
        D::norm_conv::<T, NoneTape>(x, self, None, true, conv)
    }

    /// `conv(silu(group_norm(x) (1 + a) + b))` with `modulation = [a | b]` of shape `[B, 2 C]`.
    pub fn modulated_silu_conv<T, U>(
        &self,
        x: Tensor4<D, T>,
        modulation: Tensor2<D, U>,
        conv: &Conv2d<D>,
    ) -> Result<Tensor4<D, T>, D::Err>
    where
        T: Tape<f32, D::Device> + Merge<U>,
        U: Tape<f32, D::Device>,
    {
        D::norm_conv(x, self, Some(modulation), true, conv)
    }
}

/// Multi-head self-attention over the pixels, with normalisation and a residual connection:
/// `x + proj(attend(qkv(norm(x))))`.
#[derive(Debug)]
pub struct Attention<D: Backend> {
    /// Normalises the input.
    pub norm: GroupNorm<D>,
    /// 1x1 convolution to queries, keys and values.
    pub qkv: Conv2d<D>,
    /// 1x1 convolution of the result.
    pub proj: Conv2d<D>,
    /// Number of heads, a divisor of the channels.
    pub heads: usize,
}
parameters!(Attention: norm, qkv, proj);

impl<D: Backend> Attention<D> {
    /// A fresh layer that starts as the identity.
    pub fn new(device: &D, channels: usize, heads: usize, groups: usize, draw: Draw) -> Self {
        Self {
            norm: GroupNorm::new(device, channels, groups),
            qkv: Conv2d::new(device, channels, 3 * channels, 1, 1, draw),
            proj: Conv2d::zeros(device, channels, channels, 1),
            heads,
        }
    }

    /// `[B, C, H, W] -> [B, C, H, W]`.
    pub fn forward<T: Tape<f32, D::Device>>(&self, x: Tensor4<D, T>) -> Result<Tensor4<D, T>, D::Err> {
        let qkv = self.norm.conv(x.with_empty_tape(), &self.qkv)?;
        let h = D::attend(qkv, self.heads)?;
        D::add(self.proj.forward(h)?, x)
    }
}
