//! The folder that everything of a training is written into.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use files::{Folder, lies_in};

/// The checkpoint's name in the folder.
pub const CHECKPOINT_FILE: &str = "checkpoint.ckpt";

/// Any of these is the work of a training, or what one was made into.
const OF_A_TRAINING: [&str; 3] = [CHECKPOINT_FILE, "weights.safetensors", "training.json"];

/// How a training begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// With a step 1 of its own, from random weights or from those of another one.
    Anew,
    /// From its checkpoint.
    GoOn,
}

/// The folder that `--out` names, made if need be and tried: a training that begins anew must not overwrite another's
/// files, and one that goes on needs a checkpoint. A new folder goes away again if nothing was written into it by the
/// time that the result is dropped.
///
/// # Errors
///
/// A training in the folder, or none; a folder that cannot be made or written to; one among the images of `data`, which
/// previews would be taken for.
pub fn open_folder(out: &Path, data: &Path, begin: Begin) -> Result<Folder> {
    let holds = |name: &&str| out.join(name).exists();
    match begin {
        Begin::Anew => {
            if let Some(found) = OF_A_TRAINING.iter().find(|name| holds(name)) {
                bail!(
                    "{} already holds a training (there is a {found}): go on with it with --resume, or choose another \
                     --out",
                    out.display()
                );
            }
        }
        Begin::GoOn => ensure!(
            holds(&CHECKPOINT_FILE),
            "cannot resume: there is no {CHECKPOINT_FILE} in {}; name the folder of a training with --out, or begin \
             one without --resume",
            out.display()
        ),
    }
    let folder = Folder::open(out).with_context(|| {
        format!(
            "cannot write into the folder {}; name another with --out",
            out.display()
        )
    })?;
    for part in ["train", "test"] {
        ensure!(
            !lies_in(out, &data.join(part)),
            "{} lies among the images of --data: the next training would take previews for images; name another --out",
            out.display()
        );
    }
    Ok(folder)
}

/// Writes a value as JSON for people, with a line break at its end, whole or not at all.
///
/// # Errors
///
/// If the file cannot be written.
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> std::io::Result<()> {
    let json = serde_json::to_string_pretty(value)?;
    files::write_whole(path, (json + "\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A data set that no folder lies in.
    const NOWHERE: &str = "no data set";

    fn refusal(result: Result<Folder>) -> String {
        result.map_or_else(|error| error.to_string(), |_| "(not refused)".into())
    }

    #[test]
    fn no_training_begins_where_another_one_is() -> Result<()> {
        for name in OF_A_TRAINING {
            let place = tempfile::tempdir()?;
            open_folder(place.path(), Path::new(NOWHERE), Begin::Anew)?;
            fs::write(place.path().join(name), "")?;
            let message = refusal(open_folder(place.path(), Path::new(NOWHERE), Begin::Anew));
            assert!(
                message.contains("already holds a training") && message.contains(name),
                "{message}"
            );
        }
        // A configuration that was put there, or the log of a start that came to nothing, is no training.
        let place = tempfile::tempdir()?;
        fs::write(place.path().join("config.json"), "")?;
        fs::write(place.path().join("log.csv"), "")?;
        open_folder(place.path(), Path::new(NOWHERE), Begin::Anew)?;
        Ok(())
    }

    #[test]
    fn going_on_needs_a_checkpoint() -> Result<()> {
        let place = tempfile::tempdir()?;
        let message = refusal(open_folder(&place.path().join("new"), Path::new(NOWHERE), Begin::GoOn));
        assert!(
            message.contains("cannot resume") && message.contains(CHECKPOINT_FILE),
            "{message}"
        );
        assert!(!place.path().join("new").exists());
        fs::write(place.path().join(CHECKPOINT_FILE), "")?;
        open_folder(place.path(), Path::new(NOWHERE), Begin::GoOn)?;
        Ok(())
    }

    /// And it leaves nothing behind.
    #[test]
    fn previews_do_not_go_among_the_images() -> Result<()> {
        let data = tempfile::tempdir()?;
        fs::create_dir_all(data.path().join("train/apple"))?;
        for out in ["train", "train/apple", "train/new"] {
            let message = refusal(open_folder(&data.path().join(out), data.path(), Begin::Anew));
            assert!(message.contains("lies among the images of --data"), "{message}");
        }
        assert!(!data.path().join("train/new").exists());
        open_folder(&data.path().join("prior"), data.path(), Begin::Anew)?;
        Ok(())
    }
}
