//! Hostile submissions, one file each in `attacks`: none earns a point that it should not, none harms this machine, and
//! each gets a result that says what happened.
//!
//! It compiles and runs some hundred submissions, which takes minutes; one alone:
//!
//! ```text
//! ATTACK=fork-bomb cargo test -p grader --test dear attack -- --ignored --nocapture
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use grader::grading::compile::COMPILE_LIMITS;
use grader::report::write_reports;
use grader::{GradeOptions, GradeReport, Grader};
use serde::Deserialize;
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::part::Part;
use crate::{root, task_of, use_helper};

/// The task that most attacks change.
const TASK: u8 = 2;

/// An attack: how its submission differs from the reference solution of its task, and what has to come of it.
///
/// In all texts, words such as `{CANARY}` are replaced: see [`Host::filled_in`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attack {
    /// What it does, in a sentence.
    what: String,
    /// The task whose solution it changes.
    #[serde(default = "usual_task")]
    task: u8,
    /// The checks that are run.
    #[serde(default = "first_formula")]
    checks: Vec<String>,
    /// How long it may be compiled, in place of the two minutes that it else may.
    compile_seconds: Option<u64>,
    /// What it may earn in these checks, exactly.
    #[serde(default)]
    points: f64,
    /// What the result must say.
    says: Vec<String>,
    /// What it must not say.
    #[serde(default)]
    never_says: Vec<String>,
    /// What must not stand in the page as it is.
    #[serde(default)]
    never_in_page: Vec<String>,
    /// Whether the submission is an archive.
    #[serde(default)]
    zip: bool,
    /// Whether it has nothing but its own files.
    #[serde(default)]
    without_reference: bool,
    /// Bodies in place of the reference solution's, by exercise.
    #[serde(default)]
    solutions: BTreeMap<String, String>,
    /// Text at the end of a file.
    #[serde(default)]
    tail: BTreeMap<String, String>,
    /// More files, or others in place of the reference's.
    #[serde(default)]
    files: BTreeMap<String, String>,
    /// Links, and where they lead.
    #[serde(default)]
    links: BTreeMap<String, String>,
    /// Files of zeros, and their sizes in bytes.
    #[serde(default)]
    zeros: BTreeMap<String, u64>,
    /// Further sources of blanks, so many of so many bytes each.
    #[serde(default)]
    many: Option<(usize, usize)>,
    /// The most bytes that `results.json` may have.
    most_bytes: Option<usize>,
}

fn usual_task() -> u8 {
    TASK
}

/// The file of a task that is handed in.
fn source(task: u8) -> String {
    format!("tasks/{}/src/lib.rs", task_of(task).crate_name())
}

fn first_formula() -> Vec<String> {
    vec!["2.1 formula".into()]
}

/// What an attack might harm.
struct Host {
    root: PathBuf,
    /// A folder that anyone may write to, with the canary and the result.
    open: TempDir,
    tcp: TcpListener,
    udp: UdpSocket,
    /// An argument by which a process that stays behind is recognised.
    mark: String,
}

impl Host {
    fn new() -> Result<Self> {
        let open = tempfile::tempdir()?;
        fs::set_permissions(open.path(), fs::Permissions::from_mode(0o777))?;
        let tcp = TcpListener::bind("127.0.0.1:0")?;
        tcp.set_nonblocking(true)?;
        let udp = UdpSocket::bind(tcp.local_addr()?)?;
        udp.set_nonblocking(true)?;
        let mark = format!("7200.{}", std::process::id());
        let host = Self {
            root: root(),
            open,
            tcp,
            udp,
            mark,
        };
        for file in [host.canary(), host.result()] {
            fs::write(&file, "unharmed")?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o666))?;
        }
        Ok(host)
    }

    fn canary(&self) -> PathBuf {
        self.open.path().join("canary")
    }

    fn result(&self) -> PathBuf {
        self.open.path().join("results.json")
    }

    /// The text with the names of this machine.
    fn filled_in(&self, text: &str) -> Result<String> {
        let hidden = self.root.join("grader/hidden");
        let mut images = fs::read_dir(&hidden)?
            .flatten()
            .map(|entry| entry.file_name().display().to_string());
        let image = images.find(|name| name.ends_with(".png")).context("no hidden image")?;
        Ok(text
            .replace("{CANARY}", &self.canary().display().to_string())
            .replace("{RESULT}", &self.result().display().to_string())
            .replace("{ROOT}", &self.root.display().to_string())
            .replace("{HIDDEN}", &hidden.display().to_string())
            .replace("{HIDDEN_IMAGE}", &image)
            .replace("{PARENT}", &std::process::id().to_string())
            .replace("{PORT}", &self.tcp.local_addr()?.port().to_string())
            .replace("{MARK}", &self.mark))
    }

    /// Whether nothing was touched, nothing runs on, and nothing was sent.
    fn is_unharmed(&self) -> Result<()> {
        for file in [self.canary(), self.result()] {
            let text = fs::read_to_string(&file).unwrap_or_else(|error| error.to_string());
            ensure!(text == "unharmed", "`{}` now holds: {text}", file.display());
        }
        ensure!(
            fs::read_dir(self.open.path())?.count() == 2,
            "there are new files in the open folder"
        );
        ensure!(self.tcp.accept().is_err(), "a connection was made");
        ensure!(self.udp.recv(&mut [0; 64]).is_err(), "a datagram was sent");
        for process in fs::read_dir("/proc")?.flatten() {
            let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command);
            ensure!(!command.contains(&self.mark), "a process stayed behind: {command}");
        }
        Ok(())
    }
}

