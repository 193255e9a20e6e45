//! Layers: parameters with their sizes. What they compute is in [`Backend`].

use dfdx::tensor::{Merge, NoneTape, Tape};
use kernels::norm::{Activation, EPSILON};

use crate::backend::Backend;
use crate::features::{Features, Vectors};
use crate::parameter::Parameter;
use crate::parameters;

/// Draws one weight at a time for a fresh layer; the argument is the bound of the uniform distribution.
type Draw<'a> = &'a mut dyn FnMut(f32) -> f32;

/// `count` values drawn uniformly from `[-1/sqrt(fan_in), 1/sqrt(fan_in)]`, PyTorch's default for weights and biases.
fn uniform(count: usize, fan_in: usize, draw: Draw<'_>) -> Vec<f32> {
    let bound = 1.0 / (fan_in as f32).sqrt();
    (0..count).map(|_| draw(bound)).collect()
}

/// A 3x3 or 1x1 convolution with bias, padding `kernel / 2`, stride 1 or 2.
#[derive(Debug)]
pub struct Conv2d<B: Backend> {
    /// `[c_out, c_in, kernel, kernel]`.
    pub weight: Parameter<B>,
    /// `[c_out]`.
    pub bias: Parameter<B>,
    /// Channels of the input.
    pub c_in: usize,
    /// Channels of the output.
    pub c_out: usize,
    /// Side of the kernel, 1 or 3.
    pub kernel: usize,
    /// 1, or 2 with a 3x3 kernel: halves height and width.
    pub stride: usize,
    pub(crate) cache: B::ConvCache,
}
parameters!(Conv2d: weight, bias);

impl<B: Backend> Conv2d<B> {
    /// A fresh layer with weights from `draw` (see [`Linear::new`]).
    pub fn new(backend: &B, c_in: usize, c_out: usize, kernel: usize, stride: usize, draw: Draw<'_>) -> Self {
        let fan_in = c_in * kernel * kernel;
        Self {
            weight: Parameter::new(
                backend,
                &[c_out, c_in, kernel, kernel],
                uniform(c_out * fan_in, fan_in, draw),
            ),
            bias: Parameter::new(backend, &[c_out], uniform(c_out, fan_in, draw)),
            c_in,
            c_out,
            kernel,
            stride,
            cache: backend.conv_cache(),
        }
    }

    /// A fresh layer that outputs zero: the last layer of a residual branch starts that way, so that the branch starts
    /// as the identity.
    pub fn zeros(backend: &B, c_in: usize, c_out: usize, kernel: usize) -> Self {
        Self {
            weight: Parameter::filled(backend, &[c_out, c_in, kernel, kernel], 0.0),
            bias: Parameter::filled(backend, &[c_out], 0.0),
            c_in,
            c_out,
            kernel,
            stride: 1,
            cache: backend.conv_cache(),
        }
    }

    /// `[B, c_in, H, W] -> [B, c_out, H', W']`.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn forward<T: Tape<f32, B::Device>>(&self, x: Features<B, T>) -> Result<Features<B, T>, B::Err> {
        B::conv2d(x, self)
    }
}

/// A fully connected layer with bias.
#[derive(Debug)]
pub struct Linear<B: Backend> {
    /// `[features_out, features_in]`.
    pub weight: Parameter<B>,
    /// `[features_out]`.
    pub bias: Parameter<B>,
    /// Length of an input vector.
    pub features_in: usize,
    /// Length of an output vector.
    pub features_out: usize,
}
parameters!(Linear: weight, bias);

impl<B: Backend> Linear<B> {
    /// A fresh layer. `draw(bound)` returns a number uniform in `[-bound, bound]`, so that the caller's seed decides.
    pub fn new(backend: &B, features_in: usize, features_out: usize, draw: Draw<'_>) -> Self {
        let weight = uniform(features_out * features_in, features_in, draw);
        Self {
            weight: Parameter::new(backend, &[features_out, features_in], weight),
            bias: Parameter::new(backend, &[features_out], uniform(features_out, features_in, draw)),
            features_in,
            features_out,
        }
    }

    /// `[B, features_in] -> [B, features_out]`.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn forward<T: Tape<f32, B::Device>>(&self, x: Vectors<B, T>) -> Result<Vectors<B, T>, B::Err> {
        B::linear(x, self)
    }
}

/// Group normalisation (Wu and He 2018) with a learned scale and shift per channel.
#[derive(Debug)]
pub struct GroupNorm<B: Backend> {
    /// `[channels]`.
    pub weight: Parameter<B>,
    /// `[channels]`.
    pub bias: Parameter<B>,
    /// Channels of the input, a multiple of `groups`.
    pub channels: usize,
    /// Groups of channels that share mean and variance.
    pub groups: usize,
    /// Added to the variance.
    pub epsilon: f64,
}
parameters!(GroupNorm: weight, bias);

