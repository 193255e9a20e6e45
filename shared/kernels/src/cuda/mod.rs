//! The kernels for NVIDIA GPUs, and their launches.
//!
//! The sources lie in `cuda/` beside `src/`: one file for each idea, and a `.cuh` for what several share. `build.rs`
//! compiles them to PTX with nvcc; the stand-in for CUDA (`shared/cuda_stand_in`) compiles the same text for the CPU.
//!
//! Maps are `[batch][channels][height][width]` here. All work goes to the one stream of the device, in the order of the
//! calls, and no call waits for it. Memory is freed in that stream as well, so that a buffer may be dropped as soon as
//! the last call that reads it has returned.
//!
//! **The same bits twice:** there are no atomic operations on floating-point numbers. Where several blocks share a sum,
//! each writes its part, and the parts are added in a fixed order. How the work is cut up is a function of the sizes
//! alone.

mod attention;
mod conv;
mod linear;
mod maps;
mod norm;
mod optimiser;
mod sums;
mod tiling;
mod weight_gradient;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use cudarc::driver::{
    CudaDevice, CudaFunction, CudaSlice, DevicePtr, DeviceRepr, DeviceSlice, DriverError, LaunchAsync, LaunchConfig,
};
use cudarc::nvrtc::Ptx;

pub use conv::Turn;
pub use linear::LinearShape;
pub use norm::{Normalised, Statistics};
pub use optimiser::AdamStep;
pub use sums::PARTS;

use crate::check_len;
use crate::norm::Activation;

/// Memory of a GPU that holds numbers.
pub type Buffer = CudaSlice<f32>;

/// What a launch reports.
pub type Launched<T = ()> = Result<T, DriverError>;

/// A file of kernels: its name, its PTX, and the kernels in it.
type File = (&'static str, &'static str, &'static [&'static str]);

macro_rules! files {
    ($($file:literal: [$($kernel:literal),+ $(,)?],)+) => {
        [$(($file, include_str!(concat!(env!("OUT_DIR"), "/", $file, ".ptx")), &[$($kernel),+])),+]
    };
}

const FILES: [File; 8] = files![
    "attention": ["attend", "attend_query_gradient", "attend_key_gradient"],
    "conv": [
        "conv3_large", "conv3_small", "conv3_stride2", "conv1_large", "conv1_small",
        "pack_weights", "pack_turned_weights",
    ],
    "linear": ["linear", "linear_input_gradient", "linear_weight_gradient", "silu_forward", "silu_backward"],
    "maps": [
        "add_maps", "join_channels", "take_channels", "repeat_pixels", "sum_blocks", "half_turn", "shift_channels",
        "pixel_unshuffle", "pixel_shuffle", "blend", "add_scaled",
    ],
    "norm": [
        "norm_affine", "norm_apply", "norm_sums", "norm_input_gradient", "norm_parameter_gradient",
        "modulation_gradient",
    ],
    "optimiser": ["adam", "move_average"],
    "sums": [
        "sum_pixels", "dot_product", "weighted_squares", "sum_up", "add_product", "add_weighted_differences",
        "sum_of_squares", "scale",
    ],
    "weight_gradient": [
        "weight_gradient3", "weight_gradient3_stride2", "weight_gradient1", "add_splits", "bias_gradient",
    ],
];

/// The kernels, loaded onto one GPU.
#[derive(Debug)]
pub struct Kernels {
    device: Arc<CudaDevice>,
    functions: HashMap<&'static str, CudaFunction>,
    /// How many blocks have arrived at each tile that several share; between two launches all zero.
    arrived: CudaSlice<u32>,
}

