//! Our side of `scripts/compare_with_deepinv.py`: measures the shipped images, has six methods reconstruct them, and
//! writes what the other side needs.
//!
//! `cargo run --release -p methods --example deepinv_side -- PRIOR IMAGES COUNT REPEATS STEPS OUT`
//!
//! Into the folder OUT go arrays that NumPy reads (the images, and for each operator the measurements in the shape of
//! images, and what shows the operator: its mask, or its answer to a point), and `ours.json` with times, settings, and
//! the PSNRs of each method on COUNT images, each reconstructed REPEATS times.

use std::error::Error;
use std::path::Path;

use diffusion::ScoreModel;
use imaging::{ForwardOperator, Noise, load_images, measure, operator_norm, parse_operator, sampler_rng, stack};
use methods::posterior::ddrm::Ddrm;
use methods::posterior::diffpir::DiffPir;
use methods::stepping::Stepping;
use methods::{Problem, registry};
use ndarray::{Array4, Axis, concatenate};
use score_unet::Prior;

const METHODS: [&str; 6] = ["score-ald", "dps", "moment-matching", "pigdm", "ddrm", "diffpir"];
const OPERATORS: [(&str, &str); 2] = [
    ("inpainting", "inpainting:0.7"),
    ("deconvolution", "deconvolution:13,1.5"),
];
const SIGMA: f64 = Noise::SIGMA;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [prior, images, count, repeats, steps, out] = arguments.as_slice() else {
        return Err("expected PRIOR IMAGES COUNT REPEATS STEPS OUT".into());
    };
    let (count, repeats, steps): (usize, usize, usize) = (count.parse()?, repeats.parse()?, steps.parse()?);
    let out = Path::new(out);
    std::fs::create_dir_all(out)?;
    let prior = Prior::load(Path::new(prior))?;
    let images = load_images(&[images.into()], prior.image_shape()[1])?;
    let pixels: Vec<_> = images.iter().take(count).map(|image| image.pixels.view()).collect();
    let truth = stack(&pixels)?;
    write(&out.join("truth.npy"), &truth)?;

    let mut report = Vec::new();
    for (name, spec) in OPERATORS {
        let operator = parse_operator(spec, prior.image_shape(), 0)?;
        let operator = operator.as_ref();
        let b = measure(operator, &truth, Noise::Gaussian { sigma: SIGMA }, 0, 0)?;
        let in_shape = |b: &Array4<f32>| as_images(operator, b);
        write(&out.join(format!("{name}.npy")), &in_shape(&b)?)?;
        write(
            &out.join(format!("{name}-probe.npy")),
            &in_shape(&operator.apply(&probe(operator))?)?,
        )?;
        let settings = settings(operator, steps)?;
        let mut results = Vec::new();
        for method in METHODS {
            let copies = vec![b.view(); repeats];
            let problem = Problem {
                operator,
                b: &concatenate(Axis(0), &copies)?,
                sigma: SIGMA,
            };
            let rng = &mut sampler_rng(0, 0, 0);
            let stepping = Stepping::new(steps);
            let found = registry::posterior_method(method)?.solve(&prior, &problem, stepping, rng, &mut ())?;
            let psnrs = psnrs(&found, &truth)?;
            let mean = psnrs.iter().sum::<f64>() / psnrs.len() as f64;
            eprintln!("{name}, {method}: {mean:.2} dB");
            results.push(format!("\"{method}\": {psnrs:?}"));
        }
        report.push(format!(
            "\"{name}\": {{{settings}, \"psnr\": {{{}}}}}",
            results.join(", ")
        ));
    }
    let times: Vec<String> = prior
        .schedule()
        .steps(steps)?
        .iter()
        .map(|step| step.t.to_string())
        .collect();
    let times = times.join(", ");
    let report = format!("{{\"sigma\": {SIGMA}, \"times\": [{times}], {}}}\n", report.join(", "));
    Ok(std::fs::write(out.join("ours.json"), report)?)
}

/// What is free in the methods, for this operator.
fn settings(operator: &dyn ForwardOperator, steps: usize) -> Result<String> {
    let zeta = task6_dps::tuned(operator.kind(), steps);
    let lambda = task5_score_ald::tuned_lambda(steps, operator_norm(operator)?);
    let (
        Ddrm { eta, eta_b },
        DiffPir {
            lambda: trust,
            zeta: fresh,
        },
    ) = (Ddrm::PUBLISHED, DiffPir::TUNED);
    Ok(format!(
        "\"dps_zeta\": {zeta}, \"ald_lambda\": {lambda}, \"ddrm_eta\": {eta}, \"ddrm_eta_b\": {eta_b}, \
         \"diffpir_lambda\": {trust}, \"diffpir_zeta\": {fresh}"
    ))
}

/// Measurements in the shape of images: as they are, or put where they were taken.
fn as_images(operator: &dyn ForwardOperator, b: &Array4<f32>) -> Result<Array4<f32>> {
    if operator.measurement_shape() == operator.image_shape() {
        return Ok(b.clone());
    }
    Ok(operator.linear()?.adjoint(b)?)
}

/// An image whose measurement shows the operator: ones for a mask, a point in the corner for a blur.
fn probe(operator: &dyn ForwardOperator) -> Array4<f32> {
    let [c, h, w] = operator.image_shape();
    let is_blur = operator.measurement_shape() == operator.image_shape();
    Array4::from_shape_fn(
        (1, c, h, w),
        |(_, _, y, x)| if !is_blur || (y, x) == (0, 0) { 1.0 } else { 0.0 },
    )
}

fn psnrs(found: &Array4<f32>, truth: &Array4<f32>) -> Result<Vec<f64>> {
    let mut psnrs = Vec::new();
    for (index, image) in found.outer_iter().enumerate() {
        psnrs.push(metrics::psnr(
            &image,
            &truth.index_axis(Axis(0), index % truth.dim().0),
        )?);
    }
    Ok(psnrs)
}

/// As version 1.0 of NumPy's format: a header of 64 or 128 bytes, then the numbers.
fn write(path: &Path, array: &Array4<f32>) -> Result {
    let (b, c, h, w) = array.dim();
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({b}, {c}, {h}, {w}), }}");
    let padded = (header.len() + 11).next_multiple_of(64) - 10;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((padded as u16).to_le_bytes());
    bytes.extend(format!("{header:<width$}\n", width = padded - 1).bytes());
    array.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
    Ok(std::fs::write(path, bytes)?)
}
