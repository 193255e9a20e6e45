//! What a prior predicts for an image, and the gradient, as a file for `scripts/compare_guided_with_pytorch.py`:
//! `cargo run -p import --example noise_and_gradient -- PRIOR IN OUT T`. IN is a safetensors file with `x` and `v`
//! `[B, C, H, W]`; OUT gets the predicted noise `eps` and the gradient of `sum(eps v)` with respect to `x`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use diffusion::ScoreModel;
use ndarray::Array4;
use nn::{FloatType, NamedTensor};
use score_unet::Prior;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [prior, input, output, t] = arguments.as_slice() else {
        anyhow::bail!("expected PRIOR IN OUT T");
    };
    let prior = Prior::load(Path::new(prior))?;
    let t: usize = t.parse()?;
    let tensors = import::found::by_name(nn::read_weights(Path::new(input))?);
    let array = |name: &str| -> Result<Array4<f32>> {
        let tensor = tensors.get(name).with_context(|| format!("there is no {name}"))?;
        let shape: [usize; 4] = tensor.shape.as_slice().try_into()?;
        Ok(Array4::from_shape_vec(shape, tensor.values.clone())?)
    };
    let (score, pullback) = prior.score_with_pullback(&array("x")?, t)?;
    let gradient = pullback(&array("v")?)?;
    // The score is the noise times this.
    let factor = -1.0 / (1.0 - prior.schedule().alpha_bar(t)).sqrt() as f32;
    let tensor = |name: &str, values: Array4<f32>| NamedTensor {
        name: name.into(),
        shape: values.shape().to_vec(),
        values: values.iter().map(|value| value / factor).collect(),
    };
    let tensors = [tensor("eps", score), tensor("gradient", gradient)];
    nn::save_tensors(Path::new(output), &tensors, FloatType::F32, &BTreeMap::new())?;
    Ok(())
}
