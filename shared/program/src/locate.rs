//! Where the repository's data lie, and the priors among them.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

const VARIABLE: &str = "DIFFUSION_DATA";

/// The folder `data/` with `priors/` and `images/`: what the environment variable `DIFFUSION_DATA` names; else that of
/// the nearest folder above the current one that has `data/priors`; else that of the workspace this program was built
/// in.
///
/// # Errors
///
/// If `DIFFUSION_DATA` names no folder, or there is none anywhere.
pub fn data_folder() -> Result<PathBuf> {
    if let Some(named) = env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        let named = PathBuf::from(named);
        if named.is_dir() {
            return Ok(named);
        }
        bail!(
            "{VARIABLE} is `{}`, which is no folder: set it to the repository's `data`, or unset it",
            named.display()
        );
    }
    let here = env::current_dir().unwrap_or_default();
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    let has_priors = |root: &Path| root.join("data/priors").is_dir();
    match here.ancestors().chain(built_in).find(|root| has_priors(root)) {
        Some(root) => Ok(root.join("data")),
        None => bail!(
            "no folder `data/priors` here or above: run inside the repository, or set {VARIABLE} to its folder `data`"
        ),
    }
}

/// The folder of the prior that a user calls `name`: one in `data/priors`, or a path to a folder.
///
/// # Errors
///
/// If there is none; the message lists those there are.
pub fn find_prior(name: &str, data: Result<PathBuf>) -> Result<PathBuf> {
    let path = Path::new(name);
    let is_name = path.components().count() == 1 && path.file_name().is_some();
    let priors = data.map(|data| data.join("priors"));
    if let (true, Ok(priors)) = (is_name, &priors)
        && priors.join(name).is_dir()
    {
        return Ok(priors.join(name));
    }
    if path.is_dir() {
        return Ok(path.to_owned());
    }
    if path.is_file() {
        bail!(
            "the prior `{name}` is a file: name the folder that it lies in, with config.json and weights.safetensors"
        );
    }
    if !is_name {
        bail!(
            "there is no prior at `{name}`: expected a folder with config.json and weights.safetensors, \
             or a name in data/priors"
        );
    }
    let priors = priors?;
    let mut there: Vec<String> = std::fs::read_dir(&priors)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    there.sort();
    let priors = priors.display();
    let there = match there.as_slice() {
        [] => format!("and no other in `{priors}`: name"),
        there => format!("in `{priors}` there is {}: name one of these, or", there.join(", ")),
    };
    bail!("there is no prior `{name}`, {there} a folder with config.json and weights.safetensors")
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    fn said(result: Result<PathBuf>) -> String {
        result.map_or_else(|error| error.to_string(), |path| format!("(found {})", path.display()))
    }

    #[test]
    fn a_prior_is_a_name_or_a_folder() -> Result<()> {
        let data = tempfile::tempdir()?;
        for name in ["pears", "apples"] {
            std::fs::create_dir_all(data.path().join("priors").join(name))?;
        }
        let find = |name: &str| find_prior(name, Ok(data.path().to_owned()));
        assert_eq!(find("pears")?, data.path().join("priors/pears"));
        let folder = data.path().join("priors/apples");
        assert_eq!(
            find_prior(&folder.display().to_string(), Err(anyhow!("no data")))?,
            folder
        );

        let unknown = said(find("plums"));
        assert!(
            unknown.contains("no prior `plums`") && unknown.contains("apples, pears"),
            "{unknown}"
        );
        let missing = said(find("./plums"));
        assert!(missing.contains("no prior at `./plums`"), "{missing}");
        assert!(said(find("")).contains("no prior at ``"));
        let file = folder.join("weights.safetensors");
        std::fs::write(&file, "")?;
        assert!(said(find(&file.display().to_string())).contains("is a file: name the folder"));
        let none = said(find_prior("plums", Ok(data.path().join("priors"))));
        assert!(none.contains("no other in") && !none.contains("one of these"), "{none}");
        Ok(())
    }
}
