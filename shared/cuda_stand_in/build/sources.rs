//! Where the sources of a dependency lie.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The folders of dfdx and of cudarc, of the versions that this workspace uses, as cargo knows them.
pub fn dfdx_and_cudarc() -> Result<(PathBuf, PathBuf), String> {
    let target = env::var("TARGET").map_err(|_| "this is no build script: cargo runs it")?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = [
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--filter-platform",
        &target,
    ];
    let answer = Command::new(cargo)
        .args(arguments)
        .output()
        .map_err(|error| format!("cargo metadata cannot be run: {error}"))?;
    if !answer.status.success() {
        return Err(format!(
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&answer.stderr)
        ));
    }
    let metadata: Value = serde_json::from_slice(&answer.stdout)
        .map_err(|error| format!("what cargo metadata says cannot be read: {error}"))?;
    Ok((folder_of(&metadata, "dfdx")?, folder_of(&metadata, "cudarc")?))
}

fn folder_of(metadata: &Value, name: &str) -> Result<PathBuf, String> {
    let is_it = |package: &&Value| package["name"] == name;
    let found: Vec<&Value> = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(is_it)
        .collect();
    let [package] = found[..] else {
        return Err(format!(
            "expected one package {name} in the workspace's dependencies, found {}",
            found.len()
        ));
    };
    let manifest = package["manifest_path"].as_str().map(Path::new);
    let folder = manifest.and_then(Path::parent).map(Path::to_path_buf);
    folder.ok_or_else(|| format!("cargo metadata does not say where {name} is"))
}
