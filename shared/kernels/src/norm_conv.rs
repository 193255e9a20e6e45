//! A group normalisation and the convolution behind it, image by image.
//!
//! Of a large batch each thread takes one image through both steps, so that what lies between them stays in the
//! thread's own cache; a small batch goes through them as a whole, every step shared out among the threads. Both give
//! the same bits, as no sum of either step runs over several images.

use rayon::prelude::*;

use crate::channels_last::Onto;
use crate::check_len;
use crate::conv::{self, ConvShape, PackedWeights, Share};
use crate::norm::{self, Activation, ImageGradient, NormInput, NormShape, NormStats};
use crate::scratch::Scratch;
use crate::simd::{SimdPath, simd_path};

/// Images from which on each goes its own way.
const MANY: usize = 8;

/// A normalisation of the images that a convolution reads.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// Groups of channels that are normalised together.
    pub groups: usize,
    /// Added to the variance.
    pub epsilon: f64,
    /// `[batch][channels]`.
    pub scale: &'a [f32],
    /// `[batch][channels]`.
    pub shift: &'a [f32],
    /// What follows the shift.
    pub activation: Activation,
}

/// The normalisation in front of a convolution.
fn norm_shape(conv: &ConvShape, groups: usize, epsilon: f64) -> NormShape {
    NormShape {
        batch: conv.batch,
        channels: conv.c_in,
        pixels: conv.height * conv.width,
        groups,
        epsilon,
    }
}

/// Normalises `x`, `[batch][height][width][padded c_in]`, and convolves what comes out: see [`norm::group_norm`] and
/// [`conv::conv_forward`]. Overwrites `between` with what lies between the two, where it is wanted. Returns what the
/// backward pass needs of the normalisation.
#[allow(clippy::too_many_arguments)]
pub fn norm_conv(
    shape: &ConvShape,
    x: &[f32],
    norm: Norm<'_>,
    weight: &PackedWeights,
    bias: &[f32],
    between: Option<&mut [f32]>,
    onto: Onto,
    y: &mut [f32],
) -> NormStats {
    let pass = Pass {
        path: simd_path(),
        shape,
        norm,
        weight,
        bias,
        onto,
    };
    pass.run(x, between, y)
}

/// A forward pass to be done.
struct Pass<'a> {
    path: SimdPath,
    shape: &'a ConvShape,
    norm: Norm<'a>,
    weight: &'a PackedWeights,
    bias: &'a [f32],
    onto: Onto,
}

impl Pass<'_> {
    fn run(&self, x: &[f32], between: Option<&mut [f32]>, y: &mut [f32]) -> NormStats {
        check_len("norm_conv: x", self.shape.input_len(), x.len());
        check_len("norm_conv: y", self.shape.output_len(), y.len());
        if let Some(between) = &between {
            check_len("norm_conv: between", self.shape.input_len(), between.len());
        }
        match between {
            _ if self.shape.batch >= MANY => self.image_by_image(x, between, y),
            Some(between) => self.as_a_whole(x, between, y),
            None => self.as_a_whole(x, &mut Scratch::take(self.shape.input_len()), y),
        }
    }

    fn as_a_whole(&self, x: &[f32], between: &mut [f32], y: &mut [f32]) -> NormStats {
        let Norm {
            groups,
            epsilon,
            scale,
            shift,
            activation,
        } = self.norm;
        let stats = norm::forward(
            self.path,
            &norm_shape(self.shape, groups, epsilon),
            x,
            scale,
            shift,
            activation,
            between,
        );
        conv::forward(
            self.path,
            Share::Tasks,
            self.shape,
            between,
            self.weight,
            self.bias,
            self.onto,
            y,
        );
        stats
    }

    fn image_by_image(&self, x: &[f32], between: Option<&mut [f32]>, y: &mut [f32]) -> NormStats {
        let one = ConvShape {
            batch: 1,
            ..*self.shape
        };
        let mut stats = NormStats::take(&norm_shape(self.shape, self.norm.groups, self.norm.epsilon));
        let images = x.par_chunks(one.input_len()).zip(y.par_chunks_mut(one.output_len()));
        let images = images.zip(stats.of_images()).enumerate();
        match between {
            Some(between) => images
                .zip(between.par_chunks_mut(one.input_len()))
                .for_each(|((index, ((x, y), stats)), between)| self.image(&one, index, x, stats, between, y)),
            None => images.for_each(|(index, ((x, y), stats))| {
                self.image(&one, index, x, stats, &mut Scratch::take(one.input_len()), y);
            }),
        }
        stats
    }

    /// Image number `index` of the batch, which has the shape `one`.
    fn image(
        &self,
        one: &ConvShape,
        index: usize,
        x: &[f32],
        stats: [&mut [f32]; 2],
        between: &mut [f32],
        y: &mut [f32],
    ) {
        let Norm {
            groups,
            epsilon,
            scale,
            shift,
            activation,
        } = self.norm;
        let affine = [scale, shift].map(|values| &values[index * one.c_in..][..one.c_in]);
        norm::normalise_image(
            self.path,
            &norm_shape(one, groups, epsilon),
            x,
            affine,
            activation,
            stats,
            between,
        );
        conv::forward(
            self.path,
            Share::Images,
            one,
            between,
            self.weight,
            self.bias,
            self.onto,
            y,
        );
    }
}

