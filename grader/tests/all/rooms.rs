//! Which crate may use which: what ARCHITECTURE.md promises, held by a list.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use cargo_metadata::{Dependency, DependencyKind, MetadataCommand};

use crate::root;

/// Each crate of the workspace, and all that it depends on, but for tests.
const ROOMS: &[(&str, &str)] = &[
    ("check", "anyhow clap indicatif program serde toml"),
    ("checks", "ndarray"),
    (
        "cli",
        "anyhow clap diffusion files imaging indicatif metrics ndarray one_build plots program rand rayon \
         score_unet serde serde_json",
    ),
    ("cuda_stand_in", ""),
    ("diffusion", "ndarray ndarray-rand rand thiserror"),
    ("exchange", "anyhow diffusion imaging ndarray nix probe safetensors"),
    ("files", "tempfile"),
    (
        "grader",
        "anyhow base64 cargo_metadata check checks clap cli csv diffusion exchange files image imaging \
         indicatif libc metrics ndarray ndarray-rand nix program quick-xml rand sandbox score_unet serde serde_json \
         sha2 task3_generate task4_sdedit task5_score_ald task6_dps tempfile testing toml toml_edit walkdir \
         worker zip",
    ),
    (
        "imaging",
        "files image moxcms ndarray ndarray-rand rand rayon realfft rustdct rustfft strsim thiserror zip \
         zune-core zune-jpeg",
    ),
    (
        "import",
        "anyhow clap diffusion files ndarray ndarray-rand nn program pytorch_files rand score_unet serde serde_json",
    ),
    ("kernels", "cuda_stand_in cudarc gemm-common gemm-f32 libc rayon"),
    (
        "lpips_tools",
        "anyhow clap dfdx image imaging indicatif kernels metrics ndarray nn program pytorch_files rand rayon serde \
         serde_json training ureq",
    ),
    (
        "methods",
        "anyhow clap cli diffusion imaging ndarray ndarray-rand program rand rayon serde task3_generate task4_sdedit \
         task5_score_ald task6_dps thiserror",
    ),
    ("metrics", "dfdx kernels ndarray nn rayon thiserror"),
    (
        "nn",
        "cuda_stand_in cudarc dfdx files half kernels safetensors serde_json thiserror",
    ),
    (
        "notebook",
        "anyhow base64 cli diffusion imaging methods metrics ndarray ndarray-rand plots rand score_unet \
         task2_denoise task3_generate task4_sdedit task5_score_ald task6_dps",
    ),
    ("one_build", "nix serde_core serde_json"),
    (
        "playground",
        "anyhow axum base64 clap cli diffusion futures-util imaging methods metrics ndarray program rand rayon \
         score_unet serde serde_json task4_sdedit task5_score_ald task6_dps tokio",
    ),
    (
        "plots",
        "ab_glyph deunicode epaint_default_fonts files image imaging ndarray plotters thiserror",
    ),
    ("probe", "diffusion imaging ndarray ndarray-rand rand"),
    ("program", "anyhow clap ctrlc rayon signal-hook"),
    ("pytorch_files", "anyhow half nn pytorch-reader sha2"),
    (
        "results",
        "anyhow clap cli diffusion files imaging methods metrics ndarray ndarray-rand nn plots rand rayon score_unet \
         serde serde_json sha2 task2_denoise",
    ),
    (
        "sandbox",
        "landlock libc nix seccompiler serde serde_json tempfile thiserror walkdir",
    ),
    (
        "score_unet",
        "dfdx diffusion kernels ndarray nn rand serde serde_json thiserror",
    ),
    (
        "task2_denoise",
        "anyhow clap cli diffusion imaging ndarray ndarray-rand plots rand",
    ),
    (
        "task3_generate",
        "anyhow clap cli diffusion ndarray ndarray-rand plots rand",
    ),
    (
        "task4_sdedit",
        "anyhow clap cli diffusion imaging metrics ndarray ndarray-rand plots rand",
    ),
    (
        "task5_score_ald",
        "anyhow clap cli diffusion imaging ndarray ndarray-rand rand",
    ),
    (
        "task6_dps",
        "anyhow clap cli diffusion imaging ndarray ndarray-rand rand",
    ),
    (
        "testing",
        "checks diffusion imaging ndarray ndarray-rand probe rand serde serde_json",
    ),
    (
        "trainer",
        "anyhow clap dfdx diffusion imaging indicatif kernels metrics ndarray ndarray-rand nn program rand \
         rayon score_unet serde serde_json thiserror training",
    ),
    (
        "training",
        "anyhow files imaging indicatif program serde serde_json sha2",
    ),
    (
        "worker",
        "anyhow diffusion exchange ndarray task2_denoise task3_generate task4_sdedit task5_score_ald \
         task6_dps",
    ),
];

#[test]
fn each_crate_depends_on_what_the_architecture_says() -> Result<()> {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()?;
    let ours: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let listed: BTreeMap<&str, BTreeSet<&str>> = ROOMS
        .iter()
        .map(|(name, dependencies)| (*name, dependencies.split(' ').filter(|name| !name.is_empty()).collect()))
        .collect();
    let mut faults = Vec::new();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let Some(allowed) = listed.get(name) else {
            faults.push(format!(
                "{name} is new: say in ARCHITECTURE.md what it is for, and list it here"
            ));
            continue;
        };
        let normal = |dependency: &&Dependency| dependency.kind == DependencyKind::Normal;
        let found: BTreeSet<&str> = package
            .dependencies
            .iter()
            .filter(normal)
            .map(|dependency| dependency.name.as_str())
            .collect();
        for new in found.difference(allowed) {
            faults.push(format!(
                "{name} now depends on {new}: is that what ARCHITECTURE.md says of it? Then say so there and here"
            ));
        }
        for old in allowed.difference(&found) {
            faults.push(format!("{name} no longer depends on {old}: take it from the list here"));
        }
    }
    let gone = listed.keys().filter(|name| !ours.contains(*name));
    faults.extend(gone.map(|name| format!("there is no crate {name} any more: take it from the list here")));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}
