//! Plain softmax attention over a short sequence of tokens (the pixels of a small image).

use rayon::prelude::*;

use crate::check_len;
use crate::elementwise::exp;
use crate::matmul::{Matrix, Output, multiply};
use crate::scratch::Scratch;
use crate::simd::{Simd, SimdPath, dispatch, simd_path};

/// The sizes of an attention layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// Images.
    pub batch: usize,
    /// Heads, each with its own queries, keys and values.
    pub heads: usize,
    /// Length of one query, key or value.
    pub head_dim: usize,
    /// Tokens (pixels) of an image.
    pub tokens: usize,
}

impl AttentionShape {
    /// Values in one head's queries (or keys, or values, or outputs).
    fn head_len(&self) -> usize {
        self.head_dim * self.tokens
    }

    /// Values in the output: `[batch][heads][head_dim][tokens]`.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.batch * self.heads * self.head_len()
    }

    /// Values in the input: `[batch][3][heads][head_dim][tokens]`.
    #[must_use]
    pub fn qkv_len(&self) -> usize {
        3 * self.output_len()
    }

    /// Values in the probabilities: `[batch][heads][tokens (query)][tokens (key)]`.
    #[must_use]
    pub fn probabilities_len(&self) -> usize {
        self.batch * self.heads * self.tokens * self.tokens
    }

    fn is_empty(&self) -> bool {
        self.output_len() == 0
    }

    /// Scores are divided by sqrt(head_dim), so that their variance does not grow with it.
    fn score_factor(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }

    /// One head's queries, keys and values, each `[head_dim][tokens]`.
    fn head<'a>(&self, qkv: &'a [f32], image: usize, head: usize) -> [Matrix<'a>; 3] {
        let len = self.head_len();
        [0, 1, 2].map(|part| {
            let start = ((image * 3 + part) * self.heads + head) * len;
            Matrix::new(&qkv[start..start + len], self.head_dim, self.tokens)
        })
    }
}

/// `out = v softmax(qᵀ k / sqrt(head_dim))ᵀ` for every image and head; overwrites `out` and
/// `probabilities`.
///
/// `qkv` is `[batch][3][heads][head_dim][tokens]`, `out` `[batch][heads][head_dim][tokens]` and
/// `probabilities`, which the backward pass needs, `[batch][heads][tokens (query)][tokens (key)]`.
pub fn attention(shape: &AttentionShape, qkv: &[f32], out: &mut [f32], probabilities: &mut [f32]) {
    forward(simd_path(), shape, qkv, out, probabilities);
}

fn forward(path: SimdPath, shape: &AttentionShape, qkv: &[f32], out: &mut [f32], probabilities: &mut [f32]) {
    check_len("attention: qkv", shape.qkv_len(), qkv.len());
    check_len("attention: out", shape.output_len(), out.len());
    check_len(
        "attention: probabilities",
        shape.probabilities_len(),
        probabilities.len(),
    );
    if shape.is_empty() {
        return;
    }
    let tokens = shape.tokens;
    let heads = out
        .par_chunks_mut(shape.head_len())
        .zip(probabilities.par_chunks_mut(tokens * tokens));
    heads.enumerate().for_each(|(index, (out, probabilities))| {
        let [q, k, v] = shape.head(qkv, index / shape.heads, index % shape.heads);
        multiply(
            shape.score_factor(),
            q.transposed(),
            k,
            Output::Overwrite,
            probabilities,
        );
        softmax(path, tokens, probabilities);
        let probabilities = Matrix::new(probabilities, tokens, tokens);
        multiply(1.0, v, probabilities.transposed(), Output::Overwrite, out);
    });
}

/// Gradient of [`attention`]: adds to `dqkv` (laid out as `qkv`), given the gradient `dout` of its
/// output.
pub fn attention_grad(shape: &AttentionShape, qkv: &[f32], probabilities: &[f32], dout: &[f32], dqkv: &mut [f32]) {
    backward(simd_path(), shape, qkv, probabilities, dout, dqkv);
}

