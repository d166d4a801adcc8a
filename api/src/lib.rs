//! REST over the engine's socket, and the command line.
#![forbid(unsafe_code)]

pub mod bench;
pub mod graph;
