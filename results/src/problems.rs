//! What is measured: sets of images, and cases such as `t=30` or `inpainting`.

use std::fmt;
use std::path::Path;

use anyhow::{Result, ensure};
use cli::{ImageOptions, Session, check_times};
use diffusion::ScoreModel;
use imaging::{NamedImage, OperatorSpec, load_split_some, stack};
use ndarray::Array4;
use score_unet::Prior;

use crate::store::fingerprint_of_images;

/// Images that a table is made over.
pub struct ImageSet {
    /// For files: `photographs`.
    pub name: &'static str,
    /// For people.
    pub title: String,
    pub images: Vec<NamedImage>,
    /// The same as a batch.
    pub batch: Array4<f32>,
    /// Tells them from other images of the same names.
    pub fingerprint: String,
}

impl ImageSet {
    /// The name of [`Self::shipped`].
    pub const SHIPPED: &'static str = "shipped";

    /// `count` images of the `test` part of a data set, evenly spread over its images in the order of their names.
    pub fn photographs(data: &Path, count: usize, prior: &Prior) -> Result<Self> {
        let [_, size, _] = prior.image_shape();
        let spread = |available: usize| (0..count).map(|k| k * (available / count)).collect();
        let split = load_split_some(data, "test", size, spread, |_, _| {})?;
        ensure!(
            split.available >= count,
            "`{}` holds {} images under `test/`: ask for at most as many with --photographs",
            data.display(),
            split.available
        );
        let images: Vec<NamedImage> = (0..split.count)
            .map(|index| NamedImage {
                name: split.names[index].clone(),
                pixels: split.array(index),
                adapted: None,
            })
            .collect();
        let title = format!("{count} photographs of the test split");
        Self::new("photographs", title, images)
    }

    /// The images that a user names.
    pub fn named(session: &mut Session, images: &ImageOptions, prior: &Prior) -> Result<Self> {
        let images = session.images(images, prior, usize::MAX)?;
        Self::new("images", format!("The {} images of --images", images.len()), images)
    }

    /// The images that the repository ships.
    pub fn shipped(session: &mut Session, prior: &Prior) -> Result<Self> {
        let images = session.images(&ImageOptions::default(), prior, usize::MAX)?;
        let title = format!("The {} shipped images, drawn from the prior itself", images.len());
        Self::new(Self::SHIPPED, title, images)
    }

    /// Images of one shape.
    pub fn new(name: &'static str, title: String, images: Vec<NamedImage>) -> Result<Self> {
        let batch = stack(&images.iter().map(|image| image.pixels.view()).collect::<Vec<_>>())?;
        Ok(Self {
            name,
            title,
            images,
            fingerprint: fingerprint_of_images(&batch),
            batch,
        })
    }
}

/// One row of problems of the table.
#[derive(Clone, Debug, PartialEq)]
pub enum Case {
    /// Noise of time `t` is to be removed in one step.
    Denoising { t: usize },
    /// A measurement is to be inverted.
    Inverse { operator: OperatorSpec },
}

impl Case {
    /// Task 2's three times, then these operators, as they are meant for images `[C, H, W]`.
    pub fn all(operators: &[OperatorSpec], image_shape: [usize; 3]) -> Vec<Self> {
        let denoising = [30, 100, 300].map(|t| Self::Denoising { t });
        let suited = |operator: &OperatorSpec| Self::Inverse {
            operator: operator.clone().suited_to(image_shape),
        };
        denoising.into_iter().chain(operators.iter().map(suited)).collect()
    }

    /// Whether there is such a case for this prior: one of few times or small images has not all of them.
    pub fn check(&self, prior: &dyn ScoreModel) -> Result<()> {
        match self {
            Self::Denoising { t } => check_times("the case", &[*t], prior),
            Self::Inverse { operator } => Ok(operator.build(prior.image_shape(), 0).map(drop)?),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denoising { t } => write!(formatter, "t={t}"),
            Self::Inverse { operator } => formatter.write_str(operator.name()),
        }
    }
}