fn backward(
    path: SimdPath,
    shape: &AttentionShape,
    qkv: &[f32],
    probabilities: &[f32],
    dout: &[f32],
    dqkv: &mut [f32],
) {
    check_len("attention_grad: qkv", shape.qkv_len(), qkv.len());
    check_len(
        "attention_grad: probabilities",
        shape.probabilities_len(),
        probabilities.len(),
    );
    check_len("attention_grad: dout", shape.output_len(), dout.len());
    check_len("attention_grad: dqkv", shape.qkv_len(), dqkv.len());
    if shape.is_empty() {
        return;
    }
    let (len, tokens) = (shape.head_len(), shape.tokens);
    dqkv.par_chunks_mut(3 * shape.heads * len)
        .enumerate()
        .for_each(|(image, dqkv)| {
            let (dq, dkv) = dqkv.split_at_mut(shape.heads * len);
            let (dk, dv) = dkv.split_at_mut(shape.heads * len);
            let heads = dq
                .par_chunks_mut(len)
                .zip(dk.par_chunks_mut(len))
                .zip(dv.par_chunks_mut(len));
            heads.enumerate().for_each(|(head, ((dq, dk), dv))| {
                let index = image * shape.heads + head;
                let [q, k, v] = shape.head(qkv, image, head);
                let dout = Matrix::new(&dout[index * len..][..len], shape.head_dim, tokens);
                let p = &probabilities[index * tokens * tokens..][..tokens * tokens];

                multiply(1.0, dout, Matrix::new(p, tokens, tokens), Output::Add, dv);
                let mut ds = Scratch::take(tokens * tokens);
                multiply(1.0, dout.transposed(), v, Output::Overwrite, &mut ds);
                softmax_grad(path, tokens, p, &mut ds);
                let ds = Matrix::new(&ds, tokens, tokens);
                multiply(shape.score_factor(), k, ds.transposed(), Output::Add, dq);
                multiply(shape.score_factor(), q, ds, Output::Add, dk);
            });
        });
}

dispatch! {
    /// Softmax of each row in place.
    fn softmax = softmax_rows(row_len: usize, rows: &mut [f32])
}

#[inline(always)]
fn softmax_rows<S: Simd>(_simd: S, row_len: usize, rows: &mut [f32]) {
    for row in rows.chunks_exact_mut(row_len) {
        // Subtracting the largest value changes nothing in exact arithmetic, and keeps every
        // exponential at most 1.
        let max = lane_fold(row, f32::NEG_INFINITY, |a, b| if a > b { a } else { b });
        for value in row.iter_mut() {
            *value = exp::<S>(*value - max);
        }
        let factor = 1.0 / lane_fold(row, 0.0, |a, b| a + b);
        for value in row.iter_mut() {
            *value *= factor;
        }
    }
}

dispatch! {
    /// Gradient of softmax for each row: `d = p * (d - sum(p * d))`, in place.
    fn softmax_grad = softmax_grad_rows(row_len: usize, p: &[f32], d: &mut [f32])
}

#[inline(always)]
fn softmax_grad_rows<S: Simd>(_simd: S, row_len: usize, p: &[f32], d: &mut [f32]) {
    for (d, p) in d.chunks_exact_mut(row_len).zip(p.chunks_exact(row_len)) {
        for (d, p) in d.iter_mut().zip(p) {
            *d *= p;
        }
        let sum = lane_fold(d, 0.0, |a, b| a + b);
        for (d, p) in d.iter_mut().zip(p) {
            *d = S::mul_add_scalar(-sum, *p, *d);
        }
    }
}

