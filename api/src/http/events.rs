//! The events of a run: as a list, and as a stream that follows it.
//!
//! Law: each event of the stream has the id `EPOCH-VERSION`, so that a reader that lost its connection resumes without
//! a gap, also at the folder's next owner. With `live=true` the stream sends the run's whole state between the events
//! whenever it changed, without an id and at most ten times a second.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use everfold_engine::clock::Stopwatch;
use everfold_engine::driver::LiveRun;
use everfold_engine::envelope::{Envelope, StreamId};
use everfold_engine::id::{RunId, Version};
use everfold_engine::json::Hash;
use everfold_engine::store::StreamWatch;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::accepted::wants_lines;
use super::answer::Page;
use super::app::App;
use super::export;
use super::extract::{Params, Path};
use super::parameters::limit;
use super::session_check::SessionCheck;
use super::sse::{self, ChunkSource};
use super::stream_account::StreamAccount;
use crate::body::event::event_body;
use crate::body::sse_chunk::sse_chunk;
use crate::fault::{Code, Fault};
use crate::node::CursorOf;
use crate::schema;

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EventListParams {
    from: Option<u64>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// `GET /runs/{id}/events`: what happened, in order.
#[utoipa::path(
    get,
    path = "/runs/{run}/events",
    tag = "history",
    params(EventListParams),
    responses((
        status = 200,
        description = "Part of the list, oldest first; it may end before `limit`, with a cursor, where the events are large; with `Accept: application/x-ndjson` and without `limit` all of them, an event a line, with the stored bytes in `raw`.",
        content((Page<schema::EventLineSchema> = "application/json"), (String = "application/x-ndjson"))
    ))
)]
pub(crate) async fn list(
    State(app): State<App>,
    Path(run): Path<String>,
    Params(params): Params<EventListParams>,
    session: SessionCheck,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let by_accept = [(header::VARY, "accept")];
    let run = app.resolve(&run).await?;
    let paged = CursorOf::RunEvents.with(&[Some(&run.to_string())]);
    let from = app.in_list(paged, params.cursor.as_deref())?.or(params.from).unwrap_or(1);
    if wants_lines(&headers) && params.limit.is_none() {
        return Ok((by_accept, export::of_run(app, session, StreamId::run(run), Version(from.max(1))))
            .into_response());
    }
    let EventPage { items, next } = page(&app, run, Version(from.max(1)), limit(params.limit)?).await?;
    let cursor = serde_json::json!(app.list_cursor(paged, next.map(Version::get)));
    let kind = [(header::CONTENT_TYPE, "application/json")];
    Ok((by_accept, kind, format!("{{\"items\":[{items}],\"next_cursor\":{cursor}}}")).into_response())
}

/// Part of a run's events, as text.
struct EventPage {
    /// The events, with commas between them.
    items: String,
    /// The version at which the next part begins.
    next: Option<Version>,
}