impl Kernels {
    /// Loads all kernels.
    ///
    /// # Errors
    ///
    /// What the driver reports, such as PTX that is not for this card.
    pub fn load(device: Arc<CudaDevice>) -> Launched<Self> {
        let mut functions = HashMap::new();
        for (file, ptx, names) in FILES {
            device.load_ptx(Ptx::from_src(ptx), file, names)?;
            let loaded = names
                .iter()
                .filter_map(|name| Some((*name, device.get_func(file, name)?)));
            functions.extend(loaded);
        }
        let arrived = device.alloc_zeros(tiling::MOST_SHARED_TILES)?;
        Ok(Self {
            device,
            functions,
            arrived,
        })
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> &Arc<CudaDevice> {
        &self.device
    }

    /// Memory for `len` numbers, holding whatever was there before.
    ///
    /// # Errors
    ///
    /// Lack of memory.
    pub fn take(&self, len: usize) -> Launched<Buffer> {
        // SAFETY: the driver gives so many bytes, and every pattern of bits is an `f32`: what is read before it is
        // written is a wrong number and no more.
        unsafe { self.device.alloc(len) }
    }

    /// Launches a kernel.
    ///
    /// # Safety
    ///
    /// `parameters` must be those that the kernel declares, in number, order and type; and with them and that many
    /// blocks and threads it must stay inside the buffers whose addresses they hold. These must not be freed before
    /// this returns.
    unsafe fn launch<P>(&self, kernel: &'static str, grid: [usize; 3], threads: usize, parameters: P) -> Launched
    where
        CudaFunction: LaunchAsync<P>,
    {
        let [x, y, z] = grid.map(small);
        let config = LaunchConfig {
            grid_dim: (x, y, z),
            block_dim: (small(threads), 1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: the caller's promise is all that this asks for.
        unsafe { self.functions[kernel].clone().launch(config, parameters) }
    }

    /// Launches a kernel with one thread for each of `count` values.
    ///
    /// # Safety
    ///
    /// As for [`Kernels::launch`]; threads beyond `count` must do nothing.
    unsafe fn for_each<P>(&self, kernel: &'static str, count: usize, parameters: P) -> Launched
    where
        CudaFunction: LaunchAsync<P>,
    {
        const THREADS: usize = 256;
        if count == 0 {
            return Ok(());
        }
        // SAFETY: the caller's promise; there are `count` threads or more.
        unsafe { self.launch(kernel, [count.div_ceil(THREADS), 1, 1], THREADS, parameters) }
    }
}

/// A size as the kernels count.
///
/// # Panics
///
/// If they cannot count so far.
fn small<N: TryFrom<usize>>(size: usize) -> N {
    N::try_from(size).unwrap_or_else(|_| panic!("{size} is more than the kernels for GPUs can count"))
}

/// A number of values, as the kernels count them.
fn index(len: usize) -> u32 {
    small(len)
}

/// An address on the GPU, 0 where there is none.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Address(u64);

// SAFETY: it is a number of 64 bits, as a pointer is there.
unsafe impl DeviceRepr for Address {}

impl Address {
    fn of<T>(buffer: &CudaSlice<T>) -> Self {
        Self(*buffer.device_ptr())
    }

    /// That of the number so many places further on.
    fn plus(self, numbers: usize) -> Self {
        Self(self.0 + (numbers * size_of::<f32>()) as u64)
    }

    fn of_any<T>(buffer: Option<&CudaSlice<T>>) -> Self {
        buffer.map_or(Self(0), Self::of)
    }
}

/// Threads for a block that goes over `count` values.
fn threads_for(count: usize) -> usize {
    count.div_ceil(4).next_multiple_of(32).clamp(32, 1024)
}

/// Whether an activation is SiLU, for a kernel.
fn is_silu(activation: Activation) -> i32 {
    (activation == Activation::Silu).into()
}

/// Panics with both lengths where a buffer does not have the one that the sizes ask for.
#[track_caller]
fn check<T>(what: &str, expected: usize, buffer: &CudaSlice<T>) {
    check_len(what, expected, buffer.len());
}

/// The same for a buffer that need not be there.
#[track_caller]
fn check_any(what: &str, expected: usize, buffer: Option<&Buffer>) {
    if let Some(buffer) = buffer {
        check(what, expected, buffer);
    }
}
