//! Whether an operator leaves anything to do.

use ndarray::Array4;
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::Uniform;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::operator::{ForwardOperator, OperatorError};

/// Differences of pixels below this are rounding, on the scale of [-1, 1].
const ROUNDING: f32 = 1e-4;

/// How much of an image a measurement holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Nothing: whatever comes out is the prior's alone.
    Nothing,
    /// What an inverse problem is about.
    Part,
    /// The image itself, as it is or in another order: there is nothing to reconstruct but noise to remove.
    Everything,
}

/// Looks at how much of an image is left, by measuring a random one: all of it if the measurement is as long as the
/// image (in numbers and in norm) and its start image is the image again.
///
/// # Errors
///
/// As [`ForwardOperator::apply`], for an operator that does not keep its own contract.
pub fn coverage(operator: &dyn ForwardOperator) -> Result<Coverage, OperatorError> {
    let [channels, height, width] = operator.image_shape();
    let measured: usize = operator.measurement_shape().iter().product();
    if measured == 0 {
        return Ok(Coverage::Nothing);
    }
    let image = (1, channels, height, width);
    let Ok(pixels) = Uniform::new(-1.0_f32, 1.0) else {
        return Ok(Coverage::Part);
    };
    let x = Array4::random_using(image, pixels, &mut StdRng::seed_from_u64(0));
    let b = operator.apply(&x)?;
    let norm = |array: &Array4<f32>| array.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    let same_length = b.len() == x.len() && (norm(&b) / norm(&x) - 1.0).abs() < f64::from(ROUNDING);
    if !same_length {
        return Ok(Coverage::Part);
    }
    let again = operator.start_image(&b)?;
    let is_same = again.iter().zip(&x).all(|(a, b)| (a - b).abs() < ROUNDING);
    Ok(if is_same { Coverage::Everything } else { Coverage::Part })
}
