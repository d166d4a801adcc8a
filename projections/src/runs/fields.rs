//! The fields of a run's row, as expressions ask for them.
//!
//! Law: a field has the name and the value that the row's JSON has; what is added (`cost`, `elapsed`) has a name that
//! the JSON has not.

use std::borrow::Cow;
use std::cell::OnceCell;

use everfold_base::failure::FailureKind;
use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use serde_json::json;

use super::row::RunRow;
use super::row_state::STATUSES;
use crate::filter::FieldType::{Items, Number, Span, Text, TextMap, Texts, Time, ValueMap, Whole, Word};
use crate::filter::{Field, FieldType, FilterRow, RowFields};

const fn scanned(name: &'static str, of: FieldType) -> Field {
    Field { name, of, index: None }
}

const fn indexed(name: &'static str, of: FieldType, how: &'static str) -> Field {
    Field { name, of, index: Some(how) }
}

/// The fields of runs.
pub const RUN_FIELDS: RowFields = RowFields {
    list: "runs",
    known: &[
        scanned("id", Text),
        scanned("short_id", Text),
        indexed("pipeline", Text, "`==`, `in`"),
        indexed("number", Whole, "`==`, `in`"),
        scanned("title", Text),
        indexed("status", Word(statuses), "`==`, `!=`, `in`"),
        indexed("labels", TextMap, "`labels.x ==`, `in`, `has(labels.x)`, `'x' in labels`"),
        indexed(
            "search",
            ValueMap,
            "`search.x ==`, `in`, `<`, `<=`, `>`, `>=`, `has(search.x)`, `'x' in search`, `'y' in search.x`",
        ),
        scanned("started_by", Text),
        scanned("initiator", Text),
        indexed("started_at", Time, "`>`, `>=`, `==`"),
        scanned("ended_at", Time),
        scanned("elapsed", Span),
        scanned("moved_at", Time),
        scanned("updated_at", Time),
        indexed("active_steps", Texts, "`'x' in active_steps`"),
        scanned("awaits", Items),
        scanned("awaits[].step", Text),
        scanned("awaits[].kind", Word(|| vec!["approval", "question", "unblock"])),
        indexed("awaits[].roles", Texts, "`awaits.exists(a, 'x' in a.roles)`"),
        scanned("cost", Number),
        scanned("usage.input_tokens", Whole),
        scanned("usage.output_tokens", Whole),
        scanned("failure.kind", Word(failure_kinds)),
        scanned("failure.code", Text),
        scanned("failure.message", Text),
        scanned("failure.hint", Text),
        scanned("failure.exit_code", Whole),
        scanned("failure.step", Text),
        scanned("note", Text),
        scanned("set_aside", Text),
        scanned("progress.step", Text),
        scanned("progress.done", Whole),
        scanned("progress.of", Whole),
        scanned("step_counts.total", Whole),
        scanned("step_counts.pending", Whole),
        scanned("step_counts.open", Whole),
        scanned("step_counts.succeeded", Whole),
        scanned("step_counts.failed", Whole),
        scanned("step_counts.skipped", Whole),
        scanned("step_counts.cancelled", Whole),
        indexed("parent.run", Text, "`==`, `in`"),
        scanned("parent.short_id", Text),
        scanned("parent.step", Text),
        indexed("parent.top", Text, "`==`, `in`"),
        indexed("origin.run", Text, "`==`, `in`"),
        scanned("origin.version", Whole),
        scanned("origin.how", Word(|| vec!["fork", "retry", "restart", "handover"])),
        scanned("version", Whole),
        scanned("position", Whole),
        scanned("since", Whole),
    ],
    absent: &[
        (
            "input",
            "rows hold no inputs: ask for a label or a search attribute that the pipeline gives its runs",
        ),
        ("output", "rows hold no outputs: ask for a label or a search attribute that a step gives its run"),
        ("priority", "rows hold no priorities: `everfold show RUN` says it"),
        ("duration", "`elapsed` is how long a run took, `duration('90m')` a value to compare it with"),
        ("tokens", "ask for `usage.input_tokens` and `usage.output_tokens`"),
        ("usage.cost_usd", "ask for `cost`: US dollars, a number"),
        (
            "awaits.signal",
            "rows hold what people are asked for; of a run that waits for a signal `active_steps` has the step",
        ),
        (
            "awaits[].signal",
            "rows hold what people are asked for; of a run that waits for a signal `active_steps` has the step",
        ),
        ("steps", "ask for `active_steps`, or for counts: `step_counts.failed`"),
        ("top", "ask for `parent.top`"),
    ],
};

