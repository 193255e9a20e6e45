//! The guides that are edited, and what of them may change.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use cli::{Session, data_folder};
use diffusion::ScoreModel;
use imaging::{Mask, load_mask};
use ndarray::{Array2, Array3};

/// The guides that come with the task, and their masks.
const SHIPPED: [(&str, Option<&str>); 3] = [
    ("painting.png", None),
    ("composite.png", Some("composite-mask.png")),
    ("strokes.png", Some("strokes-mask.png")),
];

/// A guide image, and what of it may change.
pub struct Guide {
    pub name: String,
    /// `[C, H, W]`, in [-1, 1].
    pub image: Array3<f32>,
    /// `[H, W]`, 1 where it may; without a mask all of it may.
    pub mask: Option<Array2<f32>>,
}

/// Reads the guides at `paths`, or those that come with the task, and a mask for each, or one for all.
pub fn load(paths: &[PathBuf], masks: &[PathBuf], prior: &dyn ScoreModel, session: &mut Session) -> Result<Vec<Guide>> {
    let shipped = data_folder()?;
    let shipped = shipped.parent().context("the folder `data` stands in the repository")?;
    let shipped = |name: &str| shipped.join("tasks/task4_sdedit/guides").join(name);
    let (paths, own_masks) = if paths.is_empty() {
        let paths = SHIPPED.map(|(guide, _)| shipped(guide)).to_vec();
        (paths, SHIPPED.map(|(_, mask)| mask.map(shipped)).to_vec())
    } else {
        (paths.to_vec(), Vec::new())
    };
    let guides = session.read_images(&paths, prior, usize::MAX)?;
    let count = guides.len();
    let masks = match masks {
        [] if own_masks.is_empty() => vec![None; count],
        [] => own_masks,
        [one] => vec![Some(one.clone()); count],
        many => {
            ensure!(
                many.len() == count,
                "--mask names {} files for {count} guides: name one for each, or one for all",
                many.len()
            );
            many.iter().cloned().map(Some).collect()
        }
    };
    session.will_read(&masks.iter().flatten().cloned().collect::<Vec<_>>())?;
    let mut loaded = Vec::new();
    for (guide, mask) in guides.into_iter().zip(masks) {
        let size = guide.pixels.dim().1;
        loaded.push(Guide {
            name: guide.name,
            image: guide.pixels,
            mask: mask.map(|path| read_mask(&path, size, session)).transpose()?,
        });
    }
    Ok(loaded)
}

/// Bright (half or above) becomes 1, dark 0. A mask is cropped and resized as its guide is. How much may change
/// is said.
fn read_mask(path: &Path, size: usize, session: &Session) -> Result<Array2<f32>> {
    let Mask { bright, remark, .. } = load_mask(path, size)?;
    let (may_change, all) = (bright.iter().filter(|&&bright| bright).count(), bright.len());
    let mut line = format!("mask `{}`: {may_change} of {all} pixels may change", path.display());
    if !remark.is_empty() {
        line.push_str(&format!(" ({remark})"));
    }
    session.note(&line);
    if may_change == 0 || may_change == all {
        let what = if may_change == 0 { "nothing" } else { "everything" };
        session.note(&format!(
            "warning: with this mask {what} may change: bright is what may, dark stays as it is"
        ));
    }
    Ok(bright.mapv(|bright| if bright { 1.0 } else { 0.0 }))
}
