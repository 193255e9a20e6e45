//! The embedded backbone as an extractor: [`FeatureNet`] with the weights that are part of the program.

use std::path::Path;

use dfdx::shapes::HasShape;
use dfdx::tensor::{OwnedTape, PutTape, SplitTape, TensorFromVec};
use dfdx::tensor_ops::{Backward, TryAdd};
use ndarray::Array4;
use nn::{Backend, Cpu, Parameters, Tensor4, WeightsError};

use super::LpipsError;
use super::extract::{Extractor, FeaturePullback};
use super::feature_net::{FeatureNet, SMALLEST};

/// The weights, made by this crate's `train-backbone`; the folder has a card.
static WEIGHTS: &[u8] = include_bytes!("../../../../data/lpips/embedded/weights.safetensors");

impl FeatureNet<Cpu> {
    /// The network with the embedded weights, frozen.
    pub(super) fn embedded() -> Result<Self, WeightsError> {
        kernels::memory::keep_freed_memory();
        let mut network = FeatureNet::new(&Cpu::default(), &mut |_| 0.0);
        nn::load_weights(
            &mut network,
            &nn::parse_weights(WEIGHTS, Path::new("the embedded weights"))?,
        )?;
        network.freeze();
        Ok(network)
    }
}

impl Extractor for FeatureNet<Cpu> {
    fn smallest(&self) -> usize {
        SMALLEST
    }

    fn features(&self, images: &Array4<f32>) -> Result<Vec<Array4<f32>>, LpipsError> {
        let features = FeatureNet::features(self, to_tensor(images)?).map_err(device)?;
        Ok(features.iter().map(to_array).collect())
    }

    fn features_with_pullback<'a>(
        &'a self,
        images: &Array4<f32>,
    ) -> Result<(Vec<Array4<f32>>, FeaturePullback<'a>), LpipsError> {
        let x = to_tensor(images)?;
        let x_ghost = x.ghost();
        let x = x.put_tape(OwnedTape::<f32, Cpu>::default());
        let stages = FeatureNet::features(self, x).map_err(device)?;
        let features = stages.iter().map(to_array).collect();
        let pullback = move |slopes: Vec<Array4<f32>>| {
            // The gradient of sum_k <features_k, v_k> with respect to x is sum_k J_k^T v_k.
            let mut total = None;
            for (stage, slope) in stages.into_iter().zip(&slopes) {
                let product = Cpu::inner_product(stage, &to_tensor(slope)?).map_err(device)?;
                total = Some(match total {
                    Some(total) => product.try_add(total).map_err(device)?,
                    None => product,
                });
            }
            let total = total.ok_or_else(|| LpipsError::Device("a backbone without stages".into()))?;
            let gradients = total.try_backward().map_err(device)?;
            Ok(to_array(&gradients.get(&x_ghost)))
        };
        Ok((features, Box::new(pullback)))
    }
}

fn device(error: impl std::fmt::Display) -> LpipsError {
    LpipsError::Device(error.to_string())
}

fn to_tensor(images: &Array4<f32>) -> Result<Tensor4<Cpu>, LpipsError> {
    let values = images.as_standard_layout().into_owned().into_raw_vec_and_offset().0;
    Cpu::default().try_tensor_from_vec(values, images.dim()).map_err(device)
}

fn to_array<T>(x: &Tensor4<Cpu, T>) -> Array4<f32>
where
    Tensor4<Cpu, T>: SplitTape,
{
    let mut array = Array4::zeros(*x.shape());
    if let Some(values) = array.as_slice_mut() {
        x.copy_into(values);
    }
    array
}
