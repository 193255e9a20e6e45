//! A program from its flags to its files, with a method that needs no network: what is written, whatever goes wrong.

mod inputs;
mod outputs;
mod probe;
