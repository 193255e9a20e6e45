//! CPU kernels of a small UNet on plain `&[f32]` slices.

pub mod attention;
pub mod conv;
pub mod elementwise;
pub mod linear;
mod matmul;
pub mod memory;
pub mod norm;
pub mod resample;
mod scratch;
pub mod simd;

pub use attention::{AttentionShape, attention, attention_grad};
pub use conv::{
    ConvShape, PackedWeights, conv_bias_grad, conv_forward, conv_input_grad, conv_weight_grad, pack_forward, pack_input_grad,
};
pub use elementwise::{add_assign, silu, silu_grad};
pub use linear::{linear, linear_input_grad, linear_weight_grad};
pub use memory::keep_freed_memory;
pub use norm::{NormShape, NormStats, group_norm_silu, group_norm_silu_grad};
pub use resample::{pixel_shuffle, pixel_unshuffle, upsample2, upsample2_grad};
pub use simd::{SimdPath, simd_path};

/// Panics with both lengths when a slice does not have the length that its shape asks for.
#[track_caller]
pub(crate) fn check_len(what: &str, expected: usize, got: usize) {
    assert!(
        got == expected,
        "{what}: expected {expected} values, got {got}"
    );
}

#[cfg(test)]
mod testing;
