//! Changes of the training images that leave them likely: mirrored, turned a little, of slightly other colours.

use ndarray::{Array3, ArrayViewMut2, Axis};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// How much an image is changed at random, beside being mirrored half of the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// Largest relative change of each colour channel's distance from white, 0 for none.
    #[serde(default)]
    pub colour_jitter: f32,
    /// Largest angle of rotation about the middle, in degrees to either side, 0 for none.
    #[serde(default)]
    pub rotation: f32,
}

impl Changes {
    /// Another image `[C, H, W]` in [-1, 1], as likely as `image`.
    pub fn apply(&self, mut image: Array3<f32>, rng: &mut impl Rng) -> Array3<f32> {
        if rng.random_bool(0.5) {
            image.invert_axis(Axis(2));
        }
        if self.rotation > 0.0 {
            let degrees = rng.random_range(-self.rotation..=self.rotation);
            image = rotated(&image, degrees.to_radians());
        }
        if self.colour_jitter > 0.0 {
            for channel in image.outer_iter_mut() {
                change_gain(
                    channel,
                    1.0 + rng.random_range(-self.colour_jitter..=self.colour_jitter),
                );
            }
        }
        image
    }
}

/// Scales the distance from white, so that white stays white.
fn change_gain(mut channel: ArrayViewMut2<'_, f32>, gain: f32) {
    channel.mapv_inplace(|x| (1.0 - (1.0 - x) * gain).clamp(-1.0, 1.0));
}

/// The image turned about its middle, by cubic interpolation: a linear one would blur, and the prior would learn that.
/// Beyond the edge lies the edge's nearest pixel.
fn rotated(image: &Array3<f32>, angle: f32) -> Array3<f32> {
    let (_, height, width) = image.dim();
    let middle = ((height as f32 - 1.0) / 2.0, (width as f32 - 1.0) / 2.0);
    let (sin, cos) = angle.sin_cos();
    Array3::from_shape_fn(image.dim(), |(c, y, x)| {
        let (dy, dx) = (y as f32 - middle.0, x as f32 - middle.1);
        let (y, x) = (middle.0 + cos * dy - sin * dx, middle.1 + sin * dy + cos * dx);
        let (rows, columns) = (taps(y, height), taps(x, width));
        let sum: f32 = rows
            .iter()
            .map(|&(row, a)| {
                a * columns
                    .iter()
                    .map(|&(column, b)| b * image[(c, row, column)])
                    .sum::<f32>()
            })
            .sum();
        sum.clamp(-1.0, 1.0)
    })
}

/// The four pixels around `place` on an axis of `length` pixels, with their weights: Keys' cubic convolution with
/// `a = -1/2` (Keys 1981, equation 15).
fn taps(place: f32, length: usize) -> [(usize, f32); 4] {
    let before = place.floor();
    let s = place - before;
    let weights = [
        ((-0.5 * s + 1.0) * s - 0.5) * s,
        (1.5 * s - 2.5) * s * s + 1.0,
        ((-1.5 * s + 2.0) * s + 0.5) * s,
        (0.5 * s - 0.5) * s * s,
    ];
    let pixel = |offset: usize| (before as isize + offset as isize - 1).clamp(0, length as isize - 1) as usize;
    std::array::from_fn(|offset| (pixel(offset), weights[offset]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    /// A smooth bump, off the middle.
    fn bump(y: f32, x: f32) -> f32 {
        (-((y - 12.0).powi(2) + (x - 18.0).powi(2)) / 40.0).exp()
    }

    #[test]
    fn a_turned_image_is_the_scene_seen_turned() {
        let image = Array3::from_shape_fn((1, 31, 31), |(_, y, x)| bump(y as f32, x as f32));
        let angle = 0.3f32;
        let (sin, cos) = angle.sin_cos();
        for ((_, y, x), found) in rotated(&image, angle).indexed_iter() {
            let (dy, dx) = (y as f32 - 15.0, x as f32 - 15.0);
            let (source_y, source_x) = (15.0 + cos * dy - sin * dx, 15.0 + sin * dy + cos * dx);
            if !(1.0..29.0).contains(&source_y) || !(1.0..29.0).contains(&source_x) {
                continue; // From beyond the edge, of which the image knows nothing.
            }
            let expected = bump(source_y, source_x);
            assert!(
                (found - expected).abs() < 3e-3,
                "at ({y}, {x}): {found}, expected {expected}"
            );
        }
    }

    #[test]
    fn no_angle_changes_nothing() {
        let image = Array3::from_shape_fn((3, 6, 5), |(c, y, x)| ((c + 2 * y + 3 * x) % 7) as f32 / 7.0);
        assert_eq!(rotated(&image, 0.0), image);
    }

    #[test]
    fn white_stays_white() {
        let changes = Changes {
            colour_jitter: 0.1,
            rotation: 10.0,
        };
        let white = Array3::ones((3, 8, 8));
        let changed = changes.apply(white.clone(), &mut StdRng::seed_from_u64(0));
        assert!(changed.iter().all(|x| (x - 1.0f32).abs() < 1e-6), "{changed}");
    }
}
