//! Where the kernels read the values of a parameter, and where training changes them.
//!
//! A parameter's tensor of dfdx's is copied to memory of ours when it is first read. Training changes the copy and
//! leaves the tensor behind: it knows the parameter's gradient and nothing more.

use std::cell::RefCell;
use std::sync::Arc;

use dfdx::tensor::CudaError;
use kernels::cuda::Buffer;

use crate::gpu::Gpu;
use crate::gpu::context::Context;
use crate::parameter::Parameter;

/// The values of a parameter in our memory, if they were ever read.
#[derive(Debug, Default)]
pub struct Values(RefCell<Option<Held>>);

#[derive(Clone, Debug)]
struct Held {
    /// That of the parameter whose values these are.
    version: u64,
    values: Arc<Buffer>,
}

impl Parameter<Gpu> {
    /// The values, if they are here.
    pub(super) fn held(&self) -> Option<Arc<Buffer>> {
        let held = self.cache.0.borrow();
        let is_new = |held: &&Held| held.version == self.version();
        held.as_ref().filter(is_new).map(|held| held.values.clone())
    }

    /// The values. They stay, for the next time.
    pub(super) fn values(&self, context: &Context) -> Result<Arc<Buffer>, CudaError> {
        if let Some(values) = self.held() {
            return Ok(values);
        }
        let values = Arc::new(context.copy(&mut self.value().clone())?);
        self.cache.0.replace(Some(Held {
            version: self.version(),
            values: values.clone(),
        }));
        Ok(values)
    }

    /// The values, for somebody who makes something of them and keeps that: sampling needs no second copy.
    pub(super) fn values_once(&self, context: &Context) -> Result<Arc<Buffer>, CudaError> {
        match self.held() {
            Some(values) => Ok(values),
            None => context.copy(&mut self.value().clone()).map(Arc::new),
        }
    }

    /// Changes the values. Whoever still holds the old ones, as a backward pass that is to come, keeps them.
    pub(super) fn change(
        &mut self,
        context: &Context,
        change: impl FnOnce(&mut Buffer) -> Result<(), CudaError>,
    ) -> Result<(), CudaError> {
        let values = self.values(context)?;
        self.cache.0.replace(None);
        let mut values = match Arc::try_unwrap(values) {
            Ok(values) => values,
            Err(shared) => shared.try_clone()?,
        };
        change(&mut values)?;
        let (cache, version) = self.changed_in_cache();
        cache.0.replace(Some(Held {
            version,
            values: Arc::new(values),
        }));
        Ok(())
    }
}

/// The values on the host.
///
/// # Panics
///
/// Where the device fails, as dfdx does then.
pub fn to_vec(parameter: &Parameter<Gpu>) -> Vec<f32> {
    match parameter.held() {
        Some(values) => values
            .device()
            .dtoh_sync_copy(&*values)
            .unwrap_or_else(|error| panic!("a parameter cannot be read: {error:?}")),
        None => {
            let mut values = vec![0.0; parameter.len()];
            parameter.value().copy_into(&mut values);
            values
        }
    }
}
