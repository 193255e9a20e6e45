//! Attention on the tape.

use dfdx::tensor::{Cpu, CpuError, Tape};
use kernels::attention::{AttentionShape, attention, attention_grad};
use kernels::channels_last::{Onto, from_channels_last, to_channels_last};
use kernels::scratch::Scratch;

use crate::cpu::map::{Map, Recorded, Shape4};
use crate::features::Features;

/// The values of a map, `[batch][channels][pixels]`, as the kernel wants queries, keys and values.
fn planes(map: &Map) -> Scratch {
    let (batch, channels, ..) = map.shape;
    let mut planes = Scratch::take(batch * channels * map.pixels());
    from_channels_last(channels, map.pixels(), &map.values, Onto::Overwrite, &mut planes);
    planes
}

/// The other way.
fn map_of(planes: &[f32], shape: Shape4) -> Map {
    let mut map = Map::take(shape);
    to_channels_last(shape.1, map.pixels(), planes, &mut map.values);
    map
}

pub fn attend<T: Tape<f32, Cpu>>(qkv: Features<Cpu, T>, heads: usize) -> Result<Features<Cpu, T>, CpuError> {
    let (qkv, mut tape) = qkv.split();
    let input_shape @ (batch, channels, height, width) = qkv.map.shape;
    assert_eq!(
        channels % (3 * heads),
        0,
        "{channels} channels do not split into q, k, v of {heads} heads"
    );
    let shape = AttentionShape {
        batch,
        heads,
        head_dim: channels / (3 * heads),
        tokens: height * width,
    };
    let input = planes(&qkv.map);
    let mut output = Scratch::take(shape.output_len());
    let mut probabilities = Scratch::take(shape.probabilities_len());
    attention(&shape, &input, &mut output, &mut probabilities);
    let y = Recorded::new(map_of(&output, (batch, channels / 3, height, width)));
    if T::OWNS_TAPE {
        let y_gradient = y.gradient.clone();
        tape.add_backward_op(move |_| {
            let Some(dy) = y_gradient.take() else { return Ok(()) };
            let mut dx = Scratch::zeros(input.len());
            attention_grad(&shape, &input, &probabilities, &planes(&dy), &mut dx);
            qkv.gradient.add(map_of(&dx, input_shape));
            Ok(())
        });
    }
    Ok(Features::new(y, tape))
}
