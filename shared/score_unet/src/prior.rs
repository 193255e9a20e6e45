//! A trained network as a score model.

use std::path::{Path, PathBuf};

use dfdx::tensor::{OwnedTape, PutTape, TensorFromVec};
use dfdx::tensor_ops::Backward;
use diffusion::{Pullback, Schedule, ScoreError, ScoreModel};
use ndarray::Array4;
use nn::{Backend, Cpu, Parameters, Tensor4, WeightsError};

use crate::unet::ZeroRng;
use crate::{ConfigError, UNet, UNetConfig};

/// A trained score network on the CPU: `s(x_t, t) = -eps(x_t, t) / sqrt(1 - alpha_bar_t)`
/// (Song et al. 2021, "Score-based generative modeling through SDEs", section 3.4 and appendix C).
#[derive(Debug)]
pub struct Prior {
    name: String,
    network: UNet<Cpu>,
    schedule: Schedule,
}

/// Why a prior cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PriorError {
    /// The folder is not there.
    #[error("there is no prior at {path}: expected a folder with config.json and weights.safetensors", path = .0.display())]
    NotFound(PathBuf),
    /// The configuration is missing or wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The weights are missing, damaged, or belong to another configuration.
    #[error("the weights in {path} do not fit: {source}", path = path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: WeightsError,
    },
}

impl Prior {
    /// Reads `config.json` and `weights.safetensors` from a folder; the folder's name becomes the prior's.
    ///
    /// # Errors
    /// A missing folder or file, an impossible configuration, weights that do not fit it: see [`PriorError`].
    pub fn load(folder: &Path) -> Result<Self, PriorError> {
        if !folder.is_dir() {
            return Err(PriorError::NotFound(folder.into()));
        }
        let config = UNetConfig::read(&folder.join("config.json"))?;
        let path = folder.join("weights.safetensors");
        let mut network = UNet::new(&config, &Cpu::default(), &mut ZeroRng)?;
        nn::read_weights(&path)
            .and_then(|tensors| nn::load_weights(&mut network, &tensors))
            .map_err(|source| PriorError::Weights { path, source })?;
        let name = folder
            .file_name()
            .map_or_else(|| "prior".into(), |name| name.to_string_lossy().into_owned());
        Ok(Self::new(name, network)?)
    }

    /// A prior made of a network at hand; its parameters are frozen.
    ///
    /// # Errors
    /// If the network's configuration makes no noise schedule.
    pub fn new(name: String, mut network: UNet<Cpu>) -> Result<Self, ConfigError> {
        kernels::memory::keep_freed_memory();
        network.freeze();
        let schedule = network.config().schedule()?;
        Ok(Self {
            name,
            network,
            schedule,
        })
    }

    /// The name of its folder, such as `fruits64`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The network.
    pub fn network(&self) -> &UNet<Cpu> {
        &self.network
    }

    /// One line for people: name, image size, parameters, device.
    pub fn describe(&self) -> String {
        let config = self.network.config();
        format!(
            "{}: {size}x{size}x{} images, {:.1} million parameters, on the CPU ({} kernels)",
            self.name,
            config.image_channels,
            self.network.count() as f64 / 1e6,
            kernels::simd::simd_path(),
            size = config.image_size,
        )
    }

    fn check(&self, x_t: &Array4<f32>, t: usize) -> Result<(), ScoreError> {
        let [c, h, w] = self.image_shape();
        let (b, found_c, found_h, found_w) = x_t.dim();
        if (found_c, found_h, found_w) != (c, h, w) {
            return Err(ScoreError::Shape {
                expected: [c, h, w],
                got: [b, found_c, found_h, found_w],
            });
        }
        let max = self.schedule.num_steps();
        if !(1..=max).contains(&t) {
            return Err(ScoreError::Timestep { t, max });
        }
        Ok(())
    }

    /// `-1 / sqrt(1 - alpha_bar_t)`, which turns predicted noise into a score.
    fn noise_to_score(&self, t: usize) -> f32 {
        (-1.0 / (1.0 - self.schedule.alpha_bar(t)).sqrt()) as f32
    }

    fn to_tensor(&self, x: &Array4<f32>) -> Result<Tensor4<Cpu>, ScoreError> {
        let values = x.as_standard_layout().into_owned().into_raw_vec_and_offset().0;
        self.network
            .device()
            .try_tensor_from_vec(values, x.dim())
            .map_err(backend)
    }
}

fn backend(error: <Cpu as dfdx::tensor::HasErr>::Err) -> ScoreError {
    ScoreError::Backend(error.to_string())
}

/// The values of `x` times `factor`, as an ndarray.
fn to_array<T>(x: &dfdx::tensor::Tensor<(usize, usize, usize, usize), f32, Cpu, T>, factor: f32) -> Array4<f32> {
    use dfdx::shapes::HasShape;
    let mut array = Array4::zeros(*x.shape());
    if let Some(values) = array.as_slice_mut() {
        x.copy_into(values);
        values.iter_mut().for_each(|value| *value *= factor);
    }
    array
}

impl ScoreModel for Prior {
    fn image_shape(&self) -> [usize; 3] {
        let config = self.network.config();
        [config.image_channels, config.image_size, config.image_size]
    }

    fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    fn score(&self, x_t: &Array4<f32>, t: usize) -> Result<Array4<f32>, ScoreError> {
        self.check(x_t, t)?;
        let noise = self
            .network
            .forward(self.to_tensor(x_t)?, &vec![t; x_t.dim().0])
            .map_err(backend)?;
        Ok(to_array(&noise, self.noise_to_score(t)))
    }

    fn score_with_pullback<'a>(
        &'a self,
        x_t: &Array4<f32>,
        t: usize,
    ) -> Result<(Array4<f32>, Pullback<'a>), ScoreError> {
        self.check(x_t, t)?;
        let factor = self.noise_to_score(t);
        let x = self.to_tensor(x_t)?;
        let x_ghost = x.ghost();
        let tape = OwnedTape::<f32, Cpu>::default();
        let noise = self
            .network
            .forward(x.put_tape(tape), &vec![t; x_t.dim().0])
            .map_err(backend)?;
        let score = to_array(&noise, factor);
        let shape = score.dim();
        let pullback = move |v: &Array4<f32>| {
            if v.dim() != shape {
                return Err(ScoreError::Mismatch {
                    what: "the cotangent",
                    expected: dims(shape),
                    got: dims(v.dim()),
                });
            }
            let v = self.to_tensor(v)?;
            let gradients = Cpu::inner_product(noise, &v)
                .and_then(|y| y.try_backward())
                .map_err(backend)?;
            Ok(to_array(&gradients.get(&x_ghost), factor))
        };
        Ok((score, Box::new(pullback)))
    }
}

fn dims((b, c, h, w): (usize, usize, usize, usize)) -> [usize; 4] {
    [b, c, h, w]
}
