//! The architecture of guided-diffusion as a prior: its configuration, and what contradicts it.

use std::path::Path;

use diffusion::ScoreModel;
use ndarray::Array4;
use nn::{Cpu, FloatType};
use rand::SeedableRng;
use rand::rngs::StdRng;
use score_unet::unet::UNet;
use score_unet::{GuidedConfig, Heads, NoiseSchedule, Prior, UNetConfig};

fn config() -> GuidedConfig {
    GuidedConfig {
        image_size: 8,
        base_channels: 8,
        level_channels: vec![8, 16],
        attention_levels: vec![1],
        heads: Heads::Channels(8),
        norm_groups: 4,
        ..GuidedConfig::ffhq256()
    }
}

fn write_prior(folder: &Path, config: &GuidedConfig) {
    let config = UNetConfig::from(config.clone());
    let network = UNet::new(&config, &Cpu::default(), &mut StdRng::seed_from_u64(1)).unwrap();
    nn::save_weights(&folder.join("weights.safetensors"), &network, FloatType::F16).unwrap();
    write_config(folder, &serde_json::to_string(&config).unwrap());
}

fn write_config(folder: &Path, text: &str) {
    std::fs::write(folder.join("config.json"), text).unwrap();
}

fn refused(folder: &Path) -> String {
    Prior::load(folder).map_or_else(|error| error.to_string(), |_| String::new())
}

#[test]
fn a_folder_says_its_architecture_and_that_of_before_is_the_small_one() {
    let folder = tempfile::tempdir().unwrap();
    write_prior(folder.path(), &config());
    let prior = Prior::load(folder.path()).unwrap();
    assert_eq!(prior.config(), &UNetConfig::from(config()));
    assert_eq!(prior.image_shape(), [3, 8, 8]);
    // A fresh network predicts no noise at all.
    let score = prior.score(&Array4::ones((1, 3, 8, 8)), 700).unwrap();
    assert!(score.iter().all(|value| *value == 0.0));

    let small = serde_json::to_value(UNetConfig::fruits64()).unwrap();
    assert!(small.get("architecture").is_none());
    assert_eq!(
        serde_json::from_value::<UNetConfig>(small).unwrap(),
        UNetConfig::fruits64()
    );
    let named = r#"{"architecture": "small", "image_channels": 3, "image_size": 64, "patch": 2, "base_channels": 48,
        "channel_multipliers": [1, 2, 3], "norm_groups": 8, "attention_heads": 4, "diffusion_steps": 1000}"#;
    assert_eq!(
        serde_json::from_str::<UNetConfig>(named).unwrap(),
        UNetConfig::fruits64()
    );
}

#[test]
fn the_network_of_the_dps_paper_has_its_number_of_parameters() {
    use nn::Parameters;
    let network = UNet::blank(&GuidedConfig::ffhq256().into(), &Cpu::default()).unwrap();
    // 93,563,910 with the half of the output that says a variance: 3 channels of a 3x3 convolution, and their biases.
    assert_eq!(network.count(), 93_563_910 - 3 * (128 * 9 + 1));
}

#[test]
fn a_configuration_that_contradicts_the_weights_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_prior(folder, &config());
    let text = std::fs::read_to_string(folder.join("config.json")).unwrap();
    for (from, to, parts) in [
        (
            "\"guided\"",
            "\"bigger\"",
            ["architecture \"bigger\" is unknown", "\"small\" or \"guided\""],
        ),
        (
            "\"guided\"",
            "\"small\"",
            ["not a network configuration", "unknown field"],
        ),
        ("[8,16]", "[8,32]", ["has shape", "configuration asks for"]),
        (
            "\"attention_levels\":[1]",
            "\"attention_levels\":[]",
            ["does not know", "attentions"],
        ),
        ("\"blocks_per_level\":1", "\"blocks_per_level\":2", ["lacks", "and "]),
        (
            "\"attention_levels\":[1]",
            "\"attention_levels\":[2]",
            ["attention_levels", "one is 2"],
        ),
        (
            "{\"channels\":8}",
            "{\"channels\":5}",
            ["do not split into heads", "16 channels"],
        ),
        ("\"image_size\":8", "\"image_size\":9", ["image_size 9", "multiple of"]),
    ] {
        assert!(text.contains(from), "{from} is not in {text}");
        write_config(folder, &text.replace(from, to));
        let message = refused(folder);
        for part in parts {
            assert!(message.contains(part), "{to}: `{part}` is not in: {message}");
        }
    }
}

#[test]
fn the_schedules_are_those_of_the_code_bases() {
    let alpha_bar = |schedule, steps, t| {
        let config = GuidedConfig {
            schedule,
            diffusion_steps: steps,
            ..config()
        };
        config.schedule().unwrap().alpha_bar(t)
    };
    let linear = diffusion::Schedule::linear();
    assert_eq!(
        alpha_bar(NoiseSchedule::guided_linear(1000), 1000, 300),
        linear.alpha_bar(300)
    );
    // Four times as many steps are each a quarter as large, so that they end at about the same noise.
    let of_4000 = alpha_bar(NoiseSchedule::guided_linear(4000), 4000, 1200);
    assert!((of_4000 / linear.alpha_bar(300) - 1.0).abs() < 0.01, "{of_4000}");
    let cosine = diffusion::Schedule::cosine(50).unwrap();
    assert_eq!(alpha_bar(NoiseSchedule::Cosine, 50, 20), cosine.alpha_bar(20));
}
