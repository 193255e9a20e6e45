//! Batches as many planes, each of which is treated by itself.

use ndarray::{Array2, Array4, ArrayRef2, ArrayRef4, Axis};
use rayon::prelude::*;

/// Maps each plane `[H][W]` of a batch to a plane `[height][width]`, in parallel. `memory` is made once per thread or a
/// few times more. As no plane knows of another, the bits are the same at any number of threads.
pub(super) fn map_planes<M>(
    batch: &ArrayRef4<f32>,
    [height, width]: [usize; 2],
    memory: impl Fn() -> M + Sync + Send,
    map: impl Fn(&mut M, &[f32], &mut [f32]) + Sync + Send,
) -> Array4<f32> {
    let (images, channels, from_height, from_width) = batch.dim();
    let mut mapped = Array4::zeros((images, channels, height, width));
    let (from, to) = (from_height * from_width, height * width);
    // An empty plane has nothing to say: it maps to zeros.
    if from == 0 || to == 0 {
        return mapped;
    }
    let batch = batch.as_standard_layout();
    if let (Some(batch), Some(mapped)) = (batch.as_slice(), mapped.as_slice_mut()) {
        mapped
            .par_chunks_exact_mut(to)
            .zip(batch.par_chunks_exact(from))
            .for_each_init(memory, |memory, (to, from)| map(memory, from, to));
    }
    mapped
}

/// How many planes [`map_planes_abreast`] takes at a time.
pub(super) const ABREAST: usize = 4;

/// [`map_planes`] for maps whose way through a plane costs more than what they do there: they go it once for some
/// planes, of which each pixel's values stand side by side. The places of planes that are missing in the last turn hold
/// 0. A plane gets the same bits whichever others go along.
pub(super) fn map_planes_abreast(
    batch: &ArrayRef4<f32>,
    [height, width]: [usize; 2],
    map: impl Fn(&[[f32; ABREAST]], &mut [[f64; ABREAST]]) + Sync + Send,
) -> Array4<f32> {
    let (images, channels, from_height, from_width) = batch.dim();
    let mut mapped = Array4::zeros((images, channels, height, width));
    let (from, to) = (from_height * from_width, height * width);
    if from == 0 || to == 0 {
        return mapped;
    }
    let batch = batch.as_standard_layout();
    if let (Some(batch), Some(mapped)) = (batch.as_slice(), mapped.as_slice_mut()) {
        let memory = || (vec![[0.0; ABREAST]; from], vec![[0.0; ABREAST]; to]);
        mapped
            .par_chunks_mut(ABREAST * to)
            .zip(batch.par_chunks(ABREAST * from))
            .for_each_init(memory, |(before, after), (to_planes, from_planes)| {
                before.fill([0.0; ABREAST]);
                for (lane, plane) in from_planes.chunks_exact(from).enumerate() {
                    before.iter_mut().zip(plane).for_each(|(all, value)| all[lane] = *value);
                }
                after.fill([0.0; ABREAST]);
                map(before, after);
                for (lane, plane) in to_planes.chunks_exact_mut(to).enumerate() {
                    plane
                        .iter_mut()
                        .zip(&*after)
                        .for_each(|(value, all)| *value = all[lane] as f32);
                }
            });
    }
    mapped
}

/// Coefficients `[B, C, 1, P]`, of which an operator sees the first `seen` in each channel, as `[B, C P]`: first what
/// it sees of all channels, then the rest.
pub(super) fn seen_first(coefficients: &ArrayRef4<f32>, seen: usize) -> Array2<f32> {
    let (seen, rest) = coefficients.view().split_at(Axis(3), seen);
    let mut sorted = Array2::zeros((coefficients.shape()[0], seen.len_of(Axis(1)) * coefficients.shape()[3]));
    for ((mut sorted, seen), rest) in sorted.outer_iter_mut().zip(seen.outer_iter()).zip(rest.outer_iter()) {
        let values = seen.iter().chain(rest.iter());
        sorted.iter_mut().zip(values).for_each(|(to, from)| *to = *from);
    }
    sorted
}

/// The inverse of [`seen_first`], for `C` channels.
pub(super) fn back_from_seen_first(sorted: &ArrayRef2<f32>, seen: usize, channels: usize) -> Array4<f32> {
    let (images, count) = sorted.dim();
    let mut coefficients = Array4::zeros((images, channels, 1, count / channels));
    for (sorted, mut image) in sorted.outer_iter().zip(coefficients.outer_iter_mut()) {
        let (mut seen, mut rest) = image.view_mut().split_at(Axis(2), seen);
        let places = seen.iter_mut().chain(rest.iter_mut());
        places.zip(&sorted).for_each(|(to, from)| *to = *from);
    }
    coefficients
}

/// `kept` first, then all other places below `count`, in order.
pub(super) fn kept_first(kept: &[usize], count: usize) -> Vec<usize> {
    let mut is_kept = vec![false; count];
    kept.iter().for_each(|&place| is_kept[place] = true);
    let rest = (0..count).filter(|&place| !is_kept[place]);
    kept.iter().copied().chain(rest).collect()
}
