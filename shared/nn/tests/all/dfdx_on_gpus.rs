//! What is wrong with dfdx 0.13 on GPUs, and what the ops do about it: the day dfdx mends it, this fails, and the ops
//! may become simpler.

use dfdx::shapes::{Axes2, Rank0};
use dfdx::tensor::{Tensor, Trace};
use dfdx::tensor_ops::{Backward, BroadcastTo, Device, ReshapeTo, SumTo};
#[cfg(feature = "cuda")]
use nn::Backend;
use nn::{Cpu, DeviceExt};

/// The gradient of the sum of a row of pixels, each repeated in blocks of 2x2 that are then joined by `reshape`.
fn gradient_of_repeated_pixels<D: DeviceExt + Device<f32>>(device: &D) -> Vec<f32> {
    let pixels: Tensor<(usize,), f32, D> = device.tensor_from_vec(vec![1.0, 2.0, 3.0, 4.0], (4,));
    let row = pixels.leaky_trace().reshape_like(&(1, 4));
    let blocks = row.broadcast_like::<(usize, usize, usize, usize), Axes2<1, 3>>(&(1, 2, 4, 2));
    let joined = blocks.reshape_like(&(2, 8));
    let mut gradients = joined.sum::<Rank0, _>().backward();
    D::gradient_to_vec(gradients.get_or_alloc_mut(&pixels).expect("a gradient")).expect("its values")
}

#[test]
fn a_gpu_loses_the_gradient_of_a_broadcast_tensor_at_a_reshape() {
    assert_eq!(gradient_of_repeated_pixels(&Cpu::default()), [4.0; 4]);
    #[cfg(feature = "cuda")]
    if let Some(gpu) = crate::backends::gpu() {
        assert_ne!(
            gradient_of_repeated_pixels(gpu.device()),
            [4.0; 4],
            "dfdx has mended it: `upsample2` needs no product any more, and README and RESULTS.md no note"
        );
    }
}
