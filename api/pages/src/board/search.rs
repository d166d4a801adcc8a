//! The search attributes of a run, each value with the table of the runs that have it, too.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::filter::RunFilter;
use crate::visible::visible;

/// The values of a list that are shown.
const SHOWN_MAX: usize = 10;

/// A search attribute of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunAttribute {
    pub(crate) name: String,
    /// Its type: `text`, `number`, `time`, `bool`, `list`.
    pub(crate) kind: &'static str,
    /// Its value; of a list each of its texts.
    pub(crate) values: Vec<SearchedValue>,
}

/// A value of a search attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SearchedValue {
    /// For readers.
    pub(crate) text: String,
    /// The expression that is true of the runs that have it.
    pub(crate) expression: String,
}

impl SearchedValue {
    /// The table of the runs that have it.
    pub(crate) fn table(&self) -> String {
        RunFilter::default().with("filter", &self.expression).address("/runs", &[])
    }
}

impl RunAttribute {
    /// The attributes of a run, by their names.
    pub(crate) fn all(search: &BTreeMap<String, Value>) -> Vec<Self> {
        search.iter().filter_map(|(name, value)| Self::of(name, value)).collect()
    }

    fn of(name: &str, value: &Value) -> Option<Self> {
        let field = field(name);
        let one = |text: &str, value: &Value| SearchedValue {
            text: visible(text).into_owned(),
            expression: format!("{field} == {}", literal(value)),
        };
        let (kind, values) = match value {
            Value::String(text) if is_time(text) => ("time", vec![one(text, value)]),
            Value::String(text) => ("text", vec![one(text, value)]),
            Value::Number(number) => ("number", vec![one(&number.to_string(), value)]),
            Value::Bool(is_true) => ("bool", vec![one(&is_true.to_string(), value)]),
            Value::Array(texts) => {
                let held = texts.iter().filter_map(Value::as_str).map(|text| SearchedValue {
                    text: visible(text).into_owned(),
                    expression: format!("{} in {field}", quoted(text)),
                });
                ("list", held.collect())
            }
            Value::Null | Value::Object(_) => return None,
        };
        Some(Self { name: visible(name).into_owned(), kind, values })
    }

    /// The values that are shown.
    pub(crate) fn first(&self) -> impl Iterator<Item = &SearchedValue> {
        self.values.iter().take(SHOWN_MAX)
    }

    /// How many of its values are not shown.
    pub(crate) fn unlisted(&self) -> usize {
        self.values.len().saturating_sub(SHOWN_MAX)
    }

    /// Its values in one text.
    pub(crate) fn text(&self) -> String {
        self.values.iter().map(|value| value.text.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Whether its value is a time.
    pub(crate) fn is_time(&self) -> bool {
        self.kind == "time"
    }
}

/// Whether a text is a time as routes write it: `2026-12-01T00:00:00.000Z`.
fn is_time(text: &str) -> bool {
    text.len() == 24 && text.ends_with('Z') && crate::words::millis(text).is_some()
}

/// Names that an expression does not take behind a dot.
const RESERVED: [&str; 4] = ["true", "false", "null", "in"];

/// The field of an attribute in expressions: `search.amount`.
fn field(name: &str) -> String {
    let is_plain = name.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '_')
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && !RESERVED.contains(&name);
    if is_plain { format!("search.{name}") } else { format!("search[{}]", quoted(name)) }
}

/// A value as expressions write it.
fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

/// A text as expressions write it.
fn quoted(text: &str) -> String {
    let mut quoted = "'".to_owned();
    for sign in text.chars() {
        match sign {
            '\'' | '\\' => quoted.extend(['\\', sign]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            sign if sign.is_control() => {
                // Writing to a string does not fail.
                let _ = write!(quoted, "\\u{:04x}", u32::from(sign));
            }
            sign => quoted.push(sign),
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn attributes(search: Value) -> Vec<RunAttribute> {
        RunAttribute::all(&serde_json::from_value(search).expect("a map"))
    }

    #[test]
    fn an_attribute_has_its_type_and_the_expression_of_each_value() {
        let all = attributes(json!({
            "amount": 250, "due": "2026-12-01T00:00:00.000Z", "in": "x", "paid": true, "tags": ["red", "it's"], "who": "a\\b\n",
        }));
        let told: Vec<(&str, &str, Vec<&str>)> = all
            .iter()
            .map(|it| (it.name.as_str(), it.kind, it.values.iter().map(|v| v.expression.as_str()).collect()))
            .collect();
        assert_eq!(
            told,
            [
                ("amount", "number", vec!["search.amount == 250"]),
                ("due", "time", vec!["search.due == '2026-12-01T00:00:00.000Z'"]),
                ("in", "text", vec!["search['in'] == 'x'"]),
                ("paid", "bool", vec!["search.paid == true"]),
                ("tags", "list", vec!["'red' in search.tags", r"'it\'s' in search.tags"]),
                ("who", "text", vec![r"search.who == 'a\\b\n'"]),
            ]
        );
        assert_eq!(all[4].text(), "red, it's");
    }

    #[test]
    fn a_value_leads_to_the_table_of_the_runs_that_have_it() {
        let all = attributes(json!({ "amount": 250 }));
        assert_eq!(all[0].values[0].table(), "/runs?filter=search.amount+%3D%3D+250");
        let filter = RunFilter::of("filter=search.amount+%3D%3D+250");
        assert_eq!(filter.get("filter"), Some("search.amount == 250"));
    }
}
