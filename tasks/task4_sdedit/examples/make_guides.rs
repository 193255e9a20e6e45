//! Draws the three guides in `guides/`, each a job of SDEdit's: a painting of a few flat colours, a patch pasted onto
//! another image, and strokes over an image. The last two come with a mask of what may change. They are made of
//! `data/images` and nothing else:
//!
//! ```text
//! cargo run -p task4_sdedit --example make_guides -- tasks/task4_sdedit/guides
//! ```

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use imaging::{from_byte, load_images, save_png};
use ndarray::{Array2, Array3, s};

const SIZE: usize = 64;

/// A colour as bytes.
type Colour = [u8; 3];

fn main() -> Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).context("name the folder to write to")?);
    save_png(&folder.join("painting.png"), &painting())?;

    let (image, mask) = composite(&sample(9)?, &sample(13)?);
    save_pair(&folder, "composite", &image, &mask)?;

    let (image, mask) = strokes(&sample(3)?);
    save_pair(&folder, "strokes", &image, &mask)
}

fn sample(number: usize) -> Result<Array3<f32>> {
    let path = cli::data_folder()?.join(format!("images/sample-{number:04}.png"));
    let mut images = load_images(&[path], SIZE)?;
    images.pop().map(|image| image.pixels).context("an image")
}

fn save_pair(folder: &Path, name: &str, image: &Array3<f32>, mask: &Array2<bool>) -> Result<()> {
    save_png(&folder.join(format!("{name}.png")), image)?;
    let mask = Array3::from_shape_fn((1, SIZE, SIZE), |(_, y, x)| if mask[[y, x]] { 1.0 } else { -1.0 });
    Ok(save_png(&folder.join(format!("{name}-mask.png")), &mask)?)
}

/// An apple as a child paints it: a red disc, a dark side, a spot of light, a stem.
fn painting() -> Array3<f32> {
    let mut image = Array3::from_elem((3, SIZE, SIZE), 1.0);
    let body = |y: f32, x: f32| ellipse(y, x, [37.0, 32.0], [23.4, 25.4]);
    let lit = |y: f32, x: f32| ellipse(y, x, [33.0, 27.0], [23.4, 25.4]);
    fill(&mut image, [196, 38, 34], body);
    fill(&mut image, [120, 18, 24], |y, x| body(y, x) && !lit(y, x));
    fill(&mut image, [240, 160, 140], |y, x| {
        ellipse(y, x, [27.0, 21.0], [4.4, 6.4])
    });
    fill(&mut image, [84, 56, 30], |y, x| {
        stroke(y, x, [17.0, 32.0], [4.0, 37.0]) < 1.5
    });
    image
}

/// The stem of one fruit, with what lies around it, on top of another fruit.
fn composite(from: &Array3<f32>, to: &Array3<f32>) -> (Array3<f32>, Array2<bool>) {
    let mut image = to.clone();
    let patch = from.slice(s![.., 6..24, 17..42]);
    image.slice_mut(s![.., 0..18, 24..49]).assign(&patch);
    // Room for the seam: four pixels around the patch.
    let mask = Array2::from_shape_fn((SIZE, SIZE), |(y, x)| y < 22 && (20..53).contains(&x));
    (image, mask)
}

/// Three red strokes on a green fruit.
fn strokes(on: &Array3<f32>) -> (Array3<f32>, Array2<bool>) {
    let distance = |y: f32, x: f32| {
        let strokes = [
            ([14.0, 40.0], [30.0, 55.0]),
            ([22.0, 32.0], [43.0, 52.0]),
            ([36.0, 30.0], [52.0, 42.0]),
        ];
        strokes
            .map(|(a, b)| stroke(y, x, a, b))
            .into_iter()
            .fold(f32::INFINITY, f32::min)
    };
    let mut image = on.clone();
    fill(&mut image, [186, 34, 30], |y, x| distance(y, x) < 3.5);
    // The strokes are to spread: eight pixels around them may change.
    let mask = Array2::from_shape_fn((SIZE, SIZE), |(y, x)| distance(y as f32, x as f32) < 11.5);
    (image, mask)
}

/// Paints the pixels where `inside(y, x)` holds.
fn fill(image: &mut Array3<f32>, colour: Colour, inside: impl Fn(f32, f32) -> bool) {
    for y in 0..SIZE {
        for x in 0..SIZE {
            if inside(y as f32, x as f32) {
                for (c, byte) in colour.into_iter().enumerate() {
                    image[[c, y, x]] = from_byte(byte);
                }
            }
        }
    }
}

/// Whether a pixel lies in an ellipse, given by its centre and half axes, `[y, x]`.
fn ellipse(y: f32, x: f32, centre: [f32; 2], radii: [f32; 2]) -> bool {
    ((y - centre[0]) / radii[0]).powi(2) + ((x - centre[1]) / radii[1]).powi(2) <= 1.0
}

/// The distance of a pixel from the line between two points `[y, x]`.
fn stroke(y: f32, x: f32, from: [f32; 2], to: [f32; 2]) -> f32 {
    let along = [to[0] - from[0], to[1] - from[1]];
    let length2 = along[0].powi(2) + along[1].powi(2);
    let place = (((y - from[0]) * along[0] + (x - from[1]) * along[1]) / length2).clamp(0.0, 1.0);
    (y - from[0] - place * along[0]).hypot(x - from[1] - place * along[1])
}
