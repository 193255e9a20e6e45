//! An orthonormal basis whose first vector is given.

/// The Householder reflection `H = I - 2 u u^T` that exchanges the first unit vector and a given one `q`: it is
/// orthogonal, symmetric and its own inverse, and the first coefficient of `H x` is `<q, x>`.
#[derive(Clone, Debug)]
pub(super) struct Reflection {
    /// Of norm 1; all zeros where `q` is the first unit vector already.
    u: Vec<f64>,
}

impl Reflection {
    /// `direction` need not have norm 1; not all zeros.
    pub(super) fn to(direction: &[f64]) -> Self {
        let normalised = |vector: Vec<f64>| {
            let norm = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
            let scale = if norm > 0.0 { 1.0 / norm } else { 0.0 };
            vector.into_iter().map(|value| scale * value).collect::<Vec<_>>()
        };
        let mut u = normalised(direction.to_vec());
        u[0] -= 1.0;
        Self { u: normalised(u) }
    }

    /// `x` becomes `H x`.
    pub(super) fn apply(&self, x: &mut [f64]) {
        let along: f64 = self.u.iter().zip(x.iter()).map(|(u, x)| u * x).sum();
        for (x, u) in x.iter_mut().zip(&self.u) {
            *x -= 2.0 * along * u;
        }
    }
}
