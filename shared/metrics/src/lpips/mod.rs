//! LPIPS, the learned perceptual distance of Zhang et al. 2018.

mod distance;
mod embedded;
mod error;
mod extract;
mod feature_net;
mod global;
mod layers;
mod published;

use std::path::Path;

use ndarray::{Array4, ArrayRef3, ArrayRef4, ArrayView4, Axis, concatenate, s};
use nn::{Cpu, NamedTensor};
use rayon::prelude::*;

pub use error::LpipsError;
pub use feature_net::FeatureNet;
pub use global::ImageFeatures;
pub use published::{TensorSpec, backbone_tensors, linear_tensors, select};

use crate::error::{MetricError, check};
use crate::lpips::distance::stage_distance;
use crate::lpips::extract::Extractor;
use crate::lpips::feature_net::STAGE_CHANNELS;
use crate::lpips::published::PublishedNet;

/// The network whose features LPIPS compares. Distances of different backbones are on different scales: a report must
/// say which one it used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backbone {
    /// The project's own small network, trained on CIFAR-10; it is part of the program.
    Embedded,
    /// AlexNet, the authors' choice for reporting distances.
    Alex,
    /// VGG16, the authors' choice for losses.
    Vgg,
    /// SqueezeNet 1.1, the smallest of the three.
    Squeeze,
}

impl Backbone {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Embedded, Self::Alex, Self::Vgg, Self::Squeeze];

    /// `embedded`, `alex`, `vgg` or `squeeze`, the last three as in the authors' package.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Alex => "alex",
            Self::Vgg => "vgg",
            Self::Squeeze => "squeeze",
        }
    }

    /// The backbone of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|backbone| backbone.name() == name)
    }

    /// The name that the program `lpips-weights` gives to the imported weights, below `data/lpips/`:
    /// `alex.safetensors`.
    #[must_use]
    pub fn file_name(self) -> String {
        format!("{}.safetensors", self.name())
    }
}

/// In a batch so many pairs of images run through the backbone at a time; with more, their features leave the cache.
const PAIRS: usize = 2;

/// The LPIPS distance with one backbone: 0 for equal images, larger for images that look less alike.
///
/// The images run through the backbone; at each of its stages the feature vector at every pixel is scaled to length 1,
/// the squared differences are weighted by channel with non-negative weights, and averaged over the pixels; the stages
/// are summed (Zhang et al. 2018, equation 1). With the backbones `alex`, `vgg` and `squeeze` this is the authors'
/// version 0.1.
///
/// Images are RGB, `[3, H, W]`, in [-1, 1]. The prediction is clamped first, as for [`psnr`](crate::psnr); a ground
/// truth outside of the range is an error. Call it from inside a rayon pool (`rayon::scope`): from outside, every
/// parallel loop costs two thread switches.
#[derive(Debug)]
pub struct Lpips {
    backbone: Backbone,
    extractor: Box<dyn Extractor>,
    /// One weight for each channel of each stage.
    weights: Vec<Vec<f32>>,
}

impl Lpips {
    /// With the embedded backbone, which needs no file. Every channel of each of its five stages weighs 1/5: nobody's
    /// judgements were fitted.
    ///
    /// # Errors
    ///
    /// If the embedded weights are damaged, which a build of this repository's files is not.
    pub fn embedded() -> Result<Self, LpipsError> {
        let backbone = Backbone::Embedded;
        let network = FeatureNet::<Cpu>::embedded().map_err(|source| LpipsError::Weights {
            name: backbone.name(),
            source,
        })?;
        let weight = 1.0 / STAGE_CHANNELS.len() as f32;
        let weights = STAGE_CHANNELS.iter().map(|&channels| vec![weight; channels]).collect();
        Ok(Self {
            backbone,
            extractor: Box::new(network),
            weights,
        })
    }

    /// With a published backbone, from the file at `path` that the program `lpips-weights` made (see
    /// [`Backbone::file_name`]); for [`Backbone::Embedded`] the path is not looked at.
    ///
    /// # Errors
    ///
    /// A missing or damaged file; tensors that are missing, of another shape, not finite; weights of a stage below
    /// zero.
    pub fn load(backbone: Backbone, path: &Path) -> Result<Self, LpipsError> {
        let name = backbone.name();
        if backbone == Backbone::Embedded {
            return Self::embedded();
        }
        if !path.is_file() {
            return Err(LpipsError::NotFound {
                name,
                path: path.into(),
            });
        }
        let tensors = nn::read_weights(path).map_err(|source| LpipsError::Weights { name, source })?;
        Self::from_tensors(backbone, &tensors)
    }

