//! Tensors out of files that somebody else made: those of `torch.save`, which are pickles and could ask Python to run
//! anything, and safetensors. Nothing of them is run here, what is cut off is refused, and numbers must be finite.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use nn::NamedTensor;
// The reader of the Burn project: it is maintained, reads the old and the new format of `torch.save` (vgg16's file is
// of 2017), and takes a pickle for a description of tensors only; it has no way to call what the pickle names.
use pytorch_reader::{DType, PytorchReader};
use sha2::Digest as _;

/// Reads the tensors of a `.pth` file of `torch.save` or of a safetensors file whose names are `wanted`.
///
/// # Errors
///
/// A file that is neither, or cut off; tensors of other numbers than floats; numbers that are not finite.
pub fn read_tensors(path: &Path, wanted: &dyn Fn(&str) -> bool) -> anyhow::Result<Vec<NamedTensor>> {
    if is_safetensors(path)? {
        let tensors = nn::read_weights(path)?;
        return Ok(tensors.into_iter().filter(|tensor| wanted(&tensor.name)).collect());
    }
    let not_whole = || {
        format!(
            "{} is not a whole file of torch.save or safetensors; was it downloaded or copied completely?",
            path.display()
        )
    };
    let reader = PytorchReader::new(path).with_context(not_whole)?;
    let mut tensors = Vec::new();
    for (name, tensor) in reader.tensors().iter().filter(|(name, _)| wanted(name)) {
        let bytes = tensor.read().with_context(not_whole)?;
        let values = to_floats(tensor.dtype(), &bytes).with_context(|| {
            format!(
                "tensor `{name}` of {} holds {:?} numbers, expected floats",
                path.display(),
                tensor.dtype()
            )
        })?;
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(nn::WeightsError::NotFinite {
                name: name.clone(),
                index,
            })
            .with_context(not_whole);
        }
        tensors.push(NamedTensor {
            name: name.clone(),
            shape: tensor.shape().to_vec(),
            values,
        });
    }
    Ok(tensors)
}

fn to_floats(dtype: DType, bytes: &[u8]) -> Option<Vec<f32>> {
    match dtype {
        DType::F32 => Some(
            bytes
                .as_chunks::<4>()
                .0
                .iter()
                .map(|b| f32::from_ne_bytes(*b))
                .collect(),
        ),
        DType::F64 => Some(
            bytes
                .as_chunks::<8>()
                .0
                .iter()
                .map(|b| f64::from_ne_bytes(*b) as f32)
                .collect(),
        ),
        DType::F16 => Some(
            bytes
                .as_chunks::<2>()
                .0
                .iter()
                .map(|b| half::f16::from_ne_bytes(*b).to_f32())
                .collect(),
        ),
        _ => None,
    }
}

/// A safetensors file begins with the length of a JSON object and its brace.
fn is_safetensors(path: &Path) -> anyhow::Result<bool> {
    let mut start = Vec::new();
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    file.take(9)
        .read_to_end(&mut start)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(start.len() == 9 && start[8] == b'{')
}

/// The SHA-256 of a file, 64 hexadecimal digits.
///
/// # Errors
///
/// If it cannot be read.
pub fn sha256(path: &Path) -> anyhow::Result<String> {
    let cannot = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(cannot)?;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).with_context(cannot)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
