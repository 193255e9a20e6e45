//! The UNet of guided-diffusion: Dhariwal and Nichol 2021, "Diffusion models beat GANs on image synthesis", section 3,
//! without classes. It is the network of the DPS paper's faces; with other settings it is that of Ho et al. 2020 (DDPM)
//! as diffusers has it.
//!
//! Each level has some residual blocks on the way down and one more on the way up, which also see what the way down
//! produced; at some levels each is followed by attention. What comes out is the noise. The published networks also say
//! a variance for each pixel; that half of the output is left away here.

use dfdx::tensor::{Merge, PutTape, SplitTape, Tape};
use diffusion::Schedule;
use nn::{Attention, Backend, Conv2d, Features, GroupNorm, Linear, Parameter, Parameters, Tensor2, Tensor4, join};

use crate::block::{Builder, ResidualBlock, Scale};
use crate::config::{ConfigError, GuidedConfig, Resampling};
use crate::time::{embed, sinusoids};

/// The noise predictor `eps(x_t, t)`.
#[derive(Debug)]
pub struct GuidedUNet<B: Backend> {
    pub(crate) config: GuidedConfig,
    pub(crate) schedule: Schedule,
    pub(crate) backend: B,
    time_in: Linear<B>,
    time_out: Linear<B>,
    conv_in: Conv2d<B>,
    down: Vec<Level<B>>,
    mid_in: ResidualBlock<B>,
    mid_attention: Attention<B>,
    mid_out: ResidualBlock<B>,
    up: Vec<Level<B>>,
    norm_out: GroupNorm<B>,
    conv_out: Conv2d<B>,
}
nn::parameters!(
    GuidedUNet: time_in, time_out, conv_in, down, mid_in, mid_attention, mid_out, up, norm_out, conv_out
);

/// The blocks of one level, and what leads to the next.
#[derive(Debug)]
struct Level<B: Backend> {
    blocks: Vec<ResidualBlock<B>>,
    /// One for each block, or none at all.
    attentions: Vec<Attention<B>>,
    resample: Option<Resample<B>>,
}
nn::parameters!(Level: blocks, attentions, resample);

/// What changes height and width.
#[derive(Debug)]
enum Resample<B: Backend> {
    Block(Box<ResidualBlock<B>>),
    Convolution(Conv2d<B>),
}

impl<B: Backend> Parameters<B> for Resample<B> {
    fn visit<'a>(&'a self, prefix: &str, visit: &mut dyn FnMut(String, &'a Parameter<B>)) {
        match self {
            Self::Block(block) => block.visit(&join(prefix, "block"), visit),
            Self::Convolution(conv) => conv.visit(&join(prefix, "conv"), visit),
        }
    }
    fn visit_mut<'a>(&'a mut self, prefix: &str, visit: &mut dyn FnMut(String, &'a mut Parameter<B>)) {
        match self {
            Self::Block(block) => block.visit_mut(&join(prefix, "block"), visit),
            Self::Convolution(conv) => conv.visit_mut(&join(prefix, "conv"), visit),
        }
    }
}

impl<B: Backend> Resample<B> {
    fn down(b: &mut Builder<'_, B>, kind: Resampling, channels: usize) -> Self {
        match kind {
            Resampling::Blocks => Self::Block(b.residual_block(channels, channels).into()),
            Resampling::Convolutions => Self::Convolution(b.conv(channels, channels, 2)),
        }
    }

    fn up(b: &mut Builder<'_, B>, kind: Resampling, channels: usize) -> Self {
        match kind {
            Resampling::Blocks => Self::Block(b.residual_block(channels, channels).into()),
            Resampling::Convolutions => Self::Convolution(b.conv(channels, channels, 1)),
        }
    }
}

