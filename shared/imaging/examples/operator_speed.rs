//! How long each operator takes for a batch of 16 RGB images of 64x64: `apply` and `vjp` together, as one guided step
//! calls them. `cargo run -p imaging --example operator_speed`

use std::error::Error;
use std::time::Instant;

use imaging::parse_operator;
use ndarray::Array4;
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::SeedableRng;
use rand::rngs::StdRng;

const SPECS: [&str; 11] = [
    "inpainting",
    "box-inpainting",
    "deconvolution",
    "motion-blur",
    "super-resolution",
    "colourisation",
    "compressed-sensing",
    "tomography",
    "fourier",
    "phase-retrieval",
    "hdr",
];

fn main() -> Result<(), Box<dyn Error>> {
    let rng = &mut StdRng::seed_from_u64(0);
    let x = Array4::<f32>::random_using((16, 3, 64, 64), StandardNormal, rng);
    for spec in SPECS {
        let operator = parse_operator(spec, [3, 64, 64], 0)?;
        let mut times = Vec::new();
        for _ in 0..30 {
            let start = Instant::now();
            let b = operator.apply(&x)?;
            let back = operator.vjp(&x, &b)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
            std::hint::black_box(back);
        }
        times.sort_by(f64::total_cmp);
        println!(
            "{spec:<20} {:7.2} ms (median of 30, fastest {:.2})",
            times[15], times[0]
        );
    }
    Ok(())
}
