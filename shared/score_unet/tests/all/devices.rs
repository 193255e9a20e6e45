//! The trained network gives the same scores, pullbacks and samples on every backend.

use std::path::PathBuf;

use diffusion::ScoreModel;
use ndarray::Array4;
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use nn::{Backend, Composed, Cpu, Parameters};
use rand::SeedableRng;
use rand::rngs::StdRng;
use score_unet::unet::UNet;

fn network<B: Backend>(backend: &B) -> UNet<B> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../data/priors/fruits64");
    let mut network = UNet::load(&folder, backend).expect("the repository has a prior");
    network.freeze();
    network
}

fn noise(images: usize, seed: u64) -> Array4<f32> {
    Array4::random_using((images, 3, 64, 64), StandardNormal, &mut StdRng::seed_from_u64(seed))
}

fn assert_close(what: &str, expected: &Array4<f32>, found: &Array4<f32>, tolerance: f32) {
    let largest = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
    let error = (expected - found).iter().fold(0f32, |m, d| m.max(d.abs())) / largest;
    println!("{what}: off by {error:.1e} of the largest value");
    assert!(
        error < tolerance,
        "{what} is off by {error:e} of the largest value, {largest}"
    );
}

/// The models that have to agree with the kernels on the CPU.
fn others() -> Vec<(&'static str, Box<dyn ScoreModel>)> {
    #[allow(unused_mut)]
    let mut others: Vec<(_, Box<dyn ScoreModel>)> =
        vec![("dfdx's CPU", Box::new(network(&Composed::on(Cpu::default()))))];
    #[cfg(feature = "cuda")]
    if let Ok(gpu) = nn::Gpu::open(0) {
        others.push(("the GPU", Box::new(network(&gpu))));
    }
    others
}

#[test]
fn scores_and_pullbacks_agree() {
    let kernels = network(&Cpu::default());
    let (x, v) = (noise(2, 1), noise(2, 2));
    for (name, other) in others() {
        for t in [1, 100, 1000] {
            let (expected, expected_pullback) = kernels.score_with_pullback(&x, t).expect("a score");
            let (found, pullback) = other.score_with_pullback(&x, t).expect("a score");
            assert_close(&format!("score at t = {t} on {name}"), &expected, &found, 1e-3);
            let (expected, found) = (
                expected_pullback(&v).expect("a gradient"),
                pullback(&v).expect("a gradient"),
            );
            assert_close(&format!("pullback at t = {t} on {name}"), &expected, &found, 1e-3);
        }
    }
}

/// Twenty steps from noise to images without any chance, as in DDIM, so that what differs adds up.
fn samples(model: &dyn ScoreModel) -> Array4<f32> {
    let mut x = noise(1, 7);
    for step in model.schedule().steps(20).expect("20 of 1000 steps") {
        let deviation = (1.0 - step.alpha_bar).sqrt() as f32;
        let eps = model.score(&x, step.t).expect("a score") * -deviation;
        let x0_hat = ((&x - &(&eps * deviation)) / step.alpha_bar.sqrt() as f32).mapv(|x| x.clamp(-1.0, 1.0));
        x = x0_hat * step.alpha_bar_prev.sqrt() as f32 + eps * (1.0 - step.alpha_bar_prev).sqrt() as f32;
    }
    x
}

#[test]
fn samples_from_the_same_noise_agree() {
    let expected = samples(&network(&Cpu::default()));
    for (name, other) in others() {
        assert_close(&format!("samples on {name}"), &expected, &samples(other.as_ref()), 1e-2);
    }
}
