//! The listed decisions as a file: JSON Lines, or CSV.
//!
//! Law: no cell of a CSV file begins with what a spreadsheet takes for a formula.

use std::collections::VecDeque;

use axum::body::{Body, Bytes};
use axum::extract::{Query, RawQuery};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, stream};
use serde::Deserialize;

use super::decision::{Decision, ListedRecheck};
use super::filter::AuditFilter;
use crate::frame::Visit;
use crate::problem::Problem;

/// Decisions that are read at once.
const PART: usize = 500;
/// The parameters of an export: those of the list, the form, and the moment of every page.
const PARAMETERS: [&str; 12] =
    ["kind", "only", "gate", "verdict", "pipeline", "run", "actor", "since", "until", "cursor", "as", "at"];
/// The forms, by the word in the address; without one it is JSON Lines.
const FORMS: [&str; 3] = ["", "jsonl", "csv"];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ExportQuery {
    /// `csv`, else JSON Lines.
    #[serde(rename = "as")]
    form: String,
    #[serde(flatten)]
    filter: AuditFilter,
}

/// What is still to be written.
struct Export {
    visit: Visit,
    filter: AuditFilter,
    is_csv: bool,
    ready: VecDeque<Decision>,
    cursor: Option<String>,
}

/// `GET /audit/export`: every listed decision, newest first.
pub(super) async fn export(
    visit: Visit,
    RawQuery(raw): RawQuery,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Problem> {
    refuse_unknown(raw.as_deref().unwrap_or_default(), &query.form)?;
    let is_csv = query.form == "csv";
    // The first part is read before the answer begins, so that a refusal of REST has its status.
    let first = query.filter.load(&visit, "", PART).await?;
    let export =
        Export { visit, filter: query.filter, is_csv, ready: first.items.into(), cursor: first.next };
    let head = is_csv.then(|| Ok(Bytes::from(CSV_HEAD)));
    let rows = stream::unfold(Some(export), |export| async {
        let mut export = export?;
        match export.next_part().await {
            Ok(None) => None,
            Ok(Some(text)) => Some((Ok(text), Some(export))),
            // The file breaks off without its end, so that it cannot be taken for the whole.
            Err(problem) => Some((Err(std::io::Error::other(problem.detail)), None)),
        }
    });
    // What compresses a body asks once more behind its end.
    let body = Body::from_stream(stream::iter(head).chain(rows.fuse()));
    let (kind, name) = match is_csv {
        true => ("text/csv; charset=utf-8", "attachment; filename=\"decisions.csv\""),
        false => ("application/x-ndjson", "attachment; filename=\"decisions.jsonl\""),
    };
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static(name)),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    Ok((head, body).into_response())
}

/// Refuses what would leave the file another one than was asked for, as a filter by a name that is spelled wrong.
fn refuse_unknown(query: &str, form: &str) -> Result<(), Problem> {
    let mut names = form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name);
    if let Some(name) = names.find(|name| !PARAMETERS.contains(&name.as_ref())) {
        let known = PARAMETERS.join(", ");
        return Err(Problem::invalid(format!("an export has no parameter “{name}”: there are {known}")));
    }
    match FORMS.contains(&form) {
        true => Ok(()),
        false => Err(Problem::invalid(format!("as: “{form}” is no form of an export: write csv or jsonl"))),
    }
}

impl Export {
    /// The lines of the next part.
    async fn next_part(&mut self) -> Result<Option<Bytes>, Problem> {
        if self.ready.is_empty() {
            let Some(cursor) = self.cursor.take() else { return Ok(None) };
            let part = self.filter.load(&self.visit, &cursor, PART).await?;
            self.ready = part.items.into();
            self.cursor = part.next;
        }
        let is_csv = self.is_csv;
        let lines: String = self
            .ready
            .drain(..)
            .map(|item| if is_csv { csv_line(&item) } else { json_line(&item) })
            .collect();
        Ok(Some(Bytes::from(lines)))
    }
}

