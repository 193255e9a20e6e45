//! Colourisation: the measurement is the grey image.

use ndarray::{Array2, Array4, ArrayRef2, ArrayRef4, Axis};

use super::check_image_shape;
use super::reflection::Reflection;
use crate::entry::{Entry, Recipe};
use crate::operator::{
    ForwardOperator, LinearOperator, OperatorError, OperatorKind, SpectralOperator, flatten, refuse, unflatten,
};

const NAME: &str = "colourisation";
/// How bright red, green and blue are to the eye: ITU-R Recommendation BT.601. Their sum is 1.
const WEIGHTS: [f32; 3] = [0.299, 0.587, 0.114];

/// The grey value of each pixel, `A x = 0.299 R + 0.587 G + 0.114 B` (ITU-R BT.601), as `[1, H, W]`.
///
/// With `w` these weights, `A^T b = w b`, `A A^T = ||w||^2 I` and `A^+ b = w b / ||w||^2`: the solution of least norm
/// is greenish, because green gives the most grey for its norm. The start image is the grey one instead, which explains
/// the measurement as well, because the weights sum to 1.
#[derive(Clone, Debug)]
pub struct Colourisation {
    image_shape: [usize; 3],
}

impl Colourisation {
    /// For images `[3, H, W]`.
    ///
    /// # Errors
    ///
    /// Another number of channels than 3, or no pixels.
    pub fn new(image_shape: [usize; 3]) -> Result<Self, OperatorError> {
        check_image_shape(NAME, image_shape)?;
        if image_shape[0] != WEIGHTS.len() {
            return Err(refuse(
                NAME,
                "the number of channels",
                "3: red, green, blue",
                image_shape[0],
            ));
        }
        Ok(Self { image_shape })
    }

    /// Each grey value times a weight for each channel.
    fn tint(&self, b: &ArrayRef4<f32>, weights: [f32; 3]) -> Array4<f32> {
        let [channels, height, width] = self.image_shape;
        let shape = (b.shape()[0], channels, height, width);
        Array4::from_shape_fn(shape, |(image, channel, y, x)| weights[channel] * b[[image, 0, y, x]])
    }

    /// The colour of each pixel on axes of which the first is `w / ||w||`, or back: the same reflection does both.
    fn turn(&self, x: &ArrayRef4<f32>) -> Array4<f32> {
        let reflection = Reflection::to(&WEIGHTS.map(f64::from));
        let mut turned = x.to_owned();
        for mut colour in turned.lanes_mut(Axis(1)) {
            let mut mixed = [colour[0], colour[1], colour[2]].map(f64::from);
            reflection.apply(&mut mixed);
            colour.iter_mut().zip(mixed).for_each(|(to, from)| *to = from as f32);
        }
        turned
    }
}

/// `||w||^2`.
fn norm_squared() -> f32 {
    WEIGHTS.iter().map(|weight| weight * weight).sum()
}

impl ForwardOperator for Colourisation {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> OperatorKind {
        OperatorKind::Colourisation
    }

    fn description(&self) -> String {
        let [red, green, blue] = WEIGHTS;
        format!("grey = {red} R + {green} G + {blue} B")
    }

    fn image_shape(&self) -> [usize; 3] {
        self.image_shape
    }

    fn measurement_shape(&self) -> [usize; 3] {
        [1, self.image_shape[1], self.image_shape[2]]
    }

    fn apply_unchecked(&self, x: &ArrayRef4<f32>) -> Array4<f32> {
        let [_, height, width] = self.image_shape;
        let shape = (x.shape()[0], 1, height, width);
        Array4::from_shape_fn(shape, |(image, _, row, column)| {
            let channels = WEIGHTS.iter().enumerate();
            channels.map(|(c, weight)| weight * x[[image, c, row, column]]).sum()
        })
    }

    fn vjp_unchecked(&self, _x: &ArrayRef4<f32>, v: &ArrayRef4<f32>) -> Array4<f32> {
        self.tint(v, WEIGHTS)
    }

    /// The grey image, in all three channels.
    fn start_image_unchecked(&self, b: &ArrayRef4<f32>) -> Array4<f32> {
        self.tint(b, [1.0; 3])
    }

    fn as_linear(&self) -> Option<&dyn LinearOperator> {
        Some(self)
    }
}

impl LinearOperator for Colourisation {
    fn orthogonal_rows(&self) -> Option<f64> {
        Some(norm_squared().into())
    }

    fn pseudo_inverse_unchecked(&self, b: &ArrayRef4<f32>) -> Array4<f32> {
        self.tint(b, WEIGHTS.map(|weight| weight / norm_squared()))
    }

    fn as_spectral(&self) -> Option<&dyn SpectralOperator> {
        Some(self)
    }
}

/// `V` turns the colour of each pixel so that the first axis is grey; `U = I`.
impl SpectralOperator for Colourisation {
    fn singular_values(&self) -> Vec<f32> {
        let [_, height, width] = self.image_shape;
        vec![norm_squared().sqrt(); height * width]
    }

    fn image_to_spectrum_unchecked(&self, x: &ArrayRef4<f32>) -> Array2<f32> {
        flatten(&self.turn(x))
    }

    fn spectrum_to_image_unchecked(&self, z: &ArrayRef2<f32>) -> Array4<f32> {
        self.turn(&unflatten(z, self.image_shape))
    }
}

pub(super) const ENTRY: Entry = Entry {
    name: NAME,
    syntax: "",
    meaning: "the grey image",
    kind: OperatorKind::Colourisation,
    parse: |_words| Ok(Recipe::new("", |image_shape, _seed| Colourisation::new(image_shape))),
};
