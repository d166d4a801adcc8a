//! Expressions: CEL, and texts with `${CEL}` in them.
//!
//! Law: evaluation is pure, bounded and deterministic; it asks its [`Scope`] only for the names that
//! the expression mentions, so its cost does not grow with the run.

mod eval;
pub(crate) mod functions;
mod parse;
mod setting;
mod template;
#[cfg(test)]
mod tests;
mod token;
mod types;

pub use functions::usages;
pub use parse::{Access, Expr, ExprError, Reference, SOURCE_BYTES_MAX, step_path};
pub use template::{Hidden, MASK, Part, Piece, Template, parts};
pub use types::{Lookup, Type, TypeProblem};

use crate::id::Version;
use crate::json::{Hash, Value};

/// A value that is kept out of the state because it is large: where the history holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct ValueRef {
    /// The event that holds it.
    pub version: Version,
    /// BLAKE3 of its canonical text: which of the event's values.
    pub hash: Hash,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// Gives an expression the values of its names.
pub trait Scope {
    /// The value at a path of names that the expression mentions statically, such as `["input"]`,
    /// `["run"]`, `["steps", "build", "output"]` (always three parts below `steps`). `None`: there
    /// is no such name here.
    ///
    /// # Errors
    /// [`EvalError::Needs`] where the value must be loaded first.
    fn get(&self, path: &[&str]) -> Result<Option<Value>, EvalError>;
}

/// Why an expression gave no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// Values that must be loaded first.
    #[error("{} values must be loaded first", .0.len())]
    Needs(Vec<ValueRef>),
    /// The expression failed: a missing key, a wrong type, a bound.
    #[error("`{}`: {message}", shown(.expression))]
    Failed {
        /// The expression's source.
        expression: String,
        /// What happened.
        message: String,
        /// The code of the check that refuses the same value where it is written down.
        code: Option<&'static str>,
    },
}

/// An expression in a message: the cause stands behind it, and must be seen.
fn shown(expression: &str) -> String {
    const CHARS_MAX: usize = 120;
    if expression.chars().count() <= CHARS_MAX && !expression.contains('\n') {
        return expression.to_owned();
    }
    let text = expression.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
