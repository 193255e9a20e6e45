//! Group normalisation with modulation: the scale and shift that it amounts to, and its gradients.

use cudarc::driver::DeviceSlice;

use crate::cuda::{Address, Buffer, Kernels, Launched, check, check_any, index, is_silu, small, threads_for};
use crate::norm::{Activation, NormShape};

/// What a norm found in its input.
#[derive(Debug)]
pub struct Statistics {
    /// `[batch, groups, 2]`: mean and 1 / sqrt(variance + epsilon).
    groups: Buffer,
    /// `[batch, channels, 2]`: scale and shift, see [`Normalised`].
    affine: Buffer,
    shape: NormShape,
}

/// Sizes as kernels take them: channels, groups, pixels.
fn sizes(shape: &NormShape) -> [i32; 3] {
    [shape.channels, shape.groups, shape.pixels].map(small)
}

/// Values of the maps: on a GPU nothing fills up their channels.
fn values_in(shape: &NormShape) -> usize {
    shape.batch * shape.channels * shape.pixels
}

/// A map that is to be read as `act(x scale + shift)`, with a scale and a shift for each image and channel.
#[derive(Clone, Copy, Debug)]
pub struct Normalised<'a> {
    pub(super) affine: &'a Buffer,
    pub(super) activation: Activation,
}

impl Statistics {
    /// The map read through this norm and an activation.
    #[must_use]
    pub fn followed_by(&self, activation: Activation) -> Normalised<'_> {
        Normalised {
            affine: &self.affine,
            activation,
        }
    }
}

