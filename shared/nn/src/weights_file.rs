//! A weights file read straight into a network, tensor by tensor: there is never a second copy of all weights.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Metadata, TensorInfo};

use crate::backend::Backend;
use crate::parameter::Parameters;
use crate::weights::{WeightsError, floats};

/// Bytes before the table of tensors: its length.
const LENGTH: usize = size_of::<u64>();

/// A safetensors file whose table was read and found to fit the file.
struct Opened {
    path: PathBuf,
    file: BufReader<File>,
    tensors: BTreeMap<String, TensorInfo>,
    /// Where the numbers begin.
    start: u64,
}

impl Opened {
    fn open(path: &Path) -> Result<Self, WeightsError> {
        let cannot = |source| WeightsError::Read {
            path: path.into(),
            source,
        };
        let broken = |reason: String| WeightsError::Format {
            path: path.into(),
            reason,
        };
        let file = File::open(path).map_err(cannot)?;
        let file_len = file.metadata().map_err(cannot)?.len();
        let mut file = BufReader::new(file);
        let mut length = [0; LENGTH];
        file.read_exact(&mut length)
            .map_err(|error| broken(error.to_string()))?;
        let table_len = u64::from_le_bytes(length);
        if table_len > file_len {
            return Err(broken(format!(
                "its table is said to have {table_len} bytes, the file has {file_len}"
            )));
        }
        let mut head = Vec::new();
        (&mut file).take(table_len).read_to_end(&mut head).map_err(cannot)?;
        let table: Metadata = serde_json::from_slice(&head).map_err(|error| broken(error.to_string()))?;
        let start = LENGTH as u64 + table_len;
        let end = start + table.data_len() as u64;
        if end != file_len {
            return Err(broken(format!(
                "its tensors end at byte {end}, the file has {file_len}"
            )));
        }
        let tensors = table.tensors().into_iter().map(|(name, info)| (name, info.clone()));
        Ok(Self {
            path: path.into(),
            file,
            tensors: tensors.collect(),
            start,
        })
    }

    /// The values of one tensor.
    fn read(&mut self, name: &str, info: &TensorInfo) -> Result<Vec<f32>, WeightsError> {
        let (from, to) = info.data_offsets;
        let mut bytes = vec![0; to - from];
        let at = SeekFrom::Start(self.start + from as u64);
        let read = self.file.seek(at).and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(|source| WeightsError::Read {
            path: self.path.clone(),
            source,
        })?;
        floats(name, info.dtype, &bytes)
    }
}

/// Reads a safetensors file into the network's parameters by name; f16 is widened to f32. Nothing is changed unless all
/// names and shapes fit.
///
/// # Errors
///
/// An unreadable or damaged file; a tensor that is missing, unknown to the network, of another shape or number type;
/// numbers that are not finite. After the last two the network is half read.
pub fn read_weights_into<B: Backend>(path: &Path, network: &mut dyn Parameters<B>) -> Result<(), WeightsError> {
    let mut file = Opened::open(path)?;
    let mut infos = Vec::new();
    {
        let mut by_name: BTreeMap<&str, &TensorInfo> = file.tensors.iter().map(|(n, i)| (n.as_str(), i)).collect();
        let (mut missing, mut wrong_shape) = (Vec::new(), None);
        network.visit("", &mut |name, parameter| match by_name.remove(name.as_str()) {
            None => missing.push(name),
            Some(info) if info.shape != parameter.shape() => {
                wrong_shape.get_or_insert(WeightsError::Shape {
                    name,
                    expected: parameter.shape().to_vec(),
                    found: info.shape.clone(),
                });
            }
            Some(info) => infos.push((name, info.clone())),
        });
        let unexpected = by_name.into_keys().map(String::from).collect();
        WeightsError::of_names(missing, unexpected, wrong_shape)?;
    }
    let mut infos = infos.into_iter();
    let mut outcome = Ok(());
    network.visit_mut("", &mut |_, parameter| {
        if let (Ok(()), Some((name, info))) = (&outcome, infos.next()) {
            outcome = file
                .read(&name, &info)
                .map(|values| parameter.value_mut().copy_from(&values));
        }
    });
    outcome
}
