//! Imported networks: what they compute, and what is refused.

mod command;
mod fixture;
mod parity;
mod refusals;
