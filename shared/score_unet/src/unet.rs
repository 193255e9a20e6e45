//! The UNet that predicts the noise: Ho et al. 2020 (DDPM), appendix B, made small. It is generic over its backend, and
//! for whoever trains or tests a network; a [`Prior`](crate::Prior) is one that is trained and frozen, without
//! generics.
//!
//! A 2x2 block of pixels becomes channels first, so that the finest level runs at half the resolution. Each level has
//! one residual block on the way down and two on the way up, which also see what the way down produced; the coarsest
//! level has self-attention. Every residual block is told the time t by a scale and a shift of its second norm.
//!
//! What comes out at the end is not the noise itself. At large t nearly all of `x_t` is noise, and a network that had
//! to hand it through would get its mean wrong by a per cent, which `x0_hat` magnifies a hundredfold: the samples turn
//! black or white. So the layers compute `v`, and the noise is `sqrt(1 - alpha_bar_t) x_t + sqrt(alpha_bar_t) v`
//! (Salimans and Ho 2022, "Progressive distillation", section 4 and appendix D): where little of the image is left, the
//! noise is `x_t`.

use dfdx::shapes::HasShape;
use dfdx::tensor::{Merge, NoneTape, OwnedTape, PutTape, SplitTape, Tape, TensorFromVec, WithEmptyTape};
use diffusion::Schedule;
use nn::{
    Attention, Backend, Conv2d, Features, GroupNorm, Linear, Parameters, Residual, Tensor2, Tensor4, Traced4, Vectors,
    parameters,
};
use rand::Rng;

use crate::config::{ConfigError, UNetConfig};

/// The noise predictor `eps(x_t, t)`.
#[derive(Debug)]
pub struct UNet<B: Backend> {
    config: UNetConfig,
    schedule: Schedule,
    backend: B,
    time_in: Linear<B>,
    time_out: Linear<B>,
    conv_in: Conv2d<B>,
    down: Vec<ResidualBlock<B>>,
    downsample: Vec<Conv2d<B>>,
    mid_in: ResidualBlock<B>,
    mid_attention: Attention<B>,
    mid_out: ResidualBlock<B>,
    up: Vec<ResidualBlock<B>>,
    upsample: Vec<Conv2d<B>>,
    norm_out: GroupNorm<B>,
    conv_out: Conv2d<B>,
}
parameters!(
    UNet: time_in, time_out, conv_in, down, downsample, mid_in, mid_attention, mid_out, up, upsample, norm_out, conv_out
);

/// `skip(x) + conv2(silu(norm2(conv1(silu(norm1(x)))) (1 + a) + b))` with `[a | b]` a linear function of the time.
#[derive(Debug)]
struct ResidualBlock<B: Backend> {
    norm1: GroupNorm<B>,
    conv1: Conv2d<B>,
    time: Linear<B>,
    norm2: GroupNorm<B>,
    conv2: Conv2d<B>,
    skip: Option<Conv2d<B>>,
}
parameters!(ResidualBlock: norm1, conv1, time, norm2, conv2, skip);

/// What every residual block of one network has in common while it is built.
struct Builder<'a, B: Backend> {
    backend: &'a B,
    time_features: usize,
    groups: usize,
    draw: &'a mut dyn FnMut(f32) -> f32,
}

impl<B: Backend> Builder<'_, B> {
    fn residual_block(&mut self, c_in: usize, c_out: usize) -> ResidualBlock<B> {
        ResidualBlock {
            norm1: GroupNorm::new(self.backend, c_in, self.groups),
            conv1: Conv2d::new(self.backend, c_in, c_out, 3, 1, self.draw),
            time: Linear::new(self.backend, self.time_features, 2 * c_out, self.draw),
            norm2: GroupNorm::new(self.backend, c_out, self.groups),
            conv2: Conv2d::zeros(self.backend, c_out, c_out, 3),
            skip: (c_in != c_out).then(|| Conv2d::new(self.backend, c_in, c_out, 1, 1, self.draw)),
        }
    }

    fn conv(&mut self, c_in: usize, c_out: usize, stride: usize) -> Conv2d<B> {
        Conv2d::new(self.backend, c_in, c_out, 3, stride, self.draw)
    }
}

