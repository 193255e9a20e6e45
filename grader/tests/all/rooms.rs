//! Which crate may use which: what ARCHITECTURE.md promises, held by a list.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::root;

/// Crates from elsewhere that tell what a room is for: command lines, figures, networks, threads, files, downloads.
const TELLING: [&str; 10] = [
    "clap",
    "ctrlc",
    "dfdx",
    "image",
    "indicatif",
    "plotters",
    "rayon",
    "sha2",
    "ureq",
    "zip",
];

/// Each crate of the workspace, and what it depends on: crates of the workspace, and those of [`TELLING`].
const ROOMS: [(&str, &str); 27] = [
    ("check", "clap indicatif"),
    ("checks", ""),
    (
        "cli",
        "clap ctrlc diffusion files imaging indicatif metrics one_build plots rayon score_unet",
    ),
    ("diffusion", ""),
    ("exchange", "diffusion imaging score_unet"),
    ("files", ""),
    (
        "grader",
        "check checks clap cli diffusion exchange files image imaging indicatif metrics sandbox \
         score_unet sha2 task3_generate task4_sdedit task5_score_ald task6_dps worker zip",
    ),
    ("imaging", "image rayon zip"),
    ("kernels", "rayon"),
    (
        "lpips_tools",
        "clap ctrlc dfdx image imaging indicatif kernels metrics nn rayon sha2 ureq",
    ),
    (
        "methods",
        "diffusion imaging rayon task3_generate task4_sdedit task5_score_ald task6_dps",
    ),
    ("metrics", "dfdx kernels nn rayon"),
    ("nn", "dfdx files kernels rayon"),
    (
        "notebook",
        "cli diffusion imaging metrics plots score_unet task2_denoise task3_generate task4_sdedit \
         task5_score_ald task6_dps",
    ),
    ("one_build", ""),
    ("plots", "files image imaging plotters"),
    (
        "results",
        "clap cli diffusion imaging methods nn score_unet sha2 task2_denoise",
    ),
    ("sandbox", ""),
    ("score_unet", "dfdx diffusion kernels nn"),
    ("task2_denoise", "clap cli diffusion imaging plots"),
    ("task3_generate", "clap cli diffusion plots"),
    ("task4_sdedit", "clap cli diffusion imaging metrics plots"),
    ("task5_score_ald", "clap cli diffusion imaging"),
    ("task6_dps", "clap cli diffusion imaging"),
    ("testing", "checks diffusion"),
    (
        "trainer",
        "clap ctrlc dfdx diffusion imaging indicatif kernels metrics nn rayon score_unet",
    ),
    (
        "worker",
        "diffusion exchange task2_denoise task3_generate task4_sdedit task5_score_ald task6_dps",
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
        let normal = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind == DependencyKind::Normal)
            .map(|dependency| dependency.name.as_str());
        let found: BTreeSet<&str> = normal
            .filter(|dependency| ours.contains(dependency) || TELLING.contains(dependency))
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