    /// A published backbone from its tensors, with the names of torchvision and of the `lpips` package.
    ///
    /// # Errors
    ///
    /// Tensors that are missing or of another shape; weights of a stage below zero.
    pub fn from_tensors(backbone: Backbone, tensors: &[NamedTensor]) -> Result<Self, LpipsError> {
        let weights_error = |source| LpipsError::Weights {
            name: backbone.name(),
            source,
        };
        let linear = select(&linear_tensors(backbone), tensors).map_err(weights_error)?;
        for tensor in &linear {
            if let Some(&value) = tensor.values.iter().find(|value| **value < 0.0) {
                return Err(LpipsError::Negative {
                    tensor: tensor.name.clone(),
                    value,
                });
            }
        }
        let network = PublishedNet::new(backbone, tensors).map_err(weights_error)?;
        let weights = linear.into_iter().map(|tensor| tensor.values).collect();
        Ok(Self {
            backbone,
            extractor: Box::new(network),
            weights,
        })
    }

    /// Which backbone it is.
    #[must_use]
    pub fn backbone(&self) -> Backbone {
        self.backbone
    }

    /// `embedded`, `alex`, `vgg` or `squeeze`: reports call the distance `LPIPS (embedded)`, say.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.backbone.name()
    }

    /// The distance between a prediction and its ground truth, both `[3, H, W]` in [-1, 1].
    ///
    /// # Errors
    ///
    /// Images of different shapes, too small for the backbone or not RGB; values that are not finite; a ground truth
    /// outside of [-1, 1].
    pub fn distance(&self, prediction: &ArrayRef3<f32>, truth: &ArrayRef3<f32>) -> Result<f64, LpipsError> {
        self.check(prediction, truth)?;
        let (prediction, truth) = (
            prediction.view().insert_axis(Axis(0)),
            truth.view().insert_axis(Axis(0)),
        );
        Ok(self.of_pairs(&stack(&[clamped(&prediction).view(), truth]))?[0])
    }

    /// The distance of each pair of images of two batches `[B, 3, H, W]`; quicker than one by one.
    ///
    /// # Errors
    ///
    /// As [`Lpips::distance`].
    pub fn distances(&self, predictions: &ArrayRef4<f32>, truths: &ArrayRef4<f32>) -> Result<Vec<f64>, LpipsError> {
        if predictions.dim() != truths.dim() {
            return Err(MetricError::Shape {
                prediction: predictions.shape().to_vec(),
                truth: truths.shape().to_vec(),
            }
            .into());
        }
        for (prediction, truth) in predictions.outer_iter().zip(truths.outer_iter()) {
            self.check(&prediction, &truth)?;
        }
        // A few pairs on each thread: threads meet once a batch and not once a layer.
        let chunks: Vec<_> = predictions
            .axis_chunks_iter(Axis(0), PAIRS)
            .zip(truths.axis_chunks_iter(Axis(0), PAIRS))
            .collect();
        let of_chunk = |(predictions, truths): &(ArrayView4<'_, f32>, ArrayView4<'_, f32>)| {
            self.of_pairs(&stack(&[clamped(predictions).view(), truths.view()]))
        };
        let distances = chunks.par_iter().map(of_chunk).collect::<Result<Vec<_>, _>>()?;
        Ok(distances.concat())
    }

    fn check(&self, prediction: &ArrayRef3<f32>, truth: &ArrayRef3<f32>) -> Result<(), LpipsError> {
        check("LPIPS", self.extractor.smallest(), prediction, truth)?;
        match truth.dim().0 {
            3 => Ok(()),
            found => Err(LpipsError::Channels { found }),
        }
    }

    /// The distances between the first half of `images` and the second.
    fn of_pairs(&self, images: &Array4<f32>) -> Result<Vec<f64>, LpipsError> {
        let pairs = images.dim().0 / 2;
        let features = self.extractor.features(images)?;
        let distance = |pair: usize| {
            let stages = features.par_iter().zip(&self.weights);
            let of_stage = |(maps, weights): (&Array4<f32>, &Vec<f32>)| {
                stage_distance(
                    maps.slice(s![pair, .., .., ..]),
                    maps.slice(s![pairs + pair, .., .., ..]),
                    weights,
                )
            };
            // Collected before they are summed, so that the order of the sum is always the same.
            stages.map(of_stage).collect::<Vec<f64>>().iter().sum()
        };
        Ok((0..pairs).into_par_iter().map(distance).collect())
    }
}

fn clamped(images: &ArrayView4<'_, f32>) -> Array4<f32> {
    images.mapv(|x| x.clamp(-1.0, 1.0))
}

/// The images of both batches, one after the other.
fn stack(batches: &[ArrayView4<'_, f32>; 2]) -> Array4<f32> {
    concatenate(Axis(0), batches).unwrap_or_else(|_| unreachable!("two batches of one shape, which was checked"))
}
