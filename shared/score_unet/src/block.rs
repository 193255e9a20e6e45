//! The residual block that both networks are made of, and what is the same in all blocks of one network.

use dfdx::tensor::{Merge, Tape};
use nn::{Attention, Backend, Conv2d, Features, GroupNorm, Linear, Residual, Vectors, parameters};

use crate::config::TimeInBlocks;

/// `skip(x) + conv2(silu(norm2(conv1(silu(norm1(x)))) (1 + a) + b))` with `[a | b]` a linear function of the time; or
/// `skip(x) + conv2(silu(norm2(conv1(silu(norm1(x))) + e)))` with `e` such a function.
#[derive(Debug)]
pub(crate) struct ResidualBlock<B: Backend> {
    norm1: GroupNorm<B>,
    conv1: Conv2d<B>,
    time: Linear<B>,
    norm2: GroupNorm<B>,
    conv2: Conv2d<B>,
    skip: Option<Conv2d<B>>,
}
parameters!(ResidualBlock: norm1, conv1, time, norm2, conv2, skip);

/// What the layers of one network have in common while it is built.
pub(crate) struct Builder<'a, B: Backend> {
    pub backend: &'a B,
    pub time_features: usize,
    pub time_in_blocks: TimeInBlocks,
    pub groups: usize,
    pub epsilon: f64,
    pub draw: &'a mut dyn FnMut(f32) -> f32,
}

impl<B: Backend> Builder<'_, B> {
    pub fn residual_block(&mut self, c_in: usize, c_out: usize) -> ResidualBlock<B> {
        let time_channels = match self.time_in_blocks {
            TimeInBlocks::Modulation => 2 * c_out,
            TimeInBlocks::Shift => c_out,
        };
        ResidualBlock {
            norm1: self.norm(c_in),
            conv1: Conv2d::new(self.backend, c_in, c_out, 3, 1, self.draw),
            time: Linear::new(self.backend, self.time_features, time_channels, self.draw),
            norm2: self.norm(c_out),
            conv2: Conv2d::zeros(self.backend, c_out, c_out, 3),
            skip: (c_in != c_out).then(|| Conv2d::new(self.backend, c_in, c_out, 1, 1, self.draw)),
        }
    }

    pub fn conv(&mut self, c_in: usize, c_out: usize, stride: usize) -> Conv2d<B> {
        Conv2d::new(self.backend, c_in, c_out, 3, stride, self.draw)
    }

    pub fn norm(&self, channels: usize) -> GroupNorm<B> {
        GroupNorm::new(self.backend, channels, self.groups).with_epsilon(self.epsilon)
    }

    pub fn attention(&mut self, channels: usize, heads: usize) -> Attention<B> {
        let attention = Attention::new(self.backend, channels, heads, self.groups, self.draw);
        Attention {
            norm: self.norm(channels),
            ..attention
        }
    }
}

/// How a block changes the size of its maps, in the middle of it and beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    Keep,
    /// To twice the height and width: every pixel repeated.
    Up,
    /// To half of them: means of 2x2 pixels.
    Down,
}

impl<B: Backend> ResidualBlock<B> {
    /// The block with the modulation `[a | b]` as one op.
    pub fn forward<T, U>(&self, x: Features<B, T>, time: &Vectors<B>) -> Result<Features<B, T>, B::Err>
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

    /// The block in any of its forms.
    pub fn forward_as<T, U>(
        &self,
        x: Features<B, T>,
        time: &Vectors<B>,
        time_in_blocks: TimeInBlocks,
        scale: Scale,
    ) -> Result<Features<B, T>, B::Err>
    where
        T: Tape<f32, B::Device> + Merge<U>,
        U: Tape<f32, B::Device>,
    {
        if (time_in_blocks, scale) == (TimeInBlocks::Modulation, Scale::Keep) {
            return self.forward::<T, U>(x, time);
        }
        let h = match scale {
            Scale::Keep => self.norm1.silu_conv(x.with_empty_tape(), &self.conv1)?,
            _ => {
                let activated = self.norm1.silu(x.with_empty_tape())?;
                self.conv1.forward(rescaled(activated, scale)?)?
            }
        };
        let of_time = self.time.forward(time.retaped::<U>())?;
        let h = match time_in_blocks {
            TimeInBlocks::Modulation => self.norm2.modulated_silu_conv(h, of_time, &self.conv2)?,
            TimeInBlocks::Shift => self.norm2.silu_conv(B::shift_channels(h, of_time)?, &self.conv2)?,
        };
        let x = rescaled(x, scale)?;
        let x = match &self.skip {
            Some(skip) => skip.forward(x)?,
            None => x,
        };
        B::add(h, x)
    }
}

fn rescaled<B: Backend, T: Tape<f32, B::Device>>(x: Features<B, T>, scale: Scale) -> Result<Features<B, T>, B::Err> {
    match scale {
        Scale::Keep => Ok(x),
        Scale::Up => B::upsample2(x),
        Scale::Down => B::average_pool2(x),
    }
}
