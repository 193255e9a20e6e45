//! What a measurement cannot tell: where several images have one measurement, a reconstruction is compared with the one
//! that is nearest to it.

use crate::operator::OperatorKind;
use ndarray::{Array3, ArrayRef3, Axis, s};

/// What maps an image to another with the same measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symmetry {
    /// Nothing.
    None,
    /// Each channel by itself may be turned by 180 degrees.
    HalfTurn,
}

impl Symmetry {
    /// The symmetry of operators of this kind.
    ///
    /// The magnitude of a Fourier transform is that of the image turned by 180 degrees, too, and each channel is
    /// measured by itself.
    #[must_use]
    pub fn of(kind: OperatorKind) -> Self {
        match kind {
            OperatorKind::PhaseRetrieval => Self::HalfTurn,
            OperatorKind::ScatteredMask
            | OperatorKind::HoleMask
            | OperatorKind::Blur
            | OperatorKind::MotionBlur
            | OperatorKind::Downsampling
            | OperatorKind::Colourisation
            | OperatorKind::CompressedSensing
            | OperatorKind::Tomography
            | OperatorKind::Fourier
            | OperatorKind::Hdr => Self::None,
        }
    }

    /// What it is, for reports; none where there is nothing to say.
    #[must_use]
    pub fn description(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::HalfTurn => Some(
                "cannot tell a channel from the same turned by 180 degrees: each channel is judged and shown the way \
                 round that is nearer to the truth",
            ),
        }
    }

    /// The channels of `image`, `[C, H, W]`, that are nearer to those of `truth` after the symmetry's map.
    #[must_use]
    pub fn mapped_channels(self, image: &ArrayRef3<f32>, truth: &ArrayRef3<f32>) -> Vec<usize> {
        if self == Self::None {
            return Vec::new();
        }
        let is_nearer_turned = |&channel: &usize| {
            let (image, truth) = (image.index_axis(Axis(0), channel), truth.index_axis(Axis(0), channel));
            let turned = image.slice(s![..;-1, ..;-1]);
            let distance = |a: &ndarray::ArrayView2<'_, f32>| -> f64 {
                a.iter().zip(&truth).map(|(a, b)| f64::from(a - b).powi(2)).sum()
            };
            distance(&turned) < distance(&image)
        };
        (0..image.dim().0).filter(is_nearer_turned).collect()
    }

    /// `image` with each channel the way round that is nearer to `truth`; both `[C, H, W]`.
    #[must_use]
    pub fn align(self, image: &ArrayRef3<f32>, truth: &ArrayRef3<f32>) -> Array3<f32> {
        let mut aligned = image.to_owned();
        for channel in self.mapped_channels(image, truth) {
            let turned = image.slice(s![channel, ..;-1, ..;-1]).to_owned();
            aligned.index_axis_mut(Axis(0), channel).assign(&turned);
        }
        aligned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Array3<f32> {
        Array3::from_shape_fn((3, 4, 4), |(c, y, x)| ((c * 16 + y * 4 + x) as f32 * 0.7).sin())
    }

    #[test]
    fn each_channel_is_turned_by_itself_and_only_where_that_is_nearer() {
        let truth = image();
        let mut turned = truth.clone();
        let green = truth.slice(s![1, ..;-1, ..;-1]).to_owned();
        turned.index_axis_mut(Axis(0), 1).assign(&green);
        assert_eq!(Symmetry::HalfTurn.mapped_channels(&turned, &truth), [1]);
        assert_eq!(Symmetry::HalfTurn.align(&turned, &truth), truth);
        assert_eq!(Symmetry::HalfTurn.align(&truth, &truth), truth);
        assert_eq!(Symmetry::None.align(&turned, &truth), turned);
    }

    #[test]
    fn what_is_nearer_after_a_turn_has_the_same_measurement() -> Result<(), Box<dyn std::error::Error>> {
        use crate::parse_operator;
        let x = image();
        let operator = parse_operator("phase-retrieval", [3, 4, 4], 0)?;
        assert_eq!(Symmetry::of(operator.kind()), Symmetry::HalfTurn);
        let turned = x.slice(s![.., ..;-1, ..;-1]).to_owned();
        let measured = |x: &Array3<f32>| operator.apply(&x.clone().insert_axis(Axis(0)));
        let difference = measured(&x)? - measured(&turned)?;
        assert!(difference.iter().all(|d| d.abs() < 1e-6));
        Ok(())
    }
}
