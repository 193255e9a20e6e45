//! The differentiable operations that a score network is made of, as one trait that every backend implements.

use dfdx::shapes::Rank0;
use dfdx::tensor::{Gradients, HasErr, Merge, NoneTape, OwnedTape, Storage, Tape, Tensor};
use dfdx::tensor_ops::AdamConfig;
use kernels::norm::Activation;

use crate::adam::Moments;
use crate::composed;
use crate::device_ext::DeviceExt;
use crate::features::{Features, Vectors};
use crate::layers::{Conv2d, GroupNorm, Linear, Residual};
use crate::parameter::Parameter;

/// A vector on the device of backend `B`, shape `[N]`, with tape `T`.
pub type Tensor1<B, T = NoneTape> = Tensor<(usize,), f32, <B as Backend>::Device, T>;
/// A batch of vectors, shape `[B, F]`, with tape `T`.
pub type Tensor2<B, T = NoneTape> = Tensor<(usize, usize), f32, <B as Backend>::Device, T>;
/// A batch of images, shape `[B, C, H, W]`, with tape `T`.
pub type Tensor4<B, T = NoneTape> = Tensor<(usize, usize, usize, usize), f32, <B as Backend>::Device, T>;
/// A batch of images whose history is recorded, so that a backward pass can start behind it.
pub type Traced4<B> = Tensor4<B, OwnedTape<f32, <B as Backend>::Device>>;
/// A single number with tape `T`: the end of a forward pass, where `backward()` starts.
pub type Scalar<B, T = NoneTape> = Tensor<Rank0, f32, <B as Backend>::Device, T>;

/// The memory that holds one gradient on dfdx's device `D`.
pub type Gradient<D> = <D as Storage<f32>>::Vec;

