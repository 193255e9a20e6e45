//! Inpainting: some pixels are missing, in all channels alike.

use std::path::Path;

use ndarray::{Array2, Array4, ArrayRef2, ArrayRef4};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::planes::{back_from_seen_first, kept_first, seen_first};
use super::{check_image_shape, from_file};
use crate::entry::{Entry, Recipe};
use crate::light::{Fit, Light};
use crate::operator::{ForwardOperator, LinearOperator, OperatorError, OperatorKind, SpectralOperator, refuse};

/// The pixels that a mask leaves, `A x = (x_i for i in observed)`, the same ones in each channel.
///
/// A measurement holds the `M` observed pixels only, as `[C, 1, M]` in reading order, so that noise and residual exist
/// where something was measured and nowhere else. `A` is a selection of rows of the identity: `A A^T = I`, and `A^+ =
/// A^T` puts the observed pixels in their places and 0, mid-grey, into the missing ones. `M = 0` is allowed.
#[derive(Clone, Debug)]
pub struct Inpainting {
    name: &'static str,
    kind: OperatorKind,
    description: String,
    image_shape: [usize; 3],
    /// The places of the observed pixels in a plane, in reading order.
    observed: Vec<usize>,
}

impl Inpainting {
    /// Removes a fraction of all pixels, to the nearest whole number of them, at random places.
    ///
    /// - `image_shape`: `[C, H, W]`
    /// - `removed`: 0 to 1; the pinned setting is 0.7
    ///
    /// # Errors
    ///
    /// A fraction that is none, or an image without pixels.
    pub fn random(image_shape: [usize; 3], removed: f64, seed: u64) -> Result<Self, OperatorError> {
        let name = "inpainting";
        check_image_shape(name, image_shape)?;
        if !(0.0..=1.0).contains(&removed) {
            return Err(refuse(name, "the fraction of removed pixels", "0 to 1", removed));
        }
        let pixels = image_shape[1] * image_shape[2];
        let kept = pixels - (removed * pixels as f64).round() as usize;
        let mut observed = rand::seq::index::sample(&mut StdRng::seed_from_u64(seed), pixels, kept).into_vec();
        observed.sort_unstable();
        let percent = 100.0 * (pixels - kept) as f64 / pixels as f64;
        Ok(Self {
            name,
            kind: OperatorKind::ScatteredMask,
            description: format!("{percent:.1} % of the pixels removed at random, mask seed {seed}"),
            image_shape,
            observed,
        })
    }

    /// Removes a square of `side` x `side` pixels in the centre; where it cannot be exactly there, half a pixel further
    /// up or left.
    ///
    /// # Errors
    ///
    /// A box that is larger than the image.
    pub fn centred_box(image_shape: [usize; 3], side: usize) -> Result<Self, OperatorError> {
        let name = "box-inpainting";
        check_image_shape(name, image_shape)?;
        let [_, height, width] = image_shape;
        if side > height.min(width) {
            return Err(refuse(
                name,
                "the side of the box",
                format!("at most {} pixels in an image of {height}x{width}", height.min(width)),
                side,
            ));
        }
        let (top, left) = ((height - side) / 2, (width - side) / 2);
        let inside = |y: usize, x: usize| (top..top + side).contains(&y) && (left..left + side).contains(&x);
        let mask = Array2::from_shape_fn((height, width), |(y, x)| !inside(y, x));
        Self::named(
            name,
            format!("{side}x{side} pixels in the centre removed"),
            image_shape,
            &mask,
        )
    }

    /// Keeps the pixels where `observed`, `[H, W]`, is true.
    ///
    /// # Errors
    ///
    /// A mask of another height and width than the image.
    pub fn from_mask(image_shape: [usize; 3], observed: &ArrayRef2<bool>) -> Result<Self, OperatorError> {
        let removed = observed.iter().filter(|&&kept| !kept).count();
        let description = format!("a mask that removes {removed} of {} pixels", observed.len());
        Self::named("mask", description, image_shape, observed)
    }

    /// Reads a mask from an image file: dark (below half) is missing, bright is observed.
    ///
    /// An image of another size is resized to `H` x `W` (averaging, without cropping) before the threshold. Colours
    /// count by their brightness, what is transparent is missing, and the description says so.
    ///
    /// # Errors
    ///
    /// A file that is not there or is no image.
    pub fn from_mask_file(image_shape: [usize; 3], path: &Path) -> Result<Self, OperatorError> {
        let name = "mask";
        check_image_shape(name, image_shape)?;
        let [_, height, width] = image_shape;
        let Light { brightness, remark, .. } =
            Light::read(path, Fit::Whole([height, width])).map_err(|error| OperatorError::File {
                operator: name,
                message: error.to_string(),
            })?;
        let mask = brightness.mapv(|brightness| brightness >= 0.5);
        let mut operator = Self::from_mask(image_shape, &mask)?;
        operator.description.push_str(&from_file(path, &remark));
        Ok(operator)
    }