/// At most `limit` events, and fewer where they have more bytes than a page may have; at least one.
async fn page(app: &App, run: RunId, from: Version, limit: usize) -> Result<EventPage, Fault> {
    let (stream, mut items, mut next, mut left) = (StreamId::run(run), String::new(), from, limit);
    loop {
        // One more than are wanted says whether there is a next page.
        let events = app.store().read(&stream, next, CHUNK.min(left + 1)).await?;
        if events.is_empty() {
            return Ok(EventPage { items, next: None });
        }
        for event in events {
            if left == 0 || items.len() >= PAGE_BYTES {
                return Ok(EventPage { items, next: Some(event.header.version) });
            }
            if !items.is_empty() {
                items.push(',');
            }
            items.push_str(&event_body(&event).to_string());
            (left, next) = (left - 1, event.header.version.next());
        }
    }
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RunStreamParams {
    from: Option<u64>,
    live: bool,
}

/// How often a run's state is sent at most.
const STATE_EVERY: Duration = Duration::from_millis(100);
/// How often the state is sent again while an attempt of the run waits in the scheduler's queue.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked whether the run is set aside, of which nothing is recorded.
const ASIDE_EVERY: Duration = Duration::from_secs(1);
/// Bytes of a page's events at which it ends early.
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Events read at once: they stay in memory until the reader has taken them.
const CHUNK: usize = 32;

/// `GET /runs/{id}/events/stream`: server-sent events; ends behind the run's last event.
#[utoipa::path(
    get,
    path = "/runs/{run}/events/stream",
    tag = "history",
    params(RunStreamParams),
    responses((status = 200, description = "Events as they happen: `event: event` with an event as data, `event: state` with the run.", body = schema::StreamEventSchema, content_type = "text/event-stream"))
)]
pub(crate) async fn stream(
    State(app): State<App>,
    Path(run): Path<String>,
    Params(params): Params<RunStreamParams>,
    session: SessionCheck,
    account: StreamAccount,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let run = app.resolve(&run).await?;
    let from = match last_event_id(&app, &headers)? {
        Some(last) => last + 1,
        None => params.from.unwrap_or(1).max(1),
    };
    let head = app.store().head(&StreamId::run(run)).await?.map_or(0, |head| head.version.get());
    if from > head + 1 {
        let message = format!("version {from} is beyond the end of run {}, {head}", run.short());
        return Err(Fault::new(Code::NotYet, message).hint("begin again without Last-Event-ID and `from`"));
    }
    let mut follower = RunFollower {
        appends: app.store().watch(&StreamId::run(run)),
        run,
        first: Version(from),
        next: Version(from),
        live: params.live,
        history: true,
        turn: None,
        ready: VecDeque::new(),
        lines: None,
        state: StateFeed { sent: None, age: Stopwatch::start(), is_due: false, in_line: false },
        ended: false,
        app: app.clone(),
    };
    // A run that cannot be read is a fault of this answer: the reader of a stream without any event would only ask again.
    follower.read_history().await?;
    sse::answer(app, session, account, follower)
}

/// The number in `Last-Event-ID`, where a reader goes on.
pub(super) fn last_event_id(app: &App, headers: &HeaderMap) -> Result<Option<u64>, Fault> {
    let id = headers.get("last-event-id").map(|id| id.to_str().unwrap_or_default());
    id.map(|id| app.cursor(id)).transpose()
}

/// A chunk of a stream of one run, still to be sent.
enum StreamItem {
    Event(Arc<Envelope>),
    State(Bytes),
    /// The stream ends before the run does.
    End(Bytes),
}

/// The source of a stream of one run.
struct RunFollower {
    app: App,
    run: RunId,
    /// Wakes the follower when something was recorded of the run.
    appends: StreamWatch,
    /// The version that the reader asked for.
    first: Version,
    /// The version to send next.
    next: Version,
    live: bool,
    /// Whether stored events are still to be read.
    history: bool,
    /// The turn at reading them.
    turn: Option<OwnedSemaphorePermit>,
    /// Chunks to send; events are encoded one by one, as the reader takes them.
    ready: VecDeque<StreamItem>,
    /// The output of the run's attempts, followed while this node drives the run.
    lines: Option<watch::Receiver<LiveRun>>,
    state: StateFeed,
    ended: bool,
}

/// When the state of the run is sent again.
struct StateFeed {
    /// The hash of the state that was sent last, and when.
    sent: Option<Hash>,
    age: Stopwatch,
    /// The state has changed since.
    is_due: bool,
    /// An attempt of the run waits in the scheduler's queue: its place changes without an event of the run.
    in_line: bool,
}

