//! The layers of the published backbones, run on plain arrays.

use kernels::pool::{MaxPool, max_pool};
use kernels::window::{WindowConv, window_conv};
use ndarray::{Array4, Axis, concatenate};

/// A convolution and the ReLU after it: every convolution of these networks has one.
#[derive(Debug)]
pub(super) struct ConvRelu {
    /// `[c_out, c_in, kernel, kernel]`.
    pub(super) weight: Array4<f32>,
    /// `[c_out]`.
    pub(super) bias: Vec<f32>,
    pub(super) stride: usize,
    pub(super) padding: usize,
}

/// One layer.
#[derive(Debug)]
pub(super) enum Layer {
    ConvRelu(ConvRelu),
    /// Max-pooling without padding; see [`MaxPool`].
    Pool {
        window: usize,
        stride: usize,
        ceil: bool,
    },
    Fire(Box<Fire>),
}

/// SqueezeNet's module (Iandola et al. 2016, section 3.1): a 1x1 convolution to few channels, then a 1x1 and a 3x3
/// convolution side by side.
#[derive(Debug)]
pub(super) struct Fire {
    pub(super) squeeze: ConvRelu,
    pub(super) expand1: ConvRelu,
    pub(super) expand3: ConvRelu,
}

/// The values of an array in standard layout. Every array in here is made in that layout; another would be a mistake.
fn values(x: &Array4<f32>) -> &[f32] {
    x.as_slice()
        .unwrap_or_else(|| unreachable!("a feature map in standard layout"))
}

fn values_mut(x: &mut Array4<f32>) -> &mut [f32] {
    x.as_slice_mut()
        .unwrap_or_else(|| unreachable!("a feature map in standard layout"))
}

impl ConvRelu {
    fn shape(&self, (batch, _, height, width): (usize, usize, usize, usize)) -> WindowConv {
        let (c_out, c_in, kernel, _) = self.weight.dim();
        let (stride, padding) = (self.stride, self.padding);
        WindowConv {
            batch,
            c_in,
            c_out,
            height,
            width,
            kernel,
            stride,
            padding,
        }
    }

    fn forward(&self, x: &Array4<f32>) -> Array4<f32> {
        let shape = self.shape(x.dim());
        let mut y = Array4::zeros((shape.batch, shape.c_out, shape.out_height(), shape.out_width()));
        window_conv(&shape, values(x), values(&self.weight), &self.bias, values_mut(&mut y));
        y.mapv_inplace(|value| value.max(0.0));
        y
    }
}

impl Layer {
    /// `[B, C, H, W] -> [B, C', H', W']`.
    pub(super) fn forward(&self, x: &Array4<f32>) -> Array4<f32> {
        match self {
            Self::ConvRelu(conv) => conv.forward(x),
            Self::Pool { window, stride, ceil } => {
                let (batch, channels, _, _) = x.dim();
                let shape = pool_shape(x, *window, *stride, *ceil);
                let mut y = Array4::zeros((batch, channels, shape.out_height(), shape.out_width()));
                max_pool(&shape, values(x), values_mut(&mut y));
                y
            }
            Self::Fire(fire) => fire.forward(x),
        }
    }
}

impl Fire {
    fn forward(&self, x: &Array4<f32>) -> Array4<f32> {
        let squeezed = self.squeeze.forward(x);
        side_by_side(&self.expand1.forward(&squeezed), &self.expand3.forward(&squeezed))
    }
}

fn pool_shape(x: &Array4<f32>, window: usize, stride: usize, ceil: bool) -> MaxPool {
    let (batch, channels, height, width) = x.dim();
    MaxPool {
        planes: batch * channels,
        height,
        width,
        window,
        stride,
        ceil,
    }
}

/// The channels of `a`, then those of `b`.
fn side_by_side(a: &Array4<f32>, b: &Array4<f32>) -> Array4<f32> {
    let both = concatenate(Axis(1), &[a.view(), b.view()]).unwrap_or_else(|_| unreachable!("feature maps of one size"));
    both.as_standard_layout().into_owned()
}
