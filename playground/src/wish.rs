//! What the page asks for: the fields of its forms, as they were typed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One run that somebody wishes for. Numbers are text here: what is wrong with them is said by [`Plan`](crate::plan),
/// in one place, whoever asks.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// What is to be done.
    pub task: Task,
    /// A name of `methods`' registry; of a sampler for [`Task::Generate`], of a posterior method for
    /// [`Task::Reconstruct`]; not looked at for [`Task::Edit`].
    #[serde(default)]
    pub method: String,
    /// As on a command line, `inpainting:0.7`; [`DRAWN_HOLE`](crate::plan::DRAWN_HOLE) for [`Self::mask`].
    #[serde(default)]
    pub operator: String,
    /// The standard deviation of the measurement noise.
    #[serde(default)]
    pub noise: String,
    /// How many of the prior's times are visited.
    pub steps: String,
    /// Empty, `beta` or `posterior`.
    #[serde(default)]
    pub variance: String,
    /// How many results.
    pub samples: String,
    /// Where the random numbers start.
    pub seed: String,
    /// The method's settings by their names; an empty one is left to the method.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// The image that is measured or edited.
    #[serde(default)]
    pub image: Option<DrawnImage>,
    /// What is to be replaced, a byte for each pixel in reading order: 0 where the image stays.
    #[serde(default, with = "crate::bytes")]
    pub mask: Vec<u8>,
}

/// The three things that can be done.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// New images from noise: task 3 and the other samplers.
    Generate,
    /// An edit of an image: SDEdit of task 4.
    Edit,
    /// An image from a measurement: tasks 4 to 6 and the other posterior methods.
    Reconstruct,
}

/// An image as the page has it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DrawnImage {
    /// What a command line would call its file.
    pub name: String,
    /// Three bytes for each pixel, red, green and blue, in reading order.
    #[serde(with = "crate::bytes")]
    pub rgb: Vec<u8>,
}
