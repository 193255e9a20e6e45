//! Compiles the stand-in, dfdx's kernels and ours, and has them linked where `cuda`, `nvrtc` and `cublas` would be.

#[cfg(feature = "link")]
mod compile;
#[cfg(feature = "link")]
mod kernels;
#[cfg(feature = "link")]
mod sources;

#[cfg(not(feature = "link"))]
fn main() {
    println!("cargo:rerun-if-changed=build");
}

#[cfg(feature = "link")]
fn main() {
    for folder in ["build", "cpp", compile::OUR_KERNELS] {
        println!("cargo:rerun-if-changed={folder}");
    }
    if let Err(reason) = compile::stand_in() {
        // Cargo shows what a build script that fails has said.
        eprintln!("{reason}");
        std::process::exit(1);
    }
}
