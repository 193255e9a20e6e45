//! The networks of `scripts/import_fixtures.py`: the formula of their weights, and what PyTorch computed with them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dfdx::tensor::{Cpu, TensorFromVec};
use import::convert::AttentionOrder;
use import::guided_diffusion::Wishes;
use nn::{FloatType, NamedTensor, Tensor4};
use score_unet::Heads;
use serde_json::Value;

/// Numbers in [-1, 1) that Python can make as well.
pub fn pseudo_random(seed: f64, count: usize) -> impl Iterator<Item = f64> {
    (1..=count).map(move |index| {
        let hashed = (index as f64 * 12.9898 + seed * 78.233).sin() * 43_758.545_3;
        2.0 * (hashed - hashed.floor()) - 1.0
    })
}

/// The CRC-32 of zip files.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    };
    !bytes.iter().fold(!0, step)
}

/// The weights of a tensor of that name and shape.
pub fn weights(name: &str, shape: &[usize]) -> NamedTensor {
    let seed = f64::from(crc32(name.as_bytes()) % 1000);
    let numbers = pseudo_random(seed, shape.iter().product());
    let fan_in = shape.iter().skip(1).product::<usize>() as f64;
    let value = |number: f64| match shape.len() {
        1 if name.ends_with("weight") => 1.0 + 0.3 * number,
        1 => 0.2 * number,
        _ => number * (1.5 / fan_in.sqrt()),
    };
    NamedTensor {
        name: name.into(),
        shape: shape.to_vec(),
        values: numbers.map(|number| value(number) as f32).collect(),
    }
}

pub struct Fixture {
    pub name: &'static str,
    about: Value,
    numbers: BTreeMap<String, NamedTensor>,
}

impl Fixture {
    pub fn read(name: &'static str) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let path = folder.join(format!("{name}.safetensors"));
        let numbers = nn::read_weights(&path).expect("the fixture is readable");
        let about = &nn::read_metadata(&path).expect("the fixture is readable")["about"];
        Self {
            name,
            about: serde_json::from_str(about).expect("what the script wrote"),
            numbers: import::found::by_name(numbers),
        }
    }

    /// Values of the fixture's file.
    pub fn get(&self, name: &str) -> &[f32] {
        match self.numbers.get(name) {
            Some(tensor) => &tensor.values,
            None => panic!("{} lacks {name}", self.name),
        }
    }

    pub fn times(&self) -> Vec<usize> {
        serde_json::from_value(self.about["times"].clone()).expect("times")
    }

    pub fn alpha_bars(&self) -> Option<Vec<f64>> {
        serde_json::from_value(self.about["alphas_cumprod"].clone()).ok()
    }

    /// The images that went in, or those by which the output was multiplied.
    pub fn images(&self, seed: f64) -> Tensor4<Cpu> {
        let shape = &self.numbers["output"].shape;
        let values = pseudo_random(seed, shape.iter().product()).map(|value| value as f32);
        Cpu::default().tensor_from_vec(values.collect(), (shape[0], shape[1], shape[2], shape[3]))
    }

    /// The network's tensors, under their own names.
    pub fn tensors(&self) -> Vec<NamedTensor> {
        let shapes: BTreeMap<String, Vec<usize>> =
            serde_json::from_value(self.about["shapes"].clone()).expect("shapes");
        shapes.iter().map(|(name, shape)| weights(name, shape)).collect()
    }

    /// The network as somebody would have it: a file or a folder below `place`.
    pub fn publish(&self, place: &Path) -> PathBuf {
        let save = |path: &Path| {
            nn::save_tensors(path, &self.tensors(), FloatType::F32, &BTreeMap::new()).expect("a file");
        };
        if self.about["config.json"].is_null() {
            let path = place.join("checkpoint.safetensors");
            save(&path);
            return path;
        }
        for file in ["config.json", "scheduler_config.json"] {
            std::fs::write(place.join(file), self.about[file].as_str().expect("a text")).expect("a file");
        }
        save(&place.join("diffusion_pytorch_model.safetensors"));
        place.to_path_buf()
    }

    /// What `import` is told of it.
    pub fn wishes(&self) -> Wishes {
        let flags = &self.about["flags"];
        let number = |flag: &str| flags[flag].as_u64().map(|number| number as usize);
        Wishes {
            image_size: number("image_size"),
            heads: number("heads")
                .map(Heads::Number)
                .or(number("head_channels").map(Heads::Channels)),
            attention_order: flags["attention_order"].as_str().map(|order| match order {
                "old" => AttentionOrder::Old,
                _ => AttentionOrder::New,
            }),
            ..Wishes::default()
        }
    }
}
