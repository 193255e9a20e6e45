//! The gradient of one image's normalisation.

use rayon::prelude::*;

use crate::norm::loops::{apply_gradient, gradient_sums};
use crate::norm::{Affine, ImageInput, NormShape, over_bands};
use crate::scratch::Scratch;
use crate::simd::SimdPath;

/// The gradients of one image.
pub(crate) struct ImageGradient<'a> {
    /// That of the output, overwritten with that of the input.
    pub d: &'a mut [f32],
    /// `[channels]`, overwritten, like the next.
    pub dscale: &'a mut [f32],
    pub dshift: &'a mut [f32],
}

/// With g = scale * du, the gradient through the normalisation is `dx = inv_std * (g - mean(g) - xhat * mean(g *
/// xhat))`: what is left of g after the directions that the normalisation removes, a common shift and a common factor.
pub(crate) fn image_gradient(path: SimdPath, shape: &NormShape, input: ImageInput<'_>, gradient: ImageGradient<'_>) {
    let ImageInput { x, scale, shift, .. } = input;
    let ImageGradient { d, dscale, dshift } = gradient;
    let affine = Affine::new(shape, [input.mean, input.inv_std], [scale, shift]);
    let depth = shape.depth();

    // d becomes du; the sums are those of du and of du * (x - mean).
    let mut sums = Scratch::take(shape.bands() * 2 * depth);
    let bands = d.par_chunks_mut(shape.band_len()).zip(x.par_chunks(shape.band_len()));
    bands
        .zip(sums.par_chunks_exact_mut(2 * depth))
        .for_each(|((d, x), sums)| {
            gradient_sums(path, affine.line(), input.activation, x, d, sums);
        });

    let (size, count) = (shape.group_size(), (shape.group_size() * shape.pixels) as f64);
    let mut lines = Scratch::zeros(3 * depth);
    for (group, inv_std) in input.inv_std.iter().enumerate() {
        let channels = group * size..(group + 1) * size;
        let (mut sum_g, mut sum_g_xhat) = (0.0, 0.0);
        for c in channels.clone() {
            let [du, du_x] = over_bands(shape, &sums, c);
            let du_xhat = du_x * f64::from(*inv_std);
            dshift[c] = du as f32;
            dscale[c] = du_xhat as f32;
            sum_g += f64::from(scale[c]) * du;
            sum_g_xhat += f64::from(scale[c]) * du_xhat;
        }
        for c in channels {
            lines[c] = inv_std * scale[c];
            lines[depth + c] = -inv_std * inv_std * (sum_g_xhat / count) as f32;
            lines[2 * depth + c] = -inv_std * (sum_g / count) as f32;
        }
    }
    let bands = d.par_chunks_mut(shape.band_len()).zip(x.par_chunks(shape.band_len()));
    bands.for_each(|(d, x)| apply_gradient(path, affine.line().mean, &lines, x, d));
}
