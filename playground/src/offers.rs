//! What the page can choose from.

use std::path::Path;

use anyhow::{Result, ensure};
use diffusion::ScoreModel;
use imaging::{OperatorSpec, decode_image, decode_mask, known_operators};
use methods::registry;
use serde::Serialize;

use crate::knobs::{self, Knob};
use crate::picture::Picture;
use crate::plan::{DRAWN_HOLE, MOST_SAMPLES, reads_file};

/// All there is to choose, as JSON for the page.
#[derive(Debug, Serialize)]
pub struct Offers {
    prior: String,
    /// `[C, H, W]`.
    image_shape: [usize; 3],
    /// The prior's last time.
    last_time: usize,
    most_samples: u64,
    images: Vec<ShippedImage>,
    operators: Vec<OfferedOperator>,
    drawn_hole: &'static str,
    samplers: Vec<OfferedMethod>,
    posterior: Vec<OfferedMethod>,
    edits: &'static [Knob],
}

#[derive(Debug, Serialize)]
struct ShippedImage {
    /// Its path in the repository.
    name: String,
    picture: Picture,
    /// What may change, a pixel where it is white.
    mask: Option<Picture>,
}

#[derive(Debug, Serialize)]
struct OfferedOperator {
    name: &'static str,
    /// With all its parameters: `inpainting:0.7`.
    spec: String,
    syntax: &'static str,
    meaning: &'static str,
}

#[derive(Debug, Serialize)]
struct OfferedMethod {
    name: &'static str,
    title: String,
    reference: &'static str,
    knobs: &'static [Knob],
}

/// The guides that come with task 4, and their masks.
const GUIDES: [(&str, Option<&str>); 3] = [
    ("painting.png", None),
    ("composite.png", Some("composite-mask.png")),
    ("strokes.png", Some("strokes-mask.png")),
];

impl Offers {
    /// What there is for this prior.
    ///
    /// - `name`: what the prior is called
    /// - `root`: the repository, for its images; one that is not there, or cannot be read, is not offered
    ///
    /// # Errors
    ///
    /// A prior of images that are not square RGB; a list of operators that does not agree with itself.
    pub fn of(prior: &dyn ScoreModel, name: &str, root: &Path) -> Result<Self> {
        let [channels, height, width] = prior.image_shape();
        ensure!(
            channels == 3 && height == width,
            "the prior is of images of shape {:?}: the page draws squares in RGB, [3, H, H]",
            prior.image_shape()
        );
        let sampler = |sampler: &&'static dyn methods::Sampler| OfferedMethod {
            name: sampler.name(),
            title: sampler.title(),
            reference: sampler.reference(),
            knobs: knobs::of_method(sampler.name()),
        };
        let posterior = |method: &&'static dyn methods::PosteriorMethod| OfferedMethod {
            name: method.name(),
            title: method.title(),
            reference: method.reference(),
            knobs: knobs::of_method(method.name()),
        };
        let drawable = known_operators().filter(|known| !reads_file(known.syntax));
        let operator = |known: imaging::KnownOperator| -> Result<OfferedOperator> {
            Ok(OfferedOperator {
                name: known.name,
                spec: known.name.parse::<OperatorSpec>()?.to_string(),
                syntax: known.syntax,
                meaning: known.meaning,
            })
        };
        Ok(Self {
            prior: name.to_owned(),
            image_shape: prior.image_shape(),
            last_time: prior.schedule().num_steps(),
            most_samples: MOST_SAMPLES,
            images: images(root, height),
            operators: drawable.map(operator).collect::<Result<_>>()?,
            drawn_hole: DRAWN_HOLE,
            samplers: registry::samplers().iter().map(sampler).collect(),
            posterior: registry::posterior_methods().iter().map(posterior).collect(),
            edits: knobs::OF_EDITS,
        })
    }
}

/// The test images and the guides of task 4, as far as they are there.
fn images(root: &Path, size: usize) -> Vec<ShippedImage> {
    let shipped = std::fs::read_dir(root.join("data/images"));
    let mut names: Vec<String> = shipped
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| format!("data/images/{}", entry.file_name().to_string_lossy()))
        .filter(|name| name.ends_with(".png"))
        .collect();
    names.sort();
    let guide = |name: &str| format!("tasks/task4_sdedit/guides/{name}");
    let guides = GUIDES.map(|(image, mask)| (guide(image), mask.map(guide)));
    let all = names.into_iter().map(|name| (name, None)).chain(guides);
    all.filter_map(|(name, mask)| shipped_image(root, name, mask, size))
        .collect()
}

fn shipped_image(root: &Path, name: String, mask: Option<String>, size: usize) -> Option<ShippedImage> {
    let bytes = std::fs::read(root.join(&name)).ok()?;
    let image = decode_image(&bytes, &name, size).ok()?;
    let mask = mask.and_then(|mask| {
        let bytes = std::fs::read(root.join(&mask)).ok()?;
        Some(mask_picture(&decode_mask(&bytes, &mask, size).ok()?))
    });
    Some(ShippedImage {
        name,
        picture: Picture::of(&image.pixels),
        mask,
    })
}

/// White where the mask is bright.
#[must_use]
pub fn mask_picture(mask: &imaging::Mask) -> Picture {
    let grey = mask.bright.mapv(|bright| if bright { 1.0 } else { -1.0 });
    Picture::of(&grey.insert_axis(ndarray::Axis(0)))
}
