//! The trained network as a score model: contracts of `diffusion::ScoreModel`, and what broken folders say.

use std::path::Path;

use diffusion::{ScoreError, ScoreModel};
use ndarray::Array4;
use ndarray_rand::RandomExt;
use ndarray_rand::rand_distr::StandardNormal;
use nn::{Cpu, FloatType};
use rand::SeedableRng;
use rand::rngs::StdRng;
use score_unet::unet::UNet;
use score_unet::{Prior, SmallConfig};

fn config() -> SmallConfig {
    SmallConfig {
        image_channels: 3,
        image_size: 16,
        patch: 2,
        base_channels: 8,
        channel_multipliers: vec![1, 2],
        norm_groups: 4,
        attention_heads: 2,
        diffusion_steps: 1000,
    }
}

/// A network whose output is not zero: a fresh one ends in a layer of zeros.
fn network() -> UNet<Cpu> {
    use nn::Parameters;
    use rand::Rng;
    let mut rng = StdRng::seed_from_u64(1);
    let mut network = UNet::new(&config().into(), &Cpu::default(), &mut rng).unwrap();
    network.visit_mut("", &mut |_, p| {
        let moved: Vec<f32> = p.to_vec().iter().map(|v| v + rng.random_range(-0.2..0.2)).collect();
        p.set(&moved);
    });
    network
}

fn prior() -> Prior {
    network().into_prior("test")
}

fn noise(batch: usize, seed: u64) -> Array4<f32> {
    Array4::random_using((batch, 3, 16, 16), StandardNormal, &mut StdRng::seed_from_u64(seed))
}

fn dot(a: &Array4<f32>, b: &Array4<f32>) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

#[test]
fn the_pullback_is_the_transposed_jacobian() {
    let prior = prior();
    let (x, v, direction) = (noise(2, 1), noise(2, 2), noise(2, 3));
    for t in [1, 40, 700, 1000] {
        let (score, pullback) = prior.score_with_pullback(&x, t).unwrap();
        assert_eq!(score, prior.score(&x, t).unwrap(), "both ways must give the same score");
        let by_pullback = dot(&pullback(&v).unwrap(), &direction);
        let h = 1e-2f32;
        let moved = |s: f32| prior.score(&(&x + &(&direction * s)), t).unwrap();
        let by_differences = dot(&v, &(moved(h) - moved(-h))) / f64::from(2.0 * h);
        let error = (by_pullback - by_differences).abs() / by_differences.abs().max(1.0);
        assert!(
            error < 2e-2,
            "t = {t}: pullback {by_pullback}, differences {by_differences}"
        );
    }
}

#[test]
fn the_score_is_minus_the_noise_over_its_standard_deviation() {
    use dfdx::tensor::TensorFromVec;
    let prior = prior();
    let (x, t) = (noise(1, 1), 300);
    let x_tensor = Cpu::default().tensor_from_vec(x.iter().copied().collect(), x.dim());
    let eps = network().forward(x_tensor, &[t]).unwrap().as_vec();
    let sigma = (1.0 - prior.schedule().alpha_bar(t)).sqrt() as f32;
    for (score, eps) in prior.score(&x, t).unwrap().iter().zip(eps) {
        assert!((score + eps / sigma).abs() < 1e-5 * eps.abs().max(1.0));
    }
}

#[test]
fn images_of_a_batch_do_not_see_each_other() {
    let prior = prior();
    let x = noise(3, 1);
    let together = prior.score(&x, 200).unwrap();
    for (i, alone) in x.outer_iter().enumerate() {
        let alone = prior
            .score(&alone.to_owned().insert_axis(ndarray::Axis(0)), 200)
            .unwrap();
        let difference = (&together.index_axis(ndarray::Axis(0), i) - &alone.index_axis(ndarray::Axis(0), 0))
            .iter()
            .fold(0f32, |m, d| m.max(d.abs()));
        assert!(
            difference < 1e-4,
            "image {i} changes by {difference} when it is alone in its batch"
        );
    }
}

#[test]
fn arrays_in_another_memory_order_are_read_right() {
    let prior = prior();
    let x = noise(2, 1);
    let mut fortran = Array4::zeros(ndarray::ShapeBuilder::f((2, 3, 16, 16)));
    fortran.assign(&x);
    assert_eq!(prior.score(&x, 10).unwrap(), prior.score(&fortran, 10).unwrap());
}

#[test]
fn the_same_bits_at_any_number_of_threads() {
    let prior = prior();
    let (x, v) = (noise(2, 1), noise(2, 2));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        // The pullback is not `Send`, so both halves run inside the pool.
        pool.install(|| {
            let (score, pullback) = prior.score_with_pullback(&x, 100).unwrap();
            (score, pullback(&v).unwrap())
        })
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(5));
}

