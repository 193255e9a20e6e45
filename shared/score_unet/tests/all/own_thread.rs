//! A network on a thread of its own answers as it does on the caller's.

use diffusion::{ScoreError, ScoreModel};
use ndarray::Array4;
use nn::{Composed, Cpu, Parameters};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use score_unet::SmallConfig;
use score_unet::own_thread::OnOwnThread;
use score_unet::unet::UNet;

fn network() -> UNet<Composed<Cpu>> {
    let config = SmallConfig {
        image_size: 8,
        base_channels: 8,
        channel_multipliers: vec![1],
        norm_groups: 4,
        attention_heads: 2,
        ..SmallConfig::fruits64()
    };
    let mut rng = StdRng::seed_from_u64(3);
    let mut network = UNet::new(&config.into(), &Composed::on(Cpu::default()), &mut rng).unwrap();
    network.visit_mut("", &mut |_, p| {
        let values: Vec<f32> = p.to_vec().iter().map(|v| v + rng.random_range(-0.2..0.2)).collect();
        p.set(&values);
    });
    network
}

fn image(seed: u64) -> Array4<f32> {
    let mut rng = StdRng::seed_from_u64(seed);
    Array4::from_shape_simple_fn((2, 3, 8, 8), || rng.random_range(-1.0..1.0))
}

fn start() -> OnOwnThread {
    OnOwnThread::start::<_, std::io::Error>(|| Ok(network())).unwrap()
}

#[test]
fn it_answers_as_the_network_does() {
    let (here, there) = (network(), start());
    let (x, v) = (image(1), image(2));
    assert_eq!(here.score(&x, 40).unwrap(), there.score(&x, 40).unwrap());
    let (score, pullback) = there.score_with_pullback(&x, 40).unwrap();
    // Other work in between must neither wait for the pullback nor disturb it.
    there.score(&v, 900).unwrap();
    drop(there.score_with_pullback(&v, 900).unwrap());
    let (expected_score, expected) = here.score_with_pullback(&x, 40).unwrap();
    assert_eq!(score, expected_score);
    assert_eq!(pullback(&v).unwrap(), expected(&v).unwrap());
}

#[test]
fn it_is_shared_between_threads() {
    let (expected, there) = (network().score(&image(1), 7).unwrap(), start());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert_eq!(there.score(&image(1), 7).unwrap(), expected));
        }
    });
}

#[test]
fn errors_come_back() {
    let there = start();
    assert!(matches!(there.score(&image(1), 0), Err(ScoreError::Timestep { .. })));
    let result = OnOwnThread::start::<Composed<Cpu>, _>(|| Err(std::io::Error::other("no such network")));
    assert!(result.unwrap_err().to_string().contains("no such network"));
    let result = OnOwnThread::start::<Composed<Cpu>, std::io::Error>(|| panic!("no memory"));
    assert!(result.unwrap_err().to_string().contains("failed: no memory"));
}
