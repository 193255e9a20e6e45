//! The three backbones that the authors of LPIPS published weights for, layer by layer as torchvision has them.

use std::collections::BTreeMap;

use ndarray::{Array4, Axis};
use nn::{NamedTensor, WeightsError};

use crate::lpips::Backbone;
use crate::lpips::error::LpipsError;
use crate::lpips::extract::Extractor;
use crate::lpips::layers::{self, ConvRelu, Layer};

/// What the authors' code takes off each colour channel of [-1, 1] and divides it by: ImageNet's means and standard
/// deviations on that scale.
const SHIFT: [f32; 3] = [-0.030, -0.088, -0.188];
const SCALE: [f32; 3] = [0.458, 0.448, 0.450];

/// A layer as an architecture lists it. The numbers of a convolution are channels in and out, kernel, stride, padding;
/// of a pooling window, stride and whether it rounds up; of a Fire module channels in, squeezed, and out of each half.
#[derive(Clone, Copy)]
enum Plan {
    Conv(usize, usize, usize, usize, usize),
    Pool(usize, usize, bool),
    Fire(usize, usize, usize),
}

/// An architecture: each layer with its number in torchvision's `features`, and whether its output is a stage.
struct Architecture {
    layers: &'static [(usize, Plan, bool)],
    smallest: usize,
}

use Plan::{Conv, Fire, Pool};

/// Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks".
const ALEX: Architecture = Architecture {
    layers: &[
        (0, Conv(3, 64, 11, 4, 2), true),
        (2, Pool(3, 2, false), false),
        (3, Conv(64, 192, 5, 1, 2), true),
        (5, Pool(3, 2, false), false),
        (6, Conv(192, 384, 3, 1, 1), true),
        (8, Conv(384, 256, 3, 1, 1), true),
        (10, Conv(256, 256, 3, 1, 1), true),
    ],
    smallest: 31,
};

/// Simonyan and Zisserman 2015, configuration D.
const VGG: Architecture = Architecture {
    layers: &[
        (0, Conv(3, 64, 3, 1, 1), false),
        (2, Conv(64, 64, 3, 1, 1), true),
        (4, Pool(2, 2, false), false),
        (5, Conv(64, 128, 3, 1, 1), false),
        (7, Conv(128, 128, 3, 1, 1), true),
        (9, Pool(2, 2, false), false),
        (10, Conv(128, 256, 3, 1, 1), false),
        (12, Conv(256, 256, 3, 1, 1), false),
        (14, Conv(256, 256, 3, 1, 1), true),
        (16, Pool(2, 2, false), false),
        (17, Conv(256, 512, 3, 1, 1), false),
        (19, Conv(512, 512, 3, 1, 1), false),
        (21, Conv(512, 512, 3, 1, 1), true),
        (23, Pool(2, 2, false), false),
        (24, Conv(512, 512, 3, 1, 1), false),
        (26, Conv(512, 512, 3, 1, 1), false),
        (28, Conv(512, 512, 3, 1, 1), true),
    ],
    smallest: 16,
};

/// Iandola et al. 2016, in torchvision's version 1.1.
const SQUEEZE: Architecture = Architecture {
    layers: &[
        (0, Conv(3, 64, 3, 2, 0), true),
        (2, Pool(3, 2, true), false),
        (3, Fire(64, 16, 64), false),
        (4, Fire(128, 16, 64), true),
        (5, Pool(3, 2, true), false),
        (6, Fire(128, 32, 128), false),
        (7, Fire(256, 32, 128), true),
        (8, Pool(3, 2, true), false),
        (9, Fire(256, 48, 192), true),
        (10, Fire(384, 48, 192), true),
        (11, Fire(384, 64, 256), true),
        (12, Fire(512, 64, 256), true),
    ],
    smallest: 25,
};

/// A tensor that a backbone needs: torchvision's or the `lpips` package's name, and its shape.
pub type TensorSpec = (String, Vec<usize>);

impl Architecture {
    fn of(backbone: Backbone) -> Option<&'static Self> {
        match backbone {
            Backbone::Embedded => None,
            Backbone::Alex => Some(&ALEX),
            Backbone::Vgg => Some(&VGG),
            Backbone::Squeeze => Some(&SQUEEZE),
        }
    }
}

/// The parts of a layer that have weights: name, channels in and out, kernel.
fn parts(index: usize, plan: Plan) -> Vec<(String, usize, usize, usize)> {
    match plan {
        Conv(c_in, c_out, kernel, _, _) => vec![(format!("features.{index}"), c_in, c_out, kernel)],
        Pool(..) => Vec::new(),
        Fire(c_in, squeezed, half) => vec![
            (format!("features.{index}.squeeze"), c_in, squeezed, 1),
            (format!("features.{index}.expand1x1"), squeezed, half, 1),
            (format!("features.{index}.expand3x3"), squeezed, half, 3),
        ],
    }
}

fn channels_out(plan: Plan) -> usize {
    match plan {
        Conv(_, c_out, ..) => c_out,
        Pool(..) => 0,
        Fire(_, _, half) => 2 * half,
    }
}

