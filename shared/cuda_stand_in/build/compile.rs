//! Runs the C++ compiler, and tells cargo what to link.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, thread};

use crate::{kernels, sources};

/// Where our kernels lie, as seen from this crate.
pub const OUR_KERNELS: &str = "../kernels/cuda";

/// The parts of CUDA that cudarc declares, in its `src`.
const DECLARATIONS: [&str; 3] = ["driver/sys.rs", "nvrtc/sys.rs", "cublas/sys.rs"];

/// Compiles everything into one library, and has it linked.
pub fn stand_in() -> Result<(), String> {
    let (dfdx, cudarc) = sources::dfdx_and_cudarc()?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo names no OUT_DIR")?);
    let ops = dfdx.join("src/tensor_ops");
    let mut texts = kernels::texts(&ops)?;
    texts.extend(kernels::our_texts(Path::new(OUR_KERNELS))?);
    texts.push(("missing".into(), missing(&cudarc.join("src"))?));
    let mut files = our_files()?;
    for (name, text) in texts {
        let path = out.join(name).with_extension("cpp");
        fs::write(&path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        files.push(path);
    }
    let objects = compile_all(&files, &out, &ops.join("utilities"))?;
    let library = out.join("libcuda_stand_in.a");
    let _ = fs::remove_file(&library);
    run(Command::new("ar").arg("crs").arg(&library).args(&objects))?;
    println!("cargo:rustc-link-search=native={}", out.display());
    // Whole: nothing asks for a list of kernels that fills itself. Not bundled: rustc packs no such library.
    println!("cargo:rustc-link-lib=static:+whole-archive,-bundle=cuda_stand_in");
    println!("cargo:rustc-link-lib=dylib=stdc++");
    Ok(())
}

fn our_files() -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir("cpp").map_err(|error| format!("the folder cpp cannot be read: {error}"))?;
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    Ok(paths
        .filter(|path| path.extension() == Some(OsStr::new("cpp")))
        .collect())
}

/// Every function that cudarc declares, to be called by nobody: the linker wants them all. They are weak, so that those
/// that the stand-in has come first.
fn missing(cudarc: &Path) -> Result<String, String> {
    let mut text = String::from("#include \"stand_in.h\"\n");
    for file in DECLARATIONS {
        let path = cudarc.join(file);
        let declarations =
            fs::read_to_string(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        for line in declarations.lines() {
            let name = line
                .trim()
                .strip_prefix("pub fn ")
                .and_then(|rest| rest.split_once('('));
            if let Some((name, _)) = name {
                text.push_str(&format!(
                    "API __attribute__((weak)) int {name}() {{ give_up(\"{name} is missing: write it in cpp/\"); }}\n"
                ));
            }
        }
    }
    Ok(text)
}

/// Compiles all files, as many at a time as cargo allows.
fn compile_all(files: &[PathBuf], out: &Path, headers: &Path) -> Result<Vec<PathBuf>, String> {
    let jobs = env::var("NUM_JOBS")
        .ok()
        .and_then(|jobs| jobs.parse().ok())
        .unwrap_or(1);
    let share = files.len().div_ceil(jobs);
    thread::scope(|scope| {
        let compile_some = |files| move || compile_each(files, out, headers);
        let workers: Vec<_> = files
            .chunks(share)
            .map(|files| scope.spawn(compile_some(files)))
            .collect();
        let mut objects = Vec::new();
        for worker in workers {
            objects.extend(worker.join().map_err(|_| "the compilation panicked")??);
        }
        Ok(objects)
    })
}

fn compile_each(files: &[PathBuf], out: &Path, headers: &Path) -> Result<Vec<PathBuf>, String> {
    let compile = |file: &PathBuf| {
        let object = out.join(file.file_name().unwrap_or_default()).with_extension("o");
        let mut compiler = Command::new(env::var_os("CXX").unwrap_or_else(|| "g++".into()));
        // The products take most of the time. Warnings would be of dfdx's kernels. The checks of `longjmp` that some
        // systems have in a fortified library know no second stack.
        compiler.args([
            "-std=c++17",
            "-O3",
            "-march=native",
            "-fPIC",
            "-w",
            "-U_FORTIFY_SOURCE",
            "-Icpp",
        ]);
        compiler
            .arg("-I")
            .arg(headers)
            .arg("-c")
            .arg(file)
            .arg("-o")
            .arg(&object);
        run(&mut compiler).map(|()| object)
    };
    files.iter().map(compile).collect()
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let answer = command.output().map_err(|error| {
        format!("{program} cannot be run ({error}): the stand-in needs g++ and ar; `apt-get install g++` brings both")
    })?;
    if answer.status.success() {
        return Ok(());
    }
    Err(format!(
        "{program} failed:\n{}",
        String::from_utf8_lossy(&answer.stderr)
    ))
}
