//! The operators' names on the command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::operator::{ForwardOperator, OperatorError, OperatorKind};
use crate::{Colourisation, CompressedSensing, Convolution, HdrResponse, Inpainting, PhaseRetrieval, SuperResolution};

/// An operator as the command line names it, `NAME[:parameters]`, read but not yet made for images of one size.
///
/// Left-out parameters take their defaults; `Display` writes them all, in a form that reads back to the same.
#[derive(Clone, Debug, PartialEq)]
pub enum OperatorSpec {
    /// `inpainting[:REMOVED]`
    Inpainting {
        /// The fraction of pixels that are missing.
        removed: f64,
    },
    /// `box-inpainting[:SIDE]`
    BoxInpainting {
        /// In pixels.
        side: usize,
    },
    /// `mask:FILE`
    Mask {
        /// An image; dark is missing.
        file: PathBuf,
    },
    /// `deconvolution[:SIZE[,STD]]`
    Deconvolution {
        /// The kernel's side, in pixels.
        size: usize,
        /// Its standard deviation, in pixels.
        std: f64,
    },
    /// `motion-blur[:SIZE[,INTENSITY[,SEED]]]`
    MotionBlur {
        /// The kernel's side, in pixels.
        size: usize,
        /// From 0, straight, to 1, a scrawl.
        intensity: f64,
        /// Of the kernel; the run's own where left out.
        seed: Option<u64>,
    },
    /// `kernel:FILE`
    Kernel {
        /// An image; bright is much light.
        file: PathBuf,
    },
    /// `super-resolution[:FACTOR]`
    SuperResolution {
        /// Pixels averaged in each direction.
        factor: usize,
    },
    /// `colourisation`
    Colourisation,
    /// `compressed-sensing[:FRACTION]`
    CompressedSensing {
        /// Measurements for each pixel.
        fraction: f64,
    },
    /// `phase-retrieval`
    PhaseRetrieval,
    /// `hdr[:EXPOSURE[,GAMMA]]`
    Hdr {
        /// How much brighter than right.
        exposure: f64,
        /// Of the response curve.
        gamma: f64,
    },
}

/// Name, parameters, and what it does.
const KNOWN: [(&str, &str, &str); 11] = [
    (
        "inpainting",
        "[:REMOVED]",
        "random pixels are missing (REMOVED 0.7 of them)",
    ),
    (
        "box-inpainting",
        "[:SIDE]",
        "a square in the centre is missing (SIDE 24 pixels)",
    ),
    ("mask", ":FILE", "what is dark in an image file is missing"),
    (
        "deconvolution",
        "[:SIZE,STD]",
        "Gaussian blur (SIZE 13 pixels, STD 1.5)",
    ),
    (
        "motion-blur",
        "[:SIZE,INTENSITY,SEED]",
        "camera shake (SIZE 15 pixels, INTENSITY 0.5 of 0 to 1, SEED as --seed)",
    ),
    ("kernel", ":FILE", "blur with a kernel from an image file"),
    ("super-resolution", "[:FACTOR]", "a smaller image (FACTOR 4)"),
    ("colourisation", "", "the grey image"),
    (
        "compressed-sensing",
        "[:FRACTION]",
        "random mixtures of all pixels (FRACTION 0.25 of their number)",
    ),
    (
        "phase-retrieval",
        "",
        "the magnitude of the Fourier transform; nonlinear",
    ),
    (
        "hdr",
        "[:EXPOSURE,GAMMA]",
        "an overexposed photograph (EXPOSURE 2, GAMMA 2.2); nonlinear",
    ),
];

/// All operators with their parameters and defaults, one to a line, for `--help` and messages.
#[must_use]
pub fn operator_list() -> String {
    let lines = KNOWN.map(|(name, parameters, meaning)| format!("  {:<36} {meaning}", format!("{name}{parameters}")));
    lines.join("\n")
}