const CSV_HEAD: &str = "at,position,run,version,step,round,kind,gate,verdict,reason,evidence,policy,policy_hash,actor,override,pipeline,title,bypassed,permanent,asked_by,asked_at,displaced_by,displaced_at,displaced_gate\r\n";

fn csv_line(item: &Decision) -> String {
    let round = item.round.map(|round| round.to_string()).unwrap_or_default();
    let evidence = if item.basis().is_null() { String::new() } else { item.basis().to_string() };
    let others = item.policies.iter().map(|(gate, policy)| format!("{gate}: {policy}"));
    let policy = item.policy.clone().unwrap_or_else(|| others.collect::<Vec<_>>().join("\n"));
    let of = |recheck: &Option<ListedRecheck>, cell: fn(&ListedRecheck) -> String| {
        recheck.as_ref().map(cell).unwrap_or_default()
    };
    let of_asked = |cell| of(&item.asked, cell);
    let of_displaced = |cell| of(&item.displaced, cell);
    let cells = [
        item.at.clone(),
        item.position.to_string(),
        item.run_id().to_owned(),
        item.version.to_string(),
        item.step.clone().unwrap_or_default(),
        round,
        item.kind.clone(),
        item.gate.clone().unwrap_or_default(),
        item.verdict_word(),
        item.because(),
        evidence,
        policy,
        item.policy_hash.clone().unwrap_or_default(),
        item.actor.clone(),
        item.is_override().to_string(),
        item.pipeline.clone(),
        item.title.clone().unwrap_or_default(),
        item.bypassed.join("\n"),
        item.permanent.map(|is| is.to_string()).unwrap_or_default(),
        of_asked(|it| it.actor.clone()),
        of_asked(|it| it.at.clone()),
        of_displaced(|it| it.actor.clone()),
        of_displaced(|it| it.at.clone()),
        of_displaced(|it| it.gate.clone().unwrap_or_default()),
    ];
    let cells: Vec<String> = cells.iter().map(|cell| csv_cell(cell)).collect();
    format!("{}\r\n", cells.join(","))
}

/// A cell of CSV; one that a spreadsheet would compute has an apostrophe before it.
fn csv_cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

fn json_line(item: &Decision) -> String {
    let mut line = serde_json::json!({
        "at": item.at, "position": item.position, "run": item.run_id(), "short_id": item.short_id, "pipeline": item.pipeline, "title": item.title, "version": item.version, "step": item.step,
        "round": item.round, "kind": item.kind, "actor": item.actor, "override": item.is_override(),
    });
    let gate = [
        ("gate", &item.gate),
        ("verdict", &item.verdict),
        ("policy", &item.policy),
        ("policy_hash", &item.policy_hash),
    ];
    let said = [
        ("vote", &item.vote),
        ("comment", &item.comment),
        ("decision", &item.decision),
        ("reason", &item.reason),
        ("signal", &item.signal),
        ("route", &item.route),
        ("due", &item.due),
    ];
    for (name, text) in gate.into_iter().chain(said) {
        if let Some(text) = text {
            line[name] = text.as_str().into();
        }
    }
    for (name, value) in
        [("evidence", &item.evidence), ("seen", &item.seen), ("answer", &item.answer), ("by", &item.by)]
    {
        if !value.is_null() {
            line[name] = value.clone();
        }
    }
    for (name, value) in [("edited", &item.edited), ("output", &item.output)] {
        if let Some(value) = value {
            line[name] = value.clone();
        }
    }
    let counts = [
        ("attempt", item.attempt),
        ("probe_no", item.probe_no),
        ("evaluator", item.evaluator),
        ("used", item.used),
        ("max", item.max),
    ];
    for (name, number) in counts {
        if let Some(number) = number {
            line[name] = number.into();
        }
    }
    if !item.comments.is_empty() {
        line["comments"] = item.comments.clone().into();
    }
    if item.is_of_gate() {
        line["tolerated"] = item.tolerated.into();
    }
    add_rechecks(&mut line, item);
    if !item.bypassed.is_empty() {
        line["bypassed"] = item.bypassed.clone().into();
    }
    if !item.policies.is_empty() {
        line["policies"] = serde_json::json!(item.policies);
    }
    format!("{line}\n")
}

