//! Every kernel against a plain loop in f64, or against the kernel for the CPU that does the same, on sizes that fit
//! nothing: on the stand-in for CUDA, or on a GPU.

mod conv;
mod layers;
mod maps;
mod norm;
mod sums;

use cudarc::driver::CudaDevice;
use rand::rngs::StdRng;

use crate::cuda::{Buffer, FILES, Kernels};
use crate::testing::{relative_error, rng, to_f64, values};

/// Largest error relative to the largest value: sums of some hundred products in f32. Measured: at most 6e-7.
const TOLERANCE: f64 = 4e-6;

/// The kernels, and a source of random numbers.
pub struct Bench {
    pub kernels: Kernels,
    rng: StdRng,
}

/// Numbers on the host and on the device.
pub struct Both {
    pub host: Vec<f64>,
    pub device: Buffer,
}

impl Bench {
    /// None where there is no GPU; the stand-in always is.
    pub fn open(seed: u64) -> Option<Self> {
        if !cfg!(feature = "cuda-stand-in") && CudaDevice::count().is_err() {
            return None;
        }
        let device = CudaDevice::new(0).expect("a device");
        let kernels = Kernels::load(device).expect("the kernels");
        Some(Self {
            kernels,
            rng: rng(seed),
        })
    }

    pub fn random(&mut self, len: usize) -> Both {
        let values = values(&mut self.rng, len);
        Both {
            host: to_f64(&values),
            device: self.upload(&values),
        }
    }

    pub fn upload(&self, values: &[f32]) -> Buffer {
        self.kernels.device().htod_sync_copy(values).expect("a copy")
    }

    pub fn read(&self, buffer: &Buffer) -> Vec<f32> {
        self.kernels.device().dtoh_sync_copy(buffer).expect("a copy")
    }

    #[track_caller]
    pub fn check(&self, what: &str, got: &Buffer, expected: &[f64]) {
        let error = relative_error(&self.read(got), expected);
        println!("{what}: {error:.1e}");
        assert!(error < TOLERANCE, "{what} is off by {error:e} of its largest value");
    }

    pub fn zeros(&self, len: usize) -> Buffer {
        self.upload(&vec![0.0; len])
    }
}

pub fn f32s(both: &Both) -> Vec<f32> {
    both.host.iter().map(|&value| value as f32).collect()
}

/// The driver looks for a kernel in the file that is said to have it; the stand-in has all of them in one place.
#[test]
fn cuda_kernels_are_listed_with_the_files_that_declare_them() {
    for (file, _, names) in FILES {
        let path = format!("{}/cuda/{file}.cu", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).expect("a source");
        let declared = text.lines().filter(|line| line.starts_with("KERNEL "));
        // `KERNEL name(` or `KERNEL __launch_bounds__(128, 4) name(`.
        let declared: Vec<&str> = declared
            .filter_map(|line| {
                line.split('(')
                    .map(|part| part.rsplit(' ').next())
                    .find(|name| *name != Some("__launch_bounds__"))?
            })
            .collect();
        assert_eq!(declared.len(), names.len(), "{file}: {declared:?}");
        assert!(names.iter().all(|name| declared.contains(name)), "{file}: {declared:?}");
    }
}
