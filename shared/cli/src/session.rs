//! One run of a task: what it reads, and what it writes.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use diffusion::ScoreModel;
use files::Folder;
use imaging::NamedImage;
use ndarray::ArrayRef3;
use plots::Figure;
use program::{say, start_threads};
use score_unet::Prior;

use crate::locate::{data_folder, find_prior};
use crate::options::{CommonOptions, ImageOptions};
use crate::report::Report;

/// One run of a task: it loads the prior and the images that the options name, and keeps note of what was written.
#[derive(Debug)]
pub struct Session {
    options: CommonOptions,
    out: PathBuf,
    json: PathBuf,
    /// Where nothing was written they go away again at the end.
    _folders: Vec<Folder>,
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
        folders.push(writable(json.parent().unwrap_or(Path::new("")), "--json")?);
        start_threads(options.threads)?;
        Ok(Self {
            options: options.clone(),
            out,
            json,
            _folders: folders,
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

    /// The images that `options` name, or those of the repository, in the size that `prior` works on. What had to be
    /// cropped or resized is said.
    ///
    /// # Errors
    ///
    /// A path that is not there, a folder without images, a broken image; a prior of images that are not square RGB.
    pub fn images(&self, options: &ImageOptions, prior: &dyn ScoreModel) -> Result<Vec<NamedImage>> {
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
        let paths = match options.images.as_slice() {
            [] => vec![data_folder()?.join("images")],
            paths => paths.to_vec(),
        };
        let images = imaging::load_images(&paths, size)?;
        for image in &images {
            if let Some(adapted) = &image.adapted {
                self.note(&format!("{}: {adapted}", image.name));
            }
        }
        Ok(images)
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
        figure.save(&path)?;
        self.written.push(path);
        Ok(())
    }

    /// Writes an image `[C, H, W]` as it is, pixel for pixel, into the folder of `--out`.
    ///
    /// # Errors
    ///
    /// If it cannot be written, or holds a NaN.
    pub fn save_image(&mut self, image: &ArrayRef3<f32>, name: &str) -> Result<()> {
        let path = self.out.join(name);
        imaging::save_png(&path, image)?;
        self.written.push(path);
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
        files::write_whole(&path, text.as_bytes()).with_context(|| format!("cannot write `{}`", path.display()))?;
        if !self.written.contains(&path) {
            self.written.push(path);
        }
        Ok(())
    }

    /// Prints the report's table on standard output, and writes the report to the file of `--json`.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn save_report(&mut self, report: &Report) -> Result<()> {
        // Whoever reads the table may have closed the pipe: the file is written all the same.
        let _ = std::io::stdout().write_all(report.table().as_bytes());
        report.write_json(&self.json)?;
        self.written.push(self.json.clone());
        Ok(())
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
