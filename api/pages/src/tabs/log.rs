//! `/runs/{run}/log`: what an attempt wrote, as lines or, of an agent, as a conversation.
//!
//! Law: the address names the attempt; one that does not leads to one that does. While an attempt writes, its script takes
//! the lines that come; a page that is fetched anew for that leaves out the lines, which stay in place.

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::excerpt::clamped;
use super::log_damage::damage;
use super::log_lines::{LINES, LogWindow, tail};
use super::log_place::{AttemptFact, asked, attempts, listed};
use super::log_search::{FoundLines, search};
use super::transcript::{TranscriptEntry, TranscriptPart, TranscriptReader};
use crate::frame::{Frame, Visit};
use crate::html::Html;
use crate::problem::Problem;
use crate::run::{RunHead, RunTab};

/// Bytes of a transcript that are read for a page, from its end.
const TRANSCRIPT_BYTES_MAX: usize = 2 * 1024 * 1024;

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct LogQuery {
    step: String,
    round: String,
    attempt: String,
    /// `transcript` or `raw`.
    view: String,
    /// A line that is to be among those that are shown.
    line: String,
    /// The first of the lines that are shown.
    from: String,
    /// A text that is looked for.
    q: String,
    /// Behind which line it is looked for.
    behind: String,
}

/// What of the log is shown.
enum ShownLog {
    /// There is none; why.
    Nothing(Problem),
    Lines(LogWindow),
    Transcript {
        entries: Vec<TranscriptEntry>,
        is_whole: bool,
    },
    Found(FoundLines),
    /// Lines that are in place already.
    Kept,
}

#[derive(Template)]
#[template(path = "tabs/log.html")]
struct LogPage {
    frame: Frame,
    head: RunHead,
    query: LogQuery,
    attempts: Vec<AttemptFact>,
    here: Option<AttemptFact>,
    shown: ShownLog,
    /// In which way the log is not what was written; or that it could not be compared.
    damage: Result<Option<String>, Problem>,
    is_agent: bool,
    total_attempts: usize,
}

impl LogPage {
    fn run(&self) -> &str {
        &self.head.facts.short_id
    }

    fn is_here(&self, attempt: &AttemptFact) -> bool {
        self.here.as_ref().is_some_and(|here| here.key() == attempt.key())
    }

    /// The address of an attempt's log, in the view that is shown.
    fn path(&self, attempt: &AttemptFact) -> String {
        attempt.path(self.run(), "", &[])
    }

    fn with(&self, attempt: &AttemptFact, name: &str, value: &str) -> String {
        attempt.path(self.run(), "", &[("view", "raw"), (name, value)])
    }

    fn view(&self, attempt: &AttemptFact, view: &str) -> String {
        attempt.path(self.run(), "", &[("view", view)])
    }

    /// The lines before the shown ones.
    fn earlier(&self, attempt: &AttemptFact, window: &LogWindow) -> String {
        let from = window.first().saturating_sub(LINES as u64).max(1);
        self.with(attempt, "from", &from.to_string())
    }

    fn later(&self, attempt: &AttemptFact, window: &LogWindow) -> String {
        self.with(attempt, "from", &(window.last() + 1).to_string())
    }

    fn line_path(&self, attempt: &AttemptFact, line: &u64) -> String {
        format!("{}#L{line}", self.frame.to(self.with(attempt, "line", &line.to_string())))
    }

    fn found_more(&self, attempt: &AttemptFact, until: &u64) -> String {
        let until = until.to_string();
        attempt.path(self.run(), "", &[("view", "raw"), ("q", &self.query.q), ("behind", &until)])
    }

    /// Whether lines still come: of an attempt that goes on now.
    fn follows(&self, attempt: &AttemptFact) -> bool {
        self.frame.is_now() && !attempt.is_over() && self.query.line.is_empty() && self.query.from.is_empty()
    }

    /// Whether there is a file to download, or will be.
    fn has_file(&self, attempt: &AttemptFact) -> bool {
        self.follows(attempt) || !matches!(self.shown, ShownLog::Nothing(_))
    }

    fn is_transcript(&self) -> bool {
        matches!(self.shown, ShownLog::Transcript { .. })
    }

