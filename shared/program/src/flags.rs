//! The flags of a program, and tips for common slips.

use std::path::Path;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Error, Parser};

/// Flags that take files, the most usual first: where one lacks before a file's name, it is named.
const FILE_FLAGS: [&str; 3] = ["images", "data", "guide"];

/// Reads the flags that the program was started with; ends it with a message and status 2 where they are wrong, and
/// with status 0 after `--help` and `--version`.
///
/// Unlike [`Parser::parse`] it takes `-1` after a flag for the flag's value, so that the message names the flag, and
/// says which flag lacks before what looks like a file.
#[must_use]
pub fn parse<O: Parser>() -> O {
    read::<O>(std::env::args_os()).unwrap_or_else(|error| error.exit())
}

fn read<O: Parser>(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Result<O, Error> {
    let command = with_negative_numbers(O::command());
    let with_tip = |error| add_tip(error, &command);
    let mut matches = command.clone().try_get_matches_from(arguments).map_err(with_tip)?;
    O::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command.clone()))
}

fn with_negative_numbers(command: Command) -> Command {
    command
        .mut_args(|arg| {
            let takes_value = arg.get_action().takes_values();
            arg.allow_negative_numbers(takes_value)
        })
        .mut_subcommands(with_negative_numbers)
}

/// `photo.png` alone is an unexpected argument: a file is named after a flag.
fn add_tip(mut error: Error, command: &Command) -> Error {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    let path = Path::new(word);
    let is_file = !word.starts_with('-') && (path.exists() || path.extension().is_some());
    if error.kind() != ErrorKind::UnknownArgument || !is_file {
        return error;
    }
    let has = |name: &&str| command.get_arguments().any(|arg: &Arg| arg.get_long() == Some(name));
    if let Some(flag) = FILE_FLAGS.iter().find(|name| has(name)) {
        let tip = StyledStr::from(format!("files and folders are named after a flag: '--{flag} {word}'"));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    error
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[derive(Debug, Parser)]
    struct Options {
        #[arg(long)]
        seed: Option<u64>,
        #[arg(long)]
        sigma: Option<f64>,
        #[arg(long, num_args = 1..)]
        images: Vec<PathBuf>,
        #[arg(long)]
        save: bool,
    }

    fn said(arguments: &[&str]) -> String {
        let all = std::iter::once("program").chain(arguments.iter().copied());
        read::<Options>(all.map(Into::into)).map_or_else(|error| error.to_string(), |options| format!("{options:?}"))
    }

    #[test]
    fn a_negative_number_is_the_value_of_its_flag() {
        for (flag, value) in [("--seed", "-1"), ("--seed", "-0.5")] {
            let message = said(&[flag, value]);
            assert!(message.contains(&format!("'{value}' for '--seed")), "{message}");
        }
        assert!(said(&["--sigma", "-0.001"]).contains("sigma: Some(-0.001)"));
        assert!(said(&["--save", "-1"]).contains("unexpected argument '-1'"));
    }

    #[test]
    fn a_file_without_a_flag_is_told_which_one() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("photo.png");
        std::fs::write(&file, "")?;
        let file = file.display().to_string();
        let message = said(&["--save", &file]);
        assert!(message.contains(&format!("'--images {file}'")), "{message}");
        assert!(said(&["nowhere.png"]).contains("'--images nowhere.png'"));
        let word = said(&["inpainting"]);
        assert!(word.contains("'inpainting'") && !word.contains("tip"), "{word}");
        assert!(said(&["--images", &file, &file]).contains("photo.png"));
        Ok(())
    }
}
