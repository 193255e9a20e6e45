//! Nine ways to spoil an image, each with one number that says how much.

use std::io::Cursor;

use anyhow::Context;
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage};
use imaging::{from_byte, gaussian_blur, to_byte};
use ndarray::{Array3, ArrayRef3};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

/// A way to spoil an image `[3, H, W]` in [-1, 1]. Where chance has a part, it is the same at every strength, so that
/// only the strength differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distortion {
    /// White noise, uniform with standard deviation `strength`.
    Noise,
    /// Gaussian blur of standard deviation `strength` pixels.
    Blur,
    /// JPEG of quality `100 - strength`.
    Jpeg,
    /// Moved to the right by `strength` pixels, the border repeated.
    Shift,
    /// `strength` taken off every pixel.
    Brightness,
    /// The deviations from the mean of all pixels made smaller by the factor `1 - strength`.
    Contrast,
    /// `strength` squares of 8x8 pixels (for an image of 64x64) made grey.
    MissingBlocks,
    /// `strength` added to red and taken off blue.
    ColourCast,
    /// Each pixel taken from a place up to `strength` pixels away, along smooth waves.
    Warp,
}

impl Distortion {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Noise,
        Self::Blur,
        Self::Jpeg,
        Self::Shift,
        Self::Brightness,
        Self::Contrast,
        Self::MissingBlocks,
        Self::ColourCast,
        Self::Warp,
    ];

    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Noise => "noise",
            Self::Blur => "blur",
            Self::Jpeg => "JPEG",
            Self::Shift => "shift",
            Self::Brightness => "brightness",
            Self::Contrast => "contrast",
            Self::MissingBlocks => "missing blocks",
            Self::ColourCast => "colour cast",
            Self::Warp => "warp",
        }
    }

    /// Five strengths, from hardly visible to severe.
    #[must_use]
    pub fn strengths(self) -> [f32; 5] {
        match self {
            Self::Noise => [0.03, 0.06, 0.12, 0.25, 0.5],
            Self::Blur => [0.5, 0.8, 1.2, 2.0, 4.0],
            Self::Jpeg => [10.0, 40.0, 70.0, 85.0, 95.0],
            Self::Shift => [1.0, 2.0, 3.0, 4.0, 6.0],
            Self::Brightness | Self::ColourCast => [0.05, 0.1, 0.2, 0.4, 0.6],
            Self::Contrast => [0.1, 0.2, 0.4, 0.6, 0.8],
            Self::MissingBlocks => [1.0, 2.0, 4.0, 8.0, 16.0],
            Self::Warp => [0.5, 1.0, 1.5, 2.5, 4.0],
        }
    }

    /// Whether the strength may be any number; else it must be a whole one.
    #[must_use]
    pub fn is_continuous(self) -> bool {
        !matches!(self, Self::Jpeg | Self::Shift | Self::MissingBlocks)
    }

    /// The image spoiled; `seed` decides what is left to chance.
    ///
    /// # Errors
    ///
    /// A strength that the distortion does not have, such as a blur below zero.
    pub fn apply(self, image: &ArrayRef3<f32>, strength: f32, seed: u64) -> anyhow::Result<Array3<f32>> {
        let mut rng = StdRng::seed_from_u64(seed);
        let spoiled = match self {
            // The width of a uniform distribution is sqrt(12) standard deviations.
            Self::Noise => image.mapv(|x| x + strength * 12f32.sqrt() * (rng.random::<f32>() - 0.5)),
            Self::Blur => gaussian_blur(image, strength)?,
            Self::Jpeg => jpeg(image, 100.0 - strength)?,
            Self::Shift => sample(image, |_, _| (0.0, -strength)),
            Self::Brightness => image.mapv(|x| x - strength),
            Self::Contrast => {
                let mean = image.iter().sum::<f32>() / image.len() as f32;
                image.mapv(|x| mean + (1.0 - strength) * (x - mean))
            }
            Self::MissingBlocks => missing_blocks(image, strength as usize, &mut rng),
            Self::ColourCast => {
                let cast = [strength, 0.0, -strength];
                Array3::from_shape_fn(image.dim(), |(c, y, x)| image[[c, y, x]] + cast[c.min(2)])
            }
            Self::Warp => warp(image, strength, &mut rng),
        };
        Ok(spoiled.mapv(|x| x.clamp(-1.0, 1.0)))
    }
}

fn jpeg(image: &ArrayRef3<f32>, quality: f32) -> anyhow::Result<Array3<f32>> {
    let (_, height, width) = image.dim();
    let pixel = |x: u32, y: u32| image::Rgb([0, 1, 2].map(|c| to_byte(image[[c, y as usize, x as usize]])));
    let rgb = RgbImage::from_fn(width as u32, height as u32, pixel);
    let mut bytes = Vec::new();
    rgb.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, quality as u8))
        .context("cannot write a JPEG")?;
    let decoded = image::load(Cursor::new(bytes), ImageFormat::Jpeg)
        .context("cannot read the JPEG")?
        .into_rgb8();
    Ok(Array3::from_shape_fn(image.dim(), |(c, y, x)| {
        from_byte(decoded.get_pixel(x as u32, y as u32)[c])
    }))
}

/// Each pixel from the place `displacement(y, x)` away, bilinearly; the border is repeated.
fn sample(image: &ArrayRef3<f32>, displacement: impl Fn(f32, f32) -> (f32, f32)) -> Array3<f32> {
    let (_, height, width) = image.dim();
    Array3::from_shape_fn(image.dim(), |(c, y, x)| {
        let (dy, dx) = displacement(y as f32, x as f32);
        let y = (y as f32 + dy).clamp(0.0, (height - 1) as f32);
        let x = (x as f32 + dx).clamp(0.0, (width - 1) as f32);
        let (top, left) = (y.floor() as usize, x.floor() as usize);
        let (bottom, right) = ((top + 1).min(height - 1), (left + 1).min(width - 1));
        let (fy, fx) = (y - top as f32, x - left as f32);
        let row = |y: usize| image[[c, y, left]] * (1.0 - fx) + image[[c, y, right]] * fx;
        row(top) * (1.0 - fy) + row(bottom) * fy
    })
}

/// Two waves across the image in each direction, of random phase.
fn warp(image: &ArrayRef3<f32>, amplitude: f32, rng: &mut StdRng) -> Array3<f32> {
    let (_, height, width) = image.dim();
    let phases: [f32; 4] = std::array::from_fn(|_| rng.random_range(0.0..std::f32::consts::TAU));
    let turn = |position: f32, size: usize| 2.0 * std::f32::consts::TAU * position / size as f32;
    sample(image, |y, x| {
        let (y, x) = (turn(y, height), turn(x, width));
        let wave = |phase: usize| (y + phases[phase]).sin() * (x + phases[phase + 1]).cos();
        (amplitude * wave(0), amplitude * wave(2))
    })
}

/// An eighth of the image's side is a block; a larger `count` holds the blocks of a smaller one.
fn missing_blocks(image: &ArrayRef3<f32>, count: usize, rng: &mut StdRng) -> Array3<f32> {
    let (_, height, width) = image.dim();
    let mut blocks: Vec<usize> = (0..64).collect();
    blocks.shuffle(rng);
    blocks.truncate(count);
    Array3::from_shape_fn(image.dim(), |(c, y, x)| {
        let block = 8 * y / height * 8 + 8 * x / width;
        if blocks.contains(&block) { 0.0 } else { image[[c, y, x]] }
    })
}
