//! Imported networks: what they compute, and what is refused.

mod fixture;
mod parity;
mod refusals;
