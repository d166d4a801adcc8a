//! The stream of all events of all runs, as they are recorded.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use everfold_engine::definition::similar;
use everfold_engine::envelope::{Envelope, flag};
use everfold_engine::event::RunEvent;
use everfold_engine::id::{Position, RunId};
use everfold_engine::store::Subscription;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::app::App;
use super::events::last_event_id;
use super::extract::Params;
use super::session_check::SessionCheck;
use super::sse::{self, ChunkSource};
use super::stream_account::StreamAccount;
use crate::body::sse_chunk::sse_chunk;
use crate::fault::{Code, Fault};
use crate::schema;

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StreamParams {
    /// The position to begin at; without it and without `Last-Event-ID`: now.
    from: Option<u64>,
    /// Only these types of events, separated by commas.
    types: Option<String>,
    /// Only runs of this pipeline.
    pipeline: Option<String>,
    /// Only this run.
    run: Option<String>,
}

/// `GET /stream`: begins with `ready`, whose id is where it stands; goes on for ever.
#[utoipa::path(
    get,
    path = "/stream",
    tag = "history",
    params(StreamParams),
    responses((status = 200, description = "`event: ready`, then `event: event` with an event as data.", body = schema::StreamEventSchema, content_type = "text/event-stream"))
)]
pub(crate) async fn all(
    State(app): State<App>,
    Params(params): Params<StreamParams>,
    session: SessionCheck,
    account: StreamAccount,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let now = app.store().last_position().get();
    let from = match (last_event_id(&app, &headers)?, params.from) {
        (Some(last), _) => last + 1,
        (None, Some(from)) => from.max(1),
        (None, None) => now + 1,
    };
    if from > now + 1 {
        let message = format!("position {from} is beyond the end of the log, {now}");
        return Err(Fault::new(Code::NotYet, message).hint("begin again without Last-Event-ID and `from`"));
    }
    let run = match &params.run {
        Some(run) => Some(app.resolve(run).await?),
        None => None,
    };
    let mut types = BTreeSet::new();
    for name in params.types.iter().flat_map(|types| types.split(',')).filter(|name| !name.is_empty()) {
        let kind = RunEvent::KINDS.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind);
        let unknown = || {
            let near = similar(name, RunEvent::KINDS.iter().map(|(_, known)| *known));
            Fault::new(Code::Invalid, format!("there are no events of type “{name}”"))
                .hinted(near.map(|near| format!("did you mean `{near}`?")))
        };
        types.insert(kind.ok_or_else(unknown)?);
    }
    let subscription = subscribed(&app, Position(from));
    let id = app.cursor_text(from - 1);
    let ready = sse_chunk(Some(&id), "ready", &json!({ "position": from - 1, "epoch": app.epoch() }));
    let filter = Filter { app: app.clone(), run, types, pipeline: params.pipeline };
    let source = LogStream {
        filter,
        subscription,
        before: Position(from - 1),
        next: Position(from),
        ready: Some(ready),
        waiting: VecDeque::new(),
        turn: None,
    };
    sse::answer(app, session, account, source)
}

struct LogStream {
    filter: Filter,
    subscription: Box<dyn Subscription>,
    /// The stream begins behind this position.
    before: Position,
    /// The position of the event that the filter judges next.
    next: Position,
    /// The event `ready`, until it was sent.
    ready: Option<Bytes>,
    /// Events that the filter has still to judge; they are encoded one by one, as the reader takes them.
    waiting: VecDeque<Arc<Envelope>>,
    /// The turn at reading what was recorded before.
    turn: Option<OwnedSemaphorePermit>,
}

/// Events that are read at once, and the bytes of theirs that are enough.
const AT_ONCE: (usize, usize) = (64, 64 * 1024);

/// The log from a position on, a little at a time.
fn subscribed(app: &App, from: Position) -> Box<dyn Subscription> {
    let mut subscription = app.store().subscribe(from);
    subscription.give_at_most(AT_ONCE.0, AT_ONCE.1);
    subscription
}

/// Which events a reader wants.
struct Filter {
    app: App,
    run: Option<RunId>,
    /// The wanted types; empty: all.
    types: BTreeSet<u16>,
    pipeline: Option<String>,
}

impl Filter {
    async fn wants(&self, event: &Envelope) -> Result<bool, Fault> {
        let header = &event.header;
        let Some(run) = header.stream.as_run() else { return Ok(false) };
        if header.flags & flag::COPIED != 0
            || self.run.is_some_and(|wanted| wanted != run)
            || !(self.types.is_empty() || self.types.contains(&header.kind))
        {
            return Ok(false);
        }
        match &self.pipeline {
            None => Ok(true),
            Some(wanted) => Ok(self.app.pipeline_of(run).await?.as_ref() == Some(wanted)),
        }
    }
}

impl ChunkSource for LogStream {
    fn next(&mut self) -> BoxFuture<'_, Option<Bytes>> {
        async move {
            loop {
                if let Some(chunk) = self.ready.take() {
                    return Some(chunk);
                }
                while let Some(event) = self.waiting.pop_front() {
                    self.next = event.position.next();
                    // Where the filter cannot be judged the stream ends: a reader that resumes it misses nothing.
                    if self.filter.wants(&event).await.ok()? {
                        let (app, number) = (&self.filter.app, event.position.get());
                        return Some(app.encoded().event(&app.cursor_text(number), number, &event));
                    }
                }
                // Beyond its end the log is waited for, and its newest events are in memory once for all readers.
                let app = &self.filter.app;
                match self.next <= app.store().last_position() {
                    true if self.turn.is_none() => self.turn = app.history_turn().await,
                    true => {}
                    false => self.turn = None,
                }
                self.waiting.extend(self.subscription.next().await.ok()?);
            }
        }
        .boxed()
    }

    fn first_id(&self) -> String {
        self.filter.app.cursor_text(self.before.get())
    }

    fn rest(&mut self) {
        self.waiting = VecDeque::new();
        self.subscription = subscribed(&self.filter.app, self.next);
        self.turn = None;
    }
}
