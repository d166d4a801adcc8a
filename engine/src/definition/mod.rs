//! Pipelines: read, checked, canonical, hashed.
//!
//! Law: what [`check`](self) lets through has no unresolved name and no expression that does not
//! compile; the rest of the core relies on it.

pub mod input;
mod model;
mod similar;

pub use model::*;
pub use similar::similar;
