//! Masks and kernels as people paint them: with an eraser, in colours, all of it.

use std::path::PathBuf;

use image::{Rgb, RgbImage, Rgba, RgbaImage};
use imaging::{
    Convolution, Coverage, Inpainting, coverage, decode_image, decode_mask, load_images, load_mask, operator_list,
    parse_operator,
};
use tempfile::TempDir;

use crate::common::Result;

const SHAPE: [usize; 3] = [3, 16, 16];

/// Whether a pixel lies in the middle quarter.
fn inside(x: u32, y: u32) -> bool {
    (4..12).contains(&x) && (4..12).contains(&y)
}

fn painted(folder: &TempDir, pixel: impl Fn(bool) -> Rgba<u8>) -> Result<PathBuf> {
    let path = folder.path().join("painted.png");
    RgbaImage::from_fn(16, 16, |x, y| pixel(inside(x, y))).save(&path)?;
    Ok(path)
}

#[test]
fn what_is_transparent_in_a_mask_is_missing() -> Result {
    let folder = TempDir::new()?;
    // An eraser leaves the colour and takes the opacity.
    let erased = painted(&folder, |hole| Rgba([255, 255, 255, if hole { 0 } else { 255 }]))?;
    let mask = Inpainting::from_mask_file(SHAPE, &erased)?;
    assert!(
        mask.mask()
            .indexed_iter()
            .all(|((y, x), &kept)| kept != inside(x as u32, y as u32))
    );
    let said = imaging::ForwardOperator::description(&mask);
    assert!(
        said.contains("removes 64 of 256 pixels") && said.contains("transparent"),
        "{said}"
    );
    Ok(())
}

/// It is cropped as the photograph that it was painted on.
#[test]
fn a_mask_for_an_image_is_its_centre_square() -> Result {
    let folder = TempDir::new()?;
    let path = folder.path().join("wide.png");
    // White in the middle square, black beside it.
    RgbImage::from_fn(48, 16, |x, _| Rgb([if (16..32).contains(&x) { 255 } else { 0 }; 3])).save(&path)?;
    let mask = load_mask(&path, 8)?;
    assert_eq!((mask.bright.dim(), mask.remark.as_str()), ((8, 8), ""));
    assert!(mask.bright.iter().all(|&bright| bright));
    let adapted = Some("48x16 cropped to the centre 16x16 and resized to 8x8".to_owned());
    assert_eq!(mask.adapted, adapted);
    assert_eq!(decode_mask(&std::fs::read(&path)?, "a mask", 8)?, mask);
    let image = decode_image(&std::fs::read(&path)?, "an image", 8)?;
    assert_eq!((image.name.as_str(), image.adapted), ("an image", adapted));
    assert_eq!(image.pixels, load_images(&[path], 8)?[0].pixels);
    let erased = painted(&folder, |hole| Rgba([255, 255, 255, if hole { 0 } else { 255 }]))?;
    let mask = load_mask(&erased, 16)?;
    assert!(
        mask.bright
            .indexed_iter()
            .all(|((y, x), &bright)| bright != inside(x as u32, y as u32))
    );
    assert!(mask.remark.contains("transparent") && mask.adapted.is_none());
    Ok(())
}

#[test]
fn what_is_transparent_in_a_kernel_gives_no_light() -> Result {
    let folder = TempDir::new()?;
    // A white stroke on nothing, and on black: the same kernel.
    let on_nothing = painted(&folder, |stroke| {
        if stroke {
            Rgba([255; 4])
        } else {
            Rgba([255, 255, 255, 0])
        }
    })?;
    let kernel = Convolution::from_kernel_file(SHAPE, &on_nothing)?.kernel().clone();
    let on_black = painted(&folder, |stroke| Rgba(if stroke { [255; 4] } else { [0, 0, 0, 255] }))?;
    assert_eq!(kernel, *Convolution::from_kernel_file(SHAPE, &on_black)?.kernel());
    assert_eq!(kernel[[0, 0]], 0.0);
    assert!((kernel.sum() - 1.0).abs() < 1e-9);

    // A black stroke on nothing gives no light anywhere.
    let black = painted(&folder, |stroke| Rgba([0, 0, 0, if stroke { 255 } else { 0 }]))?;
    let refused = Convolution::from_kernel_file(SHAPE, &black)
        .map(|_| ())
        .map_err(|error| error.to_string());
    assert!(refused.is_err_and(|message| message.contains("black or transparent everywhere")));
    Ok(())
}

#[test]
fn colours_in_a_mask_are_told_with_what_they_count() -> Result {
    let folder = TempDir::new()?;
    let told = |inside: [u8; 3]| -> Result<String> {
        let path = painted(&folder, |hole| {
            let [r, g, b] = if hole { inside } else { [255; 3] };
            Rgba([r, g, b, 255])
        })?;
        Ok(parse_operator(&format!("mask:{}", path.display()), SHAPE, 0)?.description())
    };
    let red = told([255, 0, 0])?;
    assert!(red.contains("removes 64 of 256") && red.contains("not grey"), "{red}");
    assert!(red.contains("0.21 red + 0.72 green + 0.07 blue"), "{red}");
    let green = told([0, 255, 0])?;
    assert!(
        green.contains("removes 0 of 256") && green.contains("not grey"),
        "{green}"
    );
    // Grey, with as much of a tint as a JPEG may leave.
    let tinted = told([60, 64, 60])?;
    assert!(
        tinted.contains("removes 64 of 256") && !tinted.contains("not grey"),
        "{tinted}"
    );
    Ok(())
}

#[test]
fn an_operator_that_leaves_nothing_or_everything_is_found_out() -> Result {
    let folder = TempDir::new()?;
    let of_colour = |name: &str, level: u8| -> Result<String> {
        let path = folder.path().join(name);
        RgbImage::from_pixel(3, 3, Rgb([level; 3])).save(&path)?;
        Ok(format!("mask:{}", path.display()))
    };
    let found = |text: &str| -> Result<Coverage> { Ok(coverage(parse_operator(text, SHAPE, 0)?.as_ref())?) };
    for text in ["inpainting:1", "box-inpainting:16", &of_colour("black.png", 0)?] {
        assert_eq!(found(text)?, Coverage::Nothing, "{text}");
    }
    let whole = [
        "inpainting:0",
        "box-inpainting:0",
        "deconvolution:1,1",
        "motion-blur:1",
        "super-resolution:1",
        "compressed-sensing:1",
        "fourier:1",
        &of_colour("white.png", 255)?,
    ];
    for text in whole {
        assert_eq!(found(text)?, Coverage::Everything, "{text}");
    }
    // All operators of the list that need no file, as they come (in the size of the priors, which all of them fit).
    let list = operator_list();
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    let names: Vec<&str> = names.filter(|name| !name.contains(":FILE")).collect();
    assert!(names.len() > 8, "{names:?}");
    for name in names {
        let name = name.split('[').next().unwrap_or(name);
        let operator = parse_operator(name, [3, 64, 64], 0)?;
        assert_eq!(coverage(operator.as_ref())?, Coverage::Part, "{name}");
    }
    Ok(())
}