/// Makes the operator that `text`, `NAME[:parameters]`, names; see [`operator_list`].
///
/// - `image_shape`: `[C, H, W]`
/// - `seed`: for what is random in an operator: the mask, the shake, the rows of compressed sensing
///
/// # Errors
/// An unknown name, whose message lists all; parameters out of range or that do not fit the image; files that cannot be
/// used.
pub fn parse_operator(
    text: &str,
    image_shape: [usize; 3],
    seed: u64,
) -> Result<Box<dyn ForwardOperator>, OperatorError> {
    text.parse::<OperatorSpec>()?.build(image_shape, seed)
}

impl OperatorSpec {
    /// Makes the operator for images `[C, H, W]`.
    ///
    /// # Errors
    /// As [`parse_operator`].
    pub fn build(&self, image_shape: [usize; 3], seed: u64) -> Result<Box<dyn ForwardOperator>, OperatorError> {
        Ok(match self {
            Self::Inpainting { removed } => Box::new(Inpainting::random(image_shape, *removed, seed)?),
            Self::BoxInpainting { side } => Box::new(Inpainting::centred_box(image_shape, *side)?),
            Self::Mask { file } => Box::new(Inpainting::from_mask_file(image_shape, file)?),
            Self::Deconvolution { size, std } => Box::new(Convolution::gaussian(image_shape, *size, *std)?),
            Self::MotionBlur {
                size,
                intensity,
                seed: own,
            } => Box::new(Convolution::motion_blur(
                image_shape,
                *size,
                *intensity,
                own.unwrap_or(seed),
            )?),
            Self::Kernel { file } => Box::new(Convolution::from_kernel_file(image_shape, file)?),
            Self::SuperResolution { factor } => Box::new(SuperResolution::new(image_shape, *factor)?),
            Self::Colourisation => Box::new(Colourisation::new(image_shape)?),
            Self::CompressedSensing { fraction } => Box::new(CompressedSensing::new(image_shape, *fraction, seed)?),
            Self::PhaseRetrieval => Box::new(PhaseRetrieval::new(image_shape)?),
            Self::Hdr { exposure, gamma } => Box::new(HdrResponse::new(image_shape, *exposure, *gamma)?),
        })
    }

    /// The operator's name, without parameters.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Inpainting { .. } => "inpainting",
            Self::BoxInpainting { .. } => "box-inpainting",
            Self::Mask { .. } => "mask",
            Self::Deconvolution { .. } => "deconvolution",
            Self::MotionBlur { .. } => "motion-blur",
            Self::Kernel { .. } => "kernel",
            Self::SuperResolution { .. } => "super-resolution",
            Self::Colourisation => "colourisation",
            Self::CompressedSensing { .. } => "compressed-sensing",
            Self::PhaseRetrieval => "phase-retrieval",
            Self::Hdr { .. } => "hdr",
        }
    }
}

