//! The one error of the edge: what a program gets as problem+json and a person as a text.
//!
//! Law: every error has a stable code, and most a hint that says what to do next.

mod codes;
mod from;
mod problem;

pub use codes::Code;
pub(crate) use from::{chain, policy_place};
pub use problem::{Fault, ProblemDocument};
