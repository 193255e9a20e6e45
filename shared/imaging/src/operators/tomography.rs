//! Tomography: sums along parallel rays in many directions.

use std::f64::consts::PI;

use ndarray::{Array4, ArrayRef4};

use super::check_image_shape;
use super::planes::{ABREAST, map_planes_abreast};
use crate::entry::{Entry, Recipe};
use crate::operator::{ForwardOperator, LinearOperator, OperatorError, OperatorKind, refuse};
use crate::solve::largest_eigenvalue;

const NAME: &str = "tomography";
const MAX_ANGLES: usize = 2000;
/// The weight of the start image's penalty, see [`Tomography::start_image_unchecked`].
const RIDGE: f64 = 0.03;

/// The Radon transform of each channel with parallel rays, as a first-generation scanner measures it: a row of
/// detectors, one pixel apart, turns around the image in even steps over half a turn.
///
/// At the angle `theta` the detector at `s` sees the sum along the ray `x cos(theta) + y sin(theta) = s`, with the
/// origin in the middle of the image and `y` downward. The ray is followed from row to row, or from column to column
/// where it is the flatter, and between two pixels the value is interpolated linearly (Joseph, "An improved algorithm
/// for reprojecting rays through pixel images", 1982). The row of detectors is as long as the image's diagonal, so that
/// every view sees all of it.
///
/// The sums are divided by one number that makes the norm of `A` 1: power iteration at the construction finds it. So
/// noise of one sigma means as much as it does for the other operators, for what is smooth. A wave of `n` cycles across
/// the image is measured with about `0.56 / sqrt(n)` of its size, the finest of 64 pixels with a twentieth; three
/// quarters of the singular values of a 64x64 image at 60 angles are above 0.016, the last tenth below 0.002.
///
/// A measurement is `[C, angles, detectors]`, the sinogram. Apply and adjoint walk the same rays with the same weights.
#[derive(Clone, Debug)]
pub struct Tomography {
    image_shape: [usize; 3],
    views: Vec<View>,
    detectors: usize,
    /// What each sum is multiplied by.
    scale: f64,
}

/// The rays of one angle: which pixels each of them meets.
#[derive(Clone, Debug)]
struct View {
    walk: Walk,
    /// Where the ray of detector 0 meets the first line, in pixels along it.
    first: f64,
    /// How much further each next detector's ray meets it.
    per_detector: f64,
    /// How much further the same ray meets each next line.
    per_line: f64,
    /// How long the ray's way is from line to line, in pixels.
    length: f64,
}

/// What a ray goes along with, line by line.
#[derive(Clone, Copy, Debug)]
enum Walk {
    Rows,
    Columns,
}

impl Tomography {
    /// - `image_shape`: `[C, H, W]`, any sides
    /// - `angles`: 1 to 2000, evenly over half a turn. A complete scan of 64 pixels takes `64 pi / 2`, about 100; the
    ///   usual 60 make a view every 3 degrees and leave fine detail open
    ///
    /// # Errors
    ///
    /// A number of angles out of range, or an image without pixels.
    pub fn new(image_shape: [usize; 3], angles: usize) -> Result<Self, OperatorError> {
        check_image_shape(NAME, image_shape)?;
        if !(1..=MAX_ANGLES).contains(&angles) {
            return Err(refuse(
                NAME,
                "the number of angles",
                format!("1 to {MAX_ANGLES}"),
                angles,
            ));
        }
        let [_, height, width] = image_shape;
        let detectors = (height as f64).hypot(width as f64).ceil() as usize;
        let view = |index: usize| View::new(PI * index as f64 / angles as f64, [height, width], detectors);
        let mut operator = Self {
            image_shape,
            views: (0..angles).map(view).collect(),
            detectors,
            scale: 1.0,
        };
        let plane = [1, height, width];
        let squared = largest_eigenvalue(plane, |x| operator.smear(&operator.project(x)));
        operator.scale = 1.0 / squared.sqrt();
        Ok(operator)
    }

    /// `A x`, of any number of channels.
    fn project(&self, x: &ArrayRef4<f32>) -> Array4<f32> {
        let [_, height, width] = self.image_shape;
        let shape = [self.views.len(), self.detectors];
        map_planes_abreast(x, shape, |images, sinograms| {
            for (view, sums) in self.views.iter().zip(sinograms.chunks_exact_mut(self.detectors)) {
                for (detector, sum) in sums.iter_mut().enumerate() {
                    view.follow(detector, [height, width], |pixel, weight| {
                        add_weighted(sum, weight, &images[pixel]);
                    });
                    *sum = sum.map(|sum| self.scale * sum);
                }
            }
        })
    }

