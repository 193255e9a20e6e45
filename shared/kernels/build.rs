//! Compiles the CUDA kernels, where the feature `cuda` asks for them, to PTX: the driver of the machine that runs them
//! makes its own code of it. With `cuda-check` there are empty files in their place: the stand-in for CUDA brings the
//! kernels itself.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    println!("cargo:rerun-if-changed=cuda");
    println!("cargo:rerun-if-env-changed=CUDA_COMPUTE_CAP");
    if let Err(reason) = compile_all() {
        // Cargo shows what a build script that fails has said.
        eprintln!("{reason}");
        std::process::exit(1);
    }
}

fn compile_all() -> Result<(), String> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo names no OUT_DIR")?);
    let entries = fs::read_dir("cuda").map_err(|error| format!("the folder cuda cannot be read: {error}"))?;
    let sources = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "cu"));
    let only_check = env::var_os("CARGO_FEATURE_CUDA_CHECK").is_some();
    let capability = if only_check {
        String::new()
    } else {
        compute_capability()?
    };
    for source in sources {
        let ptx = out.join(source.file_name().unwrap_or_default()).with_extension("ptx");
        if only_check {
            fs::write(&ptx, "").map_err(|error| format!("{} cannot be written: {error}", ptx.display()))?;
        } else {
            compile(&source, &ptx, &capability)?;
        }
    }
    Ok(())
}

/// The compute capability to compile for, such as `90`, chosen as dfdx chooses it for its own kernels.
fn compute_capability() -> Result<String, String> {
    if let Ok(capability) = env::var("CUDA_COMPUTE_CAP") {
        return Ok(capability);
    }
    let answer = Command::new("nvidia-smi")
        .args(["--query-gpu=compute_cap", "--format=csv,noheader"])
        .output()
        .map_err(|error| {
            format!(
                "nvidia-smi cannot be run ({error}): it says which GPU the kernels are for; install NVIDIA's driver, \
                 or set CUDA_COMPUTE_CAP, such as 90 for compute capability 9.0"
            )
        })?;
    let text = String::from_utf8_lossy(&answer.stdout);
    let first = text.lines().next().unwrap_or_default().trim().replace('.', "");
    if first.is_empty() {
        return Err("nvidia-smi names no GPU: set CUDA_COMPUTE_CAP, such as 90 for compute capability 9.0".into());
    }
    Ok(first)
}

fn compile(source: &Path, ptx: &Path, capability: &str) -> Result<(), String> {
    let answer = Command::new("nvcc")
        .arg(format!("--gpu-architecture=sm_{capability}"))
        .args(["--ptx", "--output-file"])
        .args([ptx, source])
        .output()
        .map_err(|error| format!("nvcc cannot be run ({error}): it comes with the CUDA toolkit"))?;
    if answer.status.success() {
        return Ok(());
    }
    Err(format!(
        "nvcc does not compile {}:\n{}",
        source.display(),
        String::from_utf8_lossy(&answer.stderr)
    ))
}
