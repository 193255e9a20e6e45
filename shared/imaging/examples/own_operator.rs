//! An operator of one's own: a mirror, and what comes with it. `cargo run -p imaging --example own_operator`

use imaging::{ForwardOperator, OperatorError, OperatorKind, residual_norms};
use ndarray::{Array4, ArrayRef4, s};

/// The image as a mirror shows it: `A x` turns each row around, and so does `A^T`.
#[derive(Debug)]
struct Mirror;

impl ForwardOperator for Mirror {
    fn name(&self) -> &'static str {
        "mirror"
    }
    // Settings that were tuned for this kind will be used.
    fn kind(&self) -> OperatorKind {
        OperatorKind::Blur
    }
    fn description(&self) -> String {
        "left and right exchanged".into()
    }
    fn image_shape(&self) -> [usize; 3] {
        [3, 64, 64]
    }
    fn measurement_shape(&self) -> [usize; 3] {
        [3, 64, 64]
    }
    fn apply_unchecked(&self, x: &ArrayRef4<f32>) -> Array4<f32> {
        x.slice(s![.., .., .., ..;-1]).to_owned()
    }
    fn vjp_unchecked(&self, _x: &ArrayRef4<f32>, v: &ArrayRef4<f32>) -> Array4<f32> {
        self.apply_unchecked(v)
    }
}

// As `A` is linear, `as_linear` and `impl LinearOperator for Mirror {}` would bring a pseudo-inverse and what stands on
// it.
fn main() -> Result<(), OperatorError> {
    let x = Array4::from_shape_fn((1, 3, 64, 64), |(_, c, y, x)| ((c + y * x) as f32).sin());
    let v = Array4::from_shape_fn((1, 3, 64, 64), |(_, c, y, x)| ((c * y + x) as f32).cos());
    let b = Mirror.apply(&x)?;
    println!(
        "<A x, v> = {}, <x, A^T v> = {}",
        (&b * &v).sum(),
        (&x * &Mirror.vjp(&x, &v)?).sum()
    );
    println!(
        "||b - A x|| = {:?}, ||b - A v|| = {:?}",
        residual_norms(&Mirror, &b, &x)?,
        residual_norms(&Mirror, &b, &v)?
    );
    Ok(())
}
