//! An insight as a table: what its columns are called, and each value as readers want it.

use serde::Deserialize;
use serde_json::Value;

use crate::frame::with_query;
use crate::pipelines::pipeline_path;
use crate::visible::visible;
use crate::words;

/// An insight, as the route answers it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct InsightTable {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) about: String,
    /// What it means that there are no rows; none where there are some.
    pub(super) none: Option<String>,
    pub(super) sql: String,
    columns: Vec<InsightColumn>,
    rows: Vec<Vec<Value>>,
    truncated: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct InsightColumn {
    name: String,
}

/// A value of a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct InsightCell {
    /// The head of its column.
    pub(super) head: String,
    pub(super) text: String,
    /// The page of the value.
    pub(super) link: Option<String>,
    /// The value as a time (RFC 3339).
    pub(super) time: Option<String>,
    /// The share that the value states, in percent (0 to 100).
    pub(super) part: Option<u64>,
    pub(super) is_number: bool,
}

/// The columns of insights with their heads.
const HEADS: [(&str, &str); 19] = [
    ("pipeline", "Pipeline"),
    ("step", "Step"),
    ("gate", "Gate"),
    ("route", "Route"),
    ("verdicts", "Verdicts"),
    ("runs", "Runs"),
    ("last_at", "Last judged"),
    ("reworks", "Reworks"),
    ("places", "Places"),
    ("commits", "Commits"),
    ("results", "Results"),
    ("failed", "Failed"),
    ("queue_ms", "In queues"),
    ("machine_ms", "Machines"),
    ("people_ms", "People"),
    ("percent", "Share"),
    ("succeeded", "Succeeded"),
    ("cost", "Cost"),
    ("cost_without_success", "Without success"),
];

impl InsightTable {
    /// The heads of the columns, and whether each holds numbers.
    pub(super) fn heads(&self) -> Vec<(String, bool)> {
        let first = self.rows.first();
        let is_number = |at: usize| {
            let value = first.and_then(|row| row.get(at));
            value.is_some_and(Value::is_number)
        };
        self.columns.iter().enumerate().map(|(at, column)| (head(&column.name), is_number(at))).collect()
    }

    /// The rows, each value as readers want it.
    pub(super) fn cells(&self) -> Vec<Vec<InsightCell>> {
        self.rows.iter().map(|row| self.row(row)).collect()
    }

    /// How many rows are shown.
    pub(super) fn size(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are more rows than these.
    pub(super) fn is_cut(&self) -> bool {
        self.truncated.is_some()
    }

    fn row(&self, row: &[Value]) -> Vec<InsightCell> {
        let named = self.columns.iter().zip(row);
        named.map(|(column, value)| self.cell(&column.name, value, row)).collect()
    }

    fn cell(&self, name: &str, value: &Value, row: &[Value]) -> InsightCell {
        let mut cell =
            InsightCell { head: head(name), is_number: value.is_number(), ..InsightCell::default() };
        cell.text = match value {
            Value::Null if name == "cost_per_success" => "no success".to_owned(),
            Value::Null => String::new(),
            Value::String(text) => visible(text).into_owned(),
            other => number(name, other),
        };
        if name == "percent" {
            cell.part = value.as_f64().map(|percent| percent.clamp(0.0, 100.0).ceil() as u64);
        }
        if name == "last_at" && words::millis(&cell.text).is_some() {
            cell.time = Some(cell.text.clone());
        }
        cell.link = value.as_str().and_then(|text| self.link(name, text, row));
        cell
    }

    /// The page of a value: a run, a step or a filtered list.
    fn link(&self, name: &str, value: &str, row: &[Value]) -> Option<String> {
        let of_pipeline = |path: &str| match self.text(row, "pipeline") {
            Some(pipeline) => with_query(path, "pipeline", pipeline),
            None => path.to_owned(),
        };
        match (self.name.as_str(), name) {
            ("cost", "pipeline") => Some(with_query("/spend?by=run", "pipeline", value)),
            (_, "pipeline") => Some(pipeline_path(value, "")),
            (_, "gate") => Some(of_pipeline(&with_query("/audit?kind=gate", "gate", value))),
            (_, "route") => Some(of_pipeline("/audit?kind=rework")),
            _ => None,
        }
    }

    fn text<'a>(&self, row: &'a [Value], name: &str) -> Option<&'a str> {
        let at = self.columns.iter().position(|column| column.name == name)?;
        row.get(at)?.as_str()
    }
}

/// The head of a column.
fn head(name: &str) -> String {
    let known = HEADS.iter().find(|(known, _)| *known == name).map(|(_, head)| (*head).to_owned());
    known.unwrap_or_else(|| visible(&name.replace('_', " ")).into_owned())
}

/// A number as its column means it.
fn number(name: &str, value: &Value) -> String {
    match (name, value.as_i64(), value.as_u64()) {
        ("percent", ..) => format!("{value} %"),
        (name, ..) if name.starts_with("cost") => words::usd(&value.to_string()),
        (name, Some(ms), _) if name.ends_with("_ms") => words::duration(ms),
        (_, _, Some(count)) => words::count(count),
        _ => words::json(value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table(value: Value) -> InsightTable {
        serde_json::from_value(value).expect("an insight")
    }

    fn texts(table: &InsightTable) -> Vec<String> {
        table.cells().remove(0).into_iter().map(|cell| cell.text).collect()
    }

    #[test]
    fn times_are_durations_costs_are_dollars_and_counts_have_spaces() {
        let time = table(json!({
            "name": "time",
            "columns": [{ "name": "pipeline" }, { "name": "queue_ms" }, { "name": "machine_ms" }, { "name": "runs" }, { "name": "percent" }],
            "rows": [["delivery", 0, 61_000, 1_200, 12.5]],
        }));
        assert_eq!(texts(&time), ["delivery", "0 ms", "1 m 01 s", "1\u{202f}200", "12.5 %"]);
        let row = time.cells().remove(0);
        assert_eq!((row[0].link.as_deref(), row[4].part), (Some("/pipelines/delivery"), Some(13)));
        assert_eq!(time.heads()[1], ("In queues".to_owned(), true));
        let cost = table(json!({
            "name": "cost",
            "columns": [{ "name": "pipeline" }, { "name": "cost" }, { "name": "cost_per_success" }],
            "rows": [["a b", 0.31, null]],
        }));
        assert_eq!(texts(&cost), ["a b", "0.31 USD", "no success"]);
        assert_eq!(cost.cells().remove(0)[0].link.as_deref(), Some("/spend?by=run&pipeline=a+b"));
    }

    #[test]
    fn a_gate_leads_to_its_decisions_and_a_column_that_nobody_knows_is_shown_by_its_name() {
        let gates = table(json!({
            "name": "gates",
            "columns": [{ "name": "pipeline" }, { "name": "gate" }, { "name": "last_at" }, { "name": "of_late" }],
            "rows": [["p", "tests", "2026-11-20T08:15:24.000Z", [1]]],
        }));
        let row = gates.cells().remove(0);
        assert_eq!(row[1].link.as_deref(), Some("/audit?kind=gate&gate=tests&pipeline=p"));
        assert_eq!(row[2].time.as_deref(), Some("2026-11-20T08:15:24.000Z"));
        assert_eq!(
            (row[3].head.as_str(), row[3].text.replace(char::is_whitespace, "")),
            ("of late", "[1]".to_owned())
        );
    }
}