/// The tensors of torchvision's file that the features are computed with; none for the embedded backbone.
#[must_use]
pub fn backbone_tensors(backbone: Backbone) -> Vec<TensorSpec> {
    let layers = Architecture::of(backbone).map_or(&[][..], |architecture| architecture.layers);
    let mut specs = Vec::new();
    for &(index, plan, _) in layers {
        for (name, c_in, c_out, kernel) in parts(index, plan) {
            specs.push((format!("{name}.weight"), vec![c_out, c_in, kernel, kernel]));
            specs.push((format!("{name}.bias"), vec![c_out]));
        }
    }
    specs
}

/// The tensors of the `lpips` package's file: one non-negative weight for each channel of each stage.
#[must_use]
pub fn linear_tensors(backbone: Backbone) -> Vec<TensorSpec> {
    let layers = Architecture::of(backbone).map_or(&[][..], |architecture| architecture.layers);
    let stages = layers.iter().filter(|(_, _, stage)| *stage).enumerate();
    stages
        .map(|(number, &(_, plan, _))| (format!("lin{number}.model.1.weight"), vec![1, channels_out(plan), 1, 1]))
        .collect()
}

/// Picks the tensors of `specs` out of `tensors`, in their order; others are passed over.
///
/// # Errors
///
/// One that is missing, or of another shape.
pub fn select(specs: &[TensorSpec], tensors: &[NamedTensor]) -> Result<Vec<NamedTensor>, WeightsError> {
    let by_name: BTreeMap<&str, &NamedTensor> = tensors.iter().map(|t| (t.name.as_str(), t)).collect();
    let missing: Vec<String> = specs
        .iter()
        .filter(|(name, _)| !by_name.contains_key(name.as_str()))
        .map(|s| s.0.clone())
        .collect();
    if !missing.is_empty() {
        return Err(WeightsError::Missing { names: missing });
    }
    let pick = |(name, shape): &TensorSpec| {
        let tensor = by_name[name.as_str()];
        if &tensor.shape == shape && tensor.values.len() == shape.iter().product::<usize>() {
            return Ok(tensor.clone());
        }
        let (name, expected, found) = (name.clone(), shape.clone(), tensor.shape.clone());
        Err(WeightsError::Shape { name, expected, found })
    };
    specs.iter().map(pick).collect()
}

/// A published backbone with its weights.
#[derive(Debug)]
pub(super) struct PublishedNet {
    layers: Vec<(Layer, bool)>,
    smallest: usize,
}

impl PublishedNet {
    /// Builds the layers from tensors with torchvision's names.
    ///
    /// # Errors
    ///
    /// A tensor that is missing or of another shape.
    pub(super) fn new(backbone: Backbone, tensors: &[NamedTensor]) -> Result<Self, WeightsError> {
        let mut weights = select(&backbone_tensors(backbone), tensors)?.into_iter();
        let mut conv = |stride, padding| {
            let (weight, bias) = weights.next().zip(weights.next())?;
            let shape = <[usize; 4]>::try_from(weight.shape).ok()?;
            let weight = Array4::from_shape_vec(shape, weight.values).ok()?;
            Some(ConvRelu {
                weight,
                bias: bias.values,
                stride,
                padding,
            })
        };
        let Some(architecture) = Architecture::of(backbone) else {
            return Err(WeightsError::Missing {
                names: vec!["a published architecture".into()],
            });
        };
        let mut build = |plan| {
            Some(match plan {
                Conv(_, _, _, stride, padding) => Layer::ConvRelu(conv(stride, padding)?),
                Pool(window, stride, ceil) => Layer::Pool { window, stride, ceil },
                Fire(..) => {
                    let (squeeze, expand1, expand3) = (conv(1, 0)?, conv(1, 0)?, conv(1, 1)?);
                    Layer::Fire(Box::new(layers::Fire {
                        squeeze,
                        expand1,
                        expand3,
                    }))
                }
            })
        };
        let layers: Option<Vec<_>> = architecture
            .layers
            .iter()
            .map(|&(_, plan, stage)| Some((build(plan)?, stage)))
            .collect();
        // `select` has checked that every tensor is there, in this order and shape.
        let layers = layers.unwrap_or_else(|| unreachable!("tensors in the order of the layers"));
        Ok(Self {
            layers,
            smallest: architecture.smallest,
        })
    }
}

impl Extractor for PublishedNet {
    fn smallest(&self) -> usize {
        self.smallest
    }

    fn features(&self, images: &Array4<f32>) -> Result<Vec<Array4<f32>>, LpipsError> {
        let mut x = images.as_standard_layout().into_owned();
        for (channel, mut plane) in x.axis_iter_mut(Axis(1)).enumerate() {
            plane.mapv_inplace(|value| (value - SHIFT[channel]) / SCALE[channel]);
        }
        let mut features = Vec::new();
        for (layer, is_stage) in &self.layers {
            x = layer.forward(&x);
            if *is_stage {
                features.push(x.clone());
            }
        }
        Ok(features)
    }
}
