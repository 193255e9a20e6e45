//! Keeping freed memory of a GPU in the process.

use std::ptr::{from_mut, null_mut};

use cudarc::driver::CudaDevice;
use cudarc::driver::sys::{CUmemPool_attribute, CUresult, cuDeviceGetDefaultMemPool, cuMemPoolSetAttribute};

/// Asks the driver to keep freed memory in its pool instead of handing it back to the system.
///
/// By default all that is free goes back whenever the program waits for the GPU, as it does after each score, and the
/// next score has to map it again (CUDA driver API, `CU_MEMPOOL_ATTR_RELEASE_THRESHOLD`). Cards without memory pools
/// are left as they are; calling it again changes nothing.
pub fn keep_freed_gpu_memory(device: &CudaDevice) {
    let mut pool = null_mut();
    let mut threshold = u64::MAX;
    // SAFETY: the device was opened, so that the driver is there and the number is one of its own. The driver writes a
    // handle into `pool`; where it did, the pool lives as long as the device, and the attribute is an u64, which is
    // read before the call returns.
    unsafe {
        if cuDeviceGetDefaultMemPool(&mut pool, *device.cu_device()) == CUresult::CUDA_SUCCESS {
            let attribute = CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
            cuMemPoolSetAttribute(pool, attribute, from_mut(&mut threshold).cast());
        }
    }
}
