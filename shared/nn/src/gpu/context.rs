//! What the ops of one GPU share, and the way between dfdx's tensors and our memory.
//!
//! dfdx does not lend a tensor's memory, but two of its functions copy it on the device. One update by SGD with
//! momentum (`v = momentum v + g + decay p; p -= rate v`) copies a tensor `p` to a buffer `v` and leaves the tensor as
//! it is, where `g`, `momentum` and `rate` are zero and `decay` is one. And a table of gradients makes a new tensor of
//! a buffer that lies in it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::mem::replace;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use cudarc::driver::{CudaDevice, DeviceSlice};
use dfdx::optim::{Momentum, WeightDecay};
use dfdx::shapes::{HasShape, Rank0, Shape};
use dfdx::tensor::{Cuda, CudaError, Gradients, Storage, Tensor, ZerosTensor};
use dfdx::tensor_ops::SgdConfig;
use kernels::cuda::{Buffer, Kernels};

use crate::backend::{Gradient, Scalar, Tensor4};
use crate::gpu::Gpu;
use crate::gpu::map::Shape4;

/// The update that copies a tensor to the buffer in the place of the velocity.
const COPY: SgdConfig = SgdConfig {
    lr: 0.0,
    momentum: Some(Momentum::Classic(0.0)),
    weight_decay: Some(WeightDecay::L2(1.0)),
};

thread_local! {
    /// The contexts of this thread: a tensor of dfdx's knows its device, but no kernels of ours.
    static CONTEXTS: RefCell<Vec<Weak<Context>>> = const { RefCell::new(Vec::new()) };
}

/// What the ops of one GPU share.
#[derive(Debug)]
pub struct Context {
    pub device: Cuda,
    pub kernels: Kernels,
    /// Zeros, as many as were ever asked for.
    zeros: RefCell<Gradient<Cuda>>,
    shells: RefCell<Shells>,
}

/// Tensors of every shape that was made of a buffer. Their values do not matter: a table of gradients knows by them the
/// shape of the tensor that it is to make.
#[derive(Debug)]
struct Shells {
    table: Gradients<f32, Cuda>,
    images: HashMap<Shape4, Tensor4<Gpu>>,
    number: Scalar<Gpu>,
}

impl Context {
    /// Loads the kernels; from here on the ops of this thread find them.
    pub fn new(device: Cuda) -> Result<Rc<Self>, CudaError> {
        let zeros = Storage::<f32>::try_alloc_len(&device, 1)?;
        let kernels = Kernels::load(zeros.device())?;
        let number = device.try_zeros_like(&Rank0::default())?;
        let context = Rc::new(Self {
            device,
            kernels,
            zeros: RefCell::new(zeros),
            shells: RefCell::new(Shells {
                table: Gradients::leaky(),
                images: HashMap::new(),
                number,
            }),
        });
        CONTEXTS.with_borrow_mut(|contexts| {
            contexts.retain(|context| context.strong_count() > 0);
            contexts.push(Rc::downgrade(&context));
        });
        Ok(context)
    }

    /// That of a device.
    ///
    /// # Panics
    ///
    /// If it was not opened as a [`Gpu`] on this thread.
    pub fn of(device: &Arc<CudaDevice>) -> Rc<Self> {
        let is_it = |context: &Rc<Self>| Arc::ptr_eq(context.kernels.device(), device);
        CONTEXTS
            .with_borrow(|contexts| contexts.iter().filter_map(Weak::upgrade).find(is_it))
            .expect("a GPU is opened by `Gpu::open`, on the thread where it stays")
    }

    /// The values of a tensor, whose elements lie in memory as its shape says: none of this folder's tensors is
    /// permuted or broadcast.
    pub fn copy<S: Shape>(&self, x: &mut Tensor<S, f32, Cuda>) -> Result<Buffer, CudaError> {
        let mut values = Storage::<f32>::try_alloc_len(&self.device, x.shape().num_elements())?;
        self.copy_to(x, &mut values)?;
        self.take(&mut values)
    }

    fn copy_to<S: Shape>(&self, x: &mut Tensor<S, f32, Cuda>, values: &mut Gradient<Cuda>) -> Result<(), CudaError> {
        let mut zeros = self.zeros.borrow_mut();
        if zeros.len() < values.len() {
            *zeros = Storage::<f32>::try_alloc_len(&self.device, values.len())?;
        }
        COPY.try_update(x, values, &zeros)
    }

    /// The memory of a buffer of dfdx's that nobody reads again.
    pub fn take(&self, from: &mut Gradient<Cuda>) -> Result<Buffer, CudaError> {
        let placeholder = self.kernels.take(1)?;
        Ok(replace(&mut **from, placeholder))
    }

    /// A tensor that holds the values of a buffer.
    pub fn images(&self, shape: Shape4, values: Buffer) -> Result<Tensor4<Gpu>, CudaError> {
        let mut shells = self.shells.borrow_mut();
        let Shells { table, images, .. } = &mut *shells;
        let shell = match images.entry(shape) {
            Entry::Occupied(shell) => shell.into_mut(),
            Entry::Vacant(place) => place.insert(self.device.try_zeros_like(&shape)?),
        };
        **table.get_or_alloc_mut(shell)? = values;
        Ok(table.get(shell))
    }

    /// The same for one number.
    pub fn number(&self, value: Buffer) -> Result<Scalar<Gpu>, CudaError> {
        let mut shells = self.shells.borrow_mut();
        let Shells { table, number, .. } = &mut *shells;
        **table.get_or_alloc_mut(number)? = value;
        Ok(table.get(number))
    }

    /// Numbers of the host's.
    pub fn upload(&self, values: &[f32]) -> Result<Buffer, CudaError> {
        Ok(self.kernels.device().htod_copy(values.to_vec())?)
    }
}

/// The values of a tensor, as for [`Context::copy`], and the context of its device.
pub fn read<S: Shape>(x: &mut Tensor<S, f32, Cuda>) -> Result<(Rc<Context>, Buffer), CudaError> {
    let mut values = Storage::<f32>::try_alloc_len(x.device(), x.shape().num_elements())?;
    let context = Context::of(&values.device());
    context.copy_to(x, &mut values)?;
    let values = context.take(&mut values)?;
    Ok((context, values))
}

/// Does something with the kernels on a device.
///
/// # Panics
///
/// As [`Context::of`].
pub fn kernels_on<R>(device: &Arc<CudaDevice>, work: impl FnOnce(&Kernels) -> R) -> R {
    work(&Context::of(device).kernels)
}
