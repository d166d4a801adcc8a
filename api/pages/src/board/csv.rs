//! `/runs.csv`: the runs of a filter as comma-separated values, page by page as they are read.
//!
//! Law: what is in memory is one page; an export that cannot go on breaks off without its end, so that it is not taken
//! for the whole, and one that cannot be sorted whole does not begin.

use std::io;

use axum::body::Body;
use axum::extract::RawQuery;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, stream};

use super::filter::RunFilter;
use super::query::resolved;
use super::row::{RunList, RunRow};
use super::table::TableQuery;
use crate::frame::Visit;
use crate::problem::Problem;

/// Runs of one piece.
const PIECE: usize = 1000;
/// The most runs of an export.
pub(crate) const RUNS_MAX: usize = 100_000;

/// What is still to be written.
struct CsvExport {
    visit: Visit,
    query: TableQuery,
    filter: RunFilter,
    cursor: Option<String>,
    written: usize,
}

pub(crate) async fn export(visit: Visit, RawQuery(raw): RawQuery) -> Result<Response, Problem> {
    let query = TableQuery::of(raw.as_deref());
    let filter = resolved(&visit, &query.base.filter).map_err(Problem::invalid)?;
    let mut export = CsvExport { visit, query, filter, cursor: None, written: 0 };
    // A filter that is refused is a page; later faults cut the export off.
    let mut first = line(export.query.columns.iter().map(|column| (*column).to_owned()));
    let more = export.piece(&mut first).await?;
    let rest = stream::unfold(more.then_some(export), async |export| {
        let mut export = export?;
        let mut text = String::new();
        match export.piece(&mut text).await {
            Ok(more) => Some((Ok(text), more.then_some(export))),
            Err(problem) => Some((Err(io::Error::other(problem.detail)), None)),
        }
    });
    // What compresses it asks once more behind the end.
    let body = Body::from_stream(stream::once(async { Ok::<_, io::Error>(first) }).chain(rest).fuse());
    let head = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"runs.csv\""),
        (header::CACHE_CONTROL, "private, no-store"),
    ];
    Ok((head, body).into_response())
}

impl CsvExport {
    /// Writes the next runs; whether there are more.
    async fn piece(&mut self, to: &mut String) -> Result<bool, Problem> {
        let path = self.query.path(&self.filter, PIECE, self.cursor.as_deref());
        let list: RunList = self.visit.rest.get(&self.visit.at_moment(&path)).await?;
        if let Some(rows) = list.sorted_newest() {
            let what = format!("only the newest {rows} of these runs can be sorted, and an export is of all");
            return Err(Problem::invalid(what));
        }
        for run in &list.items {
            to.push_str(&line(self.query.columns.iter().map(|column| value(run, column))));
        }
        self.written += list.items.len();
        self.cursor = list.next_cursor;
        Ok(self.cursor.is_some() && self.written < RUNS_MAX)
    }
}

/// What stands in a column: times in RFC 3339, durations in seconds, costs in US dollars.
fn value(run: &RunRow, column: &str) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    match column {
        "run" => run.id.clone(),
        "status" => run.status.clone(),
        "title" => text(&run.title),
        "pipeline" => run.pipeline.clone(),
        "step" => run.step().unwrap_or_default().to_owned(),
        "waits" => run
            .awaits
            .iter()
            .map(|awaited| format!("{} {}", awaited.verb(), awaited.whom()))
            .collect::<Vec<_>>()
            .join("; "),
        "started" => run.started_at.clone(),
        "ended" => text(&run.ended_at),
        "took" => {
            let ended = run.ended_at.as_deref().and_then(crate::words::millis);
            let took = ended
                .zip(crate::words::millis(&run.started_at))
                .map(|(ended, started)| (ended - started) as f64 / 1000.0);
            took.map(|seconds| seconds.to_string()).unwrap_or_default()
        }
        // A run that used up nothing costs nothing: each row has a number.
        "cost" if run.usage.cost_usd.is_empty() => "0.000000".to_owned(),
        "cost" => run.usage.cost_usd.clone(),
        "note" => text(&run.note),
        "steps" => run.steps_done().unwrap_or_default(),
        "moved" => run.moved_at.clone(),
        "by" => run.started_by.clone(),
        "labels" => {
            run.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("; ")
        }
        "search" => {
            let of_run = run.search_attributes();
            of_run.iter().map(|it| format!("{}={}", it.name, it.text())).collect::<Vec<_>>().join("; ")
        }
        "tokens" => (run.usage.input_tokens + run.usage.output_tokens).to_string(),
        "number" => run.number.map(|number| number.to_string()).unwrap_or_default(),
        "parent" => run.parent.as_ref().map(|parent| parent.short_id.clone()).unwrap_or_default(),
        "version" => run.version.to_string(),
        _unknown => String::new(),
    }
}

/// A line of values.
fn line(values: impl Iterator<Item = String>) -> String {
    let mut line = values.map(|value| cell(&value)).collect::<Vec<_>>().join(",");
    line.push_str("\r\n");
    line
}

/// A value that no spreadsheet takes for a formula, in quotes where it needs them (RFC 4180).
fn cell(value: &str) -> String {
    let is_formula = value.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let value = if is_formula { format!("'{value}") } else { value.to_owned() };
    match value.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", value.replace('"', "\"\"")),
        false => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_never_a_formula() {
        let values =
            ["=1+1", "＝1", "@SUM(A1)", "-2", "+x", "\tx", "plain", "a,b", "say \"no\"\nnow", "=\"a\""];
        let cells: Vec<String> = values.map(cell).to_vec();
        let expected = [
            "'=1+1",
            "'＝1",
            "'@SUM(A1)",
            "'-2",
            "'+x",
            "'\tx",
            "plain",
            "\"a,b\"",
            "\"say \"\"no\"\"\nnow\"",
            "\"'=\"\"a\"\"\"",
        ];
        assert_eq!(cells, expected);
    }

    #[test]
    fn a_run_that_used_up_nothing_has_a_cost_too() {
        let run = RunRow::default();
        assert_eq!(value(&run, "cost"), "0.000000");
    }

    #[test]
    fn a_line_ends_as_the_format_asks() {
        assert_eq!(line(["run", "a,b"].map(str::to_owned).into_iter()), "run,\"a,b\"\r\n");
    }
}
