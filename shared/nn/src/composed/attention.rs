//! Attention: two matrix products with a softmax between them.

use dfdx::shapes::{Axes3, Axis, HasShape};
use dfdx::tensor::{Tape, Tensor, WithEmptyTape};
use dfdx::tensor_ops::{PermuteTo, TryMatMul, TryMul};

use crate::backend::Tensor4;
use crate::composed::{Composed, reshape};
use crate::device_ext::DeviceExt;

pub fn attend<D: DeviceExt, T: Tape<f32, D>>(
    qkv: Tensor4<Composed<D>, T>,
    heads: usize,
) -> Result<Tensor4<Composed<D>, T>, D::Err> {
    let &(batch, channels, height, width) = qkv.shape();
    assert_eq!(
        channels % (3 * heads),
        0,
        "{channels} channels do not split into q, k, v of {heads} heads"
    );
    let (c, tokens) = (channels / 3, height * width);
    let head = (batch * heads, c / heads, tokens);
    // One of queries, keys and values: `[B heads, C / heads, tokens]`. The slices must not overlap: on the CPU, dfdx
    // 0.13 overwrites the gradient of what is sliced instead of adding to it.
    let part = |qkv: Tensor<(usize, usize, usize), f32, D, T>, which: usize| {
        reshape(qkv.try_slice((.., which * c..(which + 1) * c, ..))?, head)
    };
    let qkv = reshape(qkv, (batch, channels, tokens))?;
    let queries = part(qkv.with_empty_tape(), 0)?.try_permute::<(usize, usize, usize), Axes3<0, 2, 1>>()?;
    let keys = part(qkv.with_empty_tape(), 1)?;
    let values = part(qkv, 2)?;
    let factor = 1.0 / ((c / heads) as f32).sqrt();
    let probabilities = queries
        .try_matmul(keys)?
        .try_mul(factor)?
        .try_softmax::<Axis<2>>()?
        .try_permute::<(usize, usize, usize), Axes3<0, 2, 1>>()?;
    reshape(values.try_matmul(probabilities)?, (batch, c, height, width))
}
