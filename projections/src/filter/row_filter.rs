//! An expression over the fields of rows, compiled and checked.

use std::fmt;
use std::sync::Arc;

use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use everfold_language::definition::similar;
use everfold_language::expr::{Allowance, EvalError, Expr, FieldCondition, Scope, Type, line_and_column};

use super::field::{RowFields, written};

/// Why an expression cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct FilterError {
    /// What is wrong.
    pub message: String,
    /// The line of the expression, from 1 on.
    pub line: usize,
    /// The column in characters, from 1 on.
    pub column: usize,
    /// What to write instead.
    pub hint: Option<String>,
}

impl FilterError {
    pub(super) fn new(source: &str, offset: usize, message: impl Into<String>) -> Self {
        let (line, column) = line_and_column(source, offset);
        Self { message: message.into(), line, column, hint: None }
    }

    pub(super) fn hint(self, hint: impl Into<Option<String>>) -> Self {
        Self { hint: hint.into(), ..self }
    }
}

/// A row, for an expression to ask.
pub trait FilterRow {
    /// The value of a field by the first part of its name; null where the row has none.
    fn field(&self, name: &str) -> Value;
}

/// A compiled expression over the fields of a list's rows. Cheap to clone.
#[derive(Clone)]
pub struct RowFilter(Arc<CompiledFilter>);

struct CompiledFilter {
    expr: Expr,
    condition: FieldCondition,
    now: Value,
}

impl RowFilter {
    /// Reads and checks an expression; `now` is the moment that it calls so.
    ///
    /// # Errors
    /// [`FilterError`]: it is none, names what rows do not have, or can never be true or false.
    pub fn compile(source: &str, fields: &RowFields, now: Timestamp) -> Result<Self, FilterError> {
        let types = |path: &[String]| fields.type_of(path);
        let expr = Expr::over_record(source, &types)
            .map_err(|error| FilterError::new(source, error.offset, error.message).hint(error.hint))?;
        if let Some(error) = expr.bad_literal() {
            return Err(FilterError::new(source, error.offset, error.message).hint(error.hint));
        }
        let chains = expr.chains().iter().filter(|chain| !chain.tested || !fields.is_in_list(&chain.path));
        let of_items = expr.item_chains().into_iter().map(|chain| (chain.path, chain.written));
        let paths = chains.map(|chain| (chain.path.clone(), chain.path.clone())).chain(of_items);
        for (path, written) in paths {
            if let Some((message, hint)) = fields.unknown(&path) {
                let offset = expr.locate(&written);
                return Err(FilterError::new(source, offset, message).hint(hint));
            }
        }
        match expr.infer(&types) {
            Ok(Type::Bool | Type::Any) => {}
            Ok(other) => {
                let message = format!("a filter is true or false, this is {}", other.words());
                return Err(FilterError::new(source, 0, message));
            }
            Err(problem) => return Err(FilterError::new(source, 0, problem.message).hint(problem.hint)),
        }
        let now = Value::String(now.to_string());
        let condition = expr.condition(&types, &Constants(&now)).map_err(|error| {
            FilterError::new(source, 0, format!("a value in it cannot be computed: {}", why(error)))
        })?;
        misspelt(&condition, &|path| fields.words(path)).map_or(Ok(()), |(word, message, hint)| {
            let offset = expr.locate(std::slice::from_ref(&word));
            Err(FilterError::new(source, offset, message).hint(hint))
        })?;
        Ok(Self(Arc::new(CompiledFilter { expr, condition, now })))
    }

    /// The same without what it says to indexes: every row is looked at.
    #[must_use]
    pub fn by_scan(&self) -> Self {
        let CompiledFilter { expr, now, .. } = &*self.0;
        Self(Arc::new(CompiledFilter {
            expr: expr.clone(),
            condition: FieldCondition::Other,
            now: now.clone(),
        }))
    }

    /// The expression's text.
    #[must_use]
    pub fn source(&self) -> &str {
        self.0.expr.source()
    }

    /// What it says to indexes.
    pub(crate) fn condition(&self) -> &FieldCondition {
        &self.0.condition
    }

    /// Whether it is true of a row; an error says why it is neither true nor false.
    pub(super) fn is_true_of(&self, row: &dyn FilterRow, allowance: &Allowance) -> Result<bool, String> {
        let row = RowScope { row, now: &self.0.now };
        self.0.expr.eval_bool_within(&row, allowance).map_err(why)
    }
}

impl fmt::Debug for RowFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowFilter({:?})", self.source())
    }
}

fn why(error: EvalError) -> String {
    match error {
        EvalError::Failed { message, .. } => message,
        needs @ EvalError::Needs(_) => needs.to_string(),
    }
}

/// A word that a field never has, with what is said of it.
pub(super) fn misspelt(
    condition: &FieldCondition,
    words_of: &dyn Fn(&[String]) -> Option<Vec<&'static str>>,
) -> Option<(String, String, String)> {
    let check = |path: &[String], value: &Value| {
        let (word, words) = (value.as_str()?, words_of(path)?);
        if words.contains(&word) {
            return None;
        }
        let what = format!("“{word}” is never the value of `{}`", written(path));
        let all = words.join(", ");
        let hint = match similar(word, words.into_iter()) {
            Some(near) => format!("did you mean '{near}'? It is one of {all}"),
            None => format!("it is one of {all}"),
        };
        Some((word.to_owned(), what, hint))
    };
    match condition {
        FieldCondition::All(parts) | FieldCondition::Any(parts) => {
            parts.iter().find_map(|part| misspelt(part, words_of))
        }
        FieldCondition::Not(part) | FieldCondition::OfItem(part) => misspelt(part, words_of),
        FieldCondition::Compare { path, with, .. } => check(path, with),
        FieldCondition::OneOf { path, values } => values.iter().find_map(|value| check(path, value)),
        FieldCondition::Holds { .. } | FieldCondition::Has { .. } | FieldCondition::Other => None,
    }
}

/// The names that are no fields.
struct Constants<'a>(&'a Value);

impl Scope for Constants<'_> {
    fn get(&self, path: &[&str]) -> Result<Option<Value>, EvalError> {
        Ok((path == ["now"]).then(|| self.0.clone()))
    }
}

struct RowScope<'a> {
    row: &'a dyn FilterRow,
    now: &'a Value,
}

impl Scope for RowScope<'_> {
    fn get(&self, path: &[&str]) -> Result<Option<Value>, EvalError> {
        Ok(Some(match path {
            ["now"] => self.now.clone(),
            [name] => without_nulls(self.row.field(name)),
            // `run` is a name of pipelines, whose fields are asked for one by one.
            [name, field, ..] => {
                without_nulls(self.row.field(name)).get(field).cloned().unwrap_or(Value::Null)
            }
            [] => Value::Null,
        }))
    }
}

/// A field that is null is not there: `has` asks for the others.
pub(super) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}
