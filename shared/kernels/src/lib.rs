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
