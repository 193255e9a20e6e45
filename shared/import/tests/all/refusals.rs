//! What is no network that can be imported, and what is said of it.

use std::fs;
use std::path::Path;

use import::convert::convert;
use import::found;
use import::guided_diffusion::Wishes;
use nn::{FloatType, NamedTensor};

use crate::fixture::Fixture;

/// What is said of a checkpoint with these tensors.
fn refused(tensors: &[NamedTensor], wishes: &Wishes) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("checkpoint.safetensors");
    nn::save_tensors(&path, tensors, FloatType::F32, &Default::default()).expect("a file");
    read(&path, wishes)
}

/// What is said of a file or folder; nothing where it is taken.
fn read(path: &Path, wishes: &Wishes) -> String {
    let outcome = found::read(path, wishes).and_then(convert);
    outcome.map_or_else(|error| format!("{error:#}"), |_| String::new())
}

fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

fn guided() -> (Vec<NamedTensor>, Wishes) {
    let fixture = Fixture::read("guided_blocks");
    (fixture.tensors(), fixture.wishes())
}

#[test]
fn a_tensor_that_is_missing_left_over_or_of_another_shape_is_named() {
    let (whole, wishes) = guided();
    assert_eq!(refused(&whole, &wishes), "");
    let mut tensors = whole.clone();
    let at = tensors
        .iter()
        .position(|t| t.name == "middle_block.1.qkv.bias")
        .expect("attention");
    tensors[at].name = "middle_block.1.other".into();
    let norm = tensors.iter().position(|t| t.name == "out.0.weight").expect("a norm");
    tensors[norm].shape = vec![8, 4];
    says(
        &refused(&tensors, &wishes),
        &[
            "it lacks middle_block.1.qkv.bias [192]",
            "it also has middle_block.1.other",
            "out.0.weight has the shape [8, 4], expected [32]",
        ],
    );
}

#[test]
fn networks_of_other_kinds_are_told() {
    let (whole, wishes) = guided();
    let with = |name: &str, shape: &[usize]| {
        let mut tensors: Vec<NamedTensor> = whole.iter().filter(|t| t.name != name).cloned().collect();
        tensors.push(crate::fixture::weights(name, shape));
        refused(&tensors, &wishes)
    };
    says(&with("label_emb.weight", &[1000, 128]), &["conditional on classes"]);
    says(
        &with("input_blocks.0.0.weight", &[32, 6, 3, 3]),
        &["reads 6 channels", "enlarges"],
    );
    says(&with("out.2.weight", &[5, 32, 3, 3]), &["makes 5 channels of 3"]);
    let classifier: Vec<NamedTensor> = whole.iter().filter(|t| !t.name.starts_with("out.")).cloned().collect();
    says(&refused(&classifier, &wishes), &["is it a classifier?"]);
    let other = [crate::fixture::weights("features.0.weight", &[8, 3, 3, 3])];
    says(
        &refused(&other, &wishes),
        &[
            "lacks the tensor input_blocks.0.0.weight",
            "features.0.weight",
            "holds no network that can be imported",
        ],
    );
}

/// Two levels are those of no published checkpoint, and heads of 64 channels do not fit: both must be named.
#[test]
fn what_a_file_does_not_say_is_asked_for_where_there_is_no_usual_value() {
    let (whole, wishes) = guided();
    says(
        &refused(
            &whole,
            &Wishes {
                image_size: None,
                ..wishes
            },
        ),
        &["2 levels", "name --image-size"],
    );
    // 64 channels split into one head of 64: that is taken, and said.
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("checkpoint.safetensors");
    nn::save_tensors(&path, &whole, FloatType::F32, &Default::default()).expect("a file");
    let remarks = found::read(&path, &Wishes { heads: None, ..wishes })
        .expect("a network")
        .remarks
        .join("\n");
    says(
        &remarks,
        &["heads of 64 channels (--head-channels, --heads)", "learned variance"],
    );
    assert!(!remarks.contains("--image-size"), "{remarks}");
}

