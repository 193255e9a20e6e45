//! Adam over a list of parameters.

use dfdx::tensor::Gradients;
use dfdx::tensor_ops::AdamConfig;

use crate::backend::Backend;
use crate::device_ext::DeviceExt;
use crate::parameter::Parameters;
use crate::weights::{NamedTensor, WeightsError};

/// Adam (Kingma and Ba 2015). The update is the backend's ([`Backend::adam_step`]); this type keeps the moments, since
/// dfdx's optimiser accepts only networks whose sizes are compile-time constants, and keeps its moments private, so
/// that training could not be resumed.
#[derive(Debug)]
pub struct Adam<B: Backend> {
    /// Learning rate, betas, epsilon and weight decay; may change from step to step.
    pub config: AdamConfig,
    step: i32,
    moments: Moments<B>,
}

/// The moments of all parameters, each in a table like that of gradients.
#[derive(Debug)]
pub struct Moments<B: Backend> {
    /// Of the gradient.
    pub first: Gradients<f32, B::Device>,
    /// Of its square.
    pub second: Gradients<f32, B::Device>,
}

/// What Adam remembers between steps, for a checkpoint.
#[derive(Debug, Clone)]
pub struct AdamState {
    /// Number of updates made.
    pub step: i32,
    /// Two tensors per parameter, `first_moment.NAME` and `second_moment.NAME`.
    pub moments: Vec<NamedTensor>,
}

impl<B: Backend> Adam<B> {
    /// An optimiser at its first step.
    #[must_use]
    pub fn new(config: AdamConfig) -> Self {
        Self {
            config,
            step: 0,
            moments: Moments {
                first: Gradients::leaky(),
                second: Gradients::leaky(),
            },
        }
    }

    /// One update of all parameters with `gradients`, after scaling them so that their joint norm is at most
    /// `max_norm`. Returns the norm before scaling.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn update(
        &mut self,
        network: &mut dyn Parameters<B>,
        gradients: &mut Gradients<f32, B::Device>,
        max_norm: f64,
    ) -> Result<f64, B::Err> {
        let norm = gradient_norm(network, gradients)?;
        self.update_clipped(network, gradients, norm, max_norm)?;
        Ok(norm)
    }

    /// The same where the norm is known, from [`gradient_norm`].
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn update_clipped(
        &mut self,
        network: &mut dyn Parameters<B>,
        gradients: &mut Gradients<f32, B::Device>,
        norm: f64,
        max_norm: f64,
    ) -> Result<(), B::Err> {
        // A non-finite gradient would poison every parameter for good: leave the network as it is.
        if !norm.is_finite() {
            return Ok(());
        }
        let factor = (max_norm / norm.max(1e-12)).min(1.0) as f32;
        self.step += 1;
        let mut result = Ok(());
        network.visit_mut("", &mut |_, parameter| {
            if result.is_ok() {
                let (moments, config) = (&mut self.moments, &self.config);
                result = B::adam_step(parameter, gradients, moments, config, self.step, factor);
            }
        });
        result
    }

    /// A copy of the moments, on the host.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    pub fn state(&mut self, network: &dyn Parameters<B>) -> Result<AdamState, B::Err> {
        let mut moments = Vec::new();
        let mut result = Ok(());
        network.visit("", &mut |name, parameter| {
            for (kind, moment) in [("first", &mut self.moments.first), ("second", &mut self.moments.second)] {
                let values = moment
                    .get_or_alloc_mut(parameter.value())
                    .and_then(|m| B::Device::gradient_to_vec(m));
                match values {
                    Ok(values) => moments.push(NamedTensor {
                        name: format!("{kind}_moment.{name}"),
                        shape: parameter.shape().to_vec(),
                        values,
                    }),
                    Err(error) => result = Err(error),
                }
            }
        });
        result.map(|()| AdamState {
            step: self.step,
            moments,
        })
    }

    /// Goes on from a saved state.
    ///
    /// # Errors
    ///
    /// If a moment is missing or has another shape than its parameter.
    pub fn restore(&mut self, network: &dyn Parameters<B>, state: &AdamState) -> Result<(), WeightsError> {
        let mut result = Ok(());
        network.visit("", &mut |name, parameter| {
            for (kind, moment) in [("first", &mut self.moments.first), ("second", &mut self.moments.second)] {
                let key = format!("{kind}_moment.{name}");
                let written = state
                    .moments
                    .iter()
                    .find(|tensor| tensor.name == key && tensor.shape == parameter.shape())
                    .ok_or_else(|| WeightsError::Missing { names: vec![key] })
                    .and_then(|tensor| {
                        moment
                            .get_or_alloc_mut(parameter.value())
                            .and_then(|buffer| B::Device::write_gradient(buffer, &tensor.values))
                            .map_err(|error| WeightsError::Device(B::Device::explain(&error)))
                    });
                if result.is_ok() {
                    result = written;
                }
            }
        });
        self.step = state.step;
        result
    }
}

/// The Euclidean norm of all gradients of `network` together. A GPU is waited for.
///
/// # Errors
///
/// What the device reports, such as lack of memory.
pub fn gradient_norm<B: Backend>(
    network: &dyn Parameters<B>,
    gradients: &mut Gradients<f32, B::Device>,
) -> Result<f64, B::Err> {
    let mut parameters = Vec::new();
    network.visit("", &mut |_, parameter| parameters.push(parameter.value()));
    B::Device::squared_norm(gradients, &parameters).map(f64::sqrt)
}
