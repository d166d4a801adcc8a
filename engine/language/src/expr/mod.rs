//! Expressions: CEL, and texts with `${CEL}` in them.
//!
//! Law: evaluation is pure, bounded and deterministic; it asks its [`Scope`] only for the names that
//! the expression mentions, so its cost does not grow with the run.

mod allowance;
mod arguments;
mod bounds;
mod compiled;
mod condition;
mod error;
mod eval;
pub mod functions;
mod interned;
mod json_value;
mod literals;
mod names;
mod parse;
pub(crate) mod patterns;
mod readable;
mod record;
#[cfg(test)]
mod record_tests;
mod reference_values;
mod setting;
mod template;
#[cfg(test)]
mod tests;
mod token;
mod types;
mod value_use;
mod values;
mod walk;

pub use allowance::Allowance;
pub use compiled::{Expr, FieldChain, ITEM, Reference, SOURCE_BYTES_MAX, step_path};
pub use condition::{Comparison, FieldCondition};
pub use error::{ExprError, line_and_column};
pub use functions::usages;
pub(crate) use names::is_type;
pub use record::ItemChain;
pub use template::{Hidden, MASK, Piece, Template, TextPart, parts};
pub(crate) use token::{FieldUse, field_uses};
pub use types::{Lookup, Type, TypeProblem};
pub use values::{EvalError, Loaded, Scope, ValueRef};
