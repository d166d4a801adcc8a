//! A log that is followed, and one that is downloaded: the streams of REST, passed through.

use askama::Template;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use futures::stream;
use serde::Deserialize;
use serde_json::json;

use super::ansi::Terminal;
use super::log_lines::{AnswerLines, LogLine, asked, is_later, read, was_at};
use crate::frame::Visit;
use crate::problem::Problem;
use crate::words::encoded;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StreamQuery {
    step: String,
    round: String,
    attempt: String,
    /// The last line that the page has.
    behind: String,
}

impl StreamQuery {
    fn path(&self, run: &str, query: &str) -> String {
        let [step, round, attempt] = [&self.step, &self.round, &self.attempt].map(|part| encoded(part));
        format!("/runs/{}/attempts/{step}/{round}/{attempt}/log?{query}", encoded(run))
    }
}

/// `GET /runs/{run}/log/stream`: an event `line` for each, as HTML, and `over` at the end. `Last-Event-ID` is a line.
pub(crate) async fn stream(
    visit: Visit,
    Path(run): Path<String>,
    Query(query): Query<StreamQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let behind: u64 = last.or_else(|| query.behind.parse().ok()).unwrap_or(0);
    let response = asked(&visit, &query.path(&run, "follow=true&format=json"), Some(behind)).await?;
    let pieces = response.into_body().into_data_stream();
    let passing = Passing { lines: AnswerLines::default(), terminal: Terminal::default() };
    let body = stream::unfold((pieces, passing), |(mut pieces, mut passing)| async move {
        loop {
            let piece = pieces.next().await?.ok()?;
            let text = passing.pass(&piece)?;
            if !text.is_empty() {
                return Some((Ok::<_, std::convert::Infallible>(Bytes::from(text)), (pieces, passing)));
            }
        }
    });
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((head, Body::from_stream(body.fuse())).into_response())
}

/// Events of REST that become events of a page.
struct Passing {
    lines: AnswerLines,
    terminal: Terminal,
}

impl Passing {
    /// What the page is sent for a piece of the answer; nothing where it cannot go on.
    fn pass(&mut self, piece: &[u8]) -> Option<String> {
        self.lines.add(piece).ok()?;
        let mut text = String::new();
        while let Some(line) = self.lines.next() {
            if let Some(record) = read(&line) {
                let line = LogLine::new(record, &mut self.terminal);
                let html = line.drawn().render().ok()?;
                text.push_str(&format!(
                    "data: {}\n",
                    json!({ "line": line.record.line, "html": html.trim() })
                ));
            } else {
                // `id`, `event`, comments, the end of an event.
                text.push_str(&String::from_utf8_lossy(&line));
                text.push('\n');
            }
        }
        Some(text)
    }
}

/// `GET /runs/{run}/log/text`: what the process wrote, and nothing else, to be kept as a file.
pub(crate) async fn text(
    visit: Visit,
    Path(run): Path<String>,
    Query(query): Query<StreamQuery>,
) -> Result<Response, Problem> {
    let body = match was_at(&visit) {
        None => asked(&visit, &query.path(&run, "format=text"), None).await?.into_body(),
        Some(until) => until_then(asked(&visit, &query.path(&run, "format=json"), None).await?, until),
    };
    let name: String = format!("{}-{}-{}.{}.log", run, query.step, query.round, query.attempt);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let name: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("attachment"));
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (header::CONTENT_DISPOSITION, disposition),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    Ok((head, body).into_response())
}

/// What the process had written until a moment, in milliseconds since 1970.
fn until_then(response: Response, until: i64) -> Body {
    let pieces = response.into_body().into_data_stream();
    let state = (pieces, AnswerLines::default(), false);
    let body = stream::unfold(state, move |(mut pieces, mut lines, is_over)| async move {
        if is_over {
            return None;
        }
        let piece = match pieces.next().await? {
            Ok(piece) => piece,
            Err(error) => return Some((Err(error), (pieces, lines, true))),
        };
        if let Err(problem) = lines.add(&piece) {
            return Some((
                Err(axum::Error::new(std::io::Error::other(problem.detail))),
                (pieces, lines, true),
            ));
        }
        let (mut text, mut is_over) = (String::new(), false);
        while let Some(line) = lines.next() {
            let Some(record) = read(&line) else { continue };
            if is_later(&record, until) {
                is_over = true;
                break;
            }
            // What the supervisor says is no output of the process.
            if record.source != "supervisor" {
                text.push_str(&record.text);
                text.push_str(if record.complete { "\n" } else { "" });
            }
        }
        Some((Ok(Bytes::from(text)), (pieces, lines, is_over)))
    });
    Body::from_stream(body.fuse())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_rest_becomes_one_of_the_page_and_what_it_says_is_escaped() {
        let mut passing = Passing { lines: AnswerLines::default(), terminal: Terminal::default() };
        let event = "id: 7\nevent: line\ndata: {\"line\":7,\"at\":\"2026-11-22T15:49:26.812Z\",\"source\":\"stderr\",\"text\":\"<b>\\u001b[31mx\",\"complete\":true}\n\n";
        let (first, rest) = event.as_bytes().split_at(30);
        let text = passing.pass(first).unwrap_or_default() + &passing.pass(rest).unwrap_or_default();
        assert!(text.starts_with("id: 7\nevent: line\ndata: {") && text.ends_with("}\n\n"), "{text}");
        assert!(text.contains("&#60;b&#62;") && text.contains("a-red") && !text.contains("<b>"), "{text}");
    }
}
