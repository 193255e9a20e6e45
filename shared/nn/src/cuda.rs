//! NVIDIA GPUs: what a network needs of dfdx's `Cuda`, and opening one without a panic.

use std::sync::Arc;

use cudarc::driver::sys::{CUdevice_attribute_enum as Attribute, CUresult};
use cudarc::driver::{CudaDevice, DriverError, result};
use dfdx::shapes::Shape;
use dfdx::tensor::{CpuError, Cuda, CudaError, Gradients, Storage, Tensor, Trace, ZerosTensor};
use dfdx::tensor_ops::Backward;
use kernels::cuda::PARTS;
use kernels::gpu_memory::keep_freed_gpu_memory;
use kernels::memory::keep_freed_memory;

use crate::backend::{Backend, Gradient, Tensor4};
use crate::device::DeviceError;
use crate::device_ext::DeviceExt;
use crate::device_thread::{NO_MEMORY_LEFT, quietly};
use crate::gpu::{Gpu, kernels_on};
use crate::layers::Conv2d;

/// What a GPU must have free to be taken: the weights of the network four times over (training keeps the moments of
/// Adam and an average) and the feature maps of a few images.
const NEEDED_BYTES: usize = 256 << 20;

/// A flat parameter on a GPU.
type Flat = Tensor<(usize,), f32, Cuda>;

impl DeviceExt for Cuda {
    const IS_GPU: bool = true;

    fn gradient_to_vec(gradient: &Gradient<Cuda>) -> Result<Vec<f32>, CudaError> {
        Ok(gradient.device().dtoh_sync_copy(&**gradient)?)
    }

    fn write_gradient(gradient: &mut Gradient<Cuda>, values: &[f32]) -> Result<(), CudaError> {
        // cudarc panics where the lengths differ.
        if cudarc::driver::DeviceSlice::len(&**gradient) != values.len() {
            return Err(CpuError::WrongNumElements.into());
        }
        Ok(gradient.device().htod_sync_copy_into(values, &mut **gradient)?)
    }

    fn squared_norm(gradients: &mut Gradients<f32, Cuda>, parameters: &[&Flat]) -> Result<f64, CudaError> {
        let Some(&first) = parameters.first() else {
            return Ok(0.0);
        };
        let device = gradients.get_or_alloc_mut(first)?.device();
        let mut sums = device.alloc_zeros(parameters.len() * PARTS)?;
        for (place, &parameter) in parameters.iter().enumerate() {
            let gradient = gradients.get_or_alloc_mut(parameter)?;
            kernels_on(&device, |kernels| kernels.sum_of_squares(gradient, &mut sums, place))?;
        }
        // What comes to the host, in one copy, is a few numbers of each gradient.
        Ok(device.dtoh_sync_copy(&sums)?.into_iter().map(f64::from).sum())
    }

    fn scale_gradient(
        gradients: &mut Gradients<f32, Cuda>,
        parameter: &mut Flat,
        factor: f32,
    ) -> Result<(), CudaError> {
        let gradient = gradients.get_or_alloc_mut(parameter)?;
        let device = gradient.device();
        Ok(kernels_on(&device, |kernels| kernels.scale(gradient, factor))?)
    }

    // Its addresses are not ours to look at.
    fn repeats_elements<S: Shape, T>(_: &Tensor<S, f32, Cuda, T>) -> bool {
        false
    }

    fn describe(&self) -> String {
        match identity(self) {
            Ok((index, [major, minor])) => format!("GPU cuda:{index} (NVIDIA, compute capability {major}.{minor})"),
            Err(_) => "a GPU".into(),
        }
    }

