//! Labelled images, and batches of them for training.

use imaging::{PixelSet, from_byte};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

/// The images of one part of a data set, with the class that the folder of each stands for.
#[derive(Debug)]
pub struct LabelledSet {
    /// The images, of one size.
    pub images: PixelSet,
    /// The class of each image, an index into `classes`.
    pub labels: Vec<usize>,
    /// The names of the classes' folders, sorted.
    pub classes: Vec<String>,
}

impl LabelledSet {
    /// Takes the classes from the names of the images, `split/CLASS/FILE`.
    ///
    /// # Errors
    ///
    /// If an image lies in no such folder.
    pub fn new(images: PixelSet) -> anyhow::Result<Self> {
        let class_of = |name: &String| -> anyhow::Result<String> {
            match name.split('/').collect::<Vec<_>>()[..] {
                [_, class, _] => Ok(class.to_owned()),
                _ => {
                    anyhow::bail!("the image `{name}` is in no class: expected SPLIT/CLASS/FILE, as train/cat/0001.jpg")
                }
            }
        };
        let of_images = images.names.iter().map(class_of).collect::<anyhow::Result<Vec<_>>>()?;
        let mut classes = of_images.clone();
        classes.sort();
        classes.dedup();
        let labels = of_images
            .iter()
            .map(|class| classes.partition_point(|other| other < class))
            .collect();
        Ok(Self {
            images,
            labels,
            classes,
        })
    }
}

/// Images and their classes.
pub(super) struct Batch {
    /// `[B, 3, size, size]` in [-1, 1], row-major.
    pub(super) pixels: Vec<f32>,
    pub(super) labels: Vec<usize>,
}

/// An image is moved by at most so many pixels; what comes in from outside is grey.
const LARGEST_SHIFT: i32 = 4;

fn rng(seed: u64, stream: u64, index: u64) -> StdRng {
    StdRng::seed_from_u64(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (stream << 56) ^ index)
}

/// The order in which the images come in one epoch.
pub(super) fn epoch_order(count: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut rng(seed, 1, epoch));
    order
}

/// The images `indices`, each moved and mirrored at random: what is drawn depends on `seed` and `step` alone.
pub(super) fn augmented(set: &LabelledSet, indices: &[usize], seed: u64, step: u64) -> Batch {
    let mut rng = rng(seed, 2, step);
    let mut shift = || rng.random_range(-LARGEST_SHIFT..=LARGEST_SHIFT);
    let moves: Vec<[i32; 2]> = indices.iter().map(|_| [shift(), shift()]).collect();
    let mut pixels = Vec::with_capacity(indices.len() * 3 * set.images.size.pow(2));
    for (&index, offset) in indices.iter().zip(moves) {
        push_moved(&set.images, index, offset, rng.random_bool(0.5), &mut pixels);
    }
    Batch {
        pixels,
        labels: indices.iter().map(|&index| set.labels[index]).collect(),
    }
}

/// The images `indices` as they are.
pub(super) fn plain(set: &LabelledSet, indices: &[usize]) -> Batch {
    let pixels = indices
        .iter()
        .flat_map(|&index| set.images.image(index))
        .map(|&byte| from_byte(byte))
        .collect();
    Batch {
        pixels,
        labels: indices.iter().map(|&index| set.labels[index]).collect(),
    }
}

fn push_moved(images: &PixelSet, index: usize, [dy, dx]: [i32; 2], mirror: bool, out: &mut Vec<f32>) {
    let size = images.size as i32;
    let bytes = images.image(index);
    for channel in bytes.chunks_exact((size * size) as usize) {
        for y in 0..size {
            for x in 0..size {
                let (y, x) = (y + dy, if mirror { size - 1 - x } else { x } + dx);
                let inside = (0..size).contains(&y) && (0..size).contains(&x);
                out.push(if inside {
                    from_byte(channel[(y * size + x) as usize])
                } else {
                    0.0
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_image() -> LabelledSet {
        let pixels = (0..3 * 64).map(|i| i as u8).collect();
        let names = vec!["train/cat/1.png".to_string()];
        LabelledSet::new(PixelSet {
            names,
            pixels,
            count: 1,
            size: 8,
            ..PixelSet::default()
        })
        .expect("a labelled set")
    }

    #[test]
    fn a_moved_image_holds_the_pixels_of_the_image_and_grey() {
        let set = one_image();
        let mut moved = Vec::new();
        push_moved(&set.images, 0, [1, -2], false, &mut moved);
        assert_eq!(moved[3 * 8 + 5], from_byte(4 * 8 + 3));
        assert_eq!((moved[3 * 8 + 1], moved[7 * 8 + 5]), (0.0, 0.0));
        let mut mirrored = Vec::new();
        push_moved(&set.images, 0, [0, 0], true, &mut mirrored);
        assert_eq!(mirrored[3 * 8], from_byte(3 * 8 + 7));
    }

    #[test]
    fn an_epoch_has_every_image_once_and_a_step_its_own_moves() {
        let mut order = epoch_order(100, 7, 3);
        assert_ne!(order, epoch_order(100, 7, 4));
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
        let set = one_image();
        let batch = |step| augmented(&set, &[0; 8], 7, step).pixels;
        assert_eq!(batch(1), batch(1));
        assert_ne!(batch(1), batch(2));
    }

    #[test]
    fn an_image_outside_of_a_class_folder_is_named() {
        let names = vec!["train/1.png".to_string()];
        let set = PixelSet {
            names,
            pixels: vec![0; 3],
            count: 1,
            size: 1,
            ..PixelSet::default()
        };
        assert!(LabelledSet::new(set).is_err_and(|error| error.to_string().contains("`train/1.png`")));
    }
}
