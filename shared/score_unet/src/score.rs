//! A network as a score model: arrays in, arrays out, whatever it runs on.

use dfdx::shapes::HasShape;
use dfdx::tensor::{OwnedTape, PutTape, Tensor, TensorFromVec};
use dfdx::tensor_ops::Backward;
use diffusion::{Pullback, Schedule, ScoreError, ScoreModel, score_from_noise};
use ndarray::Array4;
use nn::{Backend, DeviceExt, Tensor4};

use crate::unet::UNet;

/// `s(x_t, t) = -eps(x_t, t) / sqrt(1 - alpha_bar_t)` (Song et al. 2021, "Score-based generative modeling through
/// SDEs", section 3.4 and appendix C). The pullback is cheapest where the parameters are frozen.
impl<B: Backend> ScoreModel for UNet<B> {
    fn image_shape(&self) -> [usize; 3] {
        self.config().image_shape()
    }

    fn schedule(&self) -> &Schedule {
        self.noise_schedule()
    }

    fn score(&self, x_t: &Array4<f32>, t: usize) -> Result<Array4<f32>, ScoreError> {
        self.score_of(x_t.to_owned(), t)
    }

    fn score_with_pullback<'a>(
        &'a self,
        x_t: &Array4<f32>,
        t: usize,
    ) -> Result<(Array4<f32>, Pullback<'a>), ScoreError> {
        self.score_with_pullback_of(x_t.to_owned(), t)
    }
}

/// The same for an array that nobody needs any more, which saves a copy.
impl<B: Backend> UNet<B> {
    pub(crate) fn score_of(&self, x_t: Array4<f32>, t: usize) -> Result<Array4<f32>, ScoreError> {
        self.check(&x_t, t)?;
        let times = vec![t; x_t.dim().0];
        let noise = self
            .forward(to_tensor(self.backend(), x_t)?, &times)
            .map_err(device_error::<B>)?;
        Ok(score_from_noise(&to_array(&noise), self.noise_schedule().alpha_bar(t)))
    }

    pub(crate) fn score_with_pullback_of<'a>(
        &'a self,
        x_t: Array4<f32>,
        t: usize,
    ) -> Result<(Array4<f32>, Pullback<'a>), ScoreError> {
        self.check(&x_t, t)?;
        let alpha_bar = self.noise_schedule().alpha_bar(t);
        let times = vec![t; x_t.dim().0];
        let x = to_tensor(self.backend(), x_t)?;
        let x_ghost = x.ghost();
        let tape = OwnedTape::<f32, B::Device>::default();
        let noise = self.forward(x.put_tape(tape), &times).map_err(device_error::<B>)?;
        let score = score_from_noise(&to_array(&noise), alpha_bar);
        let shape = score.dim();
        let pullback = move |v: &Array4<f32>| {
            if v.dim() != shape {
                return Err(ScoreError::Mismatch {
                    what: "the cotangent",
                    expected: dims(shape),
                    got: dims(v.dim()),
                });
            }
            let v = to_tensor(self.backend(), v.to_owned())?;
            let gradient = B::inner_product(noise, &v)
                .and_then(|y| y.try_backward())
                .and_then(|mut gradients| B::Device::gradient_to_vec(gradients.get_or_alloc_mut(&x_ghost)?))
                .map_err(device_error::<B>)?;
            let gradient = Array4::from_shape_vec(shape, gradient).map_err(|e| ScoreError::Backend(e.to_string()))?;
            // The Jacobian of the score is that of the noise, by the same factor.
            Ok(score_from_noise(&gradient, alpha_bar))
        };
        Ok((score, Box::new(pullback)))
    }
}

fn dims((b, c, h, w): (usize, usize, usize, usize)) -> [usize; 4] {
    [b, c, h, w]
}

/// An array `[B, C, H, W]` as a tensor on the device.
///
/// # Errors
///
/// What the device reports, such as lack of memory.
pub fn to_tensor<B: Backend>(backend: &B, x: Array4<f32>) -> Result<Tensor4<B>, ScoreError> {
    let shape = x.dim();
    let row_major = if x.is_standard_layout() {
        x
    } else {
        x.as_standard_layout().into_owned()
    };
    let len = row_major.len();
    let (mut values, offset) = row_major.into_raw_vec_and_offset();
    // An array may be a part of its memory.
    if values.len() > len {
        let begin = offset.unwrap_or(0);
        values = values[begin..begin + len].to_vec();
    }
    backend
        .device()
        .try_tensor_from_vec(values, shape)
        .map_err(device_error::<B>)
}

/// A tensor `[B, C, H, W]` as an array on the host.
#[must_use]
pub fn to_array<D: DeviceExt, T>(x: &Tensor<(usize, usize, usize, usize), f32, D, T>) -> Array4<f32> {
    let mut array = Array4::zeros(*x.shape());
    if let Some(values) = array.as_slice_mut() {
        x.copy_into(values);
    }
    array
}

/// An error of the device, in its words.
#[must_use]
pub fn device_error<B: Backend>(error: B::Err) -> ScoreError {
    ScoreError::Backend(B::Device::explain(&error))
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, Slice};
    use nn::Cpu;

    use super::*;

    #[test]
    fn arrays_in_other_orders_and_parts_of_arrays_become_what_they_show() {
        let whole = Array4::from_shape_fn((2, 3, 4, 5), |(n, c, y, x)| (((n * 3 + c) * 4 + y) * 5 + x) as f32);
        let mut turned = whole.clone();
        turned.swap_axes(2, 3);
        let mut part = whole.clone();
        part.slice_axis_inplace(Axis(0), Slice::from(1..));
        for array in [whole, turned, part] {
            let tensor = to_tensor(&Cpu::default(), array.clone()).expect("a tensor");
            assert_eq!(to_array(&tensor), array);
        }
    }
}
