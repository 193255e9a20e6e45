//! One run of a task: what it reads, and what it writes.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use diffusion::ScoreModel;
use files::{Folder, lies_in};
use imaging::{ImageList, NamedImage};
use ndarray::ArrayRef3;
use plots::Figure;
use program::{data_folder, find_prior, print_text, say, start_threads};
use score_unet::Prior;

use crate::options::{CommonOptions, ImageOptions};
use crate::report::Report;
use crate::run::check_interrupted;

/// So many images that did not fit are told one by one; more are told in one line.
const TOLD: usize = 4;

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
        let prior = Prior::load_on(&folder, &device)?;
        self.note(&prior.describe());
        Ok(prior)
    }

    /// The first `count` images that `options` name, or of those of the repository, in the size that `prior` works on.
    /// What had to be cropped or resized is said, and what was passed over.
    ///
    /// # Errors
    ///
    /// A path that is not there, a folder without images, a broken image; a prior of images that are not square RGB; a
    /// folder of images that figures would be written into.
    pub fn images(&mut self, options: &ImageOptions, prior: &dyn ScoreModel, count: usize) -> Result<Vec<NamedImage>> {
        if !options.images.is_empty() {
            return self.read_images(&options.images, prior, count);
        }
        // What lies beside the shipped images is no news.
        let shipped = data_folder()?.join("images");
        self.read_listed(&[shipped], prior, count, |_| ())
    }

    /// As [`Self::images`], from these files, folders and archives.
    ///
    /// # Errors
    ///
    /// As [`Self::images`].
    pub fn read_images(&mut self, paths: &[PathBuf], prior: &dyn ScoreModel, count: usize) -> Result<Vec<NamedImage>> {
        self.read_listed(paths, prior, count, |list| {
            list.passed_over().iter().for_each(|line| say(line))
        })
    }

    /// `tell` says what is to be said of what lies there.
    fn read_listed(
        &mut self,
        paths: &[PathBuf],
        prior: &dyn ScoreModel,
        count: usize,
        tell: fn(&ImageList),
    ) -> Result<Vec<NamedImage>> {
        let size = square_rgb(prior)?;
        self.will_read(paths)?;
        let mut list = ImageList::open(paths)?;
        tell(&list);
        if list.count() > count {
            say(&format!(
                "the first {count} of {} images; more with --count",
                list.count()
            ));
        }
        let mut images = Vec::new();
        for place in 0..list.wanted(count)? {
            check_interrupted()?;
            images.push(list.read_one(place, size)?);
        }
        tell_adapted(&images);
        Ok(images)
    }

    /// Keeps in mind that the user named these paths to be read, so that nothing is written over them.
    ///
    /// # Errors
    ///
    /// A folder that figures would be written into: the next run would take them for images. A file that `--json`
    /// names, too.
    pub fn will_read(&mut self, paths: &[PathBuf]) -> Result<()> {
        for path in paths {
            ensure!(
                !(path.is_dir() && lies_in(&self.out, path)),
                "--out `{}` lies in the folder `{}`, which images are read from: the next run would take the figures for \
                 images; name another folder with --out",
                self.out.display(),
                path.display()
            );
        }
        self.inputs.extend_from_slice(paths);
        self.check_target(&self.json)
    }

    /// What was named to be read is not written over.
    fn check_target(&self, path: &Path) -> Result<()> {
        let is_same = |input: &&PathBuf| input.is_file() && lies_in(path, input);
        match self.inputs.iter().find(is_same) {
            None => Ok(()),
            Some(input) => bail!(
                "not writing `{}`: it is `{}`, which was read; name another --out or --json",
                path.display(),
                input.display()
            ),
        }
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
    /// table goes to standard output, or, where `--json` is that, to standard error. A report without rows is no report:
    /// nothing is printed or written.
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

/// Which images did not fit, and what was done.
fn tell_adapted(images: &[NamedImage]) {
    let told = |image: &NamedImage| Some(format!("{}: {}", image.name, image.adapted.as_ref()?));
    let adapted: Vec<String> = images.iter().filter_map(told).collect();
    match adapted.as_slice() {
        few if few.len() <= TOLD => few.iter().for_each(|line| say(line)),
        many => say(&format!(
            "{} of {} images were made to fit, the first so: {}",
            many.len(),
            images.len(),
            many[0]
        )),
    }
}

/// Height and width of the prior's images.
fn square_rgb(prior: &dyn ScoreModel) -> Result<usize> {
    let [3, size, width] = prior.image_shape() else {
        bail!(
            "the prior is of images of shape {:?}: expected [3, H, W], RGB",
            prior.image_shape()
        );
    };
    ensure!(
        size == width,
        "the prior is of images of {size}x{width} pixels: expected a square"
    );
    Ok(size)
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
