//! The embedded backbone as an extractor: [`FeatureNet`] with the weights that are part of the program.

use std::path::Path;

use dfdx::shapes::HasShape;
use dfdx::tensor::{CpuError, TensorFromVec};
use ndarray::Array4;
use nn::{Cpu, Parameters, Tensor4, WeightsError};

use crate::lpips::error::LpipsError;
use crate::lpips::extract::Extractor;
use crate::lpips::feature_net::{FeatureNet, SMALLEST};

/// The weights, made by `train-backbone` of the crate `lpips_tools`; the folder has a card.
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
        let device = |error: CpuError| LpipsError::Device(error.to_string());
        let x = to_tensor(images).map_err(device)?;
        let features = FeatureNet::features(self, x).map_err(device)?;
        Ok(features.iter().map(to_array).collect())
    }
}

fn to_tensor(images: &Array4<f32>) -> Result<Tensor4<Cpu>, CpuError> {
    let values = images.as_standard_layout().into_owned().into_raw_vec_and_offset().0;
    Cpu::default().try_tensor_from_vec(values, images.dim())
}

fn to_array(x: &Tensor4<Cpu>) -> Array4<f32> {
    let mut array = Array4::zeros(*x.shape());
    if let Some(values) = array.as_slice_mut() {
        x.copy_into(values);
    }
    array
}
