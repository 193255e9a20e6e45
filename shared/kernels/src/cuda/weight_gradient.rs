//! The gradients of a convolution's weights and bias.

use cudarc::driver::{DeviceRepr, DeviceSlice};

use crate::conv::ConvShape;
use crate::cuda::conv::{Input, output_len, patches};
use crate::cuda::norm::Normalised;
use crate::cuda::{Address, Buffer, Kernels, Launched, check, small};

/// Blocks that share out the patches, all together: two rounds of three on each of 132 processors.
const ENOUGH_BLOCKS: usize = 792;

/// `WeightGradient` of `cuda/weight_gradient.cu`.
#[repr(C)]
#[derive(Clone, Copy)]
struct WeightGradient {
    input: Input,
    dy: Address,
    partial: Address,
    channels: i32,
    height: i32,
    width: i32,
    splits: i32,
}

// SAFETY: as in C, fields and order are those of the struct that the kernel declares.
unsafe impl DeviceRepr for WeightGradient {}

impl Kernels {
    /// Adds the gradient of the weights, `[c_out, c_in, kernel, kernel]`, to `dw`, for the input `act(norm(x))`, or `x`
    /// where there is no norm.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn conv_weight_gradient(
        &self,
        shape: &ConvShape,
        x: &Buffer,
        norm: Option<&Normalised<'_>>,
        dy: &Buffer,
        dw: &mut Buffer,
    ) -> Launched {
        check("the output's gradient", output_len(shape), dy);
        check("the gradient of the weights", shape.weight_len(), dw);
        let (kernel, inputs) = match (shape.kernel, shape.stride) {
            (1, _) => ("weight_gradient1", 32),
            (_, 1) => ("weight_gradient3", 8),
            _ => ("weight_gradient3_stride2", 8),
        };
        let (height, width) = (shape.out_height(), shape.out_width());
        let [across, down] = [shape.c_in.div_ceil(inputs), shape.c_out.div_ceil(48)];
        let patches = patches(shape.batch, height, width);
        let splits = (ENOUGH_BLOCKS / (across * down)).clamp(1, patches.max(1));
        let partial = self.take(splits * shape.weight_len())?;
        let parameters = WeightGradient {
            input: Input::of(shape, x, norm),
            dy: Address::of(dy),
            partial: Address::of(&partial),
            channels: small(shape.c_out),
            height: small(height),
            width: small(width),
            splits: small(splits),
        };
        let count: i32 = small(shape.weight_len());
        // SAFETY: the kernel declares a `WeightGradient`, whose buffers are as long as its sizes say and live until the
        // end of this function. add_splits(partial, gradient, count, splits) reads `splits count` numbers, which the
        // first has written, and adds to `count`.
        unsafe {
            self.launch(kernel, [across, down, splits], 128, (parameters,))?;
            self.for_each(
                "add_splits",
                shape.weight_len(),
                (&partial, dw, count, small::<i32>(splits)),
            )
        }
    }

    /// Adds the gradient of a bias, `[channels]`: the sum of `dy`, `[batch, channels, pixels]`, over images and pixels.
    ///
    /// # Errors
    ///
    /// What the device reports.
    pub fn bias_gradient(&self, batch: usize, dy: &Buffer, db: &mut Buffer) -> Launched {
        let channels = db.len();
        let pixels = dy.len() / (batch * channels).max(1);
        check("the output's gradient", batch * channels * pixels, dy);
        let sizes: [i32; 3] = [batch, channels, pixels].map(small);
        let threads = 32 * batch.clamp(1, 32);
        // SAFETY: bias_gradient(dy, gradient, batch, channels, pixels) reads `batch channels pixels` numbers, and block
        // number c adds to number c of `channels`.
        unsafe {
            let parameters = (dy, db, sizes[0], sizes[1], sizes[2]);
            self.launch("bias_gradient", [channels, 1, 1], threads, parameters)
        }
    }
}