/// The rechecks that it is about.
fn add_rechecks(line: &mut serde_json::Value, item: &Decision) {
    for (name, recheck) in [("asked", &item.asked), ("displaced", &item.displaced)] {
        if let Some(recheck) = recheck {
            line[name] = serde_json::json!(recheck);
        }
    }
    if let Some(permanent) = item.permanent {
        line["permanent"] = permanent.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        assert_eq!(csv_cell("=HYPERLINK(\"x\",\"y\")"), "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\"");
        assert_eq!(
            ["+1", "-1", "@a", "\tx", "plain", "a,b"].map(csv_cell),
            ["'+1", "'-1", "'@a", "'\tx", "plain", "\"a,b\""]
        );
    }

    #[test]
    fn a_line_names_its_run_in_full() {
        let run = "01a1fa2f-f5d5-78ae-aca8-81563b2cabce";
        let item = Decision { run: run.to_owned(), short_id: "3b2cabce".to_owned(), ..Decision::default() };
        assert!(csv_line(&item).contains(run));
        let line: serde_json::Value = serde_json::from_str(&json_line(&item)).expect("the line is JSON");
        assert_eq!((line["run"].as_str(), line["short_id"].as_str()), (Some(run), Some("3b2cabce")));
    }

    #[test]
    fn an_exported_override_says_past_which_gates_and_with_what_output() {
        let item = Decision {
            kind: "override".to_owned(),
            decision: Some("proceed".to_owned()),
            bypassed: vec!["g1".to_owned(), "g2".to_owned()],
            output: Some(serde_json::json!({ "r": 9 })),
            ..Decision::default()
        };
        let line: serde_json::Value = serde_json::from_str(&json_line(&item)).expect("the line is JSON");
        assert_eq!(line["bypassed"], serde_json::json!(["g1", "g2"]));
        assert_eq!(line["output"], serde_json::json!({ "r": 9 }));
        assert!(csv_line(&item).ends_with(",\"g1\ng2\",,,,,,\r\n"), "{}", csv_line(&item));
    }

    #[test]
    fn an_exported_recheck_says_what_it_displaced_and_a_gate_that_was_not_judged_who_asked() {
        let recheck = ListedRecheck {
            version: 8,
            at: "2026-11-20T10:00:00Z".to_owned(),
            actor: "user:ada".to_owned(),
            reason: Some("the first".to_owned()),
            gate: Some("tests".to_owned()),
        };
        let second = Decision { displaced: Some(recheck.clone()), ..Decision::default() };
        let line: serde_json::Value = serde_json::from_str(&json_line(&second)).expect("the line is JSON");
        assert_eq!(line["displaced"], serde_json::json!(recheck));
        assert!(
            csv_line(&second).ends_with(",,,,user:ada,2026-11-20T10:00:00Z,tests\r\n"),
            "{}",
            csv_line(&second)
        );
        let failed = Decision { permanent: Some(false), asked: Some(recheck.clone()), ..Decision::default() };
        let line: serde_json::Value = serde_json::from_str(&json_line(&failed)).expect("the line is JSON");
        assert_eq!((&line["asked"], &line["permanent"]), (&serde_json::json!(recheck), &false.into()));
        assert!(
            csv_line(&failed).ends_with(",false,user:ada,2026-11-20T10:00:00Z,,,\r\n"),
            "{}",
            csv_line(&failed)
        );
    }

    #[test]
    fn a_line_has_as_many_cells_as_the_head() {
        let head = CSV_HEAD.matches(',').count();
        assert_eq!(csv_line(&Decision::default()).matches(',').count(), head);
    }
}
