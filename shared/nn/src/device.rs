//! Which device to compute on: what a user may say, and opening it.

use std::fmt;
use std::str::FromStr;

use dfdx::tensor::Cpu;

use crate::device_ext::DeviceExt;

/// What a user asks for with `--device`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A GPU if one can be used, else the CPU.
    Auto,
    /// The CPU, on our own kernels.
    #[default]
    Cpu,
    /// The NVIDIA GPU of this number, from 0.
    Cuda(usize),
}

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The name means nothing.
    #[error("`{0}` is no device: expected `cpu`, `cuda` (the first GPU), `cuda:N` (GPU number N, from 0) or `auto`")]
    Unknown(String),
    /// A GPU was asked for, but the program cannot use any.
    #[error("this program was built without GPU support: build it with `--features cuda`, or use --device cpu")]
    NotBuilt,
    /// There is no such GPU, or it cannot be used; the text says why and what to do.
    #[error("{0}")]
    Unusable(String),
    /// It failed in the middle of its work; the text says why and what to do.
    #[error("{0}")]
    Failed(String),
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Unknown(text.into());
        match text.split_once(':') {
            None if text == "auto" => Ok(Self::Auto),
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            // `+1` is a number to Rust, but nothing that anybody means.
            Some(("cuda", n)) if n.bytes().all(|b| b.is_ascii_digit()) => {
                n.parse().map(Self::Cuda).map_err(|_| unknown())
            }
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

/// A device that was found and opened: a backend of one of the two kinds.
#[derive(Clone, Debug)]
pub enum Device {
    /// The CPU.
    Cpu(Cpu),
    /// An NVIDIA GPU, on a thread of its own.
    #[cfg(feature = "cuda")]
    Cuda(crate::OpenedGpu),
}

impl DeviceChoice {
    /// Opens the device. For [`DeviceChoice::Auto`], `say` is given a line on what was chosen and why.
    ///
    /// # Errors
    ///
    /// For [`DeviceChoice::Cuda`]: a program without GPU support, no driver, no such GPU, one that is too old, or full.
    pub fn open(self, say: impl FnOnce(&str)) -> Result<Device, DeviceError> {
        match self {
            Self::Cpu => Ok(Device::Cpu(Cpu::default())),
            Self::Cuda(index) => open_gpu(index),
            Self::Auto => {
                let (device, why) = match open_gpu(0) {
                    Ok(gpu) => (gpu, String::new()),
                    Err(reason) => (Device::Cpu(Cpu::default()), format!(", since {reason}")),
                };
                say(&format!("--device auto: {}{why}", device.describe()));
                Ok(device)
            }
        }
    }
}

#[cfg(feature = "cuda")]
fn open_gpu(index: usize) -> Result<Device, DeviceError> {
    crate::OpenedGpu::open(index).map(Device::Cuda)
}

#[cfg(not(feature = "cuda"))]
fn open_gpu(_: usize) -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt)
}

impl Device {
    /// The device in words, as they follow "on": `the CPU (avx2 kernels)`.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Cpu(cpu) => cpu.describe(),
            #[cfg(feature = "cuda")]
            Self::Cuda(gpu) => gpu.describe().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_and_written() {
        for (text, choice) in [
            ("cpu", DeviceChoice::Cpu),
            ("auto", DeviceChoice::Auto),
            ("cuda:3", DeviceChoice::Cuda(3)),
        ] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap(), choice);
            assert_eq!(choice.to_string(), text);
        }
        assert_eq!("cuda".parse::<DeviceChoice>().unwrap(), DeviceChoice::Cuda(0));
    }

    #[test]
    fn other_names_are_refused_with_those_that_exist() {
        for text in [
            "gpu",
            "CUDA",
            "cuda:",
            "cuda:-1",
            "cuda:+1",
            "cuda:x",
            "cpu:0",
            "",
            "cuda:99999999999999999999",
        ] {
            let message = text.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(
                message.contains(&format!("`{text}`")) && message.contains("`cuda:N`"),
                "{message}"
            );
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_program_without_gpu_support_says_so() {
        let message = DeviceChoice::Cuda(0).open(|_| ()).unwrap_err().to_string();
        assert!(
            message.contains("--features cuda") && message.contains("--device cpu"),
            "{message}"
        );
        let mut said = String::new();
        let device = DeviceChoice::Auto.open(|line| said = line.into()).unwrap();
        assert!(matches!(device, Device::Cpu(_)));
        assert!(said.contains("the CPU") && said.contains("--features cuda"), "{said}");
    }
}
