//! Kernels of a small UNet, forward and backward: for the CPU, on plain `&[f32]` slices, and for NVIDIA GPUs.
//!
//! The crate knows nothing of tensors, layers or files. Images are contiguous slices
//! `[batch][channels][height][width]`, those of convolutions and norms have their channels last
//! ([`channels_last`]). Each function says which of its outputs it overwrites and which it adds to:
//! gradients add up, because a value that is used twice receives two of them.
//! Every function checks the lengths of its slices and panics with the expected and the given one.
//!
//! * [`conv`]: 3x3 (stride 1 and 2) and 1x1 convolution, where nearly all the time goes.
//! * [`channels_last`]: the order of an image in which [`conv`] computes.
//! * [`norm`]: group normalisation with scale and shift per image, fused with SiLU.
//! * [`norm_conv`]: the two one after the other, image by image.
//! * [`attention`]: softmax attention. [`linear`]: the fully connected layer.
//! * [`window`]: convolution of any kernel size, stride and padding. [`pool`]: max-pooling.
//! * [`resample`]: upsampling, averages and pixel shuffle. [`elementwise`]: SiLU, addition. [`channel_shift`]: a number
//!   for each channel.
//! * [`simd`]: the instructions in use. [`memory`]: a setting of the allocator, `gpu_memory` one of a GPU's.
//! * `cuda` (feature `cuda`): the kernels for NVIDIA GPUs, on memory that is there.
//!
//! Three rules hold everywhere:
//!
//! * **One source, several instruction sets.** Each kernel is written once and compiled for plain,
//!   AVX2 and AVX-512 machines; the choice is made when the program runs. See [`simd`].
//! * **The same bits at any number of threads.** Kernels run in parallel on rayon's current pool, but
//!   no sum depends on how the work was shared out. (Other instructions do round differently.)
//! * **`unsafe` in five places only:** the intrinsics and their dispatch in [`simd`], the call of the
//!   `gemm` crate in `matmul`, `mallopt` in [`memory`] (and the allocator with which a test counts),
//!   a setting of the driver in `gpu_memory`, and the launches in `cuda`.
//!   The kernels themselves are safe Rust: bounds are checked once per handful of vector operations, at
//!   no cost that could be measured.

pub mod attention;
pub mod channel_shift;
pub mod channels_last;
pub mod conv;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod elementwise;
#[cfg(feature = "cuda")]
pub mod gpu_memory;
pub mod linear;
mod matmul;
pub mod memory;
pub mod norm;
pub mod norm_conv;
pub mod pool;
pub mod resample;
pub mod scratch;
pub mod simd;
pub mod window;

// Whatever this library is part of is linked with the stand-in.
#[cfg(feature = "cuda-stand-in")]
use cuda_stand_in as _;

#[cfg(test)]
mod allocations;
#[cfg(test)]
mod testing;

/// Panics with both lengths when a slice does not have the length that its shape asks for.
#[track_caller]
pub(crate) fn check_len(what: &str, expected: usize, got: usize) {
    assert!(got == expected, "{what}: expected {expected} values, got {got}");
}
