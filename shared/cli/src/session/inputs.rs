//! What a run reads, and that nothing is written over it.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use diffusion::ScoreModel;
use files::lies_in;
use imaging::{ImageList, NamedImage};
use program::{data_folder, say};

use super::Session;
use crate::options::ImageOptions;
use crate::run::check_interrupted;

/// So many images that did not fit are told one by one; more are told in one line.
const TOLD: usize = 4;

impl Session {
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
                "--out `{}` lies in the folder `{}`, which images are read from: the next run would take the figures \
                 for images; name another folder with --out",
                self.out.display(),
                path.display()
            );
        }
        self.inputs.extend_from_slice(paths);
        self.check_target(&self.json)
    }

    /// What was named to be read is not written over.
    pub(super) fn check_target(&self, path: &Path) -> Result<()> {
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