impl ChunkSource for RunFollower {
    fn next(&mut self) -> BoxFuture<'_, Option<Bytes>> {
        async move {
            loop {
                match self.ready.pop_front() {
                    Some(StreamItem::State(chunk) | StreamItem::End(chunk)) => return Some(chunk),
                    Some(StreamItem::Event(event)) => {
                        let number = event.header.version.get();
                        let id = self.app.cursor_text(number);
                        return Some(self.app.encoded().event(&id, number, &event));
                    }
                    None => {}
                }
                if self.ended {
                    return None;
                }
                let gone_on = if self.history { self.read_history().await } else { self.wait().await };
                if let Err(fault) = gone_on {
                    // The reader asks again and gets the fault, where it lasts.
                    tracing::warn!(run = %self.run, %fault, "the stream of a run ends early");
                    return None;
                }
            }
        }
        .boxed()
    }

    fn first_id(&self) -> String {
        self.app.cursor_text(self.first.get().saturating_sub(1))
    }

    fn rest(&mut self) {
        let mut dropped = std::mem::take(&mut self.ready).into_iter();
        if let Some(StreamItem::Event(first)) = dropped.find(|item| matches!(item, StreamItem::Event(_))) {
            self.next = first.header.version;
        }
        (self.history, self.ended, self.state.sent, self.turn) = (true, false, None, None);
    }
}

impl RunFollower {
    async fn read_history(&mut self) -> Result<(), Fault> {
        if self.turn.is_none() {
            self.turn = self.app.history_turn().await;
        }
        self.read_next().await
    }

    /// Reads what comes next of the run; where that is more than one part, the rest waits for a turn.
    async fn read_next(&mut self) -> Result<(), Fault> {
        let events = self.app.store().read(&StreamId::run(self.run), self.next, CHUNK).await?;
        let is_all = events.len() < CHUNK;
        for event in events {
            self.next = event.header.version.next();
            self.ready.push_back(StreamItem::Event(Arc::new(event)));
        }
        self.history = !is_all;
        if is_all {
            self.turn = None;
            self.send_state().await;
            let end = self.app.view(self.run).await;
            self.ended = end.is_ok_and(|view| view.status.is_ended() && view.version < self.next);
        }
        Ok(())
    }

    async fn wait(&mut self) -> Result<(), Fault> {
        let (app, run) = (&self.app, self.run);
        if let Some(why) = app.why_set_aside(run) {
            // It records nothing any more, so that the reader would wait for ever.
            let reason = format!("the run is set aside: {why}");
            let last = app.cursor_text(self.next.get().saturating_sub(1));
            let data = json!({ "reason": reason, "last_event_id": last });
            self.ready.push_back(StreamItem::End(sse_chunk(None, "end", &data)));
            self.ended = true;
            return Ok(());
        }
        let lines = self.lines.get_or_insert_with(|| app.live(run));
        tokio::select! {
            appended = self.appends.changed() => {
                appended?;
                // The follower reads without a turn: a slow reader of a long history holds up nobody who is up to date.
                self.read_next().await?;
            }
            changed = lines.changed(), if self.live && !self.state.is_due => {
                self.state.is_due = changed.is_ok();
                self.live = changed.is_ok();
            }
            () = tokio::time::sleep(STATE_EVERY.saturating_sub(self.state.age.elapsed())), if self.state.is_due => {
                self.send_state().await;
            }
            () = tokio::time::sleep(LINE_EVERY), if self.live && self.state.in_line => {
                self.send_state().await;
            }
            () = tokio::time::sleep(ASIDE_EVERY) => {}
        }
        Ok(())
    }

    async fn send_state(&mut self) {
        if !self.live {
            return;
        }
        (self.state.is_due, self.state.age) = (false, Stopwatch::start());
        let Ok(view) = self.app.view(self.run).await else { return };
        self.state.in_line = !view.in_line.is_empty();
        let Ok(state) = serde_json::to_value(&view) else { return };
        let chunk = sse_chunk(None, "state", &state);
        let hash = Some(Hash::of(&chunk));
        if self.state.sent != hash {
            self.ready.push_back(StreamItem::State(chunk));
            self.state.sent = hash;
        }
    }
}