    /// Whether an attempt has ended without a byte of output.
    fn wrote_nothing(&self, here: &AttemptFact) -> bool {
        let log = here.end.as_ref().and_then(|end| end.log.as_ref());
        log.is_some_and(|log| log.bytes == 0 && log.lost_bytes == 0)
    }
}

/// `GET /runs/{run}/log`.
pub(crate) async fn page(
    visit: Visit,
    Path(run): Path<String>,
    Query(query): Query<LogQuery>,
) -> Result<Response, Problem> {
    let head = RunHead::load(&visit, &run, RunTab::Log).await?;
    let id = head.facts.id.clone();
    let all = attempts(&visit, &head).await?;
    let (round, attempt) = (query.round.parse().ok(), query.attempt.parse().ok());
    let here = asked(&all, &query.step, round, attempt).cloned();
    let frame = head.frame(&visit);
    if let Some(here) = here.as_ref().filter(|_| round.is_none() || attempt.is_none())
        && !visit.is_partial
    {
        let more = [("view", query.view.as_str()), ("line", &query.line), ("q", &query.q)];
        let path = frame.to(here.path(&head.facts.short_id, "", &more));
        // A browser goes to the line then, without scripts, too.
        let line = query.line.parse::<u64>().map(|line| format!("#L{line}")).unwrap_or_default();
        return Ok(Redirect::to(&format!("{path}{line}")).into_response());
    }
    let is_agent = here.as_ref().is_some_and(|here| kind_of(&all, here) == "agent");
    let shown = match &here {
        None => ShownLog::Nothing(no_attempt(&query)),
        Some(here) => shown(&visit, &id, here, &query, is_agent).await.unwrap_or_else(ShownLog::Nothing),
    };
    let damage = match (&here, &shown) {
        // What says that there is no log says enough; a page that is fetched anew keeps what it has said.
        (None, _) | (_, ShownLog::Nothing(_)) => Ok(None),
        _ if visit.is_partial => Ok(None),
        (Some(here), _) => damage(&visit, &id, here).await,
    };
    let total_attempts = all.iter().filter(|row| row.has_log()).count();
    let attempts: Vec<AttemptFact> = listed(&all, here.as_ref()).into_iter().cloned().collect();
    Ok(Html(LogPage { frame, head, query, attempts, here, shown, damage, is_agent, total_attempts })
        .into_response())
}

/// The kind of work; a retry does not name it again.
fn kind_of<'a>(attempts: &'a [AttemptFact], of: &AttemptFact) -> &'a str {
    let mut same = attempts.iter().filter(|row| row.step == of.step && !row.kind.is_empty());
    same.next_back().map_or("", |row| row.kind.as_str())
}

async fn shown(
    visit: &Visit,
    run: &str,
    here: &AttemptFact,
    query: &LogQuery,
    is_agent: bool,
) -> Result<ShownLog, Problem> {
    if !query.q.trim().is_empty() {
        let behind = query.behind.parse().unwrap_or(0);
        return Ok(ShownLog::Found(search(visit, run, here, query.q.trim(), behind).await?));
    }
    if query.view == "transcript" || (is_agent && query.view.is_empty()) {
        let records = tail(visit, run, here, LINES, TRANSCRIPT_BYTES_MAX).await?;
        let is_whole = records.front().is_none_or(|record| record.line <= 1);
        return Ok(ShownLog::Transcript { entries: TranscriptReader::of(records), is_whole });
    }
    if visit.is_partial {
        return Ok(ShownLog::Kept);
    }
    let window = match (query.from.parse::<u64>(), query.line.parse::<u64>()) {
        (Ok(from), _) => LogWindow::from(visit, run, here, from.max(1)).await?,
        (Err(_), Ok(line)) => LogWindow::around(visit, run, here, line.max(1)).await?,
        (Err(_), Err(_)) => LogWindow::tail(visit, run, here).await?,
    };
    Ok(ShownLog::Lines(window))
}

fn no_attempt(query: &LogQuery) -> Problem {
    match query.step.as_str() {
        "" => Problem::not_found("No step of this run has begun yet."),
        step => Problem::not_found(format!("There is no such attempt of “{}”.", clamped(step, 80))),
    }
}
