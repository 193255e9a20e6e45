//! One score of the shipped prior, and the clean image that it makes one expect:
//! `cargo run -p score_unet --example one_score`.

use std::path::Path;

use diffusion::ScoreModel;
use ndarray::Array4;
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use rand::SeedableRng;
use rand::rngs::StdRng;
use score_unet::Prior;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let prior = Prior::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/priors/fruits64"))?;
    println!("{}", prior.describe());

    // At t = T an image is noise, to all intents and purposes.
    let t = prior.schedule().num_steps();
    let [channels, height, width] = prior.image_shape();
    let mut rng = StdRng::seed_from_u64(0);
    let x_t = Array4::random_using((1, channels, height, width), StandardNormal, &mut rng);

    let (score, pullback) = prior.score_with_pullback(&x_t, t)?;
    let alpha_bar = prior.schedule().alpha_bar(t);
    let x0_hat = (&x_t + &(&score * (1.0 - alpha_bar) as f32)) / alpha_bar.sqrt() as f32;
    println!(
        "score at t = {t}: {:.4} on average, {:.4} in the first pixel",
        mean(&score),
        score[[0, 0, 0, 0]]
    );
    println!("the clean image behind it: {:.4} on average", mean(&x0_hat));

    let gradient = pullback(&score)?;
    println!(
        "gradient of |score|^2 / 2 with respect to x_t: {:.4} in the first pixel",
        gradient[[0, 0, 0, 0]]
    );
    Ok(())
}

fn mean(images: &Array4<f32>) -> f32 {
    images.mean().unwrap_or(f32::NAN)
}