impl<B: Backend> ResidualBlock<B> {
    fn forward<T, U>(&self, x: Features<B, T>, time: &Vectors<B>) -> Result<Features<B, T>, B::Err>
    where
        T: Tape<f32, B::Device> + Merge<U>,
        U: Tape<f32, B::Device>,
    {
        let modulation = self.time.forward(time.retaped::<U>())?;
        let layers = Residual {
            norm1: &self.norm1,
            conv1: &self.conv1,
            norm2: &self.norm2,
            conv2: &self.conv2,
            skip: self.skip.as_ref(),
        };
        B::residual(x, modulation, &layers)
    }
}

impl<B: Backend> UNet<B> {
    /// A fresh network with weights drawn from `rng`; it starts with `v = 0`.
    ///
    /// # Errors
    ///
    /// If the configuration is invalid.
    pub fn new(config: &UNetConfig, backend: &B, rng: &mut impl Rng) -> Result<Self, ConfigError> {
        Self::drawn(config, backend, &mut |bound| rng.random_range(-bound..=bound))
    }

    /// A network with weights from `draw`, whose argument is the bound of the uniform distribution.
    fn drawn(config: &UNetConfig, backend: &B, draw: &mut dyn FnMut(f32) -> f32) -> Result<Self, ConfigError> {
        config.validate()?;
        let base = config.base_channels;
        let levels = config.channel_multipliers.len();
        let pixel_channels = config.image_channels * config.patch * config.patch;
        let time_features = 4 * base;
        let mut b = Builder {
            backend,
            time_features,
            groups: config.norm_groups,
            draw,
        };

        let time_in = Linear::new(backend, base, time_features, b.draw);
        let time_out = Linear::new(backend, time_features, time_features, b.draw);
        let conv_in = b.conv(pixel_channels, base, 1);

        let (mut down, mut downsample) = (Vec::new(), Vec::new());
        let mut channels = base;
        let mut skips = vec![base];
        for level in 0..levels {
            down.push(b.residual_block(channels, config.channels(level)));
            channels = config.channels(level);
            skips.push(channels);
            if level + 1 < levels {
                downsample.push(b.conv(channels, channels, 2));
                skips.push(channels);
            }
        }
        let mid_in = b.residual_block(channels, channels);
        let mid_attention = Attention::new(backend, channels, config.attention_heads, config.norm_groups, b.draw);
        let mid_out = b.residual_block(channels, channels);
        let (mut up, mut upsample) = (Vec::new(), Vec::new());
        for level in (0..levels).rev() {
            for _ in 0..2 {
                let skip = skips.pop().unwrap_or(0);
                up.push(b.residual_block(channels + skip, config.channels(level)));
                channels = config.channels(level);
            }
            if level > 0 {
                upsample.push(b.conv(channels, channels, 1));
            }
        }
        Ok(Self {
            config: config.clone(),
            schedule: config.schedule()?,
            backend: backend.clone(),
            time_in,
            time_out,
            conv_in,
            down,
            downsample,
            mid_in,
            mid_attention,
            mid_out,
            up,
            upsample,
            norm_out: GroupNorm::new(backend, channels, config.norm_groups),
            conv_out: Conv2d::zeros(backend, channels, pixel_channels, 3),
        })
    }

    /// The sizes it was built with.
    #[must_use]
    pub fn config(&self) -> &UNetConfig {
        &self.config
    }

    /// The noise schedule of its configuration.
    pub(crate) fn noise_schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The backend it runs on.
    #[must_use]
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// Predicts the noise in `x`, shape `[B, C, H, W]`, image `i` being at time `t[i]`. With a tape on `x` a backward
    /// pass gives the gradient with respect to `x`; the parameters are best frozen ([`Parameters::freeze`]).
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn forward<T: Tape<f32, B::Device>>(&self, x: Tensor4<B, T>, t: &[usize]) -> Result<Tensor4<B, T>, B::Err> {
        self.run::<T, NoneTape>(x, t)
    }