    /// `A^T v`: each number is smeared back along its ray.
    fn smear(&self, v: &ArrayRef4<f32>) -> Array4<f32> {
        let [_, height, width] = self.image_shape;
        map_planes_abreast(v, [height, width], |sinograms, images| {
            for (view, values) in self.views.iter().zip(sinograms.chunks_exact(self.detectors)) {
                for (detector, value) in values.iter().enumerate() {
                    view.follow(detector, [height, width], |pixel, weight| {
                        add_weighted(&mut images[pixel], self.scale * weight, value);
                    });
                }
            }
        })
    }
}

/// `sums + weight values`.
fn add_weighted(sums: &mut [f64; ABREAST], weight: f64, values: &[f32; ABREAST]) {
    for (sum, &value) in sums.iter_mut().zip(values) {
        *sum += weight * f64::from(value);
    }
}

impl View {
    fn new(angle: f64, [height, width]: [usize; 2], detectors: usize) -> Self {
        let (sine, cosine) = angle.sin_cos();
        let middle = |count: usize| (count - 1) as f64 / 2.0;
        // Along a row x = (s - y sin) / cos, along a column y = (s - x cos) / sin; the greater divisor serves.
        let (walk, across, along, lines, places) = if cosine.abs() >= sine.abs() {
            (Walk::Rows, cosine, sine, height, width)
        } else {
            (Walk::Columns, sine, cosine, width, height)
        };
        Self {
            walk,
            first: middle(places) + (middle(lines) * along - middle(detectors)) / across,
            per_detector: 1.0 / across,
            per_line: -along / across,
            length: 1.0 / across.abs(),
        }
    }

    /// Calls `each` with the place and the weight of all pixels that the ray of a detector meets.
    fn follow(&self, detector: usize, [height, width]: [usize; 2], mut each: impl FnMut(usize, f64)) {
        let (lines, places, line_step, place_step) = match self.walk {
            Walk::Rows => (height, width, width, 1),
            Walk::Columns => (width, height, 1, width),
        };
        // Counted from one pixel before the first, so that cutting off the fraction rounds down everywhere.
        let start = self.first + detector as f64 * self.per_detector + 1.0;
        for line in 0..lines {
            let at = start + line as f64 * self.per_line;
            if at <= 0.0 || at >= (places + 1) as f64 {
                continue;
            }
            let place = at as usize;
            let share = at - place as f64;
            let pixel = line * line_step + place * place_step;
            if place > 0 {
                each(pixel - place_step, (1.0 - share) * self.length);
            }
            if place < places {
                each(pixel, share * self.length);
            }
        }
    }
}

impl ForwardOperator for Tomography {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> OperatorKind {
        OperatorKind::Tomography
    }

    fn description(&self) -> String {
        format!(
            "parallel rays, {} angles over half a turn, {} detectors",
            self.views.len(),
            self.detectors
        )
    }

    fn image_shape(&self) -> [usize; 3] {
        self.image_shape
    }

    fn measurement_shape(&self) -> [usize; 3] {
        [self.image_shape[0], self.views.len(), self.detectors]
    }

    fn apply_unchecked(&self, x: &ArrayRef4<f32>) -> Array4<f32> {
        self.project(x)
    }

    fn vjp_unchecked(&self, _x: &ArrayRef4<f32>, v: &ArrayRef4<f32>) -> Array4<f32> {
        self.smear(v)
    }

    /// `argmin_x 1/2 ||A x - b||^2 + 0.03/2 ||x||^2`, the pseudo-inverse's milder sister: what is measured with less
    /// than a sixth of its size is damped and does not blow up the noise.
    fn start_image_unchecked(&self, b: &ArrayRef4<f32>) -> Array4<f32> {
        let [channels, height, width] = self.image_shape;
        self.prox_unchecked(&Array4::zeros((b.shape()[0], channels, height, width)), b, RIDGE)
    }

    /// The sinogram, the least number of each image black and the greatest white.
    fn picture_unchecked(&self, b: &ArrayRef4<f32>) -> Array4<f32> {
        let mut picture = b.to_owned();
        for mut image in picture.outer_iter_mut() {
            let least = image.iter().copied().fold(f32::INFINITY, f32::min);
            let greatest = image.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let range = (greatest - least).max(f32::MIN_POSITIVE);
            image.mapv_inplace(|value| 2.0 * ((value - least) / range) - 1.0);
        }
        picture
    }

    fn as_linear(&self) -> Option<&dyn LinearOperator> {
        Some(self)
    }
}

/// No closed form is known: conjugate gradients solve everything.
impl LinearOperator for Tomography {
    /// By its scaling.
    fn norm(&self) -> f64 {
        1.0
    }
}

pub(super) const ENTRY: Entry = Entry {
    name: NAME,
    syntax: "[:ANGLES]",
    meaning: "sums along parallel rays, as in an X-ray scanner (ANGLES 60)",
    kind: OperatorKind::Tomography,
    parse: |words| {
        let angles = words.next("ANGLES", 60)?;
        Ok(Recipe::new(format!("{angles}"), move |image_shape, _seed| {
            Tomography::new(image_shape, angles)
        }))
    },
};
