//! The UNet of `fruits64`: Ho et al. 2020 (DDPM), appendix B, made small.
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

use dfdx::tensor::{Merge, PutTape, SplitTape, Tape, WithEmptyTape};
use diffusion::Schedule;
use kernels::norm::EPSILON;
use nn::{Attention, Backend, Conv2d, GroupNorm, Linear, Tensor2, Tensor4, parameters};

use crate::block::{Builder, ResidualBlock};
use crate::config::{ConfigError, SmallConfig, TimeInBlocks, Waves};
use crate::time::{embed, sinusoids};

/// The noise predictor `eps(x_t, t)`.
#[derive(Debug)]
pub struct SmallUNet<B: Backend> {
    pub(crate) config: SmallConfig,
    pub(crate) schedule: Schedule,
    pub(crate) backend: B,
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
    SmallUNet: time_in, time_out, conv_in, down, downsample, mid_in, mid_attention, mid_out, up, upsample, norm_out,
    conv_out
);

impl<B: Backend> SmallUNet<B> {
    /// A network with weights from `draw`, whose argument is the bound of the uniform distribution. It starts with
    /// `v = 0`.
    ///
    /// # Errors
    ///
    /// If the configuration is invalid.
    pub fn drawn(config: &SmallConfig, backend: &B, draw: &mut dyn FnMut(f32) -> f32) -> Result<Self, ConfigError> {
        config.validate()?;
        let base = config.base_channels;
        let levels = config.channel_multipliers.len();
        let pixel_channels = config.image_channels * config.patch * config.patch;
        let time_features = 4 * base;
        let mut b = Builder {
            backend,
            time_features,
            time_in_blocks: TimeInBlocks::Modulation,
            groups: config.norm_groups,
            epsilon: EPSILON,
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

    /// `eps(x, t)` for a batch `[B, C, H, W]`, image `i` being at time `t[i]`. `T` is the tape of the image, `U` that
    /// of the time embedding, which only training needs.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn run<T, U>(&self, x: Tensor4<B, T>, t: &[usize]) -> Result<Tensor4<B, T>, B::Err>
    where
        T: Tape<f32, B::Device> + Merge<U>,
        U: Tape<f32, B::Device>,
    {
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

    fn embed_time<U: Tape<f32, B::Device>>(&self, t: &[usize]) -> Result<Tensor2<B, U>, B::Err> {
        let waves = |&t: &usize| sinusoids(t, self.config.base_channels, Waves::GUIDED);
        let waves = t.iter().flat_map(waves).collect();
        embed(&self.backend, waves, [&self.time_in, &self.time_out])
    }
}
