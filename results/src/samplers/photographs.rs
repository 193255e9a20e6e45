//! The photographs that samples are compared with, and what photographs themselves reach.

use std::path::Path;

use anyhow::{Result, ensure};
use imaging::{PixelSet, load_split, stack};
use metrics::{ImageFeatures, Moments, frechet_distance};
use ndarray::{Axis, concatenate};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// At most so many further sets of photographs show what a perfect sampler would get.
const OTHER_SETS: usize = 4;
/// Photographs that are decoded at a time.
const BATCH: usize = 64;

/// Sets of photographs, all of the same size and without a common member.
pub struct Photographs {
    /// Of the train split.
    pub train: Moments,
    /// Of the test split, whose varieties the prior never saw.
    pub test: Moments,
    /// Further sets of the train split.
    pub others: Vec<Moments>,
}

impl Photographs {
    /// `count` photographs of `size` x `size` pixels for each set; `seed` chooses them.
    pub fn load(data: &Path, count: usize, size: usize, features: &ImageFeatures, seed: u64) -> Result<Self> {
        let (train, test) = (
            load_split(data, "train", size, |_, _| {})?,
            load_split(data, "test", size, |_, _| {})?,
        );
        for (split, set, needed) in [("train", &train, 2 * count), ("test", &test, count)] {
            ensure!(
                set.count >= needed,
                "`{}` holds {} images under `{split}/`, {needed} are needed: ask for fewer with --images",
                data.display(),
                set.count
            );
        }
        let mut sets = shuffled(&train, seed)
            .chunks_exact(count)
            .take(1 + OTHER_SETS)
            .map(|chosen| moments(&train, chosen, features))
            .collect::<Result<Vec<_>>>()?;
        let others = sets.split_off(1);
        Ok(Self {
            train: sets.swap_remove(0),
            test: moments(&test, &shuffled(&test, seed)[..count], features)?,
            others,
        })
    }

    /// The distances of the further sets from the photographs that samples are compared with: those of the train
    /// split, and those of the test split.
    pub fn own_distances(&self) -> Result<(Vec<f64>, Vec<f64>)> {
        let to = |reference: &Moments| {
            let distances = self.others.iter().map(|other| frechet_distance(other, reference));
            distances.collect::<Result<Vec<_>, _>>()
        };
        Ok((to(&self.train)?, to(&self.test)?))
    }
}

fn shuffled(set: &PixelSet, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..set.count).collect();
    order.shuffle(&mut StdRng::seed_from_u64(seed));
    order
}

fn moments(set: &PixelSet, chosen: &[usize], features: &ImageFeatures) -> Result<Moments> {
    let mut rows = Vec::new();
    for chosen in chosen.chunks(BATCH) {
        let images: Vec<_> = chosen.iter().map(|&index| set.array(index)).collect();
        let images = stack(&images.iter().map(|image| image.view()).collect::<Vec<_>>())?;
        rows.push(features.of(&images)?);
    }
    let views: Vec<_> = rows.iter().map(|rows| rows.view()).collect();
    Ok(Moments::of(&concatenate(Axis(0), &views)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use imaging::save_png;
    use ndarray::Array3;

    /// Five images to train with and two to test with, stripes of different widths.
    fn data_set() -> Result<tempfile::TempDir> {
        let folder = tempfile::tempdir()?;
        for (split, count) in [("train", 5), ("test", 2)] {
            let kind = folder.path().join(split).join("stripes");
            std::fs::create_dir_all(&kind)?;
            for k in 0..count {
                let image = Array3::from_shape_fn((3, 16, 16), |(c, y, x)| {
                    ((x * (k + 1) + y * c) as f32 * 0.3 + split.len() as f32).sin()
                });
                save_png(&kind.join(format!("{k}.png")), &image)?;
            }
        }
        Ok(folder)
    }

    #[test]
    fn sets_are_of_one_size_and_have_no_common_member() -> Result<()> {
        let (folder, features) = (data_set()?, ImageFeatures::embedded()?);
        let sets = Photographs::load(folder.path(), 2, 16, &features, 0)?;
        let (train, test) = sets.own_distances()?;
        // Five photographs are two sets of two: one to compare with, one to be compared.
        assert_eq!((train.len(), test.len()), (1, 1));
        assert!(train[0] > 0.0 && test[0] > 0.0);
        Ok(())
    }

    #[test]
    fn too_few_photographs_are_told_by_split() -> Result<()> {
        let (folder, features) = (data_set()?, ImageFeatures::embedded()?);
        let refused = Photographs::load(folder.path(), 3, 16, &features, 0);
        let message = refused.map_or_else(|error| error.to_string(), |_| String::new());
        assert!(
            message.ends_with("holds 5 images under `train/`, 6 are needed: ask for fewer with --images"),
            "{message}"
        );
        Ok(())
    }
}
