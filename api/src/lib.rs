//! Everfold.
#![forbid(unsafe_code)]

pub mod graph;