impl<B: Backend> GroupNorm<B> {
    /// A fresh layer with scale 1 and shift 0, whose epsilon is 1e-5 as PyTorch's.
    pub fn new(backend: &B, channels: usize, groups: usize) -> Self {
        Self {
            weight: Parameter::filled(backend, &[channels], 1.0),
            bias: Parameter::filled(backend, &[channels], 0.0),
            channels,
            groups,
            epsilon: EPSILON,
        }
    }

    /// The same layer with another epsilon.
    #[must_use]
    pub fn with_epsilon(self, epsilon: f64) -> Self {
        Self { epsilon, ..self }
    }

    /// `silu(group_norm(x))`.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn silu<T: Tape<f32, B::Device>>(&self, x: Features<B, T>) -> Result<Features<B, T>, B::Err> {
        B::norm(x, self, Activation::Silu)
    }

    /// `conv(group_norm(x))`.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn conv<T: Tape<f32, B::Device>>(&self, x: Features<B, T>, conv: &Conv2d<B>) -> Result<Features<B, T>, B::Err> {
        B::norm_conv::<T, NoneTape>(x, self, None, Activation::None, conv)
    }

    /// `conv(silu(group_norm(x)))`.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn silu_conv<T: Tape<f32, B::Device>>(
        &self,
        x: Features<B, T>,
        conv: &Conv2d<B>,
    ) -> Result<Features<B, T>, B::Err> {
        B::norm_conv::<T, NoneTape>(x, self, None, Activation::Silu, conv)
    }

    /// `conv(silu(group_norm(x) (1 + a) + b))` with `modulation = [a | b]` of shape `[B, 2 C]`.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn modulated_silu_conv<T, U>(
        &self,
        x: Features<B, T>,
        modulation: Vectors<B, U>,
        conv: &Conv2d<B>,
    ) -> Result<Features<B, T>, B::Err>
    where
        T: Tape<f32, B::Device> + Merge<U>,
        U: Tape<f32, B::Device>,
    {
        B::norm_conv(x, self, Some(modulation), Activation::Silu, conv)
    }
}

/// The layers of a residual block: `skip(x) + conv2(silu(norm2(conv1(silu(norm1(x)))) (1 + a) + b))`, with `x` itself
/// in place of `skip(x)` where there is none (Ho et al. 2020, appendix B; the modulation `[a | b]` is that of Dhariwal
/// and Nichol 2021, section 3).
#[derive(Debug)]
pub struct Residual<'a, B: Backend> {
    /// Normalises the input.
    pub norm1: &'a GroupNorm<B>,
    /// From the input's channels to the output's.
    pub conv1: &'a Conv2d<B>,
    /// Normalises what lies between.
    pub norm2: &'a GroupNorm<B>,
    /// From the output's channels to the output's.
    pub conv2: &'a Conv2d<B>,
    /// From the input's channels to the output's, where they differ.
    pub skip: Option<&'a Conv2d<B>>,
}

/// Multi-head self-attention over the pixels, with normalisation and a residual connection:
/// `x + proj(attend(qkv(norm(x))))`.
#[derive(Debug)]
pub struct Attention<B: Backend> {
    /// Normalises the input.
    pub norm: GroupNorm<B>,
    /// 1x1 convolution to queries, keys and values.
    pub qkv: Conv2d<B>,
    /// 1x1 convolution of the result.
    pub proj: Conv2d<B>,
    /// Number of heads, a divisor of the channels.
    pub heads: usize,
}
parameters!(Attention: norm, qkv, proj);

impl<B: Backend> Attention<B> {
    /// A fresh layer that starts as the identity.
    pub fn new(backend: &B, channels: usize, heads: usize, groups: usize, draw: Draw<'_>) -> Self {
        Self {
            norm: GroupNorm::new(backend, channels, groups),
            qkv: Conv2d::new(backend, channels, 3 * channels, 1, 1, draw),
            proj: Conv2d::zeros(backend, channels, channels, 1),
            heads,
        }
    }

    /// `[B, C, H, W] -> [B, C, H, W]`.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn forward<T: Tape<f32, B::Device>>(&self, x: Features<B, T>) -> Result<Features<B, T>, B::Err> {
        let qkv = self.norm.conv(x.with_empty_tape(), &self.qkv)?;
        let h = B::attend(qkv, self.heads)?;
        B::add(self.proj.forward(h)?, x)
    }
}