#[test]
fn wrong_shapes_and_times_are_errors() {
    let prior = prior();
    let small = Array4::zeros((1, 3, 8, 8));
    assert!(matches!(prior.score(&small, 5), Err(ScoreError::Shape { .. })));
    let gray = Array4::zeros((1, 1, 16, 16));
    assert!(matches!(
        prior.score_with_pullback(&gray, 5).map(drop),
        Err(ScoreError::Shape { .. })
    ));
    for t in [0, 1001] {
        assert!(matches!(prior.score(&noise(1, 1), t), Err(ScoreError::Timestep { .. })));
    }
    let (_, pullback) = prior.score_with_pullback(&noise(2, 1), 5).unwrap();
    let text = pullback(&noise(1, 1)).unwrap_err().to_string();
    assert!(text.contains("cotangent"), "{text}");
}

/// Resident memory of this process in bytes, where the system tells.
fn resident() -> Option<f64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split_whitespace().nth(1)?.parse::<f64>().ok()? * 4096.0)
}

/// Set in the process that measures its memory.
const MEASURED: &str = "SCORE_UNET_MEMORY_IS_MEASURED";

/// The memory of a process is that of all its tests, so this one runs in a process of its own.
#[test]
fn memory_stays_flat_over_a_thousand_steps() {
    if std::env::var_os(MEASURED).is_some() {
        return run_a_thousand_steps();
    }
    let this_program = std::env::current_exe().unwrap();
    let output = std::process::Command::new(this_program)
        .args([
            "--exact",
            "prior::memory_stays_flat_over_a_thousand_steps",
            "--nocapture",
        ])
        .env(MEASURED, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn run_a_thousand_steps() {
    let prior = prior();
    let mut x = noise(1, 1);
    let mut step = |t: usize| {
        let (score, pullback) = prior.score_with_pullback(&x, t).unwrap();
        x = &score * 1e-3 + pullback(&x).unwrap() * 1e-3;
    };
    (1..=200).for_each(&mut step);
    let before = resident();
    (1..=1000).for_each(&mut step);
    if let (Some(before), Some(after)) = (before, resident()) {
        // One step of this network leaves about 0.5 MB of intermediate results: a leak would show as hundreds of MB.
        assert!(
            after - before < 30e6,
            "memory grew by {:.1} MB in a thousand steps",
            (after - before) / 1e6
        );
    }
}

fn write_prior(folder: &Path, float_type: FloatType) {
    nn::save_weights(&folder.join("weights.safetensors"), &network(), float_type).unwrap();
    std::fs::write(folder.join("config.json"), serde_json::to_string(&config()).unwrap()).unwrap();
}

#[test]
fn a_folder_is_read_in_both_number_types() {
    let folder = tempfile::tempdir().unwrap();
    let x = noise(1, 1);
    let expected = prior().score(&x, 50).unwrap();
    for (float_type, tolerance) in [(FloatType::F32, 0.0), (FloatType::F16, 0.05)] {
        write_prior(folder.path(), float_type);
        let score = Prior::load(folder.path()).unwrap().score(&x, 50).unwrap();
        let error = (&score - &expected).iter().fold(0f32, |m, d| m.max(d.abs()));
        assert!(
            error <= tolerance * expected.iter().fold(0f32, |m, s| m.max(s.abs())),
            "{float_type:?}: {error}"
        );
    }
}

#[test]
fn a_folder_that_is_no_prior_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let text = |path: &Path| Prior::load(path).unwrap_err().to_string();
    assert!(text(&folder.path().join("none")).contains("there is no prior at"));
    let empty = text(folder.path());
    assert!(
        empty.contains("lacks config.json") && empty.contains("weights.safetensors, as the trainer writes it"),
        "{empty}"
    );
    std::fs::write(folder.path().join("checkpoint.ckpt"), "").unwrap();
    let early = text(folder.path());
    assert!(
        early.contains("has written no weights yet") && early.contains("--validate-every"),
        "{early}"
    );
    std::fs::remove_file(folder.path().join("checkpoint.ckpt")).unwrap();
    write_prior(folder.path(), FloatType::F32);
    std::fs::remove_file(folder.path().join("weights.safetensors")).unwrap();
    assert!(text(folder.path()).contains("lacks weights.safetensors"));

    write_prior(folder.path(), FloatType::F32);
    let wider = SmallConfig {
        base_channels: 16,
        ..config()
    };
    std::fs::write(
        folder.path().join("config.json"),
        serde_json::to_string(&wider).unwrap(),
    )
    .unwrap();
    assert!(text(folder.path()).contains("asks for"), "{}", text(folder.path()));
    std::fs::write(folder.path().join("config.json"), "{\"image_channels\": 3}").unwrap();
    assert!(
        text(folder.path()).contains("not a network configuration"),
        "{}",
        text(folder.path())
    );
}

#[test]
fn impossible_configurations_are_refused() {
    let invalid = [
        SmallConfig {
            channel_multipliers: vec![],
            ..config()
        },
        SmallConfig {
            image_size: 18,
            ..config()
        },
        SmallConfig {
            base_channels: 9,
            ..config()
        },
        SmallConfig {
            norm_groups: 0,
            ..config()
        },
        SmallConfig {
            norm_groups: 3,
            ..config()
        },
        SmallConfig {
            attention_heads: 5,
            ..config()
        },
        SmallConfig { patch: 0, ..config() },
        SmallConfig {
            base_channels: usize::MAX,
            ..config()
        },
    ];
    for config in invalid {
        assert!(config.validate().is_err(), "{config:?} was accepted");
    }
}