#[test]
#[ignore = "compiles and runs a hundred submissions: minutes"]
fn no_attack_earns_or_harms_anything() -> Result<()> {
    use_helper();
    let host = Host::new()?;
    let only = std::env::var("ATTACK").ok();
    // One for each choice of checks and time.
    let mut graders: BTreeMap<_, Grader> = BTreeMap::new();
    let mut failed = Vec::new();
    let all = attacks(&host)?;
    ensure!(all.len() >= 100, "only {} attacks were found", all.len());
    let attacks = match only {
        Some(only) => Part::whole("attacks").of(all.into_iter().filter(|(name, _)| *name == only).collect()),
        None => Part::from_environment("attacks")?.of(all.into_iter().collect()),
    };
    println!("{attacks}");
    ensure!(!attacks.taken.is_empty(), "there is no such attack");
    for (name, attack) in &attacks.taken {
        let key = (attack.task, attack.checks.clone(), attack.compile_seconds);
        if !graders.contains_key(&key) {
            let mut options = options(&host, attack.task, &attack.checks);
            options.compile_limits.wall = attack.compile_seconds.map_or(COMPILE_LIMITS.wall, Duration::from_secs);
            graders.insert(key.clone(), Grader::new(options)?);
        }
        let clock = Instant::now();
        let outcome = carry_out(&host, &graders[&key], attack);
        println!("{:5.1} s  {name}: {}", clock.elapsed().as_secs_f64(), attack.what);
        if let Err(error) = outcome {
            println!("         FAILED: {error:#}");
            failed.push(name);
        }
    }
    ensure!(failed.is_empty(), "these attacks were not warded off: {failed:?}");
    Ok(())
}

/// An attack that is none: the reference solution earns everything that the attacks are refused.
#[test]
#[ignore = "compiles a submission"]
fn the_reference_earns_what_attacks_do_not() -> Result<()> {
    use_helper();
    let host = Host::new()?;
    let submission = tempfile::tempdir()?;
    put(
        submission.path(),
        &source(TASK),
        &fs::read(host.root.join(source(TASK)))?,
    )?;
    let checks = ["2.1 formula", "2.2 formula", "2.3"].map(String::from);
    let report = Grader::new(options(&host, TASK, &checks))?.grade(submission.path(), "mallory", &mut |_, _| {})?;
    ensure!(
        report.points() == report.out_of() && report.out_of() > 0.0,
        "{}",
        text_of(&report)
    );
    Ok(())
}

fn options(host: &Host, task: u8, only: &[String]) -> GradeOptions {
    GradeOptions {
        tasks: vec![task_of(task)],
        only: only.to_vec(),
        ..GradeOptions::new(&host.root)
    }
}

/// All attacks by name, filled in.
fn attacks(host: &Host) -> Result<BTreeMap<String, Attack>> {
    let mut attacks = BTreeMap::new();
    for entry in fs::read_dir(host.root.join("grader/tests/dear/attacks"))? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().display().to_string();
        let text = host.filled_in(&fs::read_to_string(&path)?)?;
        attacks.insert(
            name,
            toml::from_str(&text).with_context(|| format!("`{}`", path.display()))?,
        );
    }
    Ok(attacks)
}

