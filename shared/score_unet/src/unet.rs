//! The UNet that predicts the noise: Ho et al. 2020 (DDPM), appendix B, made small.
//!
//! A 2x2 block of pixels becomes channels first, so that the finest level runs at half the resolution. Each level has
//! one residual block on the way down and two on the way up, which also see what the way down produced; the coarsest
//! level has self-attention. Every residual block is told the time t by a scale and a shift of its second norm.
//!
//! What comes out at the end is not the noise itself. At large t nearly all of `x_t` is noise, and a network that had to
//! hand it through would get its mean wrong by a per cent, which `x0_hat` magnifies a hundredfold: the samples turn black or
//! white. So the layers compute `v`, and the noise is `sqrt(1 - alpha_bar_t) x_t + sqrt(alpha_bar_t) v` (Salimans and Ho
//! 2022, "Progressive distillation", section 4 and appendix D): where little of the image is left, the noise is `x_t`.

use dfdx::shapes::HasShape;
use dfdx::tensor::{Merge, NoneTape, OwnedTape, PutTape, SplitTape, Tape, TensorFromVec, WithEmptyTape};
use diffusion::Schedule;
use nn::{Attention, Backend, Conv2d, GroupNorm, Linear, Parameters, Tensor2, Tensor4, Traced4, parameters};
use rand::Rng;

use crate::UNetConfig;

/// The noise predictor `eps(x_t, t)`.
#[derive(Debug)]
pub struct UNet<D: Backend> {
    config: UNetConfig,
    schedule: Schedule,
    device: D,
    time_in: Linear<D>,
    time_out: Linear<D>,
    conv_in: Conv2d<D>,
    down: Vec<ResidualBlock<D>>,
    downsample: Vec<Conv2d<D>>,
    mid_in: ResidualBlock<D>,
    mid_attention: Attention<D>,
    mid_out: ResidualBlock<D>,
    up: Vec<ResidualBlock<D>>,
    upsample: Vec<Conv2d<D>>,
    norm_out: GroupNorm<D>,
    conv_out: Conv2d<D>,
}
parameters!(UNet: time_in, time_out, conv_in, down, downsample, mid_in, mid_attention, mid_out, up, upsample, norm_out, conv_out);

/// `skip(x) + conv2(silu(norm2(conv1(silu(norm1(x)))) (1 + a) + b))` with `[a | b]` a linear function of the time.
#[derive(Debug)]
struct ResidualBlock<D: Backend> {
    norm1: GroupNorm<D>,
    conv1: Conv2d<D>,
    time: Linear<D>,
    norm2: GroupNorm<D>,
    conv2: Conv2d<D>,
    skip: Option<Conv2d<D>>,
}
parameters!(ResidualBlock: norm1, conv1, time, norm2, conv2, skip);

/// What every residual block of one network has in common while it is built.
struct Builder<'a, D: Backend> {
    device: &'a D,
    time_features: usize,
    groups: usize,
    draw: &'a mut dyn FnMut(f32) -> f32,
}

impl<D: Backend> Builder<'_, D> {
    fn residual_block(&mut self, c_in: usize, c_out: usize) -> ResidualBlock<D> {
        ResidualBlock {
            norm1: GroupNorm::new(self.device, c_in, self.groups),
            conv1: Conv2d::new(self.device, c_in, c_out, 3, 1, self.draw),
            time: Linear::new(self.device, self.time_features, 2 * c_out, self.draw),
            norm2: GroupNorm::new(self.device, c_out, self.groups),
            conv2: Conv2d::zeros(self.device, c_out, c_out, 3),
            skip: (c_in != c_out).then(|| Conv2d::new(self.device, c_in, c_out, 1, 1, self.draw)),
        }
    }

    fn conv(&mut self, c_in: usize, c_out: usize, stride: usize) -> Conv2d<D> {
        Conv2d::new(self.device, c_in, c_out, 3, stride, self.draw)
    }
}

impl<D: Backend> ResidualBlock<D> {
    fn forward<T, U>(&self, x: Tensor4<D, T>, time: &Tensor2<D>) -> Result<Tensor4<D, T>, D::Err>
    where
        T: Tape<f32, D::Device> + Merge<U>,
        U: Tape<f32, D::Device>,
    {
        let modulation = self.time.forward(time.retaped::<U>())?;
        let h = self.norm1.silu_conv(x.with_empty_tape(), &self.conv1)?;
        let h = self.norm2.modulated_silu_conv(h, modulation, &self.conv2)?;
        let x = match &self.skip {
            Some(skip) => skip.forward(x)?,
            None => x,
        };
        D::add(h, x)
    }
}

