//! The kit: all that a worker is built from except the student's sources, compiled once and kept.
//!
//! It holds the compiled crates that a task's functions stand on and the workers' sources; no network and no weights,
//! no reference solution, no hidden image, no threshold. The sandbox may read it and cannot write to it, so that no
//! submission can change what the next
//! one is built from.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::{DependencyKind, Message, Metadata, Node, PackageId};
use sha2::{Digest, Sha256};

use crate::course::task::Task;
use crate::grading::compile::system;

/// The crates that a task's sources may name, besides the standard library.
pub const MAY_NAME: [&str; 6] = ["anyhow", "diffusion", "imaging", "ndarray", "ndarray_rand", "rand"];

/// What workers are built from.
#[derive(Clone, Debug)]
pub struct Kit {
    /// Where it lies.
    pub folder: PathBuf,
    /// The toolchain's folder.
    pub sysroot: PathBuf,
    /// The crates that a task's sources may name, and their files in `deps`.
    task_externs: BTreeMap<String, String>,
    /// The same for the workers' own sources.
    worker_externs: BTreeMap<String, String>,
}

/// The files of each library that cargo has built, by its package.
type Libraries = BTreeMap<PackageId, Vec<PathBuf>>;

impl Kit {
    /// The kit of the workspace at `root`; builds what is not built yet, which takes minutes the first time.
    ///
    /// # Errors
    ///
    /// If cargo or rustc fail, the kit cannot be written, or the workspace lies where submissions can read it.
    pub fn prepare(root: &Path) -> Result<Self> {
        let real = root.canonicalize().context("cannot find the workspace")?;
        if let Some(open) = system().find(|open| real.starts_with(open)) {
            bail!(
                "the workspace `{}` lies in `{}`, which submissions can read, with all hidden images and solutions: \
                 move it, to /srv or /opt for example",
                root.display(),
                open.display()
            );
        }
        let libraries = build(root)?;
        let metadata = metadata(root)?;
        let mut for_workers = dependencies(&metadata, "worker")?;
        for_workers.retain(|name, _| Task::all().iter().all(|task| task.crate_name() != name));
        let mut for_tasks = BTreeMap::new();
        for task in Task::all() {
            for_tasks.extend(dependencies(&metadata, task.crate_name())?);
        }
        for_tasks.retain(|name, _| MAY_NAME.contains(&name.as_str()));
        let packages = for_workers.values().chain(for_tasks.values()).cloned().collect();
        let libraries = needed(&metadata, packages, libraries)?;
        let sysroot = PathBuf::from(output(Command::new("rustc").args(["--print", "sysroot"]))?.trim());
        let kits = metadata.target_directory.as_std_path().join("grader-kit");
        let folder = collect(root, &kits, &libraries)?;
        Ok(Self {
            folder,
            sysroot,
            task_externs: files(&for_tasks, &libraries),
            worker_externs: files(&for_workers, &libraries),
        })
    }

    /// The arguments with which rustc finds the crates that a task's sources may name.
    #[must_use]
    pub fn task_arguments(&self) -> Vec<String> {
        self.arguments(&self.task_externs)
    }

    /// The same for the workers' sources.
    #[must_use]
    pub fn worker_arguments(&self) -> Vec<String> {
        self.arguments(&self.worker_externs)
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
///
/// In the dev profile, however the grader itself was built: it optimises what computes, and is what students run.
fn build(root: &Path) -> Result<Libraries> {
    let mut cargo = cargo(root);
    cargo.args(["build", "--locked", "--offline", "-p", "grader", "--lib"]);
    cargo.arg("--message-format=json-render-diagnostics");
    let mut libraries = Libraries::new();
    for message in Message::parse_stream(output(&mut cargo)?.as_bytes()) {
        if let Message::CompilerArtifact(artifact) = message?
            && (artifact.target.is_kind("lib".into())
                || artifact.target.is_kind("rlib".into())
                || artifact.target.is_proc_macro())
        {
            let files = artifact.filenames.into_iter().map(PathBuf::from);
            libraries.entry(artifact.package_id).or_default().extend(files);
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
fn metadata(root: &Path) -> Result<Metadata> {
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

/// What a package of the workspace may name: the crates, as they are written in sources, and their packages.
fn dependencies(metadata: &Metadata, package: &str) -> Result<BTreeMap<String, PackageId>> {
    let packages = metadata.workspace_packages();
    let found = packages.iter().find(|found| found.name.as_str() == package);
    let id = &found.with_context(|| format!("no package {package}"))?.id;
    Ok(normal_dependencies(node(metadata, id)?).collect())
}

fn node<'m>(metadata: &'m Metadata, id: &PackageId) -> Result<&'m Node> {
    let resolve = metadata.resolve.as_ref().context("cargo lists no dependencies")?;
    let node = resolve.nodes.iter().find(|node| node.id == *id);
    node.with_context(|| format!("cargo lists no dependencies of {id}"))
}

fn normal_dependencies(node: &Node) -> impl Iterator<Item = (String, PackageId)> + '_ {
    let is_normal =
        |kinds: &[cargo_metadata::DepKindInfo]| kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
    let normal = node
        .deps
        .iter()
        .filter(move |dependency| is_normal(&dependency.dep_kinds));
    normal.map(|dependency| (dependency.name.clone(), dependency.pkg.clone()))
}

/// The file of each crate, for rustc.
fn files(named: &BTreeMap<String, PackageId>, libraries: &Libraries) -> BTreeMap<String, String> {
    let file = |id: &PackageId| libraries.get(id)?.iter().rfind(|file| is_linkable(file))?.file_name();
    let of_crate = |(name, id): (&String, &PackageId)| Some((name.clone(), file(id)?.to_string_lossy().into_owned()));
    named.iter().filter_map(of_crate).collect()
}

/// Of the libraries, those of the packages and of all that these stand on: no solution, and nothing that is hidden.
fn needed(metadata: &Metadata, mut packages: Vec<PackageId>, mut libraries: Libraries) -> Result<Libraries> {
    let mut needed = BTreeSet::new();
    while let Some(package) = packages.pop() {
        if !needed.contains(&package) {
            packages.extend(normal_dependencies(node(metadata, &package)?).map(|(_, id)| id));
            needed.insert(package);
        }
    }
    libraries.retain(|package, _| needed.contains(package));
    Ok(libraries)
}

fn is_linkable(file: &Path) -> bool {
    file.extension()
        .is_some_and(|extension| extension == "rlib" || extension == "so" || extension == "dylib")
}

/// Copies what belongs to the kit into a folder named after its contents, unless it is there.
fn collect(root: &Path, kits: &Path, libraries: &Libraries) -> Result<PathBuf> {
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
    for name in ["deps", "worker"] {
        fs::create_dir(draft.path().join(name))?;
    }
    for file in files {
        copy_into(file, &draft.path().join("deps"))?;
    }
    for task in Task::all() {
        copy_into(
            &sources.join(format!("task{}.rs", task.number())),
            &draft.path().join("worker"),
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
    for task in Task::all() {
        hash.update(fs::read(sources.join(format!("task{}.rs", task.number())))?);
    }
    let digest = hash.finalize();
    Ok(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}
