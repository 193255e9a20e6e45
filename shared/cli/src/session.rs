//! One run of a task: what it reads, and what it writes.

mod inputs;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use files::Folder;
use ndarray::ArrayRef3;
use plots::Figure;
use program::{data_folder, find_prior, print_text, say, start_threads};
use score_unet::Prior;

use crate::memory::check_weights;
use crate::options::CommonOptions;
use crate::report::Report;

/// One run of a task: it loads the prior and the images that the options name, and keeps note of what was written.
#[derive(Debug)]
pub struct Session {
    options: CommonOptions,
    started: Instant,
    out: PathBuf,
    json: PathBuf,
    /// Where nothing was written they go away again at the end.
    _folders: Vec<Folder>,
    /// Files that the user named to be read, which are never written over.
    inputs: Vec<PathBuf>,
    written: Vec<PathBuf>,
}

impl Session {
    /// Sets up the threads and makes sure, before anything is computed, that there is somewhere to write to.
    pub(crate) fn new(task: &str, options: &CommonOptions) -> Result<Self> {
        let out = options.out.clone().unwrap_or_else(|| Path::new("out").join(task));
        let json = options.json.clone().unwrap_or_else(|| out.join("results.json"));
        let mut folders = vec![writable(&out, "--out")?];
        if json.is_dir() || json.file_name().is_none() {
            bail!(
                "--json `{}` is a folder: name a file, such as results.json",
                json.display()
            );
        }
        if !files::is_stream(&json) {
            folders.push(writable(json.parent().unwrap_or(Path::new("")), "--json")?);
        }
        start_threads(options.threads)?;
        Ok(Self {
            options: options.clone(),
            started: Instant::now(),
            out,
            json,
            _folders: folders,
            inputs: Vec::new(),
            written: Vec::new(),
        })
    }

    /// The prior that `--prior` names, on the device of `--device`.
    ///
    /// # Errors
    ///
    /// If there is none of that name, or its files do not fit; a GPU that is not there or cannot be used.
    pub fn prior(&self) -> Result<Prior> {
        let folder = find_prior(&self.options.prior, data_folder())?;
        let device = self.options.device.open(|line| self.note(line))?;
        check_weights(&folder)?;
        let prior = Prior::load_on(&folder, &device)?;
        self.note(&prior.describe());
        Ok(prior)
    }

    /// An empty report that says what all reports do: the prior and the seed.
    #[must_use]
    pub fn report(&self, prior: &Prior) -> Report {
        let settings = [
            ("prior", prior.name().to_owned()),
            ("seed", self.options.seed.to_string()),
        ];
        Report {
            settings: settings.map(|(name, value)| (name.to_owned(), value)).into(),
            rows: Vec::new(),
        }
    }

    /// Tells the user something, on standard error.
    pub fn note(&self, line: &str) {
        say(line);
    }

    /// Writes a figure into the folder of `--out`.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn save_figure(&mut self, figure: &Figure, name: &str) -> Result<()> {
        let path = self.out.join(name);
        self.check_target(&path)?;
        figure.save(&path)?;
        self.note_written(path);
        Ok(())
    }

    /// Writes an image `[C, H, W]` as it is, pixel for pixel, into the folder of `--out`.
    ///
    /// # Errors
    ///
    /// If it cannot be written, or holds a NaN.
    pub fn save_image(&mut self, image: &ArrayRef3<f32>, name: &str) -> Result<()> {
        let path = self.out.join(name);
        self.check_target(&path)?;
        imaging::save_png(&path, image)?;
        self.note_written(path);
        Ok(())
    }

    /// The folder of `--out`.
    #[must_use]
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// Writes text into the folder of `--out`, in place of what the file of that name held.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn save_text(&mut self, text: &str, name: &str) -> Result<()> {
        let path = self.out.join(name);
        self.check_target(&path)?;
        files::write_whole(&path, text.as_bytes()).with_context(|| format!("cannot write `{}`", path.display()))?;
        self.note_written(path);
        Ok(())
    }

    /// Prints the report's table, and writes the report to the file of `--json`, with the time that the run took. The
    /// table goes to standard output, or, where `--json` is that, to standard error. A report without rows is no
    /// report: nothing is printed or written.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn save_report(&mut self, report: &Report) -> Result<()> {
        if report.rows.is_empty() {
            return Ok(());
        }
        if self.json == Path::new("-") || self.json == Path::new("/dev/stdout") {
            say(report.table().trim_end());
        } else {
            print_text(&report.table());
        }
        self.write_report(report)
    }

    /// Writes what is done so far to the file of `--json`, so that it is there whatever happens to the rest. Into a
    /// device or a pipe, which would keep every version, it is written once, by [`Self::save_report`].
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn keep_report(&mut self, report: &Report) -> Result<()> {
        if report.rows.is_empty() || files::is_stream(&self.json) {
            return Ok(());
        }
        self.write_report(report)
    }

    fn write_report(&mut self, report: &Report) -> Result<()> {
        let mut report = report.clone();
        let seconds = self.started.elapsed().as_secs_f64();
        report.settings.insert("seconds".into(), format!("{seconds:.1}"));
        report.write_json(&self.json)?;
        self.note_written(self.json.clone());
        Ok(())
    }

    fn note_written(&mut self, path: PathBuf) {
        if !self.written.contains(&path) && !files::is_stream(&path) {
            self.written.push(path);
        }
    }

    /// The files that were written, in words; empty if there are none.
    pub(crate) fn written(&self) -> String {
        let (first, rest) = self.written.split_at(self.written.len().min(4));
        let mut text = first
            .iter()
            .map(|path| path.display().to_string())
            .collect::<Vec<_>>()
            .join(", ");
        if !rest.is_empty() {
            text.push_str(&format!(" and {} more", rest.len()));
        }
        text
    }
}

/// Better now than after an hour's work.
fn writable(folder: &Path, flag: &str) -> Result<Folder> {
    Folder::open(folder).with_context(|| {
        format!(
            "cannot write into the folder `{}`; name another with {flag}",
            folder.display()
        )
    })
}
