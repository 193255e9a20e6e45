//! The kit: all that a worker is built from except the student's sources, compiled once and kept.
//!
//! It holds the compiled shared crates, the workers' sources and the prior's weights; no reference solution, no hidden image,
//! no threshold. The sandbox may read it and cannot write to it, so that no submission can change what the next one is
//! built from.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::Task;

/// Crates that must not be in the kit: they hold solutions, or what is hidden.
const LEFT_OUT: [&str; 4] = ["grader", "sandbox", "worker", "results"];

/// What workers are built from.
#[derive(Clone, Debug)]
pub struct Kit {
    /// Where it lies.
    pub folder: PathBuf,
    /// The toolchain's folder.
    pub sysroot: PathBuf,
    /// For each task, the crates that its sources may name, and their files in `deps`.
    externs: BTreeMap<Task, BTreeMap<String, String>>,
    /// The same for the workers' own sources.
    worker_externs: BTreeMap<String, String>,
}

/// What cargo says of a crate that it has built.
#[derive(Deserialize)]
struct Artifact {
    reason: String,
    #[serde(default)]
    package_id: String,
    #[serde(default)]
    filenames: Vec<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Kit {
    /// The kit of the workspace at `root`; builds what is not built yet, which takes minutes the first time.
    ///
    /// # Errors
    /// If cargo or rustc fail, or the kit cannot be written.
    pub fn prepare(root: &Path) -> Result<Self> {
        let libraries = build(root)?;
        let metadata = metadata(root)?;
        let mut externs = BTreeMap::new();
        for task in Task::ALL {
            externs.insert(task, externs_of(&metadata, task.crate_name(), &libraries)?);
        }
        let mut worker_externs = externs_of(&metadata, "worker", &libraries)?;
        worker_externs.retain(|name, _| Task::ALL.iter().all(|task| task.crate_name() != name));
        let target = metadata["target_directory"]
            .as_str()
            .context("cargo names no target folder")?;
        let sysroot = PathBuf::from(output(Command::new("rustc").args(["--print", "sysroot"]))?.trim());
        let folder = collect(root, &Path::new(target).join("grader-kit"), &libraries)?;
        Ok(Self {
            folder,
            sysroot,
            externs,
            worker_externs,
        })
    }

    /// The arguments with which rustc finds the crates that a task's sources may name.
    #[must_use]
    pub fn task_arguments(&self, task: Task) -> Vec<String> {
        self.arguments(&self.externs[&task])
    }

    /// The same for the workers' sources.
    #[must_use]
    pub fn worker_arguments(&self) -> Vec<String> {
        self.arguments(&self.worker_externs)
    }

    /// The prior that workers load.
    #[must_use]
    pub fn prior(&self) -> PathBuf {
        self.folder.join("prior")
    }

    fn arguments(&self, externs: &BTreeMap<String, String>) -> Vec<String> {
        let deps = self.folder.join("deps");
        let of_crate =
            |(name, file): (&String, &String)| ["--extern".to_owned(), format!("{name}={}", deps.join(file).display())];
        let mut arguments: Vec<String> = externs.iter().flat_map(of_crate).collect();
        arguments.extend(["-L".into(), format!("dependency={}", deps.display())]);
        arguments
    }
}

/// Lets cargo build the grader, with it all that the workers stand on; the files of each library by its package.
fn build(root: &Path) -> Result<BTreeMap<String, Vec<PathBuf>>> {
    let mut cargo = cargo(root);
    cargo.args(["build", "--locked", "--offline", "-p", "grader", "--lib"]);
    cargo.arg("--message-format=json-render-diagnostics");
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let mut libraries = BTreeMap::new();
    for line in output(&mut cargo)?.lines() {
        let Ok(artifact) = serde_json::from_str::<Artifact>(line) else {
            continue;
        };
        let Some(target) = artifact.target.filter(|_| artifact.reason == "compiler-artifact") else {
            continue;
        };
        let is_library = target
            .kind
            .iter()
            .any(|kind| ["lib", "rlib", "proc-macro"].contains(&kind.as_str()));
        let is_task = Task::ALL.iter().any(|task| task.crate_name() == target.name);
        if is_library && !is_task && !LEFT_OUT.contains(&target.name.as_str()) {
            libraries
                .entry(artifact.package_id)
                .or_insert_with(Vec::new)
                .extend(artifact.filenames);
        }
    }
    Ok(libraries)
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run `{program}`: is Rust installed, and on the PATH?"))?;
    if !output.status.success() {
        bail!("`{program}` failed in the instructor's own tree, see its message above; mend the tree first");
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Of this platform only: what others need is not there to be read.
fn metadata(root: &Path) -> Result<Value> {
    let about = output(Command::new("rustc").arg("-vV"))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc does not name its platform")?;
    let arguments = [
        "metadata",
        "--format-version=1",
        "--locked",
        "--offline",
        "--filter-platform",
        host,
    ];
    let text = output(cargo(root).args(arguments))?;
    Ok(serde_json::from_str(&text)?)
}

/// The crates that a package names, and the file of each.
fn externs_of(
    metadata: &Value,
    package: &str,
    libraries: &BTreeMap<String, Vec<PathBuf>>,
) -> Result<BTreeMap<String, String>> {
    let packages = metadata["packages"].as_array().context("cargo lists no packages")?;
    let is_it = |found: &&Value| found["name"] == package && found["source"].is_null();
    let id = &packages
        .iter()
        .find(is_it)
        .with_context(|| format!("no package {package}"))?["id"];
    let nodes = metadata["resolve"]["nodes"]
        .as_array()
        .context("cargo lists no dependencies")?;
    let node = nodes
        .iter()
        .find(|node| &node["id"] == id)
        .context("cargo lists no dependencies")?;
    let mut externs = BTreeMap::new();
    for dependency in node["deps"].as_array().into_iter().flatten() {
        let kinds = dependency["dep_kinds"].as_array();
        let is_normal = kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()));
        let (Some(name), Some(id)) = (dependency["name"].as_str(), dependency["pkg"].as_str()) else {
            continue;
        };
        let file = libraries
            .get(id)
            .and_then(|files| files.iter().rfind(|file| is_linkable(file)));
        if let (true, Some(file)) = (is_normal, file.and_then(|file| file.file_name())) {
            externs.insert(name.to_owned(), file.to_string_lossy().into_owned());
        }
    }
    Ok(externs)
}

fn is_linkable(file: &Path) -> bool {
    file.extension()
        .is_some_and(|extension| extension == "rlib" || extension == "so" || extension == "dylib")
}

/// Copies what belongs to the kit into a folder named after its contents, unless it is there.
fn collect(root: &Path, kits: &Path, libraries: &BTreeMap<String, Vec<PathBuf>>) -> Result<PathBuf> {
    let files: Vec<&PathBuf> = libraries.values().flatten().filter(|file| is_linkable(file)).collect();
    ensure!(
        !files.is_empty(),
        "cargo built no library: is `{}` the workspace?",
        root.display()
    );
    let sources = root.join("grader/worker/src");
    let folder = kits.join(fingerprint(&files, &sources)?);
    if folder.is_dir() {
        return Ok(folder);
    }
    fs::create_dir_all(kits)?;
    remove_old(kits);
    let draft = tempfile::tempdir_in(kits)?;
    for name in ["deps", "worker", "prior"] {
        fs::create_dir(draft.path().join(name))?;
    }
    for file in files {
        copy_into(file, &draft.path().join("deps"))?;
    }
    for task in Task::ALL {
        copy_into(
            &sources.join(format!("task{}.rs", task.number())),
            &draft.path().join("worker"),
        )?;
    }
    for name in ["config.json", "weights.safetensors"] {
        copy_into(
            &root.join("data/priors/fruits64").join(name),
            &draft.path().join("prior"),
        )?;
    }
    make_readable(draft.path())?;
    if let Err(error) = fs::rename(draft.keep(), &folder)
        && !folder.is_dir()
    {
        return Err(error).context("cannot move the kit into place");
    }
    Ok(folder)
}

/// Kits of trees that have changed since. One of today may be in use by another grader.
fn remove_old(kits: &Path) {
    let a_day = Duration::from_secs(24 * 3600);
    let is_old = |entry: &fs::DirEntry| {
        let age = entry
            .metadata()
            .and_then(|about| about.modified())
            .map(|time| time.elapsed());
        matches!(age, Ok(Ok(age)) if age > a_day)
    };
    for entry in fs::read_dir(kits).into_iter().flatten().flatten().filter(is_old) {
        // What cannot be removed only takes space.
        let _ = fs::remove_dir_all(entry.path());
    }
}

fn copy_into(file: &Path, folder: &Path) -> Result<()> {
    let name = file.file_name().context("a file has a name")?;
    fs::copy(file, folder.join(name)).with_context(|| format!("cannot copy `{}`", file.display()))?;
    Ok(())
}

/// A temporary folder is private at first; the sandbox runs as another user.
fn make_readable(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?)
}

fn fingerprint(files: &[&PathBuf], sources: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    for file in files {
        let about = fs::metadata(file)?;
        hash.update(format!("{} {} {:?}\n", file.display(), about.len(), about.modified()?));
    }
    for task in Task::ALL {
        hash.update(fs::read(sources.join(format!("task{}.rs", task.number())))?);
    }
    let digest = hash.finalize();
    Ok(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}
