//! What one command compiles serves all others: each library has the same features in a student's build, in the
//! grader's, and in that of the whole workspace. Cargo compiles a library once for each set of features, and all that
//! stands on it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Result, ensure};

use crate::root;

/// Each library and its features, as cargo's `tree` prints them for some packages.
fn libraries(packages: &[&str]) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let arguments = ["tree", "--locked", "--offline", "--prefix=none", "--format={p}|{f}"];
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(packages)
        .current_dir(root())
        .output()?;
    ensure!(
        output.status.success(),
        "cargo tree failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut libraries: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let Some((package, features)) = line.split_once('|') else {
            continue;
        };
        // A library and its version; a path or a mark may follow.
        let name = package.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let features = features.trim_end_matches("(*)").trim();
        libraries.entry(name).or_default().insert(features.to_owned());
    }
    Ok(libraries)
}

#[test]
fn a_library_has_the_same_features_in_every_build() -> Result<()> {
    let whole = libraries(&["--workspace", "--edges=normal,build,dev"])?;
    let builds = [
        vec!["-p", "task2_denoise", "--edges=normal,build"],
        vec!["-p", "task6_dps", "--edges=normal,build,dev"],
        vec!["-p", "grader", "--edges=normal,build"],
    ];
    for build in &builds {
        for (name, features) in libraries(build)? {
            let in_whole = whole.get(&name).cloned().unwrap_or_default();
            assert!(
                features.is_subset(&in_whole),
                "{name} has the features {features:?} with `{}`, and {in_whole:?} in the whole workspace: it and \
                 all above it are compiled twice. Ask for the same in shared/one_build/Cargo.toml",
                build.join(" ")
            );
        }
    }
    Ok(())
}
