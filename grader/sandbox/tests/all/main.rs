//! Hostile programs against the sandbox. Each works without protection, so that each of these tests could fail.
#![cfg(target_os = "linux")]

mod harness;
mod hostile;
mod limits;
mod raw;
mod reach;
mod removing;
mod taking;
