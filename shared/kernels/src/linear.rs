//! The fully connected layer, `y[n, o] = sum_i x[n, i] w[o, i] + b[o]`.

use crate::check_len;
use crate::matmul::{Matrix, Output, multiply};

/// `y[n, o] = sum_i x[n, i] weight[o, i] + bias[o]`; overwrites `y`.
///
/// `x` is `[batch][features_in]`, `weight` `[features_out][features_in]`, `y`
/// `[batch][features_out]`.
pub fn linear(
    batch: usize,
    features_in: usize,
    features_out: usize,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    y: &mut [f32],
) {
    check_len("linear: x", batch * features_in, x.len());
    check_len("linear: weight", features_out * features_in, weight.len());
    check_len("linear: bias", features_out, bias.len());
    check_len("linear: y", batch * features_out, y.len());
    if features_out == 0 {
        return;
    }
    for row in y.chunks_exact_mut(features_out) {
        row.copy_from_slice(bias);
    }
    let x = Matrix::new(x, batch, features_in);
    let weight = Matrix::new(weight, features_out, features_in);
    multiply(1.0, x, weight.transposed(), Output::Add, y);
}

/// `dx[n, i] += sum_o dy[n, o] weight[o, i]`.
pub fn linear_input_grad(
    batch: usize,
    features_in: usize,
    features_out: usize,
    weight: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    check_len("linear_input_grad: weight", features_out * features_in, weight.len());
    check_len("linear_input_grad: dy", batch * features_out, dy.len());
    check_len("linear_input_grad: dx", batch * features_in, dx.len());
    let dy = Matrix::new(dy, batch, features_out);
    let weight = Matrix::new(weight, features_out, features_in);
    multiply(1.0, dy, weight, Output::Add, dx);
}

/// `dw[o, i] += sum_n dy[n, o] x[n, i]` and `db[o] += sum_n dy[n, o]`.
pub fn linear_weight_grad(
    batch: usize,
    features_in: usize,
    features_out: usize,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    db: &mut [f32],
) {
    check_len("linear_weight_grad: x", batch * features_in, x.len());
    check_len("linear_weight_grad: dy", batch * features_out, dy.len());
    check_len("linear_weight_grad: dw", features_out * features_in, dw.len());
    check_len("linear_weight_grad: db", features_out, db.len());
    if features_out == 0 {
        return;
    }
    for row in dy.chunks_exact(features_out) {
        for (sum, value) in db.iter_mut().zip(row) {
            *sum += value;
        }
    }
    let dy = Matrix::new(dy, batch, features_out);
    let x = Matrix::new(x, batch, features_in);
    multiply(1.0, dy.transposed(), x, Output::Add, dw);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, rng, to_f64, values};

    #[test]
    fn all_three_match_reference() {
        let sizes = [(1, 1, 1), (1, 48, 192), (3, 5, 7), (16, 192, 96), (5, 17, 33)];
        for (seed, (batch, fin, fout)) in (0..).zip(sizes) {
            let rng = &mut rng(seed);
            let (x, weight) = (values(rng, batch * fin), values(rng, fout * fin));
            let (bias, dy) = (values(rng, fout), values(rng, batch * fout));
            let mut expected_y: Vec<f64> = to_f64(&bias).repeat(batch);
            let (mut expected_dx, mut expected_dw) = (to_f64(&x), to_f64(&weight));
            let mut expected_db = to_f64(&bias);
            for n in 0..batch {
                for o in 0..fout {
                    let dy = f64::from(dy[n * fout + o]);
                    expected_db[o] += dy;
                    for i in 0..fin {
                        let (x, w) = (f64::from(x[n * fin + i]), f64::from(weight[o * fin + i]));
                        expected_y[n * fout + o] += x * w;
                        expected_dx[n * fin + i] += dy * w;
                        expected_dw[o * fin + i] += dy * x;
                    }
                }
            }
            let mut y = vec![f32::NAN; batch * fout];
            linear(batch, fin, fout, &x, &weight, &bias, &mut y);
            assert_close("y", &y, &expected_y, 1e-5);
            // The gradients are added to what is there.
            let (mut dx, mut dw, mut db) = (x.clone(), weight.clone(), bias.clone());
            linear_input_grad(batch, fin, fout, &weight, &dy, &mut dx);
            linear_weight_grad(batch, fin, fout, &x, &dy, &mut dw, &mut db);
            assert_close("dx", &dx, &expected_dx, 1e-5);
            assert_close("dw", &dw, &expected_dw, 1e-5);
            assert_close("db", &db, &expected_db, 1e-5);
        }
    }

    #[test]
    #[should_panic(expected = "linear: weight: expected 6 values, got 5")]
    fn wrong_length_is_named() {
        linear(1, 2, 3, &[0.0; 2], &[0.0; 5], &[0.0; 3], &mut [0.0; 3]);
    }
}
