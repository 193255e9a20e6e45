//! Parameters: named tensors that training changes and files hold.

use dfdx::tensor::TensorFromVec;

use crate::backend::{Backend, Tensor1};

/// A learned tensor. It is stored flat on the device, in PyTorch's row-major order; `shape` is its logical shape.
#[derive(Debug)]
pub struct Parameter<B: Backend> {
    value: Tensor1<B>,
    shape: Vec<usize>,
    trainable: bool,
    version: u64,
    // Only a GPU keeps something.
    #[cfg_attr(not(feature = "cuda"), expect(dead_code))]
    pub(crate) cache: B::ParameterCache,
}

impl<B: Backend> Parameter<B> {
    /// A trainable parameter of `shape` holding `values` (row-major).
    ///
    /// # Panics
    ///
    /// If the number of values is not the product of `shape`.
    pub fn new(backend: &B, shape: &[usize], values: Vec<f32>) -> Self {
        let len = shape.iter().product::<usize>();
        assert_eq!(
            values.len(),
            len,
            "a parameter of shape {shape:?} has {len} values, got {}",
            values.len()
        );
        Self {
            value: backend.device().tensor_from_vec(values, (len,)),
            shape: shape.to_vec(),
            trainable: true,
            version: 0,
            cache: B::ParameterCache::default(),
        }
    }

    /// A trainable parameter of `shape` filled with one value.
    pub fn filled(backend: &B, shape: &[usize], value: f32) -> Self {
        Self::new(backend, shape, vec![value; shape.iter().product()])
    }

    /// The logical shape, as in the weights file.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it holds no value at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The flat tensor on the device, by which the parameter is known in tables of gradients. It holds the values, but
    /// on a backend that trains them in memory of its own: [`Parameter::to_vec`] reads them everywhere.
    pub fn value(&self) -> &Tensor1<B> {
        &self.value
    }

    /// The flat tensor, to be changed: whatever was derived from the old values will be made anew.
    pub(crate) fn value_mut(&mut self) -> &mut Tensor1<B> {
        self.version += 1;
        &mut self.value
    }

    /// Overwrites the values, row-major.
    ///
    /// # Panics
    ///
    /// If there are not as many as the parameter has.
    pub fn set(&mut self, values: &[f32]) {
        self.value_mut().copy_from(values);
    }

    /// The values on the host, row-major.
    pub fn to_vec(&self) -> Vec<f32> {
        B::parameter_to_vec(self)
    }

    /// Whether backward passes compute its gradient.
    pub fn is_trainable(&self) -> bool {
        self.trainable
    }

    /// Stops backward passes from computing its gradient.
    pub fn freeze(&mut self) {
        self.trainable = false;
    }

    /// What the backend keeps of it, to be changed together with the version, which counts one change more.
    #[cfg(feature = "cuda")]
    pub(crate) fn changed_in_cache(&mut self) -> (&mut B::ParameterCache, u64) {
        self.version += 1;
        (&mut self.cache, self.version)
    }

    /// Counts the changes of the values since the parameter was made.
    pub fn version(&self) -> u64 {
        self.version
    }
}

/// The parameters of a layer or a network, in a fixed order, under PyTorch's names (`down.0.conv1.weight`).
pub trait Parameters<B: Backend> {
    /// Calls `visit` with the name and the parameter, for each; `prefix` is put in front of the names.
    fn visit<'a>(&'a self, prefix: &str, visit: &mut dyn FnMut(String, &'a Parameter<B>));

    /// The same, to change them.
    fn visit_mut<'a>(&'a mut self, prefix: &str, visit: &mut dyn FnMut(String, &'a mut Parameter<B>));

    /// The number of learned values.
    fn count(&self) -> usize {
        let mut count = 0;
        self.visit("", &mut |_, parameter| count += parameter.len());
        count
    }

    /// Freezes every parameter: from here on only the gradient with respect to the input is computed.
    fn freeze(&mut self) {
        self.visit_mut("", &mut |_, parameter| parameter.freeze());
    }
}

impl<B: Backend> Parameters<B> for Parameter<B> {
    fn visit<'a>(&'a self, prefix: &str, visit: &mut dyn FnMut(String, &'a Parameter<B>)) {
        visit(prefix.to_string(), self);
    }
    fn visit_mut<'a>(&'a mut self, prefix: &str, visit: &mut dyn FnMut(String, &'a mut Parameter<B>)) {
        visit(prefix.to_string(), self);
    }
}

impl<B: Backend, P: Parameters<B>> Parameters<B> for Vec<P> {
    fn visit<'a>(&'a self, prefix: &str, visit: &mut dyn FnMut(String, &'a Parameter<B>)) {
        for (index, item) in self.iter().enumerate() {
            item.visit(&join(prefix, &index.to_string()), visit);
        }
    }
    fn visit_mut<'a>(&'a mut self, prefix: &str, visit: &mut dyn FnMut(String, &'a mut Parameter<B>)) {
        for (index, item) in self.iter_mut().enumerate() {
            item.visit_mut(&join(prefix, &index.to_string()), visit);
        }
    }
}

impl<B: Backend, P: Parameters<B>> Parameters<B> for Option<P> {
    fn visit<'a>(&'a self, prefix: &str, visit: &mut dyn FnMut(String, &'a Parameter<B>)) {
        if let Some(item) = self {
            item.visit(prefix, visit);
        }
    }
    fn visit_mut<'a>(&'a mut self, prefix: &str, visit: &mut dyn FnMut(String, &'a mut Parameter<B>)) {
        if let Some(item) = self {
            item.visit_mut(prefix, visit);
        }
    }
}

/// `prefix.name`, or `name` alone where there is no prefix.
#[doc(hidden)]
#[must_use]
pub fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_string()
    } else {
        format!("{prefix}.{name}")
    }
}

/// Implements [`Parameters`](crate::Parameters) for a struct generic over its backend, field by field:
/// `parameters!(Conv2d: weight, bias);`
#[macro_export]
macro_rules! parameters {
    ($layer:ident: $($field:ident),+) => {
        impl<B: $crate::Backend> $crate::Parameters<B> for $layer<B> {
            fn visit<'a>(&'a self, prefix: &str, visit: &mut dyn FnMut(String, &'a $crate::Parameter<B>)) {
                $(self.$field.visit(&$crate::join(prefix, stringify!($field)), visit);)+
            }
            fn visit_mut<'a>(&'a mut self, prefix: &str, visit: &mut dyn FnMut(String, &'a mut $crate::Parameter<B>)) {
                $(self.$field.visit_mut(&$crate::join(prefix, stringify!($field)), visit);)+
            }
        }
    };
}
