//! Functions of queries: those of the program, and those of SQLite's whose time grows with the product of their arguments.
//!
//! Law: SQLite cannot be stopped within a function, so each takes a time that grows with the length of its arguments.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error, Result};

use crate::table::SqlValue;

/// A function of the program. It gives the same for the same arguments throughout a query.
#[derive(Clone)]
pub struct SqlFunction {
    /// Its name.
    pub name: &'static str,
    /// How many arguments it has; all of them are texts.
    pub arguments: usize,
    /// What it gives; an error is said as it is.
    #[expect(clippy::type_complexity, reason = "it is named by its field")]
    pub call: Arc<dyn Fn(&[&str]) -> std::result::Result<SqlValue, String> + Send + Sync>,
}

const FLAGS: FunctionFlags = FunctionFlags::SQLITE_UTF8
    .union(FunctionFlags::SQLITE_DETERMINISTIC)
    .union(FunctionFlags::SQLITE_INNOCUOUS);

/// Registers the program's functions, and replaces those of SQLite.
pub(crate) fn register(connection: &Connection, functions: Vec<SqlFunction>) -> Result<()> {
    for function in functions {
        let count = i32::try_from(function.arguments).unwrap_or(i32::MAX);
        connection.create_scalar_function(function.name, count, FLAGS, move |context| {
            let mut given = Vec::new();
            for place in 0..context.len() {
                match context.get_raw(place) {
                    ValueRef::Null => return Ok(Value::Null),
                    ValueRef::Text(text) => given.push(std::str::from_utf8(text)?),
                    _others => return Err(no_text(function.name)),
                }
            }
            match (function.call)(&given) {
                Ok(SqlValue::Text(text)) => Ok(Value::Text(text)),
                Ok(SqlValue::Integer(number)) => Ok(Value::Integer(number)),
                Err(message) => Err(Error::UserFunctionError(message.into())),
            }
        })?;
    }
    connection.create_scalar_function("replace", 3, FLAGS, replace)?;
    connection.create_scalar_function("instr", 2, FLAGS, instr)?;
    type Trim = fn(&str, &HashSet<char>) -> String;
    let trims: [(&str, Trim); 3] = [
        ("trim", |text, of| text.trim_matches(|c| of.contains(&c)).to_owned()),
        ("ltrim", |text, of| text.trim_start_matches(|c| of.contains(&c)).to_owned()),
        ("rtrim", |text, of| text.trim_end_matches(|c| of.contains(&c)).to_owned()),
    ];
    for (name, trim) in trims {
        connection.create_scalar_function(name, 2, FLAGS, move |context| {
            let (Some(text), Some(of)) = (text(context, 0), text(context, 1)) else { return Ok(None) };
            Ok(Some(trim(&text, &of.chars().collect())))
        })?;
    }
    Ok(())
}

fn no_text(name: &str) -> Error {
    Error::UserFunctionError(format!("{name}() takes texts").into())
}

/// An argument as text, as SQLite converts it; none: null.
fn text(context: &Context<'_>, place: usize) -> Option<String> {
    match context.get_raw(place) {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
    }
}

fn replace(context: &Context<'_>) -> Result<Option<String>> {
    let (Some(of), Some(what), Some(with)) = (text(context, 0), text(context, 1), text(context, 2)) else {
        return Ok(None);
    };
    if what.is_empty() {
        return Ok(Some(of));
    }
    // Longer than any value may be: said before it is made.
    let longer = with.len().saturating_sub(what.len());
    if longer > 0 && of.matches(&what).count().saturating_mul(longer) > i32::MAX as usize / 64 {
        return Err(Error::UserFunctionError("replace(): string or blob too big".into()));
    }
    Ok(Some(of.replace(&what, &with)))
}

fn instr(context: &Context<'_>) -> Result<Option<i64>> {
    let (Some(of), Some(what)) = (text(context, 0), text(context, 1)) else { return Ok(None) };
    let found = of.find(&what).map_or(0, |at| of[..at].chars().count() + 1);
    Ok(Some(i64::try_from(found).unwrap_or(i64::MAX)))
}
