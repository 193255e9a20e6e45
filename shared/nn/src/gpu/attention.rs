//! Attention on the tape.

use dfdx::tensor::{Cuda, CudaError, Tape};
use kernels::attention::AttentionShape;

use crate::features::Features;
use crate::gpu::Gpu;
use crate::gpu::map::Recorded;

pub fn attend<T: Tape<f32, Cuda>>(qkv: Features<Gpu, T>, heads: usize) -> Result<Features<Gpu, T>, CudaError> {
    let (qkv, mut tape) = qkv.split();
    let (batch, channels, height, width) = qkv.map.shape;
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
    let (output, probabilities) = qkv.map.kernels().attend(&shape, &qkv.map.values)?;
    let y = Recorded::new(qkv.map.beside(output, (batch, channels / 3, height, width)));
    if T::OWNS_TAPE {
        let y_gradient = y.gradient.clone();
        tape.add_backward_op(move |_| {
            let Some(dy) = y_gradient.take() else { return Ok(()) };
            let kernels = qkv.map.kernels();
            let d = kernels.attend_gradient(&shape, &qkv.map.values, &probabilities, &dy)?;
            qkv.gradient.add_part(kernels, d)
        });
    }
    Ok(Features::new(y, tape))
}