/// What a network runs on: a device of dfdx's, where the tensors live, and a way to compute the ops there.
///
/// There are three: [`Cpu`](crate::Cpu) and, with the feature `cuda`, `Gpu`, on our own kernels; and
/// [`Composed`](crate::Composed), which makes every op of dfdx's ops, on any of its devices, and which the other two
/// are compared with.
///
/// Every op records its gradient on the tape of its input (`T = OwnedTape`), or nothing (`T = NoneTape`). Gradients of
/// parameters are computed only for layers whose parameters are trainable: sampling and DPS, which need the gradient
/// with respect to the image alone, run on frozen layers and never allocate the others.
///
/// Each op returns the device's error (out of memory, say) and panics only where a caller inside this workspace broke
/// the stated shapes.
pub trait Backend: HasErr + Clone + std::fmt::Debug + 'static {
    /// Where the tensors live.
    type Device: DeviceExt<Err = Self::Err>;
    /// How it keeps a batch of feature maps between two layers.
    type Map: Clone + std::fmt::Debug;
    /// How it keeps a batch of vectors between two layers.
    type Vectors: Clone + std::fmt::Debug;
    /// What a parameter keeps between calls, such as its values where the kernels can read them.
    type ParameterCache: Default + std::fmt::Debug;
    /// What a convolution keeps between calls, such as reordered weights.
    type ConvCache: std::fmt::Debug;

    /// The device.
    fn device(&self) -> &Self::Device;

    /// What a new convolution starts with.
    fn conv_cache(&self) -> Self::ConvCache;

    /// A batch of images as features, the same values.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    fn features<T: Tape<f32, Self::Device>>(x: Tensor4<Self, T>) -> Result<Features<Self, T>, Self::Err>;

    /// Features as a batch of images, the same values.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    fn images<T: Tape<f32, Self::Device>>(x: Features<Self, T>) -> Result<Tensor4<Self, T>, Self::Err>;

    /// A batch of vectors `[B, F]`, as layers take them.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    fn vectors<T: Tape<f32, Self::Device>>(x: Tensor2<Self, T>) -> Result<Vectors<Self, T>, Self::Err>;

    /// `[B, C_in, H, W] -> [B, C_out, H', W']`: cross-correlation with padding `kernel / 2`, as PyTorch's `conv2d`.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    fn conv2d<T: Tape<f32, Self::Device>>(
        x: Features<Self, T>,
        layer: &Conv2d<Self>,
    ) -> Result<Features<Self, T>, Self::Err>;

    /// Group normalisation and a convolution in one op: `conv(act(group_norm(x) (1 + a) + b))`, with the modulation
    /// `[a | b]` of shape `[B, 2 C]` (none: `a = b = 0`), and `activation` for `act`. One op, since a backend
    /// need not keep the feature map between the two.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    fn norm_conv<T, U>(
        x: Features<Self, T>,
        norm: &GroupNorm<Self>,
        modulation: Option<Vectors<Self, U>>,
        activation: Activation,
        conv: &Conv2d<Self>,
    ) -> Result<Features<Self, T>, Self::Err>
    where
        T: Tape<f32, Self::Device> + Merge<U>,
        U: Tape<f32, Self::Device>;

    /// A residual block, see [`Residual`], with the modulation `[a | b]` of its second norm, shape `[B, 2 C_out]`:
    /// `[B, C_in, H, W] -> [B, C_out, H, W]`.
    ///
    /// Here it is made of the other ops; a backend that can do it in one does.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    fn residual<T, U>(
        x: Features<Self, T>,
        modulation: Vectors<Self, U>,
        layers: &Residual<'_, Self>,
    ) -> Result<Features<Self, T>, Self::Err>
    where
        T: Tape<f32, Self::Device> + Merge<U>,
        U: Tape<f32, Self::Device>,
    {
        let h = layers.norm1.silu_conv(x.with_empty_tape(), layers.conv1)?;
        let h = layers.norm2.modulated_silu_conv(h, modulation, layers.conv2)?;
        let x = match layers.skip {
            Some(skip) => skip.forward(x)?,
            None => x,
        };
        Self::add(h, x)
    }

    /// Group normalisation by itself: `act(group_norm(x))`, `[B, C, H, W]` to the same.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    fn norm<T: Tape<f32, Self::Device>>(
        x: Features<Self, T>,
        norm: &GroupNorm<Self>,
        activation: Activation,
    ) -> Result<Features<Self, T>, Self::Err>;

    /// `shift`, `[B, C]`, added to every pixel of `[B, C, H, W]`.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    fn shift_channels<T, U>(x: Features<Self, T>, shift: Vectors<Self, U>) -> Result<Features<Self, T>, Self::Err>
    where
        T: Tape<f32, Self::Device> + Merge<U>,
        U: Tape<f32, Self::Device>;

    /// `[B, C, 2 H, 2 W] -> [B, C, H, W]`, the mean of each block of 2x2 pixels.
    ///
    /// Here, as the next one, it is made of dfdx's ops; a backend that has a better way overrides it.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    fn average_pool2<T: Tape<f32, Self::Device>>(x: Features<Self, T>) -> Result<Features<Self, T>, Self::Err> {
        Self::features(composed::average_pool2::<Self, T>(Self::images(x)?)?)
    }

    /// The images upside down and mirrored, `[B, C, H, W]`: turned by 180 degrees.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    fn half_turn<T: Tape<f32, Self::Device>>(x: Tensor4<Self, T>) -> Result<Tensor4<Self, T>, Self::Err> {
        composed::half_turn::<Self, T>(x)
    }

    /// Softmax attention over the `H W` pixels: `[B, 3 C, H, W] -> [B, C, H, W]`, the input being queries, keys and
    /// values one after the other, each split into `heads` groups of channels.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    fn attend<T: Tape<f32, Self::Device>>(qkv: Features<Self, T>, heads: usize)
    -> Result<Features<Self, T>, Self::Err>;

    /// `[B, F_in] -> [B, F_out]`: `x W^T + b`.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    fn linear<T: Tape<f32, Self::Device>>(
        x: Vectors<Self, T>,
        layer: &Linear<Self>,
    ) -> Result<Vectors<Self, T>, Self::Err>;

    /// `x sigmoid(x)`, elementwise.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    fn silu<T: Tape<f32, Self::Device>>(x: Vectors<Self, T>) -> Result<Vectors<Self, T>, Self::Err>;

    /// Elementwise sum of two feature maps of one shape, which are not the same tensor: dfdx cannot add a tensor's
    /// gradient to itself.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    fn add<T: Tape<f32, Self::Device>>(
        x: Features<Self, T>,
        y: Features<Self, T>,
    ) -> Result<Features<Self, T>, Self::Err>;

    /// `[B, C1, H, W]` and `[B, C2, H, W]` to `[B, C1 + C2, H, W]`.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    fn concat_channels<T: Tape<f32, Self::Device>>(
        x: Features<Self, T>,
        y: Features<Self, T>,
    ) -> Result<Features<Self, T>, Self::Err>;

    /// `[B, C, H, W] -> [B, C, 2 H, 2 W]`, each pixel repeated (nearest neighbour).
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    fn upsample2<T: Tape<f32, Self::Device>>(x: Features<Self, T>) -> Result<Features<Self, T>, Self::Err>;

    /// `a_i x_i + b_i y_i` for each image `i` of two batches of images of one shape.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    fn blend<T: Tape<f32, Self::Device>>(
        x: Tensor4<Self, T>,
        a: &[f32],
        y: Tensor4<Self, T>,
        b: &[f32],
    ) -> Result<Tensor4<Self, T>, Self::Err>;

    /// `[B, C, H, W] -> [B, C f f, H / f, W / f]`, PyTorch's channel order.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    fn pixel_unshuffle<T: Tape<f32, Self::Device>>(
        x: Tensor4<Self, T>,
        factor: usize,
    ) -> Result<Tensor4<Self, T>, Self::Err>;

    /// `[B, C f f, H, W] -> [B, C, f H, f W]`, the inverse of [`Backend::pixel_unshuffle`].
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    fn pixel_shuffle<T: Tape<f32, Self::Device>>(
        x: Tensor4<Self, T>,
        factor: usize,
    ) -> Result<Tensor4<Self, T>, Self::Err>;

    /// `sum(x * v)` for a fixed `v`: its gradient with respect to what `x` was computed from is `J^T v`.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    fn inner_product<T: Tape<f32, Self::Device>>(
        x: Tensor4<Self, T>,
        cotangent: &Tensor4<Self>,
    ) -> Result<Scalar<Self, T>, Self::Err>;

    /// `mean(w_i (x_i - target_i)^2)` over all elements, image `i` having the weight `w_i`.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    fn mean_squared_error<T: Tape<f32, Self::Device>>(
        x: Tensor4<Self, T>,
        target: &Tensor4<Self>,
        weights: &[f32],
    ) -> Result<Scalar<Self, T>, Self::Err>;

    /// The values of a parameter on the host, row-major.
    fn parameter_to_vec(parameter: &Parameter<Self>) -> Vec<f32> {
        let mut values = vec![0.0; parameter.len()];
        parameter.value().copy_into(&mut values);
        values
    }

    /// One update of a parameter by Adam, number `step` from 1 on, with the gradient of the table times `factor`.
    ///
    /// Here it is dfdx's; a backend whose parameters are not where dfdx can change them does its own.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    fn adam_step(
        parameter: &mut Parameter<Self>,
        gradients: &mut Gradients<f32, Self::Device>,
        moments: &mut Moments<Self>,
        config: &AdamConfig,
        step: i32,
        factor: f32,
    ) -> Result<(), Self::Err> {
        if factor < 1.0 {
            Self::Device::scale_gradient(gradients, parameter.value_mut(), factor)?;
        }
        let gradient = gradients.get_or_alloc_mut(parameter.value())?;
        let first = moments.first.get_or_alloc_mut(parameter.value())?;
        let second = moments.second.get_or_alloc_mut(parameter.value())?;
        config.try_update(step, parameter.value_mut(), first, second, gradient)
    }

    /// `average = decay average + (1 - decay) parameter`.
    ///
    /// Here it is dfdx's `axpy`, as above.
    ///
    /// # Errors
    ///
    /// What the device reports.
    fn average_step(average: &mut Parameter<Self>, parameter: &Parameter<Self>, decay: f64) -> Result<(), Self::Err> {
        average.value_mut().try_axpy(decay, parameter.value(), 1.0 - decay)
    }
}
