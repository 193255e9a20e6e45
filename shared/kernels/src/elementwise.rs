//! Functions of single values: SiLU by itself, addition, and the exponential that the other kernels
//! build on.

use rayon::prelude::*;

use crate::check_len;
use crate::simd::{Simd, SimdPath, dispatch, simd_path};

/// Values that one task takes: below that, handing work to another thread costs more than the work.
const TASK_LEN: usize = 16 * 1024;

/// `y = x * sigmoid(x)`; overwrites `y`.
pub fn silu(x: &[f32], y: &mut [f32]) {
    silu_on(simd_path(), x, y);
}

fn silu_on(path: SimdPath, x: &[f32], y: &mut [f32]) {
    check_len("silu: y", x.len(), y.len());
    let tasks = y.par_chunks_mut(TASK_LEN).zip(x.par_chunks(TASK_LEN));
    tasks.for_each(|(y, x)| silu_task(path, x, y));
}

dispatch! { fn silu_task = silu_loop(x: &[f32], y: &mut [f32]) }

#[inline(always)]
fn silu_loop<S: Simd>(_simd: S, x: &[f32], y: &mut [f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = x * sigmoid::<S>(x);
    }
}

/// `dx += dy * silu'(x)`.
pub fn silu_grad(x: &[f32], dy: &[f32], dx: &mut [f32]) {
    silu_grad_on(simd_path(), x, dy, dx);
}

fn silu_grad_on(path: SimdPath, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    check_len("silu_grad: dy", x.len(), dy.len());
    check_len("silu_grad: dx", x.len(), dx.len());
    let tasks = dx
        .par_chunks_mut(TASK_LEN)
        .zip(x.par_chunks(TASK_LEN))
        .zip(dy.par_chunks(TASK_LEN));
    tasks.for_each(|((dx, x), dy)| silu_grad_task(path, x, dy, dx));
}

dispatch! { fn silu_grad_task = silu_grad_loop(x: &[f32], dy: &[f32], dx: &mut [f32]) }

#[inline(always)]
fn silu_grad_loop<S: Simd>(_simd: S, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    for ((dx, &dy), &x) in dx.iter_mut().zip(dy).zip(x) {
        *dx += dy * silu_slope::<S>(x);
    }
}

/// `y += x`.
pub fn add_assign(y: &mut [f32], x: &[f32]) {
    check_len("add_assign: x", y.len(), x.len());
    y.par_chunks_mut(TASK_LEN)
        .zip(x.par_chunks(TASK_LEN))
        .for_each(|(y, x)| {
            for (y, x) in y.iter_mut().zip(x) {
                *y += x;
            }
        });
}

/// `y = x`, shared among the threads: memory is faster than one of them.
pub fn copy(x: &[f32], y: &mut [f32]) {
    check_len("copy: y", x.len(), y.len());
    y.par_chunks_mut(TASK_LEN)
        .zip(x.par_chunks(TASK_LEN))
        .for_each(|(y, x)| y.copy_from_slice(x));
}

/// Derivative of SiLU: `s (1 + x (1 - s))` with `s = sigmoid(x)`.
#[inline(always)]
pub(crate) fn silu_slope<S: Simd>(x: f32) -> f32 {
    let s = sigmoid::<S>(x);
    s * S::mul_add_scalar(x, 1.0 - s, 1.0)
}

/// `1 / (1 + exp(-x))`
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(x: f32) -> f32 {
    reciprocal::<S>(1.0 + exp::<S>(-x))
}

/// `exp(x)` to about one unit in the last place; `x` is clamped to [-80, 80]. NaN stays NaN.
///
/// No branch and no library call, so a loop over it becomes vector instructions. With `x = n ln 2 +
/// f`, n whole and |f| at most (ln 2) / 2, the result is `2^n exp(f)`: a polynomial for exp(f), and
/// n put into the exponent's bits.
#[inline(always)]
pub(crate) fn exp<S: Simd>(x: f32) -> f32 {
    // Above 2^23 floats are whole numbers: adding 1.5 * 2^23 rounds, and leaves n in the lowest
    // bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first with so few digits that n times it is exact.
    const LN2_HIGH: f32 = 355.0 / 512.0;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-80.0, 80.0);
    let rounded = S::mul_add_scalar(x, std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let f = S::mul_add_scalar(n, -LN2_LOW, S::mul_add_scalar(n, -LN2_HIGH, x));
    let mut polynomial = 1.0 / 720.0;
    for coefficient in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        polynomial = S::mul_add_scalar(polynomial, f, coefficient);
    }
    let n_bits = rounded.to_bits().wrapping_sub(ROUND.to_bits());
    polynomial * f32::from_bits(n_bits.wrapping_add(127) << 23)
}

