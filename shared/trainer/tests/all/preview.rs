//! The trained network draws the same samples on every backend.

use std::path::PathBuf;

use diffusion::ScoreModel;
use ndarray::Array4;
use nn::{Backend, Composed, Cpu, Parameters};
use score_unet::unet::UNet;
use trainer::preview_samples;

fn network<B: Backend>(backend: &B) -> UNet<B> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../data/priors/fruits64");
    let mut network = UNet::load(&folder, backend).expect("the repository has a prior");
    network.freeze();
    network
}

fn samples(model: &dyn ScoreModel) -> Array4<f32> {
    preview_samples(model, 2, 20, 7).expect("samples")
}

fn assert_close(device: &str, expected: &Array4<f32>, found: &Array4<f32>) {
    let largest = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
    let error = (expected - found).iter().fold(0f32, |m, d| m.max(d.abs())) / largest;
    println!("samples on {device}: off by {error:.1e} of the largest value");
    assert!(
        error < 1e-2,
        "samples on {device} are off by {error:e} of the largest value, {largest}"
    );
}

#[test]
fn samples_from_the_same_noise_agree() {
    let expected = samples(&network(&Cpu::default()));
    assert_close("dfdx's CPU", &expected, &samples(&network(&Composed(Cpu::default()))));
    #[cfg(feature = "cuda")]
    if let Ok(gpu) = nn::Gpu::open(0) {
        assert_close("the GPU", &expected, &samples(&network(&gpu)));
    }
}