/// The gradient of the input of [`norm_conv`] given the gradient `dy` of its output: overwrites `dx`, laid out as `x`,
/// and the gradients of scale and shift, `[batch][channels]` each.
#[allow(clippy::too_many_arguments)]
pub fn norm_conv_input_grad(
    shape: &ConvShape,
    dy: &[f32],
    weight: &PackedWeights,
    input: NormInput<'_>,
    dx: &mut [f32],
    dscale: &mut [f32],
    dshift: &mut [f32],
) {
    backward(simd_path(), shape, dy, weight, input, dx, dscale, dshift);
}

#[allow(clippy::too_many_arguments)]
fn backward(
    path: SimdPath,
    shape: &ConvShape,
    dy: &[f32],
    weight: &PackedWeights,
    input: NormInput<'_>,
    dx: &mut [f32],
    dscale: &mut [f32],
    dshift: &mut [f32],
) {
    let (groups, epsilon) = (input.stats.groups(), input.stats.epsilon());
    if shape.batch < MANY {
        conv::input_grad(path, Share::Tasks, shape, dy, weight, Onto::Overwrite, dx);
        norm::backward(path, &norm_shape(shape, groups, epsilon), input, dx, dscale, dshift);
        return;
    }
    let affine_len = shape.batch * shape.c_in;
    check_len("norm_conv_input_grad: dy", shape.output_len(), dy.len());
    check_len("norm_conv_input_grad: x", shape.input_len(), input.x.len());
    check_len("norm_conv_input_grad: dx", shape.input_len(), dx.len());
    check_len("norm_conv_input_grad: dscale", affine_len, dscale.len());
    check_len("norm_conv_input_grad: dshift", affine_len, dshift.len());
    let one = ConvShape { batch: 1, ..*shape };
    let norm_shape = norm_shape(&one, groups, epsilon);
    let images = dy.par_chunks(one.output_len()).zip(dx.par_chunks_mut(one.input_len()));
    let affine = dscale.par_chunks_mut(shape.c_in).zip(dshift.par_chunks_mut(shape.c_in));
    let images = images.zip(affine).enumerate();
    images.for_each(|(index, ((dy, d), (dscale, dshift)))| {
        conv::input_grad(path, Share::Images, &one, dy, weight, Onto::Overwrite, d);
        let input = input.of_image(&norm_shape, index);
        norm::image_gradient(path, &norm_shape, input, ImageGradient { d, dscale, dshift });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels_last::{padded, to_channels_last};
    use crate::conv::{pack_forward, pack_input_grad};
    use crate::testing::{assert_same_on_any_threads, paths, rng, values};

    /// Output, what lies between, and the gradients of input, scale and shift.
    fn run(path: SimdPath, shape: &ConvShape, images: std::ops::Range<usize>) -> [Vec<f32>; 5] {
        let (rng, groups) = (&mut rng(4), 3);
        let pixels = shape.height * shape.width;
        let turned = |channels: usize, pixels: usize, x: &[f32]| {
            let mut y = vec![0.0; x.len() / channels * padded(channels)];
            to_channels_last(channels, pixels, x, &mut y);
            y
        };
        let x = turned(shape.c_in, pixels, &values(rng, shape.batch * shape.c_in * pixels));
        let dy_pixels = shape.out_height() * shape.out_width();
        let dy = turned(
            shape.c_out,
            dy_pixels,
            &values(rng, shape.batch * shape.c_out * dy_pixels),
        );
        let [scale, shift] = [0, 1].map(|_| values(rng, shape.batch * shape.c_in));
        let (weight, bias) = (values(rng, shape.weight_len()), values(rng, shape.c_out));

        let part = ConvShape {
            batch: images.len(),
            ..*shape
        };
        let of = |values: &[f32]| {
            let len = values.len() / shape.batch;
            values[images.start * len..images.end * len].to_vec()
        };
        let (x, dy, scale, shift) = (of(&x), of(&dy), of(&scale), of(&shift));
        let norm = Norm {
            groups,
            epsilon: norm::EPSILON,
            scale: &scale,
            shift: &shift,
            activation: Activation::Silu,
        };
        let algorithm = shape.algorithm();
        let packed = pack_forward(shape, algorithm, &weight);
        let pass = Pass {
            path,
            shape: &part,
            norm,
            weight: &packed,
            bias: &bias,
            onto: Onto::Add,
        };
        let (mut y, mut unwatched, mut between) = (dy.clone(), dy.clone(), vec![f32::NAN; x.len()]);
        let stats = pass.run(&x, Some(&mut between), &mut y);
        pass.run(&x, None, &mut unwatched);
        assert!(y == unwatched, "the output depends on whether one looks between");

        let input = NormInput {
            x: &x,
            stats: &stats,
            scale: &scale,
            shift: &shift,
            activation: Activation::Silu,
        };
        let packed = pack_input_grad(shape, algorithm, &weight);
        let (mut dx, mut dscale, mut dshift) = (vec![f32::NAN; x.len()], scale.clone(), shift.clone());
        backward(path, &part, &dy, &packed, input, &mut dx, &mut dscale, &mut dshift);
        [y, between, dx, dscale, dshift]
    }

    fn shapes() -> [ConvShape; 3] {
        [(6, 20, 5, 7, 3, 1), (9, 64, 24, 24, 3, 1), (12, 5, 4, 6, 3, 2)].map(
            |(c_in, c_out, height, width, kernel, stride)| ConvShape {
                batch: MANY + 1,
                c_in,
                c_out,
                height,
                width,
                kernel,
                stride,
            },
        )
    }

    /// The tests of `conv` and `norm` hold the values of a small batch, which goes through them as a whole.
    #[test]
    fn many_images_give_the_bits_of_each() {
        for path in paths() {
            for shape in shapes() {
                let all = run(path, &shape, 0..shape.batch);
                assert!(all.iter().flatten().all(|value| value.is_finite()), "{path} {shape:?}");
                for image in 0..shape.batch {
                    for (all, one) in all.iter().zip(run(path, &shape, image..image + 1)) {
                        assert!(all[image * one.len()..][..one.len()] == one, "{path} {shape:?} {image}");
                    }
                }
            }
        }
    }

    #[test]
    fn threads_do_not_change_bits() {
        let shape = shapes()[1];
        for path in paths() {
            assert_same_on_any_threads(&path.to_string(), || run(path, &shape, 0..shape.batch).concat());
        }
    }
}