    fn explain(error: &CudaError) -> String {
        match error {
            CudaError::Driver(DriverError(CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => NO_MEMORY_LEFT.into(),
            // Not the error's own words: where the driver does not know the code, asking for them panics.
            CudaError::Driver(DriverError(code)) => format!("the NVIDIA driver reports {code:?}"),
            CudaError::Blas(error) => format!("cuBLAS reports {:?}", error.0),
            CudaError::Cpu(error) => error.to_string(),
        }
    }
}

impl Gpu {
    /// Opens GPU number `index`, and tries it out: what is wrong with it shows here, as an error, and not hours later.
    ///
    /// # Errors
    ///
    /// No driver, no such GPU, one that this program's kernels do not run on, too little memory, a toolkit that is
    /// gone.
    pub fn open(index: usize) -> Result<Self, DeviceError> {
        find(index)?;
        // Images come and go through the host's memory.
        keep_freed_memory();
        let tried = without_panic(|| {
            let device = Cuda::try_build(index, 0)?;
            keep_freed_gpu_memory(&*driver_device(&device)?);
            let gpu = Gpu::on(device)?;
            try_out(&gpu)?;
            Ok(gpu)
        });
        tried.map_err(|reason| DeviceError::Unusable(format!("GPU cuda:{index} cannot be used: {reason}")))
    }
}

/// The number and the compute capability of a GPU.
fn identity(gpu: &Cuda) -> Result<(usize, [i32; 2]), CudaError> {
    let device = driver_device(gpu)?;
    let major = device.attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = device.attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    Ok((device.ordinal(), [major, minor]))
}

/// The device as cudarc knows it, by way of some memory: dfdx does not lend it.
fn driver_device(gpu: &Cuda) -> Result<Arc<CudaDevice>, CudaError> {
    Ok(Storage::<f32>::try_alloc_len(gpu, 1)?.device())
}

/// Makes sure that there is a driver and a GPU of that number: asking dfdx for one that is not there panics.
fn find(index: usize) -> Result<(), DeviceError> {
    let unusable = |DriverError(code): DriverError| {
        DeviceError::Unusable(format!(
            "no NVIDIA GPU answers ({code:?}): `nvidia-smi` should list one; install NVIDIA's driver, or use \
             --device cpu"
        ))
    };
    let count = result::init()
        .and_then(|()| result::device::get_count())
        .map_err(unusable)?;
    if usize::try_from(count).is_ok_and(|count| index < count) {
        return Ok(());
    }
    Err(DeviceError::Unusable(format!(
        "there is no GPU cuda:{index}: the driver knows {count}, numbered from 0; see `nvidia-smi`, and the \
         environment variable CUDA_VISIBLE_DEVICES, which hides some"
    )))
}

/// Takes memory, and runs a convolution forwards and backwards: that loads kernels that were compiled with the program,
/// compiles others, and multiplies matrices.
fn try_out(gpu: &Gpu) -> Result<(), CudaError> {
    drop(Storage::<f32>::try_alloc_len(
        gpu.device(),
        NEEDED_BYTES / size_of::<f32>(),
    )?);
    let layer = Conv2d::zeros(gpu, 4, 1, 3);
    let image: Tensor4<Gpu> = gpu.device().try_zeros_like(&(2, 1, 4, 4))?;
    let pixels = Gpu::pixel_unshuffle(image.leaky_trace(), 2)?;
    let y = Gpu::images(layer.forward(Gpu::features(pixels)?)?)?;
    let ones: Tensor<_, f32, Cuda> = gpu.device().try_zeros_like(&(2, 1, 2, 2))?;
    let mut gradients = Gpu::inner_product(y, &ones)?.try_backward()?;
    Cuda::gradient_to_vec(gradients.get_or_alloc_mut(&image)?).map(drop)
}

/// Runs `open`; an error and a panic both become words. dfdx panics where the kernels that it compiles at run time do
/// not compile.
fn without_panic<R>(open: impl FnOnce() -> Result<R, CudaError>) -> Result<R, String> {
    match quietly(open) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(CudaError::Driver(DriverError(code)))) if is_for_other_cards(code) => Err(format!(
            "this program's kernels are not for this card or driver ({code:?}): build it again with the environment \
             variable CUDA_COMPUTE_CAP set to what `nvidia-smi --query-gpu=compute_cap --format=csv` says, without the \
             dot, and with a CUDA toolkit that is not newer than the driver"
        )),
        // The first thing that dfdx does is to allocate nothing, zero bytes, from a memory pool.
        Ok(Err(CudaError::Driver(DriverError(CUresult::CUDA_ERROR_INVALID_VALUE)))) => Err(
            "the driver reports CUDA_ERROR_INVALID_VALUE, as it does for cards that have no memory pools: dfdx 0.13 \
             does not run on those; use --device cpu"
                .into(),
        ),
        Ok(Err(error)) => Err(Cuda::explain(&error)),
        Err(_) => Err(
            "some kernels are compiled when the program starts, and that failed: the CUDA toolkit that it was \
             built with must still be where it was, with its headers and the library NVRTC"
                .into(),
        ),
    }
}

/// Whether the driver refused the kernels' code, rather than anything that we did.
fn is_for_other_cards(code: CUresult) -> bool {
    matches!(
        code,
        CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU
            | CUresult::CUDA_ERROR_INVALID_PTX
            | CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION
            | CUresult::CUDA_ERROR_INVALID_IMAGE
    )
}
