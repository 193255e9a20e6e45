//! Which details does noise drown first? The variance of the shipped images in bands of frequencies, and the time at
//! which the noise is as strong: the table of the handout.
//!
//! ```text
//! cargo run -p task4_sdedit --example spectrum
//! ```

use std::f64::consts::PI;

use anyhow::{Context, Result};
use diffusion::Schedule;
use imaging::{load_images, stack};
use ndarray::{Array2, Axis};

const SIZE: usize = 64;
const TIMES: [usize; 7] = [50, 100, 200, 350, 500, 650, 800];
/// Half-waves across the image, from and to.
const BANDS: [(f64, f64); 6] = [
    (0.0, 1.5),
    (1.5, 4.0),
    (4.0, 8.0),
    (8.0, 16.0),
    (16.0, 32.0),
    (32.0, 90.0),
];

fn main() -> Result<()> {
    let images = load_images(&[cli::data_folder()?.join("images")], SIZE)?;
    let images = stack(&images.iter().map(|image| image.pixels.view()).collect::<Vec<_>>())?.mapv(f64::from);
    let centred = &images - &images.mean_axis(Axis(0)).context("no images")?;
    let dct = orthonormal_dct();
    let mut power = Array2::<f64>::zeros((SIZE, SIZE));
    for image in centred.outer_iter() {
        for plane in image.outer_iter() {
            power += &dct.dot(&plane).dot(&dct.t()).mapv(|c| c * c);
        }
    }
    power /= 3.0 * (images.dim().0 - 1) as f64;

    let schedule = Schedule::linear();
    let noise = |t: usize| (1.0 - schedule.alpha_bar(t)) / schedule.alpha_bar(t);
    println!("half-waves, variance, noise as strong at t, share kept from t0 = {TIMES:?}");
    for (from, to) in BANDS {
        let inside = |(y, x): (usize, usize)| (from..to).contains(&(y as f64).hypot(x as f64));
        let variances: Vec<f64> = power
            .indexed_iter()
            .filter(|(place, _)| inside(*place))
            .map(|(_, p)| *p)
            .collect();
        let mean = |f: &dyn Fn(f64) -> f64| variances.iter().map(|v| f(*v)).sum::<f64>() / variances.len() as f64;
        let variance = mean(&|v| v);
        let drowned = (1..=schedule.num_steps())
            .find(|&t| noise(t) > variance)
            .unwrap_or(schedule.num_steps());
        let kept = TIMES.map(|t| format!("{:.2}", mean(&|v| v / (v + noise(t)))));
        println!("{from} to {to}, {variance:.4}, {drowned}, {}", kept.join(" "));
    }
    Ok(())
}

/// The matrix of the discrete cosine transform (DCT-II), its rows of length 1.
fn orthonormal_dct() -> Array2<f64> {
    let n = SIZE as f64;
    Array2::from_shape_fn((SIZE, SIZE), |(k, i)| {
        let scale = if k == 0 { (1.0 / n).sqrt() } else { (2.0 / n).sqrt() };
        scale * (PI * (i as f64 + 0.5) * k as f64 / n).cos()
    })
}