fn statuses() -> Vec<&'static str> {
    STATUSES.iter().map(|status| status.as_str()).collect()
}

fn failure_kinds() -> Vec<&'static str> {
    FailureKind::ALL.iter().map(|kind| kind.as_str()).collect()
}

/// A row with what it says at a moment.
pub struct RunFields<'a> {
    row: Cow<'a, RunRow>,
    now: Timestamp,
    set_aside: Option<Cow<'a, str>>,
    /// The row's JSON, once a field of it was asked for.
    json: OnceCell<Value>,
}

impl RunRow {
    /// The fields of the row as expressions ask for them at a moment; `set_aside`: why its owner cannot go on with it.
    #[must_use]
    pub fn fields<'a>(&'a self, now: Timestamp, set_aside: Option<&'a str>) -> RunFields<'a> {
        let (row, set_aside) = (Cow::Borrowed(self), set_aside.map(Cow::Borrowed));
        RunFields { row, now, set_aside, json: OnceCell::new() }
    }

    /// The same of a row that is kept with them.
    #[must_use]
    pub fn into_fields(self, now: Timestamp, set_aside: Option<String>) -> RunFields<'static> {
        let (row, set_aside) = (Cow::Owned(self), set_aside.map(Cow::Owned));
        RunFields { row, now, set_aside, json: OnceCell::new() }
    }
}

impl FilterRow for RunFields<'_> {
    fn field(&self, name: &str) -> Value {
        let (row, shown) = (&*self.row, &self.row.shown);
        // What most ask for is made by itself; the row in JSON has the rest.
        match name {
            "id" => json!(row.id),
            "pipeline" => json!(row.pipeline),
            "number" => json!(row.number),
            "title" => json!(row.title),
            "status" => json!(shown.status.as_str()),
            "labels" => json!(*shown.labels),
            "search" => shown.search.iter().map(|(name, value)| (name.clone(), value.json())).collect(),
            "started_at" => json!(row.started_at),
            "ended_at" => json!(shown.ended_at),
            "elapsed" => {
                let elapsed = shown.ended_at.unwrap_or(self.now).since(row.started_at);
                json!(format!("{}ms", elapsed.as_millis()))
            }
            "active_steps" => json!(shown.steps),
            "awaits" => json!(shown.awaits),
            "cost" => json!(shown.usage.cost_micros as f64 / 1e6),
            "moved_at" => json!(shown.moved_at),
            "updated_at" => json!(row.updated_at),
            "step_counts" => json!(row.step_counts),
            "set_aside" => json!(self.set_aside.as_deref()),
            "position" => json!(row.position),
            other => {
                let json = self.json.get_or_init(|| serde_json::to_value(row).unwrap_or_default());
                json.get(other).cloned().unwrap_or_default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_of_fields_are_unique() {
        let names: BTreeSet<&str> = RUN_FIELDS.known.iter().map(|field| field.name).collect();
        assert_eq!(names.len(), RUN_FIELDS.known.len());
    }

    /// The reference has the table that the program asks by.
    #[test]
    fn the_reference_lists_every_field_with_its_type_and_its_index() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/read-models.md");
        let page = std::fs::read_to_string(page).unwrap();
        let row = |field: &Field| {
            let index = field.index.map_or("each row".to_owned(), |how| format!("index: {how}"));
            format!("| `{}` | {} | {index} |", field.name, field.of.word())
        };
        let missing: Vec<String> =
            RUN_FIELDS.known.iter().map(row).filter(|row| !page.contains(row.as_str())).collect();
        assert!(missing.is_empty(), "read-models.md has not:\n{}", missing.join("\n"));
    }
}
