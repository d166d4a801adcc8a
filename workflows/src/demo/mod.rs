//! The scratch projects of `everfold demo` and `everfold demo orch`.

mod git;
pub mod orch_ci;
pub mod orch_scratch;
mod scratch;

pub use scratch::{EXECUTIONS, Execution, LONG_STEP, Scratch, TASK};
