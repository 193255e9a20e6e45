//! What is found where images are looked for, and what is said of the rest.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use image::{Rgb, RgbImage};
use imaging::{ImageList, load_split, load_split_some};
use tempfile::TempDir;

use crate::common::Result;

fn picture(path: &Path) -> Result {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(RgbImage::from_pixel(4, 4, Rgb([9; 3])).save(path)?)
}

#[test]
fn files_that_are_passed_over_are_counted_with_their_kinds() -> Result {
    let folder = TempDir::new()?;
    let at = |name: &str| folder.path().join(name);
    picture(&at("a.png"))?;
    assert_eq!(ImageList::open(&[folder.path().to_owned()])?.passed_over(), None);
    fs::create_dir(at("deep"))?;
    for name in ["b.HEIC", "deep/c.tif", "deep/d.tif", "README"] {
        fs::write(at(name), "something else")?;
    }
    // What systems put there by themselves is nobody's loss.
    for name in [".DS_Store", "Thumbs.db", "deep/._c.tif"] {
        fs::write(at(name), "")?;
    }
    let list = ImageList::open(&[folder.path().to_owned()])?;
    assert_eq!(list.count(), 1);
    assert_eq!(
        list.passed_over().as_deref(),
        Some("4 files passed over: .heic, .tif, no extension")
    );
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_name_that_is_no_text_is_counted_too() -> Result {
    use std::os::unix::ffi::OsStrExt;
    let folder = TempDir::new()?;
    picture(&folder.path().join("a.png"))?;
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.png");
    // Some file systems take no such name.
    if fs::copy(folder.path().join("a.png"), folder.path().join(name)).is_err() {
        return Ok(());
    }
    let list = ImageList::open(&[folder.path().to_owned()])?;
    assert_eq!(
        list.passed_over().as_deref(),
        Some("1 file passed over: a name that is not UTF-8")
    );
    Ok(())
}

/// The second image is broken, and nobody notices until it is wanted.
#[test]
fn no_more_images_are_read_than_are_wanted() -> Result {
    let folder = TempDir::new()?;
    picture(&folder.path().join("a.png"))?;
    fs::write(folder.path().join("b.png"), "broken")?;
    let mut list = ImageList::open(&[folder.path().to_owned()])?;
    assert_eq!(list.count(), 2);
    assert_eq!(list.read(1, 4)?.len(), 1);
    assert!(list.read(2, 4).is_err());
    Ok(())
}

#[test]
fn no_more_of_a_data_set_is_read_than_is_wanted() -> Result {
    let folder = TempDir::new()?;
    for name in ["0.png", "1.png", "2.png"] {
        picture(&folder.path().join("test").join(name))?;
    }
    fs::write(folder.path().join("test/1.png"), "broken")?;
    let ends = load_split_some(folder.path(), "test", 4, |available| vec![0, available - 1], |_, _| ())?;
    assert_eq!(
        (ends.names, ends.available),
        (vec!["test/0.png".into(), "test/2.png".into()], 3)
    );
    assert!(load_split(folder.path(), "test", 4, |_, _| ()).is_err());
    Ok(())
}

#[test]
fn a_name_does_not_depend_on_how_many_are_read() -> Result {
    let folder = TempDir::new()?;
    let paths = ["a", "b"].map(|name| folder.path().join(name));
    paths.iter().try_for_each(|path| picture(&path.join("0.png")))?;
    let mut list = ImageList::open(&paths)?;
    let (one, two) = (list.read(1, 4)?, list.read(2, 4)?);
    assert_eq!(one[0].name, two[0].name);
    Ok(())
}

#[test]
fn a_data_set_inside_a_folder_of_its_own_is_understood() -> Result {
    let folder = TempDir::new()?;
    let root = folder.path().join("set");
    for name in ["fruits/set/train/a/0.png", "fruits/set/test/a/1.png"] {
        picture(&root.join(name))?;
    }
    fs::write(root.join("fruits/LICENSE.txt"), "anybody's")?;
    fs::write(root.join("fruits/set/train/a/x.heic"), "other")?;
    let zip_path = folder.path().join("set.zip");
    let mut zip = zip::ZipWriter::new(File::create(&zip_path)?);
    for name in [
        "fruits/LICENSE.txt",
        "fruits/set/train/a/0.png",
        "fruits/set/train/a/x.heic",
        "fruits/set/test/a/1.png",
    ] {
        zip.start_file(name, zip::write::SimpleFileOptions::default())?;
        zip.write_all(&fs::read(root.join(name))?)?;
    }
    zip.finish()?;
    for root in [root, zip_path] {
        let train = load_split(&root, "train", 4, |_, _| ())?;
        // As without the folders around: classes are read from the names.
        assert_eq!(train.names, ["train/a/0.png"]);
        assert_eq!(train.passed_over.as_deref(), Some("1 file passed over: .heic"));
        let test = load_split(&root, "test", 8, |_, _| ())?;
        assert_eq!(
            test.remarks(),
            ["1 of 1 images were made to fit, the first so: test/a/1.png: 4x4 resized to 8x8"]
        );
        assert_eq!((test.names, test.passed_over), (vec!["test/a/1.png".to_owned()], None));
        assert_eq!(
            (test.adapted, test.example.as_deref()),
            (1, Some("test/a/1.png: 4x4 resized to 8x8"))
        );
        let message = load_split(&root, "valid", 4, |_, _| ()).map_or_else(|e| e.to_string(), |_| String::new());
        assert!(
            message.contains("no images under `valid/`") && message.contains("`fruits/`"),
            "{message}"
        );
    }
    Ok(())
}