/// `1 / x` for normal positive x, in a quarter of the time of a vector division.
///
/// Subtracting a float's bits from a constant negates its exponent: a first guess that is within 13
/// %. A step of Newton's method squares the relative error: 1.6 %, 2.5e-4, 6e-8.
#[inline(always)]
fn reciprocal<S: Simd>(x: f32) -> f32 {
    let mut guess = f32::from_bits(0x7EF3_11C3u32.wrapping_sub(x.to_bits()));
    for _ in 0..3 {
        let error = S::mul_add_scalar(-x, guess, 1.0);
        guess = S::mul_add_scalar(guess, error, guess);
    }
    guess
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, paths, rng, to_f64, values};

    fn sigmoid_f64(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    /// Values from -100 to 100, an odd number of them.
    fn points() -> Vec<f32> {
        (-4321..=4321).map(|i| i as f32 / 43.21).collect()
    }

    #[test]
    fn exp_and_sigmoid_are_accurate() {
        for x in points().into_iter().filter(|x| x.abs() < 79.0) {
            let check = |what: &str, got: f32, expected: f64| {
                let error = (f64::from(got) / expected - 1.0).abs();
                assert!(error < 4e-7, "{what}({x}) = {got}, expected {expected}");
            };
            check("exp", exp::<crate::simd::Portable>(x), f64::from(x).exp());
            check("sigmoid", sigmoid::<crate::simd::Portable>(x), sigmoid_f64(x.into()));
        }
    }

    #[test]
    fn silu_and_its_gradient_match_reference() {
        let x = points();
        let rng = &mut rng(1);
        let (dy, before) = (values(rng, x.len()), values(rng, x.len()));
        let expected: Vec<f64> = x.iter().map(|&x| f64::from(x) * sigmoid_f64(x.into())).collect();
        let mut expected_grad = to_f64(&before);
        for ((dx, &dy), &x) in expected_grad.iter_mut().zip(&dy).zip(&x) {
            let (x, s) = (f64::from(x), sigmoid_f64(x.into()));
            *dx += f64::from(dy) * (s + x * s * (1.0 - s));
        }
        for path in paths() {
            let mut y = vec![f32::NAN; x.len()];
            silu_on(path, &x, &mut y);
            assert_close(&format!("silu {path}"), &y, &expected, 1e-6);
            let mut dx = before.clone();
            silu_grad_on(path, &x, &dy, &mut dx);
            assert_close(&format!("silu_grad {path}"), &dx, &expected_grad, 1e-6);
        }
    }

    #[test]
    fn special_values() {
        for path in paths() {
            let x = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -1e30, 1e30];
            let mut y = [1.0; 6];
            silu_on(path, &x, &mut y);
            assert!(y[0].is_nan(), "NaN must not be hidden");
            assert_eq!(y[1], f32::INFINITY);
            assert_eq!(y[3], 0.0);
            assert_eq!(y[5], 1e30);
        }
    }

    #[test]
    fn long_slices_are_added_and_copied_whole() {
        let mut y: Vec<f32> = (0..2 * TASK_LEN + 3).map(|i| i as f32).collect();
        let x = vec![0.5; y.len()];
        add_assign(&mut y, &x);
        assert!(y.iter().enumerate().all(|(i, &y)| y == i as f32 + 0.5));
        let mut z = vec![f32::NAN; y.len()];
        copy(&y, &mut z);
        assert_eq!(y, z);
    }

    #[test]
    #[should_panic(expected = "silu: y: expected 3 values, got 2")]
    fn wrong_length_is_named() {
        silu(&[0.0; 3], &mut [0.0; 2]);
    }
}