impl Kernels {
    /// The norm of `x`, `[batch, channels, pixels]`, with weight and bias `[channels]` and the modulation `[a | b]`,
    /// `[batch, 2 channels]`: `(xhat weight + bias) (1 + a) + b`.
    ///
    /// # Panics
    ///
    /// If the channels do not split into so many groups; as all here, if the length of a buffer is wrong.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn norm(
        &self,
        shape: &NormShape,
        x: &Buffer,
        weight: &Buffer,
        bias: &Buffer,
        modulation: Option<&Buffer>,
    ) -> Launched<Statistics> {
        let &NormShape {
            batch,
            channels,
            pixels,
            groups,
            epsilon,
        } = shape;
        assert!(
            groups > 0 && channels.is_multiple_of(groups),
            "{channels} channels in {groups} groups"
        );
        check("the input of a norm", values_in(shape), x);
        check("the weight of a norm", channels, weight);
        check("the bias of a norm", channels, bias);
        check_any("a modulation", 2 * batch * channels, modulation);
        let mut statistics = Statistics {
            groups: self.take(2 * batch * groups)?,
            affine: self.take(2 * batch * channels)?,
            shape: *shape,
        };
        let [c, g, p] = sizes(shape);
        let threads = threads_for(channels / groups * pixels);
        // SAFETY: norm_affine(x, weight, bias, modulation, statistics, affine, channels, groups, pixels, epsilon), with
        // buffers of the lengths that it asks for: checked above, or made here.
        unsafe {
            let parameters = (
                x,
                weight,
                bias,
                Address::of_any(modulation),
                &mut statistics.groups,
                &mut statistics.affine,
                c,
                g,
                p,
                epsilon as f32,
            );
            self.launch("norm_affine", [batch * groups, 1, 1], threads, parameters)?;
        }
        Ok(statistics)
    }

    /// `act(norm(x))`, with what the norm found in `x`.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn apply_norm(&self, statistics: &Statistics, activation: Activation, x: &Buffer) -> Launched<Buffer> {
        let Statistics { affine, shape, .. } = statistics;
        let count = values_in(shape);
        check("the input of a norm", count, x);
        let mut y = self.take(count)?;
        // SAFETY: norm_apply(x, affine, y, pixels, act, count), one thread for each value; `affine` has a pair for each
        // `pixels` of them.
        unsafe {
            let parameters = (
                x,
                affine,
                &mut y,
                index(shape.pixels),
                is_silu(activation),
                index(count),
            );
            self.for_each("norm_apply", count, parameters)?;
        }
        Ok(y)
    }

    /// The gradient of the input of a norm, `dy` being that of `act(norm(x))`; plus `add`, which has the same shape.
    /// And the sums for the gradients of its parameters, `[batch, channels, 2]`.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn norm_gradient(
        &self,
        statistics: &Statistics,
        activation: Activation,
        x: &Buffer,
        dy: &Buffer,
        add: Option<&Buffer>,
    ) -> Launched<(Buffer, Buffer)> {
        let Statistics { groups, affine, shape } = statistics;
        let count = values_in(shape);
        check("the input of a norm", count, x);
        check("the gradient of a norm's output", count, dy);
        check_any("what is added", count, add);
        let maps = shape.batch * shape.channels;
        let mut sums = self.take(2 * maps)?;
        let mut dx = self.take(count)?;
        let [c, g, p] = sizes(shape);
        let act = is_silu(activation);
        let threads = threads_for(shape.pixels);
        // SAFETY: norm_sums(x, dy, statistics, affine, sums, channels, groups, pixels, act) and norm_input_gradient(x,
        // dy, statistics, affine, sums, add, dx, channels, groups, pixels, act), one block for each image and channel,
        // with buffers of the lengths that they ask for.
        unsafe {
            let parameters = (x, dy, groups, affine, &mut sums, c, g, p, act);
            self.launch("norm_sums", [maps, 1, 1], threads, parameters)?;
            let parameters = (
                x,
                dy,
                groups,
                affine,
                &sums,
                Address::of_any(add),
                &mut dx,
                c,
                g,
                p,
                act,
            );
            self.launch("norm_input_gradient", [maps, 1, 1], threads, parameters)?;
        }
        Ok((dx, sums))
    }

    /// Adds the gradient of a norm's weight, `[channels]`, from the sums of [`Kernels::norm_gradient`].
    ///
    /// # Errors
    ///
    /// What the device reports.
    pub fn norm_weight_gradient(
        &self,
        batch: usize,
        sums: &Buffer,
        modulation: Option<&Buffer>,
        dweight: &mut Buffer,
    ) -> Launched {
        self.norm_parameter_gradient(1, batch, sums, modulation, dweight)
    }

    /// Adds the gradient of a norm's bias, `[channels]`, from the sums of [`Kernels::norm_gradient`].
    ///
    /// # Errors
    ///
    /// What the device reports.
    pub fn norm_bias_gradient(
        &self,
        batch: usize,
        sums: &Buffer,
        modulation: Option<&Buffer>,
        dbias: &mut Buffer,
    ) -> Launched {
        self.norm_parameter_gradient(0, batch, sums, modulation, dbias)
    }

    fn norm_parameter_gradient(
        &self,
        part: i32,
        batch: usize,
        sums: &Buffer,
        modulation: Option<&Buffer>,
        gradient: &mut Buffer,
    ) -> Launched {
        let channels = gradient.len();
        check("the sums of a norm", 2 * batch * channels, sums);
        check_any("a modulation", 2 * batch * channels, modulation);
        let sizes = [batch, channels].map(small::<i32>);
        // SAFETY: norm_parameter_gradient(sums, modulation, gradient, part, batch, channels), one thread for each
        // channel; the sums have parts 0 and 1.
        unsafe {
            let parameters = (sums, Address::of_any(modulation), gradient, part, sizes[0], sizes[1]);
            self.for_each("norm_parameter_gradient", channels, parameters)
        }
    }

    /// The gradient of the modulation, `[batch, 2 channels]`, from the sums of [`Kernels::norm_gradient`].
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn modulation_gradient(&self, batch: usize, sums: &Buffer, weight: &Buffer, bias: &Buffer) -> Launched<Buffer> {
        let channels = weight.len();
        check("the bias of a norm", channels, bias);
        check("the sums of a norm", 2 * batch * channels, sums);
        let mut gradient = self.take(2 * batch * channels)?;
        let sizes = [batch, channels].map(small::<i32>);
        // SAFETY: modulation_gradient(sums, weight, bias, gradient, batch, channels), one thread for each image and
        // channel, with buffers of the lengths that it asks for.
        unsafe {
            let parameters = (sums, weight, bias, &mut gradient, sizes[0], sizes[1]);
            self.for_each("modulation_gradient", batch * channels, parameters)?;
        }
        Ok(gradient)
    }
}
