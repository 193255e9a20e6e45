//! Removing what a program left behind.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use sandbox::remove_tree;

fn remove(folder: &Path) {
    remove_tree(folder).expect("it is removed");
    assert!(folder.symlink_metadata().is_err());
}

/// Deeper than a path can be long, and than files can be open.
#[test]
fn a_deep_folder_goes() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("scratch");
    // Built from the inside out: no path is long on the way.
    let mut inner = place.path().join("first");
    fs::create_dir(&inner).expect("a folder");
    fs::write(inner.join("file"), "x").expect("a file");
    for depth in 0..2000 {
        let outer = place.path().join(format!("outer-{depth}"));
        fs::create_dir(&outer).expect("a folder");
        fs::rename(&inner, outer.join("d")).expect("moved");
        inner = outer;
    }
    fs::rename(inner, &folder).expect("moved");
    remove(&folder);
}

#[test]
fn closed_folders_go_and_links_lead_nowhere() {
    let place = tempfile::tempdir().expect("a folder");
    let (folder, kept) = (place.path().join("scratch"), place.path().join("kept"));
    fs::create_dir_all(folder.join("z/y/moved-1")).expect("folders");
    fs::write(folder.join("z/y/moved-2"), "x").expect("a file");
    fs::create_dir(&kept).expect("a folder");
    fs::write(kept.join("file"), "kept").expect("a file");
    symlink(&kept, folder.join("z/link")).expect("a link");
    symlink(&kept, folder.join("moved-1")).expect("a link");
    for closed in ["z/y", "z"] {
        fs::set_permissions(folder.join(closed), Permissions::from_mode(0o000)).expect("closed");
    }
    remove(&folder);
    assert_eq!(fs::read_to_string(kept.join("file")).expect("it is there"), "kept");
    assert_eq!(
        kept.metadata().expect("it is there").permissions().mode() & 0o777,
        0o755
    );
    remove_tree(&folder).expect("nothing there is fine");
}