impl<D: Backend> UNet<D> {
    /// A fresh network with weights drawn from `rng`; it starts with `v = 0`.
    ///
    /// # Errors
    /// If the configuration is invalid.
    pub fn new(config: &UNetConfig, device: &D, rng: &mut impl Rng) -> Result<Self, crate::ConfigError> {
        config.validate()?;
        let mut draw = |bound: f32| rng.random_range(-bound..=bound);
        let base = config.base_channels;
        let levels = config.channel_multipliers.len();
        let pixel_channels = config.image_channels * config.patch * config.patch;
        let time_features = 4 * base;
        let mut b = Builder {
            device,
            time_features,
            groups: config.norm_groups,
            draw: &mut draw,
        };

        let time_in = Linear::new(device, base, time_features, b.draw);
        let time_out = Linear::new(device, time_features, time_features, b.draw);
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
        let mid_attention = Attention::new(device, channels, config.attention_heads, config.norm_groups, b.draw);
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
            device: device.clone(),
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
            norm_out: GroupNorm::new(device, channels, config.norm_groups),
            conv_out: Conv2d::zeros(device, channels, pixel_channels, 3),
        })
    }

    /// The sizes it was built with.
    pub fn config(&self) -> &UNetConfig {
        &self.config
    }

    /// The noise schedule of its configuration.
    pub(crate) fn noise_schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The backend it runs on.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// Predicts the noise in `x`, shape `[B, C, H, W]`, image `i` being at time `t[i]`. With a tape on `x` a backward
    /// pass gives the gradient with respect to `x`; the parameters are best frozen ([`Parameters::freeze`]).
    ///
    /// # Errors
    /// What the device reports, such as lack of memory.
    pub fn forward<T: Tape<f32, D::Device>>(&self, x: Tensor4<D, T>, t: &[usize]) -> Result<Tensor4<D, T>, D::Err> {
        self.run::<T, NoneTape>(x, t)
    }

    /// The same for training: a backward pass gives the gradients of the parameters.
    ///
    /// # Errors
    /// What the device reports, such as lack of memory.
    pub fn forward_training(&self, x: Tensor4<D>, t: &[usize]) -> Result<Traced4<D>, D::Err> {
        self.run::<OwnedTape<f32, D::Device>, OwnedTape<f32, D::Device>>(x.put_tape(OwnedTape::default()), t)
    }

    /// `T` is the tape of the image, `U` that of the time embedding, which only training needs.
    fn run<T, U>(&self, x: Tensor4<D, T>, t: &[usize]) -> Result<Tensor4<D, T>, D::Err>
    where
        T: Tape<f32, D::Device> + Merge<U>,
        U: Tape<f32, D::Device>,
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

        let mut h = self
            .conv_in
            .forward(D::pixel_unshuffle(x.with_empty_tape(), self.config.patch)?)?;
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
                    h = D::concat_channels(h, skip)?;
                }
                h = block.forward::<T, U>(h, &time)?;
            }
            if let Some(upsample) = self.upsample.get(level) {
                h = upsample.forward(D::upsample2(h)?)?;
            }
        }
        let h = self.norm_out.silu_conv(h, &self.conv_out)?;
        let v = D::pixel_shuffle(h, self.config.patch)?;
        let of_x: Vec<f32> = t
            .iter()
            .map(|&t| (1.0 - self.schedule.alpha_bar(t)).sqrt() as f32)
            .collect();
        let of_v: Vec<f32> = t.iter().map(|&t| self.schedule.alpha_bar(t).sqrt() as f32).collect();
        D::blend(x, &of_x, v, &of_v)
    }

    /// The time as a vector that the blocks can read: sines and cosines of many frequencies (Vaswani et al. 2017,
    /// section 3.5), then two linear layers.
    fn embed_time<U: Tape<f32, D::Device>>(&self, t: &[usize]) -> Result<Tensor2<D, U>, D::Err> {
        let features = self.config.base_channels;
        let waves: Vec<f32> = t.iter().flat_map(|&t| sinusoids(t, features)).collect();
        let waves = self.device.device().try_tensor_from_vec(waves, (t.len(), features))?;
        let h = D::silu(self.time_in.forward(waves.put_tape(U::default()))?)?;
        D::silu(self.time_out.forward(h)?)
    }
}

/// `[cos(t f_0), .., cos(t f_{n-1}), sin(t f_0), .., sin(t f_{n-1})]` with `f_i = 10000^(-i / n)` and `n = features / 2`.
fn sinusoids(t: usize, features: usize) -> Vec<f32> {
    let n = features / 2;
    let angle = |i: usize| t as f64 * 10000f64.powf(-(i as f64) / n as f64);
    let cosines = (0..n).map(|i| angle(i).cos() as f32);
    cosines.chain((0..n).map(|i| angle(i).sin() as f32)).collect()
}

impl<D: Backend> UNet<D> {
    /// A second network with the same weights.
    ///
    /// # Errors
    /// If the configuration is invalid, which that of a network is not.
    pub fn duplicate(&self) -> Result<Self, crate::ConfigError> {
        let mut copy = Self::new(&self.config, &self.device, &mut ZeroRng)?;
        let mut values = Vec::new();
        self.visit("", &mut |_, parameter| values.push(parameter.to_vec()));
        let mut values = values.into_iter();
        copy.visit_mut("", &mut |_, parameter| {
            if let Some(values) = values.next() {
                parameter.value_mut().copy_from(&values);
            }
        });
        Ok(copy)
    }
}

/// Where weights are about to be overwritten, drawing them would be wasted time.
pub(crate) struct ZeroRng;

impl rand::RngCore for ZeroRng {
    fn next_u32(&mut self) -> u32 {
        0
    }
    fn next_u64(&mut self) -> u64 {
        0
    }
    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}
