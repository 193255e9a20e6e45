//! The time as a vector that the blocks can read: sines and cosines of many frequencies (Vaswani et al. 2017, section
//! 3.5), then two linear layers.

use dfdx::tensor::{PutTape, Tape, TensorFromVec};
use nn::{Backend, Linear, Tensor2, Vectors};

use crate::config::{WaveOrder, Waves};

/// `[cos(t f_0), .., cos(t f_{n-1}), sin(t f_0), .., sin(t f_{n-1})]` with `f_i = 10000^(-i / (n - s))`, `n` half of
/// the features, and `s` 0 or 1; or the sines first.
pub(crate) fn sinusoids(t: usize, features: usize, waves: Waves) -> Vec<f32> {
    let n = features / 2;
    let intervals = n as f64 - waves.frequency_shift;
    let angle = |i: usize| t as f64 * 10000f64.powf(-(i as f64) / intervals);
    let cosines = (0..n).map(|i| angle(i).cos() as f32);
    let sines = (0..n).map(|i| angle(i).sin() as f32);
    match waves.order {
        WaveOrder::CosinesFirst => cosines.chain(sines).collect(),
        WaveOrder::SinesFirst => sines.chain(cosines).collect(),
    }
}

/// `silu(W2 silu(W1 waves))` for the waves of several times, one after the other.
pub(crate) fn embed<B: Backend, U: Tape<f32, B::Device>>(
    backend: &B,
    waves: Vec<f32>,
    [time_in, time_out]: [&Linear<B>; 2],
) -> Result<Vectors<B, U>, B::Err> {
    let features = time_in.features_in;
    let times = waves.len() / features;
    let waves: Tensor2<B> = backend.device().try_tensor_from_vec(waves, (times, features))?;
    let h = B::silu(time_in.forward(B::vectors(waves.put_tape(U::default()))?)?)?;
    B::silu(time_out.forward(h)?)
}
