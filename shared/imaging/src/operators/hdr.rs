//! High dynamic range: a camera that overexposes. Nonlinear.

use ndarray::{Array4, ArrayRef4, Zip};

use super::check_image_shape;
use crate::entry::{Entry, Recipe};
use crate::operator::{ForwardOperator, OperatorError, OperatorKind, refuse};

const NAME: &str = "hdr";
/// Bends the curve away from an infinite slope at black.
const TOE: f64 = 0.05;

/// The response curve of a camera: exposure, clipping, gamma.
///
/// With the light `u = (x + 1) / 2`, a measured value is
///
/// ```text
/// b = 2 r(clip(exposure u, 0, 1)) - 1,    r(s) = ((s + d)^(1/gamma) - d^(1/gamma)) / ((1 + d)^(1/gamma) - d^(1/gamma))
/// ```
///
/// with `d = 0.05`, so that the slope at black is finite (3 instead of infinite at gamma 2.2; sRGB's curve has a
/// straight piece there for the same reason); `r(0) = 0` and `r(1) = 1`. What is brighter than `1 / exposure` is
/// clipped and lost, the rest is brightened. With exposure 2 and gamma 1 this is the `clip(2 x, -1, 1)` of other works
/// up to the place of black: there a pixel of 0 is the middle, here the light is exposed, and dark stays dark.
///
/// The VJP multiplies by the slope `exposure r'(exposure u)`, and by 0 beyond both clips (at black itself by the
/// slope).
#[derive(Clone, Debug)]
pub struct HdrResponse {
    image_shape: [usize; 3],
    exposure: f64,
    gamma: f64,
    /// `d^(1/gamma)`, and the height of the curve before it is scaled to 1.
    low: f64,
    height: f64,
}

impl HdrResponse {
    /// - `image_shape`: `[C, H, W]`
    /// - `exposure`: above 0, at most 1000; the usual value is 2
    /// - `gamma`: 0.1 to 10; the usual value is 2.2, and 1 is a straight line
    ///
    /// # Errors
    ///
    /// A parameter out of range, or an image without pixels.
    pub fn new(image_shape: [usize; 3], exposure: f64, gamma: f64) -> Result<Self, OperatorError> {
        check_image_shape(NAME, image_shape)?;
        if !(exposure > 0.0 && exposure <= 1000.0) {
            return Err(refuse(NAME, "the exposure", "above 0, at most 1000", exposure));
        }
        if !(0.1..=10.0).contains(&gamma) {
            return Err(refuse(NAME, "gamma", "0.1 to 10", gamma));
        }
        let low = TOE.powf(1.0 / gamma);
        Ok(Self {
            image_shape,
            exposure,
            gamma,
            low,
            height: (1.0 + TOE).powf(1.0 / gamma) - low,
        })
    }

    /// `r(s)` for `s` in [0, 1].
    fn curve(&self, s: f64) -> f64 {
        ((s + TOE).powf(1.0 / self.gamma) - self.low) / self.height
    }

    /// The `s` in [0, 1] with `r(s) = value`.
    fn curve_back(&self, value: f64) -> f64 {
        (value * self.height + self.low).powf(self.gamma) - TOE
    }

    /// `db / dx` at the pixel `x`.
    fn slope(&self, x: f64) -> f64 {
        let s = self.exposure * (x + 1.0) / 2.0;
        if !(0.0..1.0).contains(&s) {
            return 0.0;
        }
        // The 2 of the way back to [-1, 1] and the 1/2 of the way there cancel.
        self.exposure * (s + TOE).powf(1.0 / self.gamma - 1.0) / (self.gamma * self.height)
    }
}

impl ForwardOperator for HdrResponse {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> OperatorKind {
        OperatorKind::Hdr
    }

    fn description(&self) -> String {
        format!("exposure {}, clipped, gamma {}", self.exposure, self.gamma)
    }

    fn image_shape(&self) -> [usize; 3] {
        self.image_shape
    }

    fn measurement_shape(&self) -> [usize; 3] {
        self.image_shape
    }

    fn apply_unchecked(&self, x: &ArrayRef4<f32>) -> Array4<f32> {
        Zip::from(x).par_map_collect(|&x| {
            let exposed = self.exposure * (f64::from(x) + 1.0) / 2.0;
            (2.0 * self.curve(exposed.clamp(0.0, 1.0)) - 1.0) as f32
        })
    }

    fn vjp_unchecked(&self, x: &ArrayRef4<f32>, v: &ArrayRef4<f32>) -> Array4<f32> {
        Zip::from(x)
            .and(v)
            .par_map_collect(|&x, &v| (self.slope(f64::from(x)) * f64::from(v)) as f32)
    }

    /// The response undone; where it was clipped, the darkest light that explains it.
    fn start_image_unchecked(&self, b: &ArrayRef4<f32>) -> Array4<f32> {
        b.map(|&b| {
            let value = ((f64::from(b) + 1.0) / 2.0).clamp(0.0, 1.0);
            (2.0 * self.curve_back(value) / self.exposure - 1.0) as f32
        })
    }

    /// The photograph itself.
    fn picture_unchecked(&self, b: &ArrayRef4<f32>) -> Array4<f32> {
        b.to_owned()
    }
}

pub(super) const ENTRY: Entry = Entry {
    name: NAME,
    syntax: "[:EXPOSURE,GAMMA]",
    meaning: "an overexposed photograph (EXPOSURE 2, GAMMA 2.2); nonlinear",
    kind: OperatorKind::Hdr,
    parse: |words| {
        let (exposure, gamma) = (words.next("EXPOSURE", 2.0)?, words.next("GAMMA", 2.2)?);
        Ok(Recipe::new(format!("{exposure},{gamma}"), move |image_shape, _seed| {
            HdrResponse::new(image_shape, exposure, gamma)
        }))
    },
};
