//! One step of training, for one parameter.

use cudarc::driver::{DeviceRepr, DeviceSlice};

use crate::cuda::{Buffer, Kernels, Launched, check, index};

/// A step of Adam (Kingma and Ba 2015, algorithm 1), as its kernel takes it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct AdamStep {
    /// What the gradient is multiplied with first.
    pub scale: f32,
    /// How slowly the first moment forgets.
    pub beta1: f32,
    /// How slowly the second moment forgets.
    pub beta2: f32,
    /// Learning rate over `1 - beta1^t`.
    pub rate: f32,
    /// One over `1 - beta2^t`.
    pub correction: f32,
    /// What keeps the quotient finite.
    pub epsilon: f32,
    /// Decay of the weights that adds to the gradient.
    pub coupled: f32,
    /// Decay of the weights beside it, times the learning rate (Loshchilov and Hutter 2019).
    pub decoupled: f32,
}

// SAFETY: as in C, fields and order are those of the struct that the kernel declares.
unsafe impl DeviceRepr for AdamStep {}

impl Kernels {
    /// Changes the `values` of a parameter and its two moments.
    ///
    /// # Errors
    ///
    /// What the device reports.
    pub fn adam(
        &self,
        step: AdamStep,
        gradient: &Buffer,
        first: &mut Buffer,
        second: &mut Buffer,
        values: &mut Buffer,
    ) -> Launched {
        let count = values.len();
        check("the gradient", count, gradient);
        check("the first moment", count, first);
        check("the second moment", count, second);
        // SAFETY: adam(step, gradient, first, second, values, count), one thread for each number.
        unsafe { self.for_each("adam", count, (step, gradient, first, second, values, index(count))) }
    }

    /// `average = decay average + (1 - decay) values`.
    ///
    /// # Errors
    ///
    /// What the device reports.
    pub fn move_average(&self, values: &Buffer, average: &mut Buffer, decay: f32) -> Launched {
        let count = values.len();
        check("the average", count, average);
        // SAFETY: move_average(values, average, decay, count), one thread for each number.
        unsafe { self.for_each("move_average", count, (values, average, decay, index(count))) }
    }
}
