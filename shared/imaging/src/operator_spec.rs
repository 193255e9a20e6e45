//! The operators' names on the command line.

use std::fmt;
use std::str::FromStr;

use crate::entry::{Entry, Recipe, Words};
use crate::nearest::nearest;
use crate::operator::{ForwardOperator, OperatorError, OperatorKind};
use crate::operators::ENTRIES;

/// An operator as the command line names it, `NAME[:parameters]`, read but not yet made for images of one size.
///
/// Left-out parameters take their defaults; `Display` writes them all, in a form that reads back to the same. Two are
/// equal if they are written the same. [`operator_list`] says what there is.
#[derive(Clone)]
pub struct OperatorSpec {
    entry: &'static Entry,
    recipe: Recipe,
    /// Whether parameters were named.
    named: bool,
}

/// Side of an image in pixels from which on the parameters that nobody names are those of the DPS paper.
pub const LARGE: usize = 256;

/// What the DPS paper asks of images of 256x256 pixels (Chung et al. 2023, section 4.1): blurs and box are larger there
/// than the pinned ones for 64x64.
const OF_LARGE: [(&str, &str); 3] = [
    ("deconvolution", "61,3"),
    ("motion-blur", "61,0.5"),
    ("box-inpainting", "128"),
];

impl OperatorSpec {
    /// The operator's name, without parameters.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.entry.name
    }

    /// What the operator does to an image; the same as that of the operator it makes.
    #[must_use]
    pub fn kind(&self) -> OperatorKind {
        self.entry.kind
    }

    /// The operator as it is asked of images `[C, H, W]`: where no parameters were named, those of the DPS paper from
    /// [`LARGE`] pixels on.
    ///
    /// # Panics
    ///
    /// Never: what the paper asks can be read.
    #[must_use]
    pub fn suited_to(&self, [_, height, width]: [usize; 3]) -> Self {
        let of_large = OF_LARGE.iter().find(|(name, _)| *name == self.name());
        match of_large {
            Some((name, parameters)) if !self.named && height.min(width) >= LARGE => {
                let spec = format!("{name}:{parameters}").parse();
                spec.expect("the parameters of the DPS paper are right")
            }
            _ => self.clone(),
        }
    }

    /// Makes the operator for images `[C, H, W]`; `seed` is for what is random in it, as in [`parse_operator`].
    ///
    /// # Errors
    ///
    /// Parameters out of range or that do not fit the image; files that cannot be used.
    pub fn build(&self, image_shape: [usize; 3], seed: u64) -> Result<Box<dyn ForwardOperator>, OperatorError> {
        (self.recipe.build)(image_shape, seed)
    }
}

impl PartialEq for OperatorSpec {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.recipe.settings == other.recipe.settings
    }
}

impl fmt::Debug for OperatorSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "OperatorSpec({self})")
    }
}

impl fmt::Display for OperatorSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())?;
        match self.recipe.settings.as_str() {
            "" => Ok(()),
            settings => write!(formatter, ":{settings}"),
        }
    }
}

impl FromStr for OperatorSpec {
    type Err = OperatorError;

    fn from_str(text: &str) -> Result<Self, OperatorError> {
        let (name, rest) = match text.split_once(':') {
            Some((name, rest)) => (name.trim(), Some(rest)),
            None => (text.trim(), None),
        };
        let entry = ENTRIES
            .iter()
            .find(|entry| entry.name == name)
            .ok_or_else(|| OperatorError::Unknown {
                got: name.to_owned(),
                nearest: nearest(name, ENTRIES.iter().map(|entry| entry.name)),
                known: operator_list(),
            })?;
        let mut words = Words::new(entry.name, entry.syntax, rest);
        let recipe = (entry.parse)(&mut words)?;
        words.end()?;
        Ok(Self {
            entry,
            recipe,
            named: rest.is_some(),
        })
    }
}

/// How one of the operators is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownOperator {
    /// `deconvolution`
    pub name: &'static str,
    /// What may follow the name, in brackets, or must: `[:SIZE,STD]`. Empty where nothing may.
    pub syntax: &'static str,
    /// In words, with the defaults.
    pub meaning: &'static str,
}

/// All operators, in the order of [`operator_list`].
pub fn known_operators() -> impl Iterator<Item = KnownOperator> {
    ENTRIES.iter().map(|entry| KnownOperator {
        name: entry.name,
        syntax: entry.syntax,
        meaning: entry.meaning,
    })
}

/// All operators with their parameters and defaults, one to a line, for `--help` and messages.
#[must_use]
pub fn operator_list() -> String {
    let line = |entry: &Entry| format!("  {:<36} {}", format!("{}{}", entry.name, entry.syntax), entry.meaning);
    ENTRIES.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Makes the operator that `text`, `NAME[:parameters]`, names; see [`operator_list`].
///
/// - `image_shape`: `[C, H, W]`
/// - `seed`: for what is random in an operator: the mask, the shake, the rows of compressed sensing
///
/// # Errors
///
/// An unknown name, whose message lists all; parameters out of range or that do not fit the image; files that cannot be
/// used.
///
/// # Examples
///
/// ```
/// use imaging::{parse_operator, residual};
/// use ndarray::Array4;
///
/// let blur = parse_operator("deconvolution:9,2", [3, 64, 64], 0)?;
/// let x = Array4::from_elem((1, 3, 64, 64), 0.5);
/// let b = blur.apply(&x)?;
/// // An even image stays as it is, and so explains its own measurement.
/// assert!(residual(blur.as_ref(), &b, &x)?.iter().all(|r| *r == 0.0));
/// assert!((b[[0, 0, 0, 0]] - 0.5).abs() < 1e-6);
/// # Ok::<(), imaging::OperatorError>(())
/// ```
pub fn parse_operator(
    text: &str,
    image_shape: [usize; 3],
    seed: u64,
) -> Result<Box<dyn ForwardOperator>, OperatorError> {
    text.parse::<OperatorSpec>()?.build(image_shape, seed)
}
