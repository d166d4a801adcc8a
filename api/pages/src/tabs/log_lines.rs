//! Lines of a log as REST gives them, read piece by piece.
//!
//! Law: no more is in memory than a page shows: a reading ends when it has enough, and the rest is never asked for.

use std::collections::VecDeque;

use askama::Template;
use axum::body::Body;
use axum::http::{HeaderValue, Method, header};
use axum::response::Response;
use futures::StreamExt as _;
use jiff::Timestamp;
use serde::Deserialize;

use super::ansi::{StyledPiece, Terminal};
use super::log_place::AttemptFact;
use crate::frame::Visit;
use crate::problem::Problem;

/// Lines on a page.
pub(crate) const LINES: usize = 2_000;
/// Bytes of lines on a page.
const BYTES_MAX: usize = 1024 * 1024;
/// The longest piece of an answer without an end of line.
const PIECE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A line of a log. One that is not complete goes on in the next one of the same source.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct LogRecord {
    pub(crate) line: u64,
    pub(crate) at: String,
    pub(crate) source: String,
    pub(crate) text: String,
    pub(crate) complete: bool,
}

/// A line as a page shows it.
#[derive(Debug, Clone)]
pub(crate) struct LogLine {
    pub(crate) record: LogRecord,
    pub(crate) pieces: Vec<StyledPiece>,
    pub(crate) is_hit: bool,
}

impl LogLine {
    pub(crate) fn new(record: LogRecord, terminal: &mut Terminal) -> Self {
        let pieces = terminal.pieces(&record.text);
        Self { record, pieces, is_hit: false }
    }

    /// The class of where it comes from, and the word for it; standard output has none.
    pub(crate) fn source(&self) -> (&'static str, &'static str) {
        match self.record.source.as_str() {
            "stderr" => ("log-err", "err"),
            "supervisor" => ("log-own", "everfold"),
            _stdout => ("", ""),
        }
    }

    pub(crate) fn drawn(&self) -> LineDrawing<'_> {
        LineDrawing { line: self }
    }
}

/// A line of a log as a page has it.
#[derive(Template)]
#[template(path = "tabs/log_line.html")]
pub(crate) struct LineDrawing<'a> {
    line: &'a LogLine,
}

/// Some lines of a log that follow each other.
#[derive(Debug, Default)]
pub(crate) struct LogWindow {
    pub(crate) lines: Vec<LogLine>,
    /// Whether the log goes on behind them.
    pub(crate) goes_on: bool,
    /// A line that was asked for, and that the log does not have (so far).
    pub(crate) missing: Option<u64>,
}

impl LogWindow {
    pub(crate) fn first(&self) -> u64 {
        self.lines.first().map_or(1, |line| line.record.line)
    }

    pub(crate) fn last(&self) -> u64 {
        self.lines.last().map_or(0, |line| line.record.line)
    }

    fn new(records: impl IntoIterator<Item = LogRecord>, goes_on: bool) -> Self {
        let mut terminal = Terminal::default();
        let lines = records.into_iter().map(|record| LogLine::new(record, &mut terminal)).collect();
        Self { lines, goes_on, missing: None }
    }

    /// Lines around one, which stands in the middle, so that what led to it is seen, too. Where the log does not have it,
    /// its last lines.
    pub(crate) async fn around(
        visit: &Visit,
        run: &str,
        attempt: &AttemptFact,
        line: u64,
    ) -> Result<Self, Problem> {
        let first = line.saturating_sub(LINES as u64 / 2).max(1);
        let window = Self::from(visit, run, attempt, first).await?;
        if window.goes_on || window.last() >= line {
            return Ok(window);
        }
        let window = if window.lines.is_empty() { Self::tail(visit, run, attempt).await? } else { window };
        Ok(Self { missing: Some(line), ..window })
    }

    /// The last lines of a log.
    pub(crate) async fn tail(visit: &Visit, run: &str, attempt: &AttemptFact) -> Result<Self, Problem> {
        Ok(Self::new(tail(visit, run, attempt, LINES, BYTES_MAX).await?, false))
    }

