//! What an expression asks for: names of its scope, and values that must be loaded from the history first.
//!
//! Law: a leaf; the evaluator loads what [`EvalError::Needs`] names, and evaluates again.

use std::collections::BTreeMap;

use everfold_base::id::Version;
use everfold_base::json::{Hash, JsonText, Value};

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

/// Values of the history that were loaded: expressions, and fields of the state that are kept by reference, look here.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    texts: BTreeMap<(Version, Hash), JsonText>,
    /// Values that cannot be read, and why.
    lost: BTreeMap<(Version, Hash), String>,
}

impl Loaded {
    /// No values.
    pub const NONE: Self = Self { texts: BTreeMap::new(), lost: BTreeMap::new() };

    /// Adds a value.
    pub fn insert(&mut self, value: &ValueRef, text: JsonText) {
        self.texts.insert((value.version, value.hash), text);
    }

    /// A loaded value.
    #[must_use]
    pub fn get(&self, value: &ValueRef) -> Option<&JsonText> {
        self.texts.get(&(value.version, value.hash))
    }

    /// Notes that a value cannot be read. It is still asked for, by all that cannot do without it.
    pub fn lose(&mut self, value: &ValueRef, why: String) {
        self.lost.insert((value.version, value.hash), why);
    }

    /// Why a value cannot be read.
    #[must_use]
    pub fn lost(&self, value: &ValueRef) -> Option<&str> {
        self.lost.get(&(value.version, value.hash)).map(String::as_str)
    }
}

/// Gives an expression the values of its names.
pub trait Scope {
    /// The value at a path of names that the expression mentions statically, such as `["input"]`,
    /// `["run"]`, `["run", "title"]`, `["steps", "build", "output"]` (always two parts below `run`, three below `steps`). `None`: there
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

/// Shortens an expression in a message, so that the cause behind it is seen.
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
