//! Weights files: safetensors, checked tensor by tensor before anything is changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use half::f16;
use half::slice::HalfFloatSliceExt;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::backend::Backend;
use crate::parameter::Parameters;

/// A tensor on the host, as a file holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// PyTorch's dotted name, such as `down.0.conv1.weight`.
    pub name: String,
    /// Sizes, row-major.
    pub shape: Vec<usize>,
    /// The values, row-major; their number is the product of `shape`.
    pub values: Vec<f32>,
}

/// How numbers are stored in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloatType {
    /// 16-bit floats: half the size, three decimal digits. Enough for weights that are only read.
    F16,
    /// 32-bit floats: exact.
    F32,
}

/// Why a weights file was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file cannot be written; the old one, if there was one, is untouched.
    #[error("cannot write {path}: {reason} (the file that was there before is unchanged)", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// The file is no safetensors file, or a damaged one.
    #[error(
        "{path} is not a whole safetensors file: {reason}; was it downloaded or copied completely?",
        path = path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        reason: String,
    },
    /// A tensor has a number type that is neither f16 nor f32.
    #[error("tensor `{name}` holds {found} numbers, expected F16 or F32")]
    Dtype {
        /// The tensor.
        name: String,
        /// Its number type.
        found: String,
    },
    /// A tensor has another shape than the network's configuration asks for.
    #[error("tensor `{name}` has shape {found:?}, the network's configuration asks for {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// The shape that the configuration asks for.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// The network has parameters that the file lacks.
    #[error("the file lacks {} of the network's tensors: {}", names.len(), some(names))]
    Missing {
        /// Their names.
        names: Vec<String>,
    },
    /// The file has tensors that the network lacks.
    #[error("the file has {} tensors that the network does not know: {}", names.len(), some(names))]
    Unexpected {
        /// Their names.
        names: Vec<String>,
    },
    /// A tensor holds NaN or an infinity.
    #[error(
        "tensor `{name}` holds a number that is not finite, at index {index}: the file is damaged or its training \
         diverged"
    )]
    NotFinite {
        /// The tensor.
        name: String,
        /// The first such place, row-major.
        index: usize,
    },
    /// The device failed.
    #[error("the device failed: {0}")]
    Device(String),
}

/// The first of them, and how many more there are.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 5;
    match names.len().saturating_sub(SHOWN) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names[..SHOWN].join(", ")),
    }
}

/// Reads all tensors of a safetensors file; f16 is widened to f32.
///
/// # Errors
///
/// See [`WeightsError`]: an unreadable or damaged file, other number types, numbers that are not finite.
pub fn read_weights(path: &Path) -> Result<Vec<NamedTensor>, WeightsError> {
    let bytes = std::fs::read(path).map_err(|source| WeightsError::Read {
        path: path.into(),
        source,
    })?;
    parse_weights(&bytes, path)
}

/// The same for a file whose bytes are in memory already, such as one that is part of the program; `path` is its name
/// in messages.
///
/// # Errors
///
/// As [`read_weights`].
pub fn parse_weights(bytes: &[u8], path: &Path) -> Result<Vec<NamedTensor>, WeightsError> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| WeightsError::Format {
        path: path.into(),
        reason: error.to_string(),
    })?;
    file.iter().map(|(name, view)| to_named(name, &view)).collect()
}

/// Reads the table of text of a safetensors file; empty where it has none.
///
/// # Errors
///
/// An unreadable or damaged file.
pub fn read_metadata(path: &Path) -> Result<BTreeMap<String, String>, WeightsError> {
    let bytes = std::fs::read(path).map_err(|source| WeightsError::Read {
        path: path.into(),
        source,
    })?;
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|error| WeightsError::Format {
        path: path.into(),
        reason: error.to_string(),
    })?;
    Ok(metadata.metadata().clone().unwrap_or_default().into_iter().collect())
}

fn to_named(name: &str, view: &TensorView<'_>) -> Result<NamedTensor, WeightsError> {
    Ok(NamedTensor {
        name: name.into(),
        shape: view.shape().to_vec(),
        values: floats(name, view.dtype(), view.data())?,
    })
}