    /// Lines from one on.
    pub(crate) async fn from(
        visit: &Visit,
        run: &str,
        attempt: &AttemptFact,
        first: u64,
    ) -> Result<Self, Problem> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        let is_whole = each_record(visit, run, attempt, Some(first.saturating_sub(1)), |record| {
            if records.len() == LINES || bytes > BYTES_MAX {
                return false;
            }
            bytes += record.text.len();
            records.push(record);
            true
        })
        .await?;
        Ok(Self::new(records, !is_whole))
    }
}

/// The last records of a log, so many and so large at most.
pub(crate) async fn tail(
    visit: &Visit,
    run: &str,
    attempt: &AttemptFact,
    lines: usize,
    bytes_max: usize,
) -> Result<VecDeque<LogRecord>, Problem> {
    let (mut kept, mut bytes) = (VecDeque::<LogRecord>::new(), 0);
    // The end of the past is not the end of the log.
    let query = match was_at(visit) {
        Some(_) => "format=json".to_owned(),
        None => format!("format=json&tail={lines}"),
    };
    let response = asked(visit, &attempt.rest_path(run, &query), None).await?;
    each_of(response, was_at(visit), |record| {
        bytes += record.text.len();
        kept.push_back(record);
        while (bytes > bytes_max && kept.len() > 1) || kept.len() > lines {
            bytes -= kept.pop_front().map_or(0, |gone| gone.text.len());
        }
        true
    })
    .await?;
    Ok(kept)
}

/// Hands out the records of a log behind a line one by one, until one is not taken. Says whether all were.
pub(crate) async fn each_record(
    visit: &Visit,
    run: &str,
    attempt: &AttemptFact,
    behind: Option<u64>,
    take: impl FnMut(LogRecord) -> bool,
) -> Result<bool, Problem> {
    let response = asked(visit, &attempt.rest_path(run, "format=json"), behind).await?;
    each_of(response, was_at(visit), take).await
}

/// The shown moment of the past, in milliseconds since 1970: what was written later is not shown.
pub(crate) fn was_at(visit: &Visit) -> Option<i64> {
    visit.then.as_deref().and_then(crate::words::millis)
}

/// Asks for a log: from its beginning as lines of JSON, or behind a line as events.
pub(crate) async fn asked(visit: &Visit, path: &str, behind: Option<u64>) -> Result<Response, Problem> {
    let mut request = visit.rest.request(Method::GET, path, Body::empty())?;
    if let Some(line) = behind {
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        request.headers_mut().insert("last-event-id", HeaderValue::from(line));
    }
    let response = visit.rest.send(request).await;
    if response.status().is_success() { Ok(response) } else { Err(crate::rest::problem_of(response).await) }
}

