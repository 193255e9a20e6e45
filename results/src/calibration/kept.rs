//! What images told, on disk, so that a run that was stopped goes on where it was.

use std::path::Path;

use anyhow::{Context, Result};
use methods::calibration::quantities::Observation;
use serde::{Deserialize, Serialize};

/// A file: what was found, and all that it depends on.
#[derive(Serialize, Deserialize)]
struct Kept {
    settings: String,
    observation: Observation,
}

/// None if there is no such file, it cannot be read, or it was made with other settings: then it is made anew.
pub fn read(path: &Path, settings: &str) -> Option<Observation> {
    let kept: Kept = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    (kept.settings == settings).then_some(kept.observation)
}

pub fn write(path: &Path, settings: &str, observation: &Observation) -> Result<()> {
    let kept = Kept {
        settings: settings.to_owned(),
        observation: observation.clone(),
    };
    let write = || -> Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(files::write_whole(path, &serde_json::to_vec_pretty(&kept)?)?)
    };
    write().with_context(|| format!("cannot keep `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_comes_back_with_the_same_settings_only() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("new/0.json");
        let observation = Observation {
            samples: 19,
            ranks: vec![3, 19],
            covered: [0.1 + 0.2, 0.9],
            variance: 1.0 / 3.0,
            error_of_mean: 1e-300,
            error_of_samples: 2.0,
        };
        assert_eq!(read(&path, "100 steps"), None);
        write(&path, "100 steps", &observation)?;
        assert_eq!(read(&path, "100 steps"), Some(observation));
        assert_eq!(read(&path, "50 steps"), None);
        std::fs::write(&path, "{\"settings\": \"100 steps\"")?;
        assert_eq!(read(&path, "100 steps"), None);
        Ok(())
    }
}
