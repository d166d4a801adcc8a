//! The logs of attempts: as text, as JSON lines, and as a stream that follows them.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use everfold_engine::id::{Attempt, AttemptId, EffectId, Round, StepPath};
use everfold_engine::time::Timestamp;
use everfold_workflows::process::{LogFinder, StoredLog};
use everfold_workflows::shim::log::{LogLine, LogReader, LogSource};
use everfold_workflows::shim::protocol;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::json;

use super::app::App;
use super::extract::{Params, Path};
use super::session_check::SessionCheck;
use super::sse;
use super::stream_account::StreamAccount;
use crate::body::sse_chunk::sse_chunk;
use crate::fault::{Code, Fault};
use crate::schema;

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogParams {
    follow: bool,
    tail: Option<usize>,
    /// `text` (what the process wrote, and nothing else) or `json` (a line per record, with its number).
    #[param(inline)]
    format: Format,
    /// Of an event stream: compare the log of an attempt that has ended with what is recorded of it. Where it is not what was
    /// written, `over` says so: `{damage}`.
    verify: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    #[default]
    Text,
    Json,
}

/// How often a log that is followed is read again.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// `GET /runs/{id}/attempts/{step}/{round}/{attempt}/log`: what a process wrote, also while it writes.
#[utoipa::path(
    get,
    path = "/runs/{run}/attempts/{step}/{round}/{attempt}/log",
    tag = "history",
    params(LogParams),
    responses((status = 200, description = "What the process wrote; `format=json`: a JSON object `{line, at, source, text, complete}` a line. With `Accept: text/event-stream` events: a `line` each, whose id is the number of the line in the log, to go on behind it by `Last-Event-ID`, and `over` at the end, which with `verify` says where the log is damaged.", content((String = "text/plain; charset=utf-8"), (String = "application/jsonl"), (schema::StreamEventSchema = "text/event-stream"))))
)]
pub(crate) async fn log(
    State(app): State<App>,
    Path((run, step, round, attempt)): Path<(String, String, u32, u32)>,
    Params(params): Params<LogParams>,
    session: SessionCheck,
    account: StreamAccount,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let run = app.resolve(&run).await?;
    let path: StepPath =
        step.parse().map_err(|_| Fault::new(Code::NoStep, format!("there is no step “{step}”")))?;
    let mut id =
        EffectId { run, attempt: AttemptId { path, round: Round(round), attempt: Attempt(attempt) } };
    let will_come = params.follow && app.is_in_progress(&id).await?;
    let mut found = stored(&app, &id).await?;
    if found.files.log.is_none() && !found.is_kept && !will_come {
        // A step that was kept has its log where its work was done.
        let done = app.attempt_of_origin(&id).await?;
        if done != id {
            id = done;
            found = stored(&app, &id).await?;
        }
    }
    if found.files.log.is_none() && !will_come {
        app.absent_log(&id, found.is_kept).await?;
    }
    let file = app.layout().attempt(&id).join(protocol::LOG);
    let is_stream = headers.get(header::ACCEPT).is_some_and(|kinds| kinds == sse::KIND);
    let (behind, tail) = (last_line(&headers)?.filter(|_| is_stream), params.tail);
    let path = file.clone();
    // Lines are counted from the beginning of the log.
    let opening = tokio::task::spawn_blocking(move || {
        let mut reader = match found.files.log {
            Some(log) => LogReader::of_file(&path, log),
            None => LogReader::from_start(&path),
        };
        match (behind, tail) {
            (Some(line), _) => reader.go_behind(line)?,
            (None, Some(lines)) => reader.go_to_tail(lines)?,
            (None, None) => {}
        }
        let line = reader.line()?;
        std::io::Result::Ok((reader, line))
    });
    let opened = opening.await.map_err(std::io::Error::from).and_then(|opened| opened);
    let (mut reader, line) = opened.map_err(unreadable(&file))?;
    if is_stream {
        // A log that cannot be read is a fault of this answer: the reader of a stream without any event would only ask
        // again.
        let ready = Some(reader.read_numbered().map_err(unreadable(&file))?);
        let lines = LogEvents { app: app.clone(), id, reader, params, line, ready, over: Over::No };
        let stream = sse::answer(app, session, account, lines)?;
        return Ok(([(header::VARY, "accept")], stream).into_response());
    }
    let ready = reader.read_numbered().map_err(unreadable(&file))?.into();
    let follower = LogFollower { app, id, reader, params, session, ready, over: false };
    let kind = match follower.params.format {
        Format::Text => "text/plain; charset=utf-8",
        Format::Json => "application/jsonl",
    };
    let body = Body::from_stream(
        futures::stream::unfold(follower, |mut follower| async move {
            let chunk = follower.next().await?;
            Some((chunk, follower))
        })
        .fuse(),
    );
    let head = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "private, no-cache"),
        (header::VARY, "accept, authorization, cookie"),
    ];
    Ok((head, body).into_response())
}

/// The log of an attempt, wherever it is; out of an archive no more than is recorded of it.
async fn stored(app: &App, id: &EffectId) -> Result<StoredLog, Fault> {
    let file = app.layout().attempt(id).join(protocol::LOG);
    let seal = match app.layout().archived_attempts(id.run).exists() {
        true => app.log_seal(id).await?,
        false => None,
    };
    let (mut logs, of) = (LogFinder::new(app.layout().clone()), id.clone());
    let finding = tokio::task::spawn_blocking(move || logs.find(&of, seal.as_ref(), false)).await;
    finding.map_err(std::io::Error::from).and_then(|found| found).map_err(unreadable(&file))
}