    /// The same for training: a backward pass gives the gradients of the parameters.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn forward_training(&self, x: Tensor4<B>, t: &[usize]) -> Result<Traced4<B>, B::Err> {
        self.run::<OwnedTape<f32, B::Device>, OwnedTape<f32, B::Device>>(x.put_tape(OwnedTape::default()), t)
    }

    /// `T` is the tape of the image, `U` that of the time embedding, which only training needs.
    fn run<T, U>(&self, x: Tensor4<B, T>, t: &[usize]) -> Result<Tensor4<B, T>, B::Err>
    where
        T: Tape<f32, B::Device> + Merge<U>,
        U: Tape<f32, B::Device>,
    {
        assert_eq!(
            x.shape().0,
            t.len(),
            "a batch of {} images needs as many times",
            x.shape().0
        );
        let (time, time_tape) = self.embed_time::<U>(t)?.split_tape();
        let (x, tape) = x.split_tape();
        let x = x.put_tape(tape.merge(time_tape));

        let pixels = B::pixel_unshuffle(x.with_empty_tape(), self.config.patch)?;
        let mut h = self.conv_in.forward(B::features(pixels)?)?;
        let mut skips = vec![h.with_empty_tape()];
        for (level, block) in self.down.iter().enumerate() {
            h = block.forward::<T, U>(h, &time)?;
            skips.push(h.with_empty_tape());
            if let Some(downsample) = self.downsample.get(level) {
                h = downsample.forward(h)?;
                skips.push(h.with_empty_tape());
            }
        }
        h = self.mid_in.forward::<T, U>(h, &time)?;
        h = self.mid_attention.forward(h)?;
        h = self.mid_out.forward::<T, U>(h, &time)?;
        for (level, blocks) in self.up.chunks(2).enumerate() {
            for block in blocks {
                if let Some(skip) = skips.pop() {
                    h = B::concat_channels(h, skip)?;
                }
                h = block.forward::<T, U>(h, &time)?;
            }
            if let Some(upsample) = self.upsample.get(level) {
                h = upsample.forward(B::upsample2(h)?)?;
            }
        }
        let h = self.norm_out.silu_conv(h, &self.conv_out)?;
        let v = B::pixel_shuffle(B::images(h)?, self.config.patch)?;
        let of_x: Vec<f32> = t
            .iter()
            .map(|&t| (1.0 - self.schedule.alpha_bar(t)).sqrt() as f32)
            .collect();
        let of_v: Vec<f32> = t.iter().map(|&t| self.schedule.alpha_bar(t).sqrt() as f32).collect();
        B::blend(x, &of_x, v, &of_v)
    }

    /// The time as a vector that the blocks can read: sines and cosines of many frequencies (Vaswani et al. 2017,
    /// section 3.5), then two linear layers.
    fn embed_time<U: Tape<f32, B::Device>>(&self, t: &[usize]) -> Result<Vectors<B, U>, B::Err> {
        let features = self.config.base_channels;
        let waves: Vec<f32> = t.iter().flat_map(|&t| sinusoids(t, features)).collect();
        let waves: Tensor2<B> = self.backend.device().try_tensor_from_vec(waves, (t.len(), features))?;
        let h = B::silu(self.time_in.forward(B::vectors(waves.put_tape(U::default()))?)?)?;
        B::silu(self.time_out.forward(h)?)
    }
}

/// `[cos(t f_0), .., cos(t f_{n-1}), sin(t f_0), .., sin(t f_{n-1})]` with `f_i = 10000^(-i / n)` and `n = features /
/// 2`.
fn sinusoids(t: usize, features: usize) -> Vec<f32> {
    let n = features / 2;
    let angle = |i: usize| t as f64 * 10000f64.powf(-(i as f64) / n as f64);
    let cosines = (0..n).map(|i| angle(i).cos() as f32);
    cosines.chain((0..n).map(|i| angle(i).sin() as f32)).collect()
}

impl<B: Backend> UNet<B> {
    /// A network whose parameters are about to be overwritten: drawing them would be wasted time.
    ///
    /// # Errors
    ///
    /// If the configuration is invalid.
    pub fn blank(config: &UNetConfig, backend: &B) -> Result<Self, ConfigError> {
        Self::drawn(config, backend, &mut |_| 0.0)
    }

    /// A second network with the same weights.
    ///
    /// # Errors
    ///
    /// If the configuration is invalid, which that of a network is not.
    pub fn duplicate(&self) -> Result<Self, ConfigError> {
        let mut copy = Self::blank(&self.config, &self.backend)?;
        let mut values = Vec::new();
        self.visit("", &mut |_, parameter| values.push(parameter.to_vec()));
        let mut values = values.into_iter();
        copy.visit_mut("", &mut |_, parameter| {
            if let Some(values) = values.next() {
                parameter.set(&values);
            }
        });
        Ok(copy)
    }
}