/// The numbers of the tensor `name`, which must be finite.
pub(crate) fn floats(name: &str, dtype: Dtype, bytes: &[u8]) -> Result<Vec<f32>, WeightsError> {
    let values: Vec<f32> = match dtype {
        Dtype::F32 => bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect(),
        Dtype::F16 => {
            // All at once: that is one instruction for eight numbers where the machine has it.
            let halves: Vec<f16> = bytes
                .chunks_exact(2)
                .map(|b| f16::from_le_bytes([b[0], b[1]]))
                .collect();
            let mut values = vec![0.0; halves.len()];
            halves.convert_to_f32_slice(&mut values);
            values
        }
        other => {
            return Err(WeightsError::Dtype {
                name: name.into(),
                found: format!("{other:?}"),
            });
        }
    };
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(WeightsError::NotFinite {
            name: name.into(),
            index,
        }),
        None => Ok(values),
    }
}

impl WeightsError {
    /// What of these is worth telling first, if anything.
    pub(crate) fn of_names(
        missing: Vec<String>,
        unexpected: Vec<String>,
        wrong_shape: Option<Self>,
    ) -> Result<(), Self> {
        if !missing.is_empty() {
            return Err(Self::Missing { names: missing });
        }
        if !unexpected.is_empty() {
            return Err(Self::Unexpected { names: unexpected });
        }
        wrong_shape.map_or(Ok(()), Err)
    }
}

/// Copies `tensors` into the network's parameters by name. Nothing is changed unless all of them fit.
///
/// # Errors
///
/// A tensor that is missing, unknown to the network, or of another shape.
pub fn load_weights<B: Backend>(network: &mut dyn Parameters<B>, tensors: &[NamedTensor]) -> Result<(), WeightsError> {
    let mut by_name: BTreeMap<&str, &NamedTensor> = tensors.iter().map(|t| (t.name.as_str(), t)).collect();
    let mut found = Vec::new();
    let mut missing = Vec::new();
    let mut wrong_shape = None;
    network.visit("", &mut |name, parameter| match by_name.remove(name.as_str()) {
        None => missing.push(name),
        Some(tensor) if tensor.shape != parameter.shape() => {
            wrong_shape.get_or_insert(WeightsError::Shape {
                name,
                expected: parameter.shape().to_vec(),
                found: tensor.shape.clone(),
            });
        }
        Some(tensor) => found.push(tensor),
    });
    let unexpected = by_name.into_keys().map(String::from).collect();
    WeightsError::of_names(missing, unexpected, wrong_shape)?;
    let mut found = found.into_iter();
    network.visit_mut("", &mut |_, parameter| {
        if let Some(tensor) = found.next() {
            parameter.set(&tensor.values);
        }
    });
    Ok(())
}

/// Writes the network's parameters to a safetensors file, whole or not at all.
///
/// # Errors
///
/// If the file cannot be written (no such folder, no permission, disk full).
pub fn save_weights<B: Backend>(
    path: &Path,
    network: &dyn Parameters<B>,
    float_type: FloatType,
) -> Result<(), WeightsError> {
    let mut tensors = Vec::new();
    network.visit("", &mut |name, parameter| {
        tensors.push(NamedTensor {
            name,
            shape: parameter.shape().to_vec(),
            values: parameter.to_vec(),
        });
    });
    save_tensors(path, &tensors, float_type, &BTreeMap::new())
}

/// Writes tensors and a table of text to a safetensors file, whole or not at all: a temporary file in the same folder
/// is written, flushed to the disk and then renamed, so that a crash or a full disk cannot damage an older file.
///
/// # Errors
///
/// If the file cannot be written.
pub fn save_tensors(
    path: &Path,
    tensors: &[NamedTensor],
    float_type: FloatType,
    metadata: &BTreeMap<String, String>,
) -> Result<(), WeightsError> {
    let failed = |reason: String| WeightsError::Write {
        path: path.into(),
        reason,
    };
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|tensor| to_bytes(&tensor.values, float_type))
        .collect();
    let dtype = match float_type {
        FloatType::F16 => Dtype::F16,
        FloatType::F32 => Dtype::F32,
    };
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|(tensor, data)| {
            TensorView::new(dtype, tensor.shape.clone(), data).map(|view| (tensor.name.clone(), view))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failed(error.to_string()))?;
    let metadata = (!metadata.is_empty()).then(|| metadata.clone().into_iter().collect());
    let file = safetensors::serialize(views, metadata).map_err(|error| failed(error.to_string()))?;
    files::write_whole(path, &file).map_err(|error| failed(error.to_string()))
}

fn to_bytes(values: &[f32], float_type: FloatType) -> Vec<u8> {
    match float_type {
        FloatType::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        FloatType::F16 => values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
    }
}
