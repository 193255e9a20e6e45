//! The operators of a run: made, told, and called by names that files can have.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use imaging::{Coverage, ForwardOperator, OperatorSpec, coverage};

use crate::session::Session;

/// File names stay below what any file system takes.
const LONGEST: usize = 60;

/// What the names of masks and kernels end with; figures have an end of their own.
const IMAGES: [&str; 6] = [".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"];

/// An operator that was asked for.
pub(crate) struct Asked<'a> {
    /// As the command line names it.
    pub spec: &'a OperatorSpec,
    pub operator: Box<dyn ForwardOperator>,
    /// What its figures are called: no two of a run have one name.
    pub file_name: String,
}

/// Makes the operators, says what each removes, and warns of one that removes nothing or all.
pub(crate) fn make<'a>(
    session: &mut Session,
    specs: &'a [OperatorSpec],
    image_shape: [usize; 3],
    seed: u64,
) -> Result<Vec<Asked<'a>>> {
    let mut asked = Vec::new();
    for (spec, file_name) in specs.iter().zip(file_names(specs)?) {
        let operator = spec.build(image_shape, seed)?;
        session.note(&format!("{spec}: {}", operator.description()));
        if let Some(warning) = warning(coverage(operator.as_ref())?) {
            session.note(&format!("warning: {spec}: {warning}"));
        }
        asked.push(Asked {
            spec,
            operator,
            file_name,
        });
    }
    session.will_read(&files_of(specs))?;
    Ok(asked)
}

fn warning(coverage: Coverage) -> Option<&'static str> {
    match coverage {
        Coverage::Part => None,
        Coverage::Nothing => Some("nothing of an image is left: what comes out is the prior's alone"),
        Coverage::Everything => Some("all of an image is left: there is nothing to reconstruct, only noise to remove"),
    }
}

/// Masks and kernels.
fn files_of(specs: &[OperatorSpec]) -> Vec<PathBuf> {
    let texts = specs.iter().map(ToString::to_string);
    let files = texts.filter_map(|text| text.split_once(':').map(|(_, file)| PathBuf::from(file)));
    files.filter(|file| file.is_file()).collect()
}

/// `inpainting`; and where there are two of a kind, `inpainting-0.5` and `inpainting-0.9`.
fn file_names(specs: &[OperatorSpec]) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        ensure!(
            !specs[..index].contains(spec),
            "--operator names {spec} twice: once is enough, and --samples draws more than one reconstruction"
        );
        let of_its_kind = specs.iter().filter(|other| other.name() == spec.name()).count();
        let name = if of_its_kind == 1 {
            spec.name().to_owned()
        } else {
            plain(&spec.to_string())
        };
        // Two paths may look alike once they are plain.
        let is_free = |name: &String| !names.contains(name);
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(is_free);
        names.extend(free);
    }
    Ok(names)
}

/// With letters, digits and points only, and dashes between: `inpainting-0.5`. Of a long text the end is kept, where a
/// path has its file.
fn plain(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || c == '.';
    let words: Vec<&str> = text.split(|c| !is_plain(c)).filter(|word| !word.is_empty()).collect();
    let whole = words.join("-");
    let whole = IMAGES.iter().find_map(|end| whole.strip_suffix(end)).unwrap_or(&whole);
    let cut = whole.chars().count().saturating_sub(LONGEST);
    whole.chars().skip(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[&str]) -> Result<Vec<String>> {
        let specs = texts
            .iter()
            .map(|text| text.parse())
            .collect::<Result<Vec<OperatorSpec>, _>>()?;
        file_names(&specs)
    }

    #[test]
    fn no_two_operators_share_a_name() -> Result<()> {
        assert_eq!(
            names(&["inpainting", "deconvolution:9,1"])?,
            ["inpainting", "deconvolution"]
        );
        assert_eq!(
            names(&["inpainting:0.5", "fourier", "inpainting:0.9"])?,
            ["inpainting-0.5", "fourier", "inpainting-0.9"]
        );
        assert_eq!(
            names(&["mask:a/m.png", "mask:a-m.png", "mask:a m.png"])?,
            ["mask-a-m", "mask-a-m-2", "mask-a-m-3"]
        );
        let deep = format!("mask:{}/m.png", "folder/".repeat(50));
        let long = names(&[&deep, "mask:n.png"])?;
        assert!(long[0].len() <= LONGEST && long[0].ends_with("-m"), "{long:?}");
        Ok(())
    }

    /// Written with its defaults or without, it is the same operator.
    #[test]
    fn one_operator_named_twice_is_refused() {
        let refused = names(&["inpainting", "inpainting:0.7"]);
        assert!(refused.is_err_and(|error| error.to_string().contains("inpainting:0.7 twice")));
    }
}
