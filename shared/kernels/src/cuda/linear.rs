//! The fully connected layer, `x weight^T + bias`, and SiLU.

use cudarc::driver::DeviceSlice;

use crate::cuda::{Address, Buffer, Kernels, Launched, check, check_any, small};

/// The sizes of a fully connected layer.
#[derive(Clone, Copy, Debug)]
pub struct LinearShape {
    /// Vectors.
    pub batch: usize,
    /// Length of an input vector.
    pub inputs: usize,
    /// Length of an output vector.
    pub outputs: usize,
}

impl LinearShape {
    fn sizes(&self) -> [i32; 3] {
        [self.batch, self.inputs, self.outputs].map(small)
    }
}

impl Kernels {
    /// The output, `[batch, outputs]`, for `x` `[batch, inputs]`, weight `[outputs, inputs]` and bias `[outputs]`.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn linear(&self, shape: &LinearShape, x: &Buffer, weight: &Buffer, bias: &Buffer) -> Launched<Buffer> {
        check("the input", shape.batch * shape.inputs, x);
        check("the weight", shape.outputs * shape.inputs, weight);
        check("the bias", shape.outputs, bias);
        let len = shape.batch * shape.outputs;
        let mut y = self.take(len)?;
        let [batch, inputs, outputs] = shape.sizes();
        // SAFETY: linear(x, weight, bias, y, batch, inputs, outputs), one warp of 32 threads for each number of y.
        unsafe { self.for_each("linear", 32 * len, (x, weight, bias, &mut y, batch, inputs, outputs))? };
        Ok(y)
    }

    /// The gradient of the input; plus `add`, which has the same shape.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn linear_input_gradient(
        &self,
        shape: &LinearShape,
        dy: &Buffer,
        weight: &Buffer,
        add: Option<&Buffer>,
    ) -> Launched<Buffer> {
        let len = shape.batch * shape.inputs;
        check("the output's gradient", shape.batch * shape.outputs, dy);
        check("the weight", shape.outputs * shape.inputs, weight);
        check_any("what is added", len, add);
        let mut dx = self.take(len)?;
        let [batch, inputs, outputs] = shape.sizes();
        // SAFETY: linear_input_gradient(dy, weight, add, dx, batch, inputs, outputs), one thread for each number of dx.
        unsafe {
            let parameters = (dy, weight, Address::of_any(add), &mut dx, batch, inputs, outputs);
            self.for_each("linear_input_gradient", len, parameters)?;
        }
        Ok(dx)
    }

    /// Adds the gradient of the weight, `[outputs, inputs]`. That of the bias is [`Kernels::bias_gradient`].
    ///
    /// # Errors
    ///
    /// What the device reports.
    pub fn linear_weight_gradient(
        &self,
        shape: &LinearShape,
        x: &Buffer,
        dy: &Buffer,
        dweight: &mut Buffer,
    ) -> Launched {
        let len = shape.outputs * shape.inputs;
        check("the input", shape.batch * shape.inputs, x);
        check("the output's gradient", shape.batch * shape.outputs, dy);
        check("the gradient of the weight", len, dweight);
        let [batch, inputs, outputs] = shape.sizes();
        // SAFETY: linear_weight_gradient(x, dy, gradient, batch, inputs, outputs), one thread for each number of it.
        unsafe { self.for_each("linear_weight_gradient", len, (x, dy, dweight, batch, inputs, outputs)) }
    }

    /// `x sigmoid(x)`.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn silu(&self, x: &Buffer) -> Launched<Buffer> {
        let mut y = self.take(x.len())?;
        // SAFETY: silu_forward(x, y, count), one thread for each value.
        unsafe { self.for_each("silu_forward", x.len(), (x, &mut y, small::<i32>(x.len())))? };
        Ok(y)
    }

    /// Its gradient.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn silu_gradient(&self, x: &Buffer, dy: &Buffer) -> Launched<Buffer> {
        check("the output's gradient", x.len(), dy);
        let mut dx = self.take(x.len())?;
        // SAFETY: silu_backward(x, dy, dx, count), one thread for each value.
        unsafe { self.for_each("silu_backward", x.len(), (x, dy, &mut dx, small::<i32>(x.len())))? };
        Ok(dx)
    }
}
