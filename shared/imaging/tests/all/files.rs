//! Images through files: what is read, what is said about it, and what is refused.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use imaging::{ImageError, from_byte, grid, load_images, load_split, save_png, stack};
use ndarray::{Array3, s};
use tempfile::TempDir;

use crate::common::Result;

fn gradient(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x * 3 % 256) as u8, (y * 5 % 256) as u8, ((x + y) % 256) as u8])
    })
}

fn png(image: &DynamicImage) -> Result<Vec<u8>> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}

fn write_zip(path: &Path, entries: &[(&str, Vec<u8>)]) -> Result {
    let mut zip = zip::ZipWriter::new(File::create(path)?);
    for (name, bytes) in entries {
        zip.start_file(*name, zip::write::SimpleFileOptions::default())?;
        zip.write_all(bytes)?;
    }
    zip.finish()?;
    Ok(())
}

fn refusal<T>(result: std::result::Result<T, ImageError>) -> String {
    match result {
        Ok(_) => "(no error)".into(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_png_of_the_right_size_arrives_byte_for_byte() -> Result {
    let folder = TempDir::new()?;
    let path = folder.path().join("a.png");
    gradient(16, 16).save(&path)?;
    let images = load_images(std::slice::from_ref(&path), 16)?;
    assert_eq!(
        (images.len(), images[0].name.as_str(), &images[0].adapted),
        (1, "a.png", &None)
    );
    assert_eq!(images[0].pixels.shape(), [3, 16, 16]);
    assert_eq!(
        images[0].pixels[[0, 2, 5]],
        from_byte(15),
        "channel 0 at row 2, column 5"
    );
    assert_eq!(
        images[0].pixels[[1, 2, 5]],
        from_byte(10),
        "channel 1 at row 2, column 5"
    );

    let copy = folder.path().join("made/on/the/way/copy.png");
    save_png(&copy, &images[0].pixels)?;
    assert_eq!(load_images(&[copy], 16)?[0].pixels, images[0].pixels);
    Ok(())
}

#[test]
fn another_size_is_cropped_and_resized_and_that_is_said() -> Result {
    let folder = TempDir::new()?;
    let path = folder.path().join("wide.jpg");
    gradient(120, 90).save(&path)?;
    let cases = [
        (64, "120x90 cropped to the centre 90x90 and resized to 64x64"),
        (90, "120x90 cropped to the centre 90x90"),
    ];
    for (size, note) in cases {
        let images = load_images(std::slice::from_ref(&path), size)?;
        assert_eq!(images[0].adapted.as_deref(), Some(note));
        assert_eq!(images[0].pixels.shape(), [3, size, size]);
    }
    let square = folder.path().join("small.bmp");
    gradient(10, 10).save(&square)?;
    assert_eq!(
        load_images(&[square], 64)?[0].adapted.as_deref(),
        Some("10x10 resized to 64x64")
    );
    Ok(())
}

#[test]
fn the_crop_keeps_the_centre() -> Result {
    let folder = TempDir::new()?;
    let path = folder.path().join("bars.png");
    // Black borders left and right, white in the middle square.
    RgbImage::from_fn(30, 10, |x, _| {
        if (10..20).contains(&x) {
            Rgb([255; 3])
        } else {
            Rgb([0; 3])
        }
    })
    .save(&path)?;
    assert!(load_images(&[path], 10)?[0].pixels.iter().all(|&x| x == 1.0));
    Ok(())
}

#[test]
fn grey_alpha_and_16_bit_become_rgb() -> Result {
    let folder = TempDir::new()?;
    let grey = folder.path().join("grey.png");
    GrayImage::from_pixel(4, 4, Luma([51])).save(&grey)?;
    let deep = folder.path().join("deep.png");
    image::ImageBuffer::<Rgb<u16>, _>::from_pixel(4, 4, Rgb([65_535, 0, 32_896])).save(&deep)?;
    let alpha = folder.path().join("alpha.png");
    RgbaImage::from_fn(4, 4, |x, _| {
        if x == 0 {
            Rgba([0, 0, 0, 0])
        } else {
            Rgba([255, 0, 0, 255])
        }
    })
    .save(&alpha)?;
    let images = load_images(&[grey, deep, alpha], 4)?;
    let pixel = |image: usize, x: usize| -> Vec<f32> { images[image].pixels.slice(s![.., 0, x]).to_vec() };
    assert_eq!(pixel(0, 0), [from_byte(51); 3]);
    assert_eq!(pixel(1, 0), [1.0, -1.0, from_byte(128)]);
    assert_eq!(pixel(2, 0), [1.0; 3], "what is transparent lies on white");
    assert_eq!(pixel(2, 1), [1.0, -1.0, -1.0]);
    Ok(())
}

#[test]
fn folders_and_zips_are_read_in_order_and_other_files_passed_over() -> Result {
    let folder = TempDir::new()?;
    fs::create_dir_all(folder.path().join("b/c"))?;
    for name in ["b/c/2.png", "b/1.PNG", "0.jpeg"] {
        gradient(4, 4).save_with_format(folder.path().join(name), ImageFormat::Png)?;
    }
    fs::write(folder.path().join("notes.txt"), "no image")?;
    fs::write(folder.path().join("b/._1.png"), "an archiver's leavings")?;
    let names = |path: PathBuf| -> Result<Vec<String>> {
        Ok(load_images(&[path], 4)?.into_iter().map(|image| image.name).collect())
    };
    assert_eq!(names(folder.path().to_owned())?, ["0.jpeg", "b/1.PNG", "b/c/2.png"]);

    let zip = folder.path().join("set.zip");
    let bytes = png(&gradient(4, 4).into())?;
    let entries = [
        ("z.png", bytes.clone()),
        ("a/x.png", bytes.clone()),
        ("README", b"text".to_vec()),
        ("__MACOSX/a/._x.png", vec![0]),
    ];
    write_zip(&zip, &entries)?;
    assert_eq!(names(zip)?, ["a/x.png", "z.png"]);
    Ok(())
}

#[test]
fn two_images_of_one_name_go_by_their_paths() -> Result {
    let folder = TempDir::new()?;
    let paths: Vec<PathBuf> = ["a", "b"].iter().map(|name| folder.path().join(name)).collect();
    for path in &paths {
        fs::create_dir(path)?;
        gradient(4, 4).save(path.join("0.png"))?;
    }
    let images = load_images(&paths, 4)?;
    assert_eq!(images[0].name, paths[0].join("0.png").display().to_string());
    assert_ne!(images[0].name, images[1].name);
    Ok(())
}

#[test]
fn what_cannot_be_read_is_named() -> Result {
    let folder = TempDir::new()?;
    let at = |name: &str| folder.path().join(name);
    let message = |path: PathBuf| refusal(load_images(&[path], 8));

    let missing = message(at("nowhere"));
    assert!(missing.contains("nowhere` does not exist"), "{missing}");

    fs::create_dir(at("texts"))?;
    let empty = message(at("texts"));
    assert!(
        empty.contains("no images in") && empty.contains("found nothing"),
        "{empty}"
    );
    fs::write(at("texts/notes.txt"), "no image")?;
    let texts = message(at("texts"));
    assert!(
        texts.contains("expected png, jpg") && texts.contains("`notes.txt`"),
        "{texts}"
    );

    let mut bytes = png(&gradient(64, 64).into())?;
    bytes.truncate(bytes.len() / 2);
    for (name, content) in [
        ("cut.png", bytes.clone()),
        ("text.png", b"hello".to_vec()),
        ("empty.png", Vec::new()),
    ] {
        fs::write(at(name), content)?;
        let broken = message(at(name));
        assert!(
            broken.contains("cannot read the image") && broken.contains(name),
            "{broken}"
        );
    }

    write_zip(
        &at("set.zip"),
        &[("good.png", png(&gradient(8, 8).into())?), ("train/cut.png", bytes)],
    )?;
    let entry = message(at("set.zip"));
    assert!(entry.contains("set.zip: train/cut.png"), "{entry}");

    fs::write(at("no.zip"), "PK, but nothing else")?;
    let no_zip = message(at("no.zip"));
    assert!(
        no_zip.contains("cannot read the zip file") && no_zip.contains("no.zip"),
        "{no_zip}"
    );

    let zero = refusal(load_images(&[at("set.zip")], 0));
    assert!(zero.contains("image size"), "{zero}");
    Ok(())
}

#[test]
fn an_entry_of_a_zip_that_unpacks_without_end_is_refused() -> Result {
    let folder = TempDir::new()?;
    let path = folder.path().join("bomb.zip");
    let mut zip = zip::ZipWriter::new(File::create(&path)?);
    zip.start_file("a.png", zip::write::SimpleFileOptions::default())?;
    let zeros = vec![0; 1 << 20];
    for _ in 0..300 {
        zip.write_all(&zeros)?;
    }
    zip.finish()?;
    let message = refusal(load_images(&[path], 8));
    assert!(
        message.contains("too large") && message.contains("bomb.zip: a.png"),
        "{message}"
    );
    Ok(())
}

#[test]
fn a_split_is_read_as_planes_of_bytes_from_folder_and_zip() -> Result {
    let folder = TempDir::new()?;
    let names = ["train/a/1.png", "train/b/0.png", "test/c/0.png"];
    let mut entries = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let image = RgbImage::from_fn(4, 4, |x, y| Rgb([x as u8, y as u8, index as u8]));
        let path = folder.path().join("set").join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        image.save(path)?;
        entries.push((*name, png(&image.into())?));
    }
    let zip = folder.path().join("set.zip");
    write_zip(&zip, &entries)?;
    for root in [folder.path().join("set"), zip] {
        let mut calls = Vec::new();
        let set = load_split(&root, "train", 4, |done, total| calls.push((done, total)))?;
        assert_eq!(set.names, names[..2]);
        assert_eq!((set.count, set.size, set.adapted), (2, 4, 0));
        assert_eq!(calls, [(0, 2), (1, 2), (2, 2)]);
        let image = set.image(1);
        assert_eq!(image[..4], [0, 1, 2, 3], "the red plane holds x");
        assert_eq!(image[16..20], [0; 4], "the green plane holds y");
        assert_eq!(image[28..32], [3; 4], "the green plane's last row");
        assert_eq!(image[32..], [1; 16], "the blue plane holds the index");
        assert_eq!(set.array(1)[[1, 3, 0]], from_byte(3));
        assert_eq!(load_split(&root, "test", 4, |_, _| ())?.count, 1);

        let message = refusal(load_split(&root, "valid", 4, |_, _| ()));
        assert!(
            message.contains("no images under `valid/`") && message.contains("`train/`"),
            "{message}"
        );
    }
    Ok(())
}

#[test]
fn what_cannot_be_written_is_named() -> Result {
    let folder = TempDir::new()?;
    let mut image = Array3::zeros((3, 4, 4));
    fs::write(folder.path().join("file"), "")?;
    let message = refusal(save_png(&folder.path().join("file/x.png"), &image));
    assert!(
        message.contains("cannot make the folder") && message.contains("file"),
        "{message}"
    );
    image[[1, 2, 3]] = f32::NAN;
    let message = refusal(save_png(&folder.path().join("nan.png"), &image));
    assert!(message.contains("NaN at [1, 2, 3]"), "{message}");
    assert!(!folder.path().join("nan.png").exists());
    assert!(refusal(save_png(&folder.path().join("x.png"), &Array3::zeros((2, 4, 4)))).contains("[2, 4, 4]"));
    Ok(())
}

#[test]
fn a_grid_has_gaps_between_and_none_around() -> Result {
    let images: Vec<Array3<f32>> = (0..3).map(|i| Array3::from_elem((3, 2, 2), i as f32 / 10.0)).collect();
    let views: Vec<_> = images.iter().map(|image| image.view()).collect();
    let all = grid(&views, 2, 1)?;
    assert_eq!(all.shape(), [3, 5, 5]);
    assert_eq!((all[[0, 0, 0]], all[[0, 0, 2]], all[[0, 0, 3]]), (0.0, 1.0, 0.1));
    assert_eq!((all[[0, 3, 0]], all[[0, 4, 4]]), (0.2, 1.0));
    assert_eq!(stack(&views)?.shape(), [3, 3, 2, 2]);

    let other = Array3::zeros((3, 4, 4));
    assert!(refusal(grid(&[views[0], other.view()], 2, 1)).contains("(3, 4, 4)"));
    assert!(refusal(grid(&[], 2, 1)).contains("at least one"));
    assert!(refusal(grid(&views, 0, 1)).contains("columns"));
    Ok(())
}