async fn each_of(
    response: Response,
    until: Option<i64>,
    mut take: impl FnMut(LogRecord) -> bool,
) -> Result<bool, Problem> {
    let mut pieces = response.into_body().into_data_stream();
    let mut lines = AnswerLines::default();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| Problem::within(format!("the log broke off: {error}")))?;
        lines.add(&piece)?;
        while let Some(line) = lines.next() {
            let Some(record) = read(&line) else { continue };
            if until.is_some_and(|until| is_later(&record, until)) {
                return Ok(true);
            }
            if !take(record) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Whether a record was written behind a moment, in milliseconds since 1970.
pub(crate) fn is_later(record: &LogRecord, until: i64) -> bool {
    crate::words::millis(&record.at).is_some_and(|at| at > until)
}

/// A record in a line of an answer: a line of JSON, or the data of an event.
pub(crate) fn read(line: &[u8]) -> Option<LogRecord> {
    let line = line.strip_prefix(b"data: ").unwrap_or(line);
    line.starts_with(b"{").then(|| serde_json::from_slice(line).ok()).flatten()
}

/// Bytes that come in pieces, as lines.
#[derive(Debug, Default)]
pub(crate) struct AnswerLines {
    bytes: Vec<u8>,
    /// Up to where lines were taken.
    taken: usize,
}

impl AnswerLines {
    pub(crate) fn add(&mut self, piece: &[u8]) -> Result<(), Problem> {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        if self.bytes.len() + piece.len() > PIECE_BYTES_MAX {
            return Err(Problem::within("a line of the log is too long to be shown; the download has it"));
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// The next whole line, without its end.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        let rest = &self.bytes[self.taken..];
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let line = rest[..end].to_vec();
        self.taken += end + 1;
        Some(line)
    }
}

/// The time of day of a time of RFC 3339, in UTC: what a page says before its script writes it in the viewer's zone.
pub(crate) fn clock(time: &str) -> String {
    match time.parse::<Timestamp>() {
        Ok(at) => at.strftime("%H:%M:%S%.3f").to_string(),
        Err(_) => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let mut lines = AnswerLines::default();
        let mut found = Vec::new();
        for piece in ["ab", "c\nd", "", "\n\ne"] {
            assert!(lines.add(piece.as_bytes()).is_ok());
            found.extend(
                std::iter::from_fn(|| lines.next()).map(|line| String::from_utf8_lossy(&line).into_owned()),
            );
        }
        assert_eq!(found, ["abc", "d", ""]);
    }

    #[test]
    fn records_stand_in_lines_and_in_events() {
        let json = br#"{"line":3,"at":"x","source":"stdout","text":"a","complete":true}"#;
        assert_eq!(read(json).map(|record| record.line), Some(3));
        assert_eq!(read(&[b"data: ".as_slice(), json].concat()).map(|record| record.line), Some(3));
        assert!(read(b"id: 3").is_none() && read(b"data: {}").is_none() && read(b": keep").is_none());
    }

    /// REST with a log of three lines.
    async fn rest(request: axum::extract::Request) -> Result<Response, std::convert::Infallible> {
        let behind = request.headers().get("last-event-id").and_then(|id| id.to_str().ok());
        let behind: u64 = behind.and_then(|id| id.parse().ok()).unwrap_or(0);
        let line = |line| {
            format!(
                "{{\"line\":{line},\"at\":\"x\",\"source\":\"stdout\",\"text\":\"a\",\"complete\":true}}\n"
            )
        };
        let body: String = (1..=3).filter(|at| *at > behind).map(line).collect();
        let body = match request.uri().path() {
            "/api/v1/session" => r#"{"actor":"user:ada","role":"viewer"}"#.to_owned(),
            _ => body,
        };
        Ok(Response::new(Body::from(body)))
    }

    #[tokio::test]
    async fn a_line_behind_the_end_is_said_to_be_missing() {
        let changes = crate::ChangeSource::new(|| Box::pin(futures::stream::pending()));
        let pages = crate::Pages {
            rest: crate::Rest::new(tower::service_fn(rest)),
            live: crate::live_hub::LiveHub::new(changes),
        };
        let (head, ()) = axum::extract::Request::new(()).into_parts();
        let visit = Visit::of(&head, &pages).await.unwrap();
        let attempt: AttemptFact = serde_json::from_value(serde_json::json!({
            "step": "build", "round": 1, "attempt": 1, "scheduled_at": "x", "started_at": "x", "end": null,
        }))
        .unwrap();
        for (line, missing, shown) in [(2, None, 3), (9, Some(9), 3), (999_999_999, Some(999_999_999), 3)] {
            let window = LogWindow::around(&visit, "r", &attempt, line).await.unwrap();
            assert_eq!((window.missing, window.lines.len()), (missing, shown), "{line}");
        }
    }

    #[test]
    fn a_time_is_shown_to_the_millisecond() {
        assert_eq!(clock("2026-11-22T15:49:26.812Z"), "15:49:26.812");
        assert_eq!(clock("<b>"), "<b>");
    }
}
