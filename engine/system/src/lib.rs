//! The machine below the engine: its clock, its random bits, its folders, and what its errors mean.
//!
//! Law: the only crate of the engine that reads a clock or draws at random. Everything above takes a
//! [`Clock`](everfold_base::time::Clock) and a [`Chance`](everfold_base::time::Chance), so that a simulation can
//! replay a run tick by tick.
#![forbid(unsafe_code)]

pub mod clock;
pub mod folder;
pub mod os_error;
pub mod regular;
pub mod room;