#[test]
fn a_network_within_more_is_found() {
    let (whole, wishes) = guided();
    let mut tensors: Vec<NamedTensor> = whole
        .into_iter()
        .map(|tensor| NamedTensor {
            name: format!("state_dict.{}", tensor.name),
            ..tensor
        })
        .collect();
    tensors.push(crate::fixture::weights("optimiser.step", &[1]));
    assert_eq!(refused(&tensors, &wishes), "");
}

#[test]
fn other_files_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let wishes = Wishes::default();
    says(&read(&folder.path().join("none.pt"), &wishes), &["there is nothing at"]);
    says(&read(folder.path(), &wishes), &["is no folder of diffusers"]);
    let path = folder.path().join("a.pt");
    for bytes in [
        &b""[..],
        b"no tensors at all",
        b"\x80\x02}q\x00.",
        b"PK\x03\x04 and no more",
    ] {
        fs::write(&path, bytes).expect("a file");
        let text = read(&path, &wishes);
        assert!(
            text.contains("not a whole file") || text.contains("lacks the tensor"),
            "{bytes:?}: {text}"
        );
    }
    // Half of a real one.
    let (whole, wishes) = guided();
    let whole_file = folder.path().join("whole.safetensors");
    nn::save_tensors(&whole_file, &whole, FloatType::F32, &Default::default()).expect("a file");
    let bytes = fs::read(&whole_file).expect("the file");
    fs::write(&path, &bytes[..bytes.len() / 2]).expect("half a file");
    says(&read(&path, &wishes), &["not a whole safetensors file"]);
}

/// A pickle that asks for `os.system("...")` when Python loads it.
#[test]
fn what_a_checkpoint_asks_to_run_is_not_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("was_run");
    let path = folder.path().join("ffhq_10m.pt");
    fs::write(&path, format!("cos\nsystem\n(S'touch {}'\ntR.", trace.display())).expect("a file");
    assert!(!read(&path, &Wishes::default()).is_empty());
    assert!(!trace.exists());
}

#[test]
fn what_diffusers_has_and_this_has_not_is_named() {
    let change = |file: &str, from: &str, to: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let published = Fixture::read("diffusers_ddpm").publish(folder.path());
        let path = published.join(file);
        let text = fs::read_to_string(&path).expect("a text");
        assert!(text.contains(from), "{from} is not in {text}");
        fs::write(&path, text.replace(from, to)).expect("a file");
        read(&published, &Wishes::default())
    };
    let network = "config.json";
    assert_eq!(change(network, "UNet2DModel", "UNet2DModel"), "");
    says(
        &change(network, "UNet2DModel", "UNet2DConditionModel"),
        &["_class_name", "UNet2DModel"],
    );
    says(
        &change(network, "\"AttnDownBlock2D\"", "\"SkipDownBlock2D\""),
        &["SkipDownBlock2D"],
    );
    says(
        &change(network, "\"AttnUpBlock2D\"", "\"UpBlock2D\""),
        &["do not name the same levels"],
    );
    says(
        &change(network, "\"num_class_embeds\": null", "\"num_class_embeds\": 10"),
        &["conditional on classes"],
    );
    says(
        &change(network, "\"layers_per_block\": 1", "\"layers_per_block\": 2"),
        &["it lacks", "resnets"],
    );
    says(
        &change(network, "\"sample_size\": 8", "\"sample_size\": [8, 4]"),
        &["8x4", "square"],
    );
    says(&change(network, "{", "[{"), &["is not what diffusers writes"]);
    let scheduler = "scheduler_config.json";
    says(
        &change(scheduler, "\"epsilon\"", "\"v_prediction\""),
        &["v_prediction", "the noise"],
    );
    says(
        &change(scheduler, "\"linear\"", "\"sigmoid\""),
        &["sigmoid", "scaled_linear"],
    );
}

#[test]
fn a_folder_of_diffusers_says_all_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let published = Fixture::read("diffusers_ddpm").publish(folder.path());
    let wishes = Wishes {
        image_size: Some(64),
        ..Wishes::default()
    };
    says(
        &read(&published, &wishes),
        &["--image-size: a folder of diffusers says it itself"],
    );
}
