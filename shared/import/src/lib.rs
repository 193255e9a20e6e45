//! Priors made of networks that others have published: checkpoints of guided-diffusion (`ffhq_10m.pt` of the DPS
//! paper, those of OpenAI), and folders of diffusers' `UNet2DModel` (`google/ddpm-cifar10-32` and its like).
//!
//! * [`found`]: what a file or folder holds, its tensors and all that their names and shapes say of the network.
//! * [`guided_diffusion`], [`diffusers`]: how either code base describes a network.
//! * [`names`]: which of their tensors becomes which of ours.
//! * [`convert`]: from theirs to ours, value by value. [`write_prior`]: the folder, with a card.
//! * [`noise_error`]: whether the network was understood.
//!
//! The program `import` drives it. Nothing of a file is ever run.

pub mod convert;
pub mod diffusers;
pub mod found;
pub mod guided_diffusion;
pub mod names;
mod understood;
mod write;

pub use understood::noise_error;
pub use write::{Origin, ensure_free, write_prior};