impl<B: Backend> GuidedUNet<B> {
    /// A network with weights from `draw`, whose argument is the bound of the uniform distribution. It starts with
    /// `eps = 0`.
    ///
    /// # Errors
    ///
    /// If the configuration is invalid.
    pub fn drawn(config: &GuidedConfig, backend: &B, draw: &mut dyn FnMut(f32) -> f32) -> Result<Self, ConfigError> {
        config.validate()?;
        let time_features = 4 * config.base_channels;
        let mut b = Builder {
            backend,
            time_features,
            time_in_blocks: config.time_in_blocks,
            groups: config.norm_groups,
            epsilon: config.norm_epsilon,
            draw,
        };
        let time_in = Linear::new(backend, config.base_channels, time_features, b.draw);
        let time_out = Linear::new(backend, time_features, time_features, b.draw);
        let mut channels = config.level_channels[0];
        let conv_in = b.conv(config.image_channels, channels, 1);
        let mut skips = vec![channels];
        let coarsest = config.level_channels.len() - 1;
        let mut down = Vec::new();
        for level in 0..=coarsest {
            let mut blocks = Vec::new();
            for _ in 0..config.blocks_per_level {
                blocks.push(b.residual_block(channels, config.level_channels[level]));
                channels = config.level_channels[level];
                skips.push(channels);
            }
            let attentions = attentions(&mut b, config, level, blocks.len());
            let resample = (level < coarsest).then(|| Resample::down(&mut b, config.resampling, channels));
            skips.extend(resample.is_some().then_some(channels));
            down.push(Level {
                blocks,
                attentions,
                resample,
            });
        }
        let mid_in = b.residual_block(channels, channels);
        let mid_attention = b.attention(channels, config.heads_at(coarsest));
        let mid_out = b.residual_block(channels, channels);
        let mut up = Vec::new();
        for level in (0..=coarsest).rev() {
            let mut blocks = Vec::new();
            for _ in 0..=config.blocks_per_level {
                let skip = skips.pop().unwrap_or(0);
                blocks.push(b.residual_block(channels + skip, config.level_channels[level]));
                channels = config.level_channels[level];
            }
            let attentions = attentions(&mut b, config, level, blocks.len());
            let resample = (level > 0).then(|| Resample::up(&mut b, config.resampling, channels));
            up.push(Level {
                blocks,
                attentions,
                resample,
            });
        }
        Ok(Self {
            config: config.clone(),
            schedule: config.schedule()?,
            backend: backend.clone(),
            time_in,
            time_out,
            conv_in,
            down,
            mid_in,
            mid_attention,
            mid_out,
            up,
            norm_out: b.norm(channels),
            conv_out: Conv2d::zeros(backend, channels, config.image_channels, 3),
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
        let x = self.turned(x.put_tape(tape.merge(time_tape)))?;

        let mut h = self.conv_in.forward(B::features(x)?)?;
        let mut skips = vec![h.with_empty_tape()];
        for level in &self.down {
            for (index, block) in level.blocks.iter().enumerate() {
                h = self.block::<T, U>(block, h, &time, Scale::Keep)?;
                h = attend(level.attentions.get(index), h)?;
                skips.push(h.with_empty_tape());
            }
            if let Some(resample) = &level.resample {
                h = match resample {
                    Resample::Block(block) => self.block::<T, U>(block, h, &time, Scale::Down)?,
                    Resample::Convolution(conv) => conv.forward(h)?,
                };
                skips.push(h.with_empty_tape());
            }
        }
        h = self.block::<T, U>(&self.mid_in, h, &time, Scale::Keep)?;
        h = self.mid_attention.forward(h)?;
        h = self.block::<T, U>(&self.mid_out, h, &time, Scale::Keep)?;
        for level in &self.up {
            for (index, block) in level.blocks.iter().enumerate() {
                if let Some(skip) = skips.pop() {
                    h = B::concat_channels(h, skip)?;
                }
                h = self.block::<T, U>(block, h, &time, Scale::Keep)?;
                h = attend(level.attentions.get(index), h)?;
            }
            if let Some(resample) = &level.resample {
                h = match resample {
                    Resample::Block(block) => self.block::<T, U>(block, h, &time, Scale::Up)?,
                    Resample::Convolution(conv) => conv.forward(B::upsample2(h)?)?,
                };
            }
        }
        let eps = B::images(self.norm_out.silu_conv(h, &self.conv_out)?)?;
        self.turned(eps)
    }

    fn block<T, U>(
        &self,
        block: &ResidualBlock<B>,
        x: Features<B, T>,
        time: &Tensor2<B>,
        scale: Scale,
    ) -> Result<Features<B, T>, B::Err>
    where
        T: Tape<f32, B::Device> + Merge<U>,
        U: Tape<f32, B::Device>,
    {
        block.forward_as::<T, U>(x, time, self.config.time_in_blocks, scale)
    }

    /// See [`GuidedConfig::half_turn`].
    fn turned<T: Tape<f32, B::Device>>(&self, x: Tensor4<B, T>) -> Result<Tensor4<B, T>, B::Err> {
        if self.config.half_turn { B::half_turn(x) } else { Ok(x) }
    }

    /// Times are counted from 0 there, where `t = 1` has the least noise here.
    fn embed_time<U: Tape<f32, B::Device>>(&self, t: &[usize]) -> Result<Tensor2<B, U>, B::Err> {
        let waves = |&t: &usize| sinusoids(t - 1, self.config.base_channels, self.config.waves);
        let waves = t.iter().flat_map(waves).collect();
        embed(&self.backend, waves, [&self.time_in, &self.time_out])
    }
}

fn attentions<B: Backend>(
    b: &mut Builder<'_, B>,
    config: &GuidedConfig,
    level: usize,
    count: usize,
) -> Vec<Attention<B>> {
    let count = if config.attention_levels.contains(&level) {
        count
    } else {
        0
    };
    let channels = config.level_channels[level];
    (0..count)
        .map(|_| b.attention(channels, config.heads_at(level)))
        .collect()
}

fn attend<B: Backend, T: Tape<f32, B::Device>>(
    attention: Option<&Attention<B>>,
    h: Features<B, T>,
) -> Result<Features<B, T>, B::Err> {
    match attention {
        Some(attention) => attention.forward(h),
        None => Ok(h),
    }
}
