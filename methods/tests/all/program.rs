//! The program `methods`, as people run it.

use std::path::Path;
use std::process::{Command, Output};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A folder of its own, which is gone at the end.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Result<Self> {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(arguments: &str, out: &Folder) -> Result<Output> {
    let arguments = arguments.split_whitespace();
    let command = &mut Command::new(env!("CARGO_BIN_EXE_methods"));
    Ok(command.args(arguments).arg("--out").arg(&out.0).output()?)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn methods_stand_beside_each_other_and_who_cannot_says_so() -> Result {
    let out = Folder::new("beside")?;
    let flags = "--method pseudo-inverse diffpir ddrm --operator deconvolution tomography --count 1 --steps 2";
    let ran = run(flags, &out)?;
    let (stdout, stderr) = (text(&ran.stdout), text(&ran.stderr));
    assert!(ran.status.success(), "{stderr}");
    assert!(
        stderr.contains("ddrm cannot be used with tomography: it needs singular values"),
        "{stderr}"
    );
    let count = |case: &str, method: &str| {
        let is_row = |line: &&str| line.starts_with(case) && line.contains(&format!(" {method} "));
        stdout.lines().filter(is_row).count()
    };
    for (case, method, rows) in [
        ("deconvolution", "start image", 1),
        ("deconvolution", "pseudo-inverse", 1),
        ("deconvolution", "ddrm", 1),
        ("tomography", "diffpir", 1),
        ("tomography", "ddrm", 0),
    ] {
        assert_eq!(count(case, method), rows, "{case}, {method}:\n{stdout}");
    }
    for file in [
        "comparison.png",
        "reconstructions-diffpir.png",
        "path-diffpir-tomography.png",
        "path-ddrm-deconvolution.png",
        "results.json",
    ] {
        assert!(out.0.join(file).is_file(), "no {file}");
    }
    for file in ["path-ddrm-tomography.png", "path-pseudo-inverse-deconvolution.png"] {
        assert!(!out.0.join(file).exists(), "{file}");
    }
    let report = std::fs::read_to_string(out.0.join("results.json"))?;
    for setting in [
        "\"diffpir on tomography:",
        "\"steps\": \"2\"",
        "\"method\": \"pseudo-inverse, diffpir, ddrm\"",
    ] {
        assert!(report.contains(setting), "{setting}");
    }
    Ok(())
}

#[test]
fn phase_retrieval_is_judged_up_to_its_symmetry_and_that_is_said() -> Result {
    let out = Folder::new("symmetry")?;
    let ran = run("--method sdedit --operator phase-retrieval --count 1 --steps 5", &out)?;
    let stderr = text(&ran.stderr);
    assert!(ran.status.success(), "{stderr}");
    assert!(
        stderr.contains("phase-retrieval cannot tell a channel from the same turned by 180 degrees"),
        "{stderr}"
    );
    let report = std::fs::read_to_string(out.0.join("results.json"))?;
    assert!(report.contains("\"symmetry of phase-retrieval\""), "{report}");
    assert!(out.0.join("reconstructions.png").is_file());
    Ok(())
}

#[test]
fn what_it_cannot_do_is_said_before_anything_is_computed() -> Result {
    let out = Folder::new("refused")?;
    for (flags, message) in [
        ("--method dsp", "no posterior method is called `dsp`"),
        ("--method dps dps", "--method names `dps` twice"),
        (
            "--method ddrm --operator hdr",
            "there is nothing to do: ddrm cannot be used with hdr: it needs singular values",
        ),
        ("--method dps --steps 2000", "name a number from 1 to 1000"),
    ] {
        let ran = run(flags, &out)?;
        let stderr = text(&ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{flags}: {stderr}");
        assert!(stderr.contains(message), "{flags}: {stderr}");
    }
    Ok(())
}

#[test]
fn the_list_says_what_each_method_needs_and_costs() -> Result {
    let out = Folder::new("list")?;
    let ran = run("--method list --steps 40 --operator hdr", &out)?;
    assert!(ran.status.success());
    let stdout = text(&ran.stdout);
    let line = |name: &str| {
        stdout
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")))
            .unwrap_or_default()
    };
    let words = |name: &str| line(name).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words("dps")[1..], ["40", "40", "score,", "pullback,", "VJP"]);
    assert_eq!(words("ddrm")[1..], ["cannot", "score,", "singular", "values"]);
    for method in methods::registry::posterior_methods() {
        assert!(!line(method.name()).is_empty(), "{}", method.name());
    }
    Ok(())
}

#[test]
fn the_library_knows_no_flag_no_file_and_no_network() -> Result {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![sources.clone()];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path == sources.join("main.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path)?;
            for name in ["clap", "cli::", "score_unet", "std::fs", "println!"] {
                assert!(!text.contains(name), "{} has `{name}`", path.display());
            }
            read += 1;
        }
    }
    assert!(read > 20, "{read} files");
    Ok(())
}