fn carry_out(host: &Host, grader: &Grader, attack: &Attack) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let submission = make_submission(host, attack, folder.path())?;
    let report = grader.grade(&submission, "mallory", &mut |_, _| {})?;
    host.is_unharmed()?;
    let text = text_of(&report);
    ensure!(
        report.points() == attack.points,
        "it earned {}, not {}:\n{text}",
        report.points(),
        attack.points
    );
    for words in &attack.says {
        ensure!(
            text.contains(words.as_str()),
            "the result does not say `{words}`:\n{text}"
        );
    }
    for words in &attack.never_says {
        ensure!(!text.contains(words.as_str()), "the result says `{words}`:\n{text}");
    }
    is_written(&report, attack, &folder.path().join("out"))
}

/// Whether there is a result that can be read, and a page that is no attack itself.
fn is_written(report: &GradeReport, attack: &Attack, out: &Path) -> Result<()> {
    write_reports(report, out)?;
    let bytes = fs::read(out.join("results.json"))?;
    ensure!(
        attack.most_bytes.is_none_or(|most| bytes.len() <= most),
        "results.json has {} bytes",
        bytes.len()
    );
    let results: serde_json::Value = serde_json::from_slice(&bytes)?;
    ensure!(
        results["tests"].as_array().is_some_and(|tests| !tests.is_empty()),
        "results.json lists no tests"
    );
    let page = fs::read_to_string(out.join("report.html"))?;
    for words in &attack.never_in_page {
        ensure!(!page.contains(words.as_str()), "report.html holds `{words}`");
    }
    Ok(())
}

/// All that a student is told.
fn text_of(report: &GradeReport) -> String {
    let mut text = report.notes.join("\n");
    for task in &report.tasks {
        text.push_str(task.build_error.as_deref().unwrap_or_default());
        for check in &task.checks {
            text.push_str(&format!(
                "\n[{}: {} of {}] {}",
                check.key, check.points, check.out_of, check.text
            ));
        }
    }
    text
}

fn make_submission(host: &Host, attack: &Attack, folder: &Path) -> Result<PathBuf> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    if !attack.without_reference {
        let path = source(attack.task);
        let text = patched(&fs::read_to_string(host.root.join(&path))?, &attack.solutions)?;
        files.insert(path, text.into());
    }
    for (path, text) in &attack.tail {
        files.entry(path.clone()).or_default().extend(text.bytes());
    }
    files.extend(
        attack
            .files
            .iter()
            .map(|(path, text)| (path.clone(), text.clone().into_bytes())),
    );
    if let Some((count, bytes)) = attack.many {
        let folder = source(attack.task).replace("lib.rs", "");
        files.extend((0..count).map(|index| (format!("{folder}z{index}.rs"), vec![b' '; bytes])));
    }
    let submission = folder.join("submission");
    fs::create_dir(&submission)?;
    if attack.zip {
        let archive = submission.with_extension("zip");
        fs::write(&archive, zipped(&files, attack)?)?;
        return Ok(archive);
    }
    files
        .iter()
        .try_for_each(|(path, bytes)| put(&submission, path, bytes))?;
    for (path, to) in &attack.links {
        put(&submission, path, b"")?;
        fs::remove_file(submission.join(path))?;
        symlink(to, submission.join(path))?;
    }
    for (path, &size) in &attack.zeros {
        put(&submission, path, b"")?;
        fs::File::create(submission.join(path))?.set_len(size)?;
    }
    Ok(submission)
}

fn put(folder: &Path, path: &str, bytes: &[u8]) -> Result<()> {
    let file = folder.join(path);
    fs::create_dir_all(file.parent().context("a path")?)?;
    Ok(fs::write(file, bytes)?)
}

/// The reference source with other bodies of some exercises.
fn patched(source: &str, solutions: &BTreeMap<String, String>) -> Result<String> {
    let mut text = source.to_owned();
    for (exercise, body) in solutions {
        let start = text
            .find(&format!("// BEGIN SOLUTION {exercise} "))
            .context("no such exercise")?;
        let end = start
            + text[start..]
                .find("// END SOLUTION")
                .context("the solution does not end")?;
        text.replace_range(start..end, body);
    }
    Ok(text)
}

fn zipped(files: &BTreeMap<String, Vec<u8>>, attack: &Attack) -> Result<Vec<u8>> {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    for (path, bytes) in files {
        writer.start_file(path, options)?;
        writer.write_all(bytes)?;
    }
    for (path, to) in &attack.links {
        writer.add_symlink(path, to, options)?;
    }
    for (path, &size) in &attack.zeros {
        writer.start_file(path, options)?;
        std::io::copy(&mut std::io::Read::take(std::io::repeat(0), size), &mut writer)?;
    }
    Ok(writer.finish()?.into_inner())
}