    fn named(
        name: &'static str,
        description: String,
        image_shape: [usize; 3],
        mask: &ArrayRef2<bool>,
    ) -> Result<Self, OperatorError> {
        check_image_shape(name, image_shape)?;
        if mask.shape() != &image_shape[1..] {
            return Err(refuse(
                name,
                "the mask's shape [H, W]",
                format!("{:?}", &image_shape[1..]),
                format!("{:?}", mask.shape()),
            ));
        }
        let places = mask.iter().enumerate();
        Ok(Self {
            name,
            kind: OperatorKind::HoleMask,
            description,
            image_shape,
            observed: places.filter_map(|(place, &kept)| kept.then_some(place)).collect(),
        })
    }

    /// The mask, `[H, W]`: true where a pixel is observed.
    #[must_use]
    pub fn mask(&self) -> Array2<bool> {
        let width = self.image_shape[2];
        let mut mask = Array2::from_elem((self.image_shape[1], width), false);
        for &place in &self.observed {
            mask[[place / width, place % width]] = true;
        }
        mask
    }

    /// The pixels at the given places, `[B, C, 1, places]`.
    fn take(&self, x: &ArrayRef4<f32>, places: &[usize]) -> Array4<f32> {
        let width = self.image_shape[2];
        let shape = (x.shape()[0], x.shape()[1], 1, places.len());
        Array4::from_shape_fn(shape, |(image, channel, _, m)| {
            x[[image, channel, places[m] / width, places[m] % width]]
        })
    }

    /// The inverse of [`Self::take`]; 0 at all other places.
    fn put_back(&self, b: &ArrayRef4<f32>, places: &[usize]) -> Array4<f32> {
        let [channels, height, width] = self.image_shape;
        let mut images = Array4::zeros((b.shape()[0], channels, height, width));
        for (mut plane, values) in images.outer_iter_mut().zip(b.outer_iter()) {
            for (mut plane, values) in plane.outer_iter_mut().zip(values.outer_iter()) {
                for (&place, &value) in places.iter().zip(values) {
                    plane[[place / width, place % width]] = value;
                }
            }
        }
        images
    }

    /// All places, the observed ones first.
    fn order(&self) -> Vec<usize> {
        kept_first(&self.observed, self.image_shape[1] * self.image_shape[2])
    }
}

impl ForwardOperator for Inpainting {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kind(&self) -> OperatorKind {
        self.kind
    }

    fn description(&self) -> String {
        self.description.clone()
    }

    fn image_shape(&self) -> [usize; 3] {
        self.image_shape
    }

    fn measurement_shape(&self) -> [usize; 3] {
        [self.image_shape[0], 1, self.observed.len()]
    }

    fn apply_unchecked(&self, x: &ArrayRef4<f32>) -> Array4<f32> {
        self.take(x, &self.observed)
    }

    fn vjp_unchecked(&self, _x: &ArrayRef4<f32>, v: &ArrayRef4<f32>) -> Array4<f32> {
        self.put_back(v, &self.observed)
    }

    fn as_linear(&self) -> Option<&dyn LinearOperator> {
        Some(self)
    }
}

impl LinearOperator for Inpainting {
    fn orthogonal_rows(&self) -> Option<f64> {
        Some(1.0)
    }

    fn as_spectral(&self) -> Option<&dyn SpectralOperator> {
        Some(self)
    }
}

/// `V^T` sorts the pixels, the observed ones first; `U = I`.
impl SpectralOperator for Inpainting {
    fn singular_values(&self) -> Vec<f32> {
        vec![1.0; self.measurement_shape().iter().product()]
    }

    fn image_to_spectrum_unchecked(&self, x: &ArrayRef4<f32>) -> Array2<f32> {
        seen_first(&self.take(x, &self.order()), self.observed.len())
    }

    fn spectrum_to_image_unchecked(&self, z: &ArrayRef2<f32>) -> Array4<f32> {
        let pixels = back_from_seen_first(z, self.observed.len(), self.image_shape[0]);
        self.put_back(&pixels, &self.order())
    }
}

pub(super) const RANDOM: Entry = Entry {
    name: "inpainting",
    syntax: "[:REMOVED]",
    meaning: "random pixels are missing (REMOVED 0.7 of them)",
    kind: OperatorKind::ScatteredMask,
    parse: |words| {
        let removed = words.next("REMOVED", 0.7)?;
        Ok(Recipe::new(format!("{removed}"), move |image_shape, seed| {
            Inpainting::random(image_shape, removed, seed)
        }))
    },
};

pub(super) const CENTRED_BOX: Entry = Entry {
    name: "box-inpainting",
    syntax: "[:SIDE]",
    meaning: "a square in the centre is missing (SIDE 24 pixels)",
    kind: OperatorKind::HoleMask,
    parse: |words| {
        let side = words.next("SIDE", 24)?;
        Ok(Recipe::new(format!("{side}"), move |image_shape, _seed| {
            Inpainting::centred_box(image_shape, side)
        }))
    },
};

pub(super) const MASK_FILE: Entry = Entry {
    name: "mask",
    syntax: ":FILE",
    meaning: "what is dark or transparent in an image file is missing",
    kind: OperatorKind::HoleMask,
    parse: |words| {
        let file = words.file()?;
        Ok(Recipe::new(file.display().to_string(), move |image_shape, _seed| {
            Inpainting::from_mask_file(image_shape, &file)
        }))
    },
};
