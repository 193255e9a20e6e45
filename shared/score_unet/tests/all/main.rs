//! The network against PyTorch and on every backend, and the prior that is made of it.

mod devices;
mod guided;
mod own_thread;
mod prior;
mod pytorch_parity;
