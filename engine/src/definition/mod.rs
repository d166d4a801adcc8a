//! Pipelines: read, checked, canonical, hashed.
//!
//! Law: what [`parse`] lets through has no unresolved name and no expression that does not compile;
//! the rest of the core relies on it.
//!
//! A file becomes a tree with places (`yaml`), the tree a model (`read`), and what only the whole
//! shows is checked last (`check`). Every step pushes its problems into one list.

mod check;
mod children;
mod codes;
mod files;
pub mod input;
mod model;
mod parse;
mod place;
mod problem;
mod read;
mod schema;
mod shell;
mod similar;
mod yaml;

pub use children::{ChildError, child};
pub use codes::{Code, codes};
pub use files::{FileSource, NoFiles};
pub use model::*;
pub use parse::{Checked, DocumentError, document_of, parse, schedule_of, settings_of, value_of};
pub(crate) use place::place_of;
pub use problem::{Colour, Problem, Problems, Severity};
#[cfg(test)]
pub(crate) use read::shapes;
pub use schema::schema;
pub use similar::similar;
