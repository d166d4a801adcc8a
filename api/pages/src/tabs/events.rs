//! `/runs/{run}/events`: everything that happened, with filters.
//!
//! Law: versions have no gaps, so parts of the list are counted: each address shows the same part for ever. A search reads
//! so many events at most, and says where it goes on.

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::Value;

use super::address::address;
use super::event_row::{EventFact, EventRow};
use crate::frame::{Frame, Visit};
use crate::html::Html;
use crate::problem::Problem;
use crate::run::{RunHead, RunTab};

/// Events on a page.
const ROWS: u64 = 100;
/// Events that a search reads for one page.
const SEARCHED_MAX: u64 = 10_000;
/// Events that are read at once.
const CHUNK: u64 = 1_000;
/// The longest JSON of one event that stands in the list, and of all together.
const JSON_MAX: usize = 8_000;
const JSON_OF_PAGE_MAX: usize = 240_000;

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct EventsQuery {
    /// The first version of the part.
    from: String,
    /// The version that is asked for; its part is shown, and it is open.
    version: String,
    #[serde(rename = "type")]
    kind: String,
    step: String,
    actor: String,
    q: String,
}

impl EventsQuery {
    fn is_search(&self) -> bool {
        [&self.kind, &self.step, &self.actor, &self.q].iter().any(|text| !text.trim().is_empty())
    }

    /// What is asked for by a version that the run has not.
    fn refused(&self, total: u64) -> Option<String> {
        let is_version = |text: &str| text.parse().is_ok_and(|version: u64| (1..=total).contains(&version));
        let wrong =
            [&self.version, &self.from].into_iter().find(|text| !text.is_empty() && !is_version(text));
        wrong.map(|text| format!("“{text}” is no version of this run: it has 1 to {total}."))
    }

    fn fits(&self, row: &EventRow) -> bool {
        let has = |whole: &str, part: &str| {
            let part = part.trim().to_lowercase();
            part.is_empty() || whole.to_lowercase().contains(&part)
        };
        let step = self.step.trim();
        let is_there = step.is_empty()
            || row.place.as_ref().is_some_and(|place| place.of_step == step || place.step == step);
        is_there
            && has(&row.kind, &self.kind)
            && has(&row.fact.actor, &self.actor)
            && (has(&row.line, &self.q) || has(&row.fact.event.to_string(), &self.q))
    }

    /// The list from a version on, with the same filters.
    fn from(&self, run: &str, from: u64) -> String {
        let from = from.to_string();
        let pairs = [
            ("from", &*from),
            ("type", &self.kind),
            ("step", &self.step),
            ("actor", &self.actor),
            ("q", &self.q),
        ];
        address(&format!("/runs/{run}/events"), &pairs)
    }
}

/// A part of the list, as its link names it.
struct EventPart {
    words: String,
    path: String,
    is_shown: bool,
}

#[derive(Template)]
#[template(path = "tabs/events.html")]
struct EventsPage {
    frame: Frame,
    head: RunHead,
    query: EventsQuery,
    rows: Vec<EventRow>,
    parts: Vec<EventPart>,
    steps: Vec<String>,
    kinds: &'static [&'static str],
    /// How many events the shown moment has.
    total: u64,
    /// Of a search: up to which version was looked, and where it goes on.
    searched: Option<(u64, Option<String>)>,
    /// What the address asks for and this run has not.
    refused: Option<String>,
}

impl EventsPage {
    /// A step that is asked for and is none of the run.
    fn unknown_step(&self) -> Option<&str> {
        let step = self.query.step.as_str();
        (!step.is_empty() && !self.steps.iter().any(|known| known == step)).then_some(step)
    }

    fn debug_path(&self, row: &EventRow) -> String {
        format!("/runs/{}/debug?version={}", self.head.facts.short_id, row.fact.version)
    }

    fn cause_path(&self, row: &EventRow) -> String {
        let because = row.fact.cause.because;
        format!("/runs/{}/events?version={because}#v{because}", self.head.facts.short_id)
    }
}