impl OperatorSpec {
    /// What the operator does to an image; the same as that of the operator it makes.
    #[must_use]
    pub fn kind(&self) -> OperatorKind {
        match self {
            Self::Inpainting { .. } => OperatorKind::ScatteredMask,
            Self::BoxInpainting { .. } | Self::Mask { .. } => OperatorKind::HoleMask,
            Self::Deconvolution { .. } | Self::Kernel { .. } => OperatorKind::Blur,
            Self::MotionBlur { .. } => OperatorKind::MotionBlur,
            Self::SuperResolution { .. } => OperatorKind::Downsampling,
            Self::Colourisation => OperatorKind::Colourisation,
            Self::CompressedSensing { .. } => OperatorKind::CompressedSensing,
            Self::PhaseRetrieval => OperatorKind::PhaseRetrieval,
            Self::Hdr { .. } => OperatorKind::Hdr,
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
        let Some(&(name, syntax, _)) = KNOWN.iter().find(|known| known.0 == name) else {
            return Err(unknown(name));
        };
        let mut words = Words::new(name, syntax, rest);
        let spec = match name {
            "inpainting" => Self::Inpainting {
                removed: words.next("REMOVED", 0.7)?,
            },
            "box-inpainting" => Self::BoxInpainting {
                side: words.next("SIDE", 24)?,
            },
            "mask" => Self::Mask { file: words.file()? },
            "deconvolution" => Self::Deconvolution {
                size: words.next("SIZE", 13)?,
                std: words.next("STD", 1.5)?,
            },
            "motion-blur" => Self::MotionBlur {
                size: words.next("SIZE", 15)?,
                intensity: words.next("INTENSITY", 0.5)?,
                seed: words.optional("SEED")?,
            },
            "kernel" => Self::Kernel { file: words.file()? },
            "super-resolution" => Self::SuperResolution {
                factor: words.next("FACTOR", 4)?,
            },
            "compressed-sensing" => Self::CompressedSensing {
                fraction: words.next("FRACTION", 0.25)?,
            },
            "phase-retrieval" => Self::PhaseRetrieval,
            "hdr" => Self::Hdr {
                exposure: words.next("EXPOSURE", 2.0)?,
                gamma: words.next("GAMMA", 2.2)?,
            },
            "colourisation" => Self::Colourisation,
            // An entry of `KNOWN` that nobody reads.
            _ => return Err(unknown(name)),
        };
        words.end()?;
        Ok(spec)
    }
}

fn unknown(name: &str) -> OperatorError {
    OperatorError::Unknown {
        got: name.to_owned(),
        known: operator_list(),
    }
}

/// The parameters after the colon, taken one by one.
struct Words<'a> {
    name: &'static str,
    syntax: &'static str,
    rest: Option<&'a str>,
}

impl<'a> Words<'a> {
    fn new(name: &'static str, syntax: &'static str, rest: Option<&'a str>) -> Self {
        Self { name, syntax, rest }
    }

    fn refuse(&self, what: &str, got: &str) -> OperatorError {
        OperatorError::Parameter {
            operator: self.name,
            what: what.to_owned(),
            expected: format!("{}{}", self.name, self.syntax),
            got: format!("`{got}`"),
        }
    }

    fn optional<T: FromStr>(&mut self, what: &str) -> Result<Option<T>, OperatorError> {
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

    fn next<T: FromStr>(&mut self, what: &str, default: T) -> Result<T, OperatorError> {
        Ok(self.optional(what)?.unwrap_or(default))
    }

    /// All that is left: a path may hold commas and colons.
    fn file(&mut self) -> Result<PathBuf, OperatorError> {
        match self.rest.take() {
            Some(path) if !path.is_empty() => Ok(PathBuf::from(path)),
            _ => Err(self.refuse("FILE", "nothing")),
        }
    }

    fn end(self) -> Result<(), OperatorError> {
        match self.rest {
            None => Ok(()),
            Some(more) => Err(self.refuse("too many parameters", more)),
        }
    }
}

impl fmt::Display for OperatorSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())?;
        match self {
            Self::Inpainting { removed } => write!(formatter, ":{removed}"),
            Self::BoxInpainting { side } => write!(formatter, ":{side}"),
            Self::Mask { file } | Self::Kernel { file } => write!(formatter, ":{}", file.display()),
            Self::Deconvolution { size, std } => write!(formatter, ":{size},{std}"),
            Self::MotionBlur { size, intensity, seed } => {
                write!(formatter, ":{size},{intensity}")?;
                seed.map_or(Ok(()), |seed| write!(formatter, ",{seed}"))
            }
            Self::SuperResolution { factor } => write!(formatter, ":{factor}"),
            Self::CompressedSensing { fraction } => write!(formatter, ":{fraction}"),
            Self::Hdr { exposure, gamma } => write!(formatter, ":{exposure},{gamma}"),
            Self::Colourisation | Self::PhaseRetrieval => Ok(()),
        }
    }
}
