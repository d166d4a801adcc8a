//! `everfold bench`: what this machine does, beside what its disk could do at best.
//!
//! Law: every figure comes with the raw limit measured in the same folder in the same minute, and
//! nothing is asserted. A load is real: the same engine, store and executor as everywhere else.
//!
//! Called by the command line.

mod asking;
mod engine;
mod load;
mod machine;
mod measure;
mod notices;
mod pages;
mod questions;
mod report;
mod service;
mod size;
mod views;

pub use engine::BenchError;
pub use measure::run;
pub use report::{BenchReport, Figure};
pub use service::{run as run_service, work};
pub use size::Size;