/// `GET /runs/{run}/events`.
pub(crate) async fn page(
    visit: Visit,
    Path(run): Path<String>,
    Query(query): Query<EventsQuery>,
) -> Result<Response, Problem> {
    let head = RunHead::load(&visit, &run, RunTab::Events).await?;
    let total = head.facts.version;
    let asked: Option<u64> = query.version.parse().ok().filter(|version| (1..=total).contains(version));
    let (mut rows, mut searched) = (Vec::new(), None);
    let first = query.from.parse().ok().or(asked).map_or_else(|| first_of_last(total), |at: u64| at.max(1));
    let short = head.facts.short_id.clone();
    if query.is_search() {
        let from = query.from.parse().unwrap_or(1).max(1);
        let next = search(&visit, &head.facts.id, &query, from, total, &mut rows).await?;
        let end = next.map_or(total, |next| next - 1);
        searched = Some((end, next.map(|next| query.from(&short, next))));
    } else {
        let first = (first - 1) / ROWS * ROWS + 1;
        rows = read(&visit, &head.facts.id, first, ROWS.min(total.saturating_sub(first - 1))).await?;
    }
    with_json(&mut rows);
    for row in &mut rows {
        row.is_asked = asked == Some(row.fact.version);
    }
    let shown = rows.first().map_or(1, |row| row.fact.version);
    let parts = if searched.is_some() { Vec::new() } else { parts(&query, &short, total, shown) };
    let steps = names_of_steps(&head.view);
    let frame = head.frame(&visit);
    let refused = query.refused(total);
    let kinds = KINDS;
    Ok(Html(EventsPage { frame, head, query, rows, parts, steps, kinds, total, searched, refused })
        .into_response())
}

/// `GET /runs/{run}/events/{version}`: one event, whole, as JSON.
pub(crate) async fn whole(
    visit: Visit,
    Path((run, version)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let version: u64 = version.parse().map_err(|_| Problem::not_found("an event is named by its version"))?;
    let path = format!("/runs/{}/events?from={}&limit=1", crate::words::encoded(&run), version.max(1));
    let mut page: Value = visit.rest.get(&path).await?;
    let event = page.pointer_mut("/items/0").map(Value::take);
    let event = event.ok_or_else(|| Problem::not_found(format!("the run has no version {version} yet")))?;
    let text = serde_json::to_string_pretty(&event).unwrap_or_default();
    Ok(([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "private, no-store")], text)
        .into_response())
}

/// Where the last part begins.
fn first_of_last(total: u64) -> u64 {
    total.saturating_sub(1) / ROWS * ROWS + 1
}

#[derive(Deserialize)]
struct EventList {
    items: Vec<EventFact>,
}

async fn read(visit: &Visit, run: &str, from: u64, limit: u64) -> Result<Vec<EventRow>, Problem> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    // A part of REST may end early where events are large.
    let (mut rows, mut next) = (Vec::new(), from);
    while (rows.len() as u64) < limit {
        let left = limit - rows.len() as u64;
        let list: EventList = visit.rest.get(&format!("/runs/{run}/events?from={next}&limit={left}")).await?;
        let Some(last) = list.items.last() else { break };
        next = last.version + 1;
        rows.extend(list.items.into_iter().map(EventRow::new));
    }
    Ok(rows)
}

/// Looks for events from a version on; gives the version at which the search goes on.
async fn search(
    visit: &Visit,
    run: &str,
    query: &EventsQuery,
    from: u64,
    total: u64,
    found: &mut Vec<EventRow>,
) -> Result<Option<u64>, Problem> {
    let mut next = from;
    while next <= total && next < from + SEARCHED_MAX {
        let limit = CHUNK.min(total + 1 - next);
        let list: EventList =
            visit.rest.get(&format!("/runs/{run}/events?from={next}&limit={limit}")).await?;
        let Some(last) = list.items.last() else { return Ok(None) };
        next = last.version + 1;
        for fact in list.items {
            let row = EventRow::new(fact);
            if query.fits(&row) {
                found.push(row);
            }
            if found.len() as u64 == ROWS {
                let next = found.last().map_or(next, |row| row.fact.version + 1);
                return Ok((next <= total).then_some(next));
            }
        }
    }
    Ok((next <= total).then_some(next))
}