/// Combines all values in 16 lanes, which the compiler keeps in a vector.
#[inline(always)]
fn lane_fold(values: &[f32], start: f32, combine: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; 16];
    for chunk in values.chunks(16) {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = combine(*lane, *value);
        }
    }
    let mut total = start;
    for lane in lanes {
        total = combine(total, lane);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, assert_same_on_any_threads, paths, rng, to_f64, values};

    fn shapes() -> Vec<AttentionShape> {
        [
            (1, 1, 1, 1),
            (2, 1, 3, 5),
            (1, 4, 36, 64),
            (3, 2, 7, 17),
            (2, 3, 16, 33),
        ]
        .map(|(batch, heads, head_dim, tokens)| AttentionShape {
            batch,
            heads,
            head_dim,
            tokens,
        })
        .into()
    }

    /// Output, probabilities and gradient by the definition, in f64.
    fn reference(shape: &AttentionShape, qkv: &[f32], dout: &[f32]) -> [Vec<f64>; 3] {
        let AttentionShape {
            batch,
            heads,
            head_dim,
            tokens,
        } = *shape;
        let at = |n, part, h, d, t| (((n * 3 + part) * heads + h) * head_dim + d) * tokens + t;
        let (qkv, dout) = (to_f64(qkv), to_f64(dout));
        let mut out = vec![0.0; shape.output_len()];
        let mut probabilities = vec![0.0; shape.probabilities_len()];
        let mut dqkv = vec![0.0; shape.qkv_len()];
        let factor = 1.0 / (head_dim as f64).sqrt();
        for query in 0..batch * heads * tokens {
            let (n, h, i) = (query / (heads * tokens), query / tokens % heads, query % tokens);
            let dot = |j| {
                (0..head_dim)
                    .map(|d| qkv[at(n, 0, h, d, i)] * qkv[at(n, 1, h, d, j)])
                    .sum::<f64>()
            };
            let scores: Vec<f64> = (0..tokens).map(|j| (dot(j) * factor).exp()).collect();
            let p: Vec<f64> = scores.iter().map(|score| score / scores.iter().sum::<f64>()).collect();
            let out_at = |d| ((n * heads + h) * head_dim + d) * tokens + i;
            let mut dp = vec![0.0; tokens];
            for (d, j) in (0..head_dim).flat_map(|d| (0..tokens).map(move |j| (d, j))) {
                out[out_at(d)] += p[j] * qkv[at(n, 2, h, d, j)];
                dp[j] += dout[out_at(d)] * qkv[at(n, 2, h, d, j)];
                dqkv[at(n, 2, h, d, j)] += dout[out_at(d)] * p[j];
            }
            let mean: f64 = p.iter().zip(&dp).map(|(p, dp)| p * dp).sum();
            for (d, j) in (0..head_dim).flat_map(|d| (0..tokens).map(move |j| (d, j))) {
                let ds = factor * p[j] * (dp[j] - mean);
                dqkv[at(n, 0, h, d, i)] += ds * qkv[at(n, 1, h, d, j)];
                dqkv[at(n, 1, h, d, j)] += ds * qkv[at(n, 0, h, d, i)];
            }
            probabilities[query * tokens..][..tokens].copy_from_slice(&p);
        }
        [out, probabilities, dqkv]
    }

    fn run(path: SimdPath, shape: &AttentionShape, qkv: &[f32], dout: &[f32]) -> [Vec<f32>; 3] {
        let mut out = vec![f32::NAN; shape.output_len()];
        let mut probabilities = vec![f32::NAN; shape.probabilities_len()];
        forward(path, shape, qkv, &mut out, &mut probabilities);
        // The gradient starts from qkv: it must be added to it.
        let mut dqkv = qkv.to_vec();
        backward(path, shape, qkv, &probabilities, dout, &mut dqkv);
        [out, probabilities, dqkv]
    }

    #[test]
    fn matches_reference() {
        for (seed, shape) in (0..).zip(shapes()) {
            let rng = &mut rng(seed);
            let qkv: Vec<f32> = values(rng, shape.qkv_len()).iter().map(|value| 2.0 * value).collect();
            let dout = values(rng, shape.output_len());
            let [expected_out, expected_p, mut expected_dqkv] = reference(&shape, &qkv, &dout);
            expected_dqkv
                .iter_mut()
                .zip(&qkv)
                .for_each(|(d, &before)| *d += f64::from(before));
            for path in paths() {
                let [out, p, dqkv] = run(path, &shape, &qkv, &dout);
                let what = |name| format!("{name} {path} {shape:?}");
                assert_close(&what("out"), &out, &expected_out, 1e-5);
                assert_close(&what("probabilities"), &p, &expected_p, 1e-5);
                assert_close(&what("dqkv"), &dqkv, &expected_dqkv, 1e-5);
            }
        }
    }

    #[test]
    fn large_scores_do_not_overflow() {
        let shape = AttentionShape {
            batch: 1,
            heads: 1,
            head_dim: 1,
            tokens: 2,
        };
        let qkv = [1e4, 1e4, 1.0, 2.0, 3.0, 4.0];
        let (mut out, mut probabilities) = ([0.0; 2], [0.0; 4]);
        attention(&shape, &qkv, &mut out, &mut probabilities);
        assert_close("out", &out, &[4.0, 4.0], 1e-6);
    }

    #[test]
    fn threads_do_not_change_bits() {
        let shape = shapes()[2];
        let rng = &mut rng(7);
        let (qkv, dout) = (values(rng, shape.qkv_len()), values(rng, shape.output_len()));
        for path in paths() {
            assert_same_on_any_threads(&path.to_string(), || run(path, &shape, &qkv, &dout).concat());
        }
    }
}