/// The number in `Last-Event-ID`, which is that of a line.
fn last_line(headers: &HeaderMap) -> Result<Option<u64>, Fault> {
    let Some(id) = headers.get("last-event-id") else { return Ok(None) };
    let text = id.to_str().unwrap_or_default();
    let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let fault = || {
        Fault::new(Code::Invalid, format!("Last-Event-ID: “{text}” is no number of a line"))
            .hint("the id of each event of a log is the number of its line")
    };
    number.map(Some).ok_or_else(fault)
}

fn unreadable(file: &std::path::Path) -> impl FnOnce(std::io::Error) -> Fault {
    let file = file.display().to_string();
    move |error| {
        let is_damage = matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof);
        let code = if is_damage { Code::Damaged } else { Code::StoreIo };
        Fault::new(code, format!("could not read {file}: {error}"))
    }
}

struct LogFollower {
    app: App,
    id: EffectId,
    reader: LogReader,
    params: LogParams,
    ready: VecDeque<(u64, LogLine)>,
    session: SessionCheck,
    /// The attempt has ended; the log is read once more after that.
    over: bool,
}

impl LogFollower {
    async fn next(&mut self) -> Option<std::io::Result<Bytes>> {
        loop {
            let format = self.params.format;
            let text: String =
                self.ready.drain(..).map(|(line, record)| shown(line, &record, format)).collect();
            if !text.is_empty() {
                return Some(Ok(Bytes::from(text)));
            }
            match self.reader.read_numbered() {
                Ok(lines) if !lines.is_empty() => self.ready.extend(lines),
                Ok(_) if self.over || !self.params.follow => return None,
                Ok(_) => {
                    self.over = match self.app.is_in_progress(&self.id).await {
                        Ok(goes_on) => !goes_on,
                        // Unknown is not ended: breaks the connection off, so that the reader asks again and gets the
                        // fault.
                        Err(_) => return Some(Err(std::io::ErrorKind::ConnectionAborted.into())),
                    };
                    if !self.over {
                        tokio::select! {
                            () = tokio::time::sleep(LOOK_EVERY) => {}
                            _why = self.session.ended(&self.app) => return Some(Err(std::io::ErrorKind::PermissionDenied.into())),
                            () = self.app.closing() => return Some(Err(std::io::ErrorKind::ConnectionAborted.into())),
                        }
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Where a stream is in the life of its attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    No,
    /// The attempt has ended; the log is read once more after that.
    Ended,
    /// Everything is sent, with `over` at the end.
    Sent,
}

/// A log as server-sent events: a `line` for each, its id the line's number, and `over` at the end.
struct LogEvents {
    app: App,
    id: EffectId,
    reader: LogReader,
    params: LogParams,
    /// The number of the last line that was sent.
    line: u64,
    /// Lines that are read and not sent yet: what the answer began with.
    ready: Option<Vec<(u64, LogLine)>>,
    over: Over,
}

impl sse::ChunkSource for LogEvents {
    fn next(&mut self) -> BoxFuture<'_, Option<Bytes>> {
        async move {
            loop {
                let read = self.ready.take().map_or_else(|| self.reader.read_numbered(), Ok);
                // A log that cannot be read ends the stream without `over`: the reader asks again and gets the fault.
                let lines = read
                    .inspect_err(|error| tracing::warn!(attempt = %self.id, %error, "a log cannot be read"))
                    .ok()?;
                if let Some((line, _)) = lines.last() {
                    self.line = *line;
                }
                let text: Vec<u8> =
                    lines.iter().flat_map(|(line, record)| self.event(*line, record)).collect();
                if !text.is_empty() {
                    return Some(Bytes::from(text));
                }
                if !lines.is_empty() {
                    continue;
                }
                match self.over {
                    Over::Sent => return None,
                    Over::No if self.params.follow => {
                        if !self.app.is_in_progress(&self.id).await.ok()? {
                            self.over = Over::Ended;
                            continue;
                        }
                        tokio::time::sleep(LOOK_EVERY).await;
                    }
                    Over::No | Over::Ended => {
                        self.over = Over::Sent;
                        let damage = match self.params.verify {
                            true => self.app.log_damage(&self.id).await.ok()?,
                            false => None,
                        };
                        let data = damage.map_or_else(|| json!({}), |damage| json!({ "damage": damage }));
                        return Some(sse_chunk(Some(&self.first_id()), "over", &data));
                    }
                }
            }
        }
        .boxed()
    }

    fn first_id(&self) -> String {
        self.line.to_string()
    }

    // What was read is one chunk.
    fn rest(&mut self) {}
}

impl LogEvents {
    fn event(&self, line: u64, record: &LogLine) -> Bytes {
        let shown = shown(line, record, self.params.format);
        let data = match self.params.format {
            _ if shown.is_empty() => return Bytes::new(),
            Format::Text => json!(shown),
            Format::Json => serde_json::from_str(&shown).unwrap_or_default(),
        };
        sse_chunk(Some(&line.to_string()), "line", &data)
    }
}

fn shown(line: u64, record: &LogLine, format: Format) -> String {
    let source = match record.source {
        LogSource::Stdout => "stdout",
        LogSource::Stderr => "stderr",
        LogSource::Supervisor => "supervisor",
    };
    match format {
        // A gap of the log becomes an event in its place.
        Format::Text if record.tells_loss() => format!("[everfold: {}]\n", record.text),
        Format::Text if record.source == LogSource::Supervisor => String::new(),
        Format::Text if record.complete => format!("{}\n", record.text),
        Format::Text => record.text.clone(),
        Format::Json => {
            let (at, text, complete) = (Timestamp(record.at), &record.text, record.complete);
            let shown =
                json!({ "line": line, "at": at, "source": source, "text": text, "complete": complete });
            format!("{shown}\n")
        }
    }
}