/// Puts the JSON of events into their rows, as long as there is room on the page.
fn with_json(rows: &mut [EventRow]) {
    let mut left = JSON_OF_PAGE_MAX;
    for row in rows {
        let text = row.whole();
        if text.len() <= JSON_MAX.min(left) {
            left -= text.len();
            row.json = Some(text);
        }
    }
}

/// Links to the parts of the list: the first, those around the shown one, the last.
fn parts(query: &EventsQuery, run: &str, total: u64, shown: u64) -> Vec<EventPart> {
    let (count, here) = (total.div_ceil(ROWS), (shown - 1) / ROWS);
    if count < 2 {
        return Vec::new();
    }
    let near = here.saturating_sub(2)..=(here + 2).min(count - 1);
    let numbers = std::collections::BTreeSet::from_iter(near.chain([0, count - 1]));
    let part = |number: u64| {
        let first = number * ROWS + 1;
        EventPart {
            words: format!("{first}–{}", (first + ROWS - 1).min(total)),
            path: query.from(run, first),
            is_shown: number == here,
        }
    };
    numbers.into_iter().map(part).collect()
}

/// The steps of a run, in their order.
pub(super) fn names_of_steps(view: &Value) -> Vec<String> {
    let steps = view["steps"].as_array().into_iter().flatten();
    steps.filter_map(|step| step["id"].as_str().map(str::to_owned)).collect()
}

/// The types of events, as suggestions.
const KINDS: &[&str] = &[
    "ApprovalDecided",
    "ApprovalRequested",
    "AttemptFailed",
    "AttemptLost",
    "AttemptStarted",
    "AttemptSucceeded",
    "BreakpointHit",
    "BudgetExceeded",
    "BudgetRaised",
    "CancelRequested",
    "ChildFinished",
    "ChildStarted",
    "GateEvaluated",
    "ItemsExpanded",
    "NoteAdded",
    "NoticeFailed",
    "NoticeSent",
    "ProbeFailed",
    "ProbeScheduled",
    "QuestionAnswered",
    "QuestionAsked",
    "RecheckRequested",
    "RetryScheduled",
    "ReworkRequested",
    "RunFailed",
    "RunForked",
    "RunPaused",
    "RunResumed",
    "RunStarted",
    "RunSucceeded",
    "RunUnblocked",
    "SignalReceived",
    "SignalTaken",
    "StepBlocked",
    "StepFailed",
    "StepScheduled",
    "StepSkipped",
    "StepSucceeded",
    "TimerFired",
    "TimerSet",
    "UsageRecorded",
    "VoteCast",
    "WorkspacePrepared",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_the_run_has_not_is_named() {
        let of = |version: &str| EventsQuery { version: version.to_owned(), ..EventsQuery::default() };
        assert_eq!(of("7").refused(7), None);
        assert_eq!(of("8").refused(7).as_deref(), Some("“8” is no version of this run: it has 1 to 7."));
        assert!(of("bogus").refused(7).is_some());
    }

    #[test]
    fn the_last_part_is_the_one_with_the_newest_event() {
        assert_eq!([0, 1, 100, 101, 250].map(first_of_last), [1, 1, 1, 101, 201]);
    }

    #[test]
    fn links_name_the_first_the_last_and_the_parts_around() {
        let parts = parts(&EventsQuery::default(), "abcd", 1_950, 901);
        let words: Vec<&str> = parts.iter().map(|part| part.words.as_str()).collect();
        assert_eq!(words, ["1–100", "701–800", "801–900", "901–1000", "1001–1100", "1101–1200", "1901–1950"]);
        assert!(parts[3].is_shown && parts[3].path == "/runs/abcd/events?from=901");
    }
}
