//! How an operator enters the list: its name, what may follow the name, and how that is read.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use crate::operator::{ForwardOperator, OperatorError, OperatorKind, refuse};

/// One line of the list of operators. Each operator's file ends with its own.
#[derive(Debug)]
pub(crate) struct Entry {
    /// `deconvolution`
    pub(crate) name: &'static str,
    /// What may follow the name: `[:SIZE,STD]`.
    pub(crate) syntax: &'static str,
    /// In words, with the defaults.
    pub(crate) meaning: &'static str,
    pub(crate) kind: OperatorKind,
    /// Reads what follows the name.
    pub(crate) parse: fn(&mut Words<'_>) -> Result<Recipe, OperatorError>,
}

/// An operator whose settings are read, to be made for images of one shape.
#[derive(Clone)]
pub(crate) struct Recipe {
    /// The settings, all of them, as [`Entry::parse`] reads them: `13,1.5`. Empty where there are none.
    pub(crate) settings: String,
    pub(crate) build: Arc<Build>,
}

/// Makes the operator for images `[C, H, W]`, with a seed for what is random in it.
type Build = dyn Fn([usize; 3], u64) -> Result<Box<dyn ForwardOperator>, OperatorError> + Send + Sync;

impl Recipe {
    pub(crate) fn new<O: ForwardOperator + 'static>(
        settings: impl Into<String>,
        make: impl Fn([usize; 3], u64) -> Result<O, OperatorError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            settings: settings.into(),
            build: Arc::new(move |image_shape, seed| Ok(Box::new(make(image_shape, seed)?))),
        }
    }
}

/// The parameters after the colon, taken one by one.
pub(crate) struct Words<'a> {
    name: &'static str,
    syntax: &'static str,
    rest: Option<&'a str>,
}

impl<'a> Words<'a> {
    pub(crate) fn new(name: &'static str, syntax: &'static str, rest: Option<&'a str>) -> Self {
        Self { name, syntax, rest }
    }

    fn refuse(&self, what: &str, got: &str) -> OperatorError {
        refuse(
            self.name,
            what,
            format!("{}{}", self.name, self.syntax),
            format!("`{got}`"),
        )
    }

    pub(crate) fn optional<T: FromStr>(&mut self, what: &str) -> Result<Option<T>, OperatorError> {
        let Some(rest) = self.rest else {
            return Ok(None);
        };
        let (word, rest) = match rest.split_once(',') {
            Some((word, rest)) => (word, Some(rest)),
            None => (rest, None),
        };
        self.rest = rest;
        word.trim().parse().map(Some).map_err(|_| self.refuse(what, word))
    }

    pub(crate) fn next<T: FromStr>(&mut self, what: &str, default: T) -> Result<T, OperatorError> {
        Ok(self.optional(what)?.unwrap_or(default))
    }

    /// All that is left: a path may hold commas and colons.
    pub(crate) fn file(&mut self) -> Result<PathBuf, OperatorError> {
        match self.rest.take() {
            Some(path) if !path.is_empty() => Ok(PathBuf::from(path)),
            _ => Err(self.refuse("FILE", "nothing")),
        }
    }

    pub(crate) fn end(self) -> Result<(), OperatorError> {
        match self.rest {
            None => Ok(()),
            Some(more) => Err(self.refuse("too many parameters", more)),
        }
    }
}
