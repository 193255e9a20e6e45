//! The UNet that predicts the noise, of either architecture. It is generic over its backend, and for whoever trains or
//! tests a network; a [`Prior`](crate::Prior) is one that is trained and frozen, without generics.
//!
//! The layers are in `small.rs` and `guided.rs` beside this file.

use dfdx::shapes::HasShape;
use dfdx::tensor::{NoneTape, OwnedTape, PutTape, Tape};
use diffusion::Schedule;
use nn::{Backend, Parameter, Parameters, Tensor4, Traced4};
use rand::Rng;

use crate::config::{ConfigError, UNetConfig};
use crate::guided::GuidedUNet;
use crate::small::SmallUNet;

/// The noise predictor `eps(x_t, t)`.
#[derive(Debug)]
pub struct UNet<B: Backend> {
    config: UNetConfig,
    layers: Layers<B>,
}

#[derive(Debug)]
enum Layers<B: Backend> {
    Small(Box<SmallUNet<B>>),
    Guided(Box<GuidedUNet<B>>),
}

impl<B: Backend> Parameters<B> for UNet<B> {
    fn visit<'a>(&'a self, prefix: &str, visit: &mut dyn FnMut(String, &'a Parameter<B>)) {
        match &self.layers {
            Layers::Small(layers) => layers.visit(prefix, visit),
            Layers::Guided(layers) => layers.visit(prefix, visit),
        }
    }
    fn visit_mut<'a>(&'a mut self, prefix: &str, visit: &mut dyn FnMut(String, &'a mut Parameter<B>)) {
        match &mut self.layers {
            Layers::Small(layers) => layers.visit_mut(prefix, visit),
            Layers::Guided(layers) => layers.visit_mut(prefix, visit),
        }
    }
}

impl<B: Backend> UNet<B> {
    /// A fresh network with weights drawn from `rng`; it starts with `v = 0` or `eps = 0`, as its layers give either.
    ///
    /// # Errors
    ///
    /// If the configuration is invalid.
    pub fn new(config: &UNetConfig, backend: &B, rng: &mut impl Rng) -> Result<Self, ConfigError> {
        Self::drawn(config, backend, &mut |bound| rng.random_range(-bound..=bound))
    }

    /// A network whose parameters are about to be overwritten: drawing them would be wasted time.
    ///
    /// # Errors
    ///
    /// If the configuration is invalid.
    pub fn blank(config: &UNetConfig, backend: &B) -> Result<Self, ConfigError> {
        Self::drawn(config, backend, &mut |_| 0.0)
    }

    /// A network with weights from `draw`, whose argument is the bound of the uniform distribution.
    fn drawn(config: &UNetConfig, backend: &B, draw: &mut dyn FnMut(f32) -> f32) -> Result<Self, ConfigError> {
        let layers = match config {
            UNetConfig::Small(config) => Layers::Small(SmallUNet::drawn(config, backend, draw)?.into()),
            UNetConfig::Guided(config) => Layers::Guided(GuidedUNet::drawn(config, backend, draw)?.into()),
        };
        Ok(Self {
            config: config.clone(),
            layers,
        })
    }

    /// A second network with the same weights.
    ///
    /// # Errors
    ///
    /// If the configuration is invalid, which that of a network is not.
    pub fn duplicate(&self) -> Result<Self, ConfigError> {
        let mut copy = Self::blank(&self.config, self.backend())?;
        let mut values = Vec::new();
        self.visit("", &mut |_, parameter| values.push(parameter.to_vec()));
        let mut values = values.into_iter();
        copy.visit_mut("", &mut |_, parameter| {
            if let Some(values) = values.next() {
                parameter.set(&values);
            }
        });
        Ok(copy)
    }

    /// The sizes it was built with.
    #[must_use]
    pub fn config(&self) -> &UNetConfig {
        &self.config
    }

    /// The noise schedule of its configuration.
    pub(crate) fn noise_schedule(&self) -> &Schedule {
        match &self.layers {
            Layers::Small(layers) => &layers.schedule,
            Layers::Guided(layers) => &layers.schedule,
        }
    }

    /// The backend it runs on.
    #[must_use]
    pub fn backend(&self) -> &B {
        match &self.layers {
            Layers::Small(layers) => &layers.backend,
            Layers::Guided(layers) => &layers.backend,
        }
    }

    /// Predicts the noise in `x`, shape `[B, C, H, W]`, image `i` being at time `t[i]`. With a tape on `x` a backward
    /// pass gives the gradient with respect to `x`; the parameters are best frozen ([`Parameters::freeze`]).
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    ///
    /// # Panics
    ///
    /// If there are more or fewer times than images.
    pub fn forward<T: Tape<f32, B::Device>>(&self, x: Tensor4<B, T>, t: &[usize]) -> Result<Tensor4<B, T>, B::Err> {
        check_times(x.shape().0, t);
        match &self.layers {
            Layers::Small(layers) => layers.run::<T, NoneTape>(x, t),
            Layers::Guided(layers) => layers.run::<T, NoneTape>(x, t),
        }
    }

    /// The same for training: a backward pass gives the gradients of the parameters.
    ///
    /// # Errors
    ///
    /// What the device reports, such as lack of memory.
    ///
    /// # Panics
    ///
    /// If there are more or fewer times than images.
    pub fn forward_training(&self, x: Tensor4<B>, t: &[usize]) -> Result<Traced4<B>, B::Err> {
        check_times(x.shape().0, t);
        let x = x.put_tape(OwnedTape::default());
        match &self.layers {
            Layers::Small(layers) => layers.run::<OwnedTape<f32, B::Device>, OwnedTape<f32, B::Device>>(x, t),
            Layers::Guided(layers) => layers.run::<OwnedTape<f32, B::Device>, OwnedTape<f32, B::Device>>(x, t),
        }
    }
}

fn check_times(images: usize, t: &[usize]) {
    assert_eq!(images, t.len(), "a batch of {images} images needs as many times");
}
