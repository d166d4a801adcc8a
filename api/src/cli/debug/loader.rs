//! Asks the routes what the model asks for, and follows the run.
//!
//! Law: the client of the other verbs and nothing else. Answers come one by one; a search reads the history in parts and
//! keeps none of them.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use everfold_pages::{EventNature, EventSearch};
use futures::StreamExt as _;
use futures::future::LocalBoxFuture;
use futures::stream::{self, FuturesUnordered, LocalBoxStream};
use lru::LruCache;
use serde_json::Value;

use super::log_view::TAIL;
use super::requests::{DebugAnswer, DebugRequest, EventGoal, LoggedAttempt, StatePair};
use super::today::today_lines;
use crate::body::start::ForkBody;
use crate::body::steering::BreakpointsBody;
use crate::body::why::RunWhy;
use crate::cli::background_owner;
use crate::cli::context::CommandContext;
use crate::cli::lines::cause_text::cause_lines;
use crate::cli::moments::{TypedMoment, moment, version_at};
use crate::client::{Follow, FollowMessage, Followed, LogLines, encode, query};
use crate::fault::{Code, Fault};
use crate::node::Replay;
use crate::view::{RunView, ShownEvent};

/// States that are kept: stepping shows one of them again as the state before.
const STATES_KEPT: NonZeroUsize = NonZeroUsize::new(12).expect("twelve");
/// Events of a part that is searched, and those of one search.
const PART: u64 = 1_000;
const SEARCHED_MAX: u64 = 20_000;
/// When a run is followed again that could not be.
const AGAIN: Duration = Duration::from_secs(2);

/// The exit code of what passes by itself, such as a server that is away.
const AWAY: u8 = 7;

type KeptStates = Rc<RefCell<LruCache<u64, Arc<Value>>>>;

/// Everything that is under way.
pub(super) struct DebugLoader<'a> {
    context: &'a CommandContext,
    run: String,
    states: KeptStates,
    asked: FuturesUnordered<LocalBoxFuture<'a, DebugAnswer>>,
    log: LocalBoxStream<'a, DebugAnswer>,
    run_now: LocalBoxStream<'a, DebugAnswer>,
}

impl<'a> DebugLoader<'a> {
    /// Follows a run from behind its last known version.
    pub(super) fn new(context: &'a CommandContext, run: &str, last: u64) -> Self {
        Self {
            context,
            run: run.to_owned(),
            states: Rc::new(RefCell::new(LruCache::new(STATES_KEPT))),
            asked: FuturesUnordered::new(),
            log: stream::pending().boxed_local(),
            run_now: followed(context, run.to_owned(), last),
        }
    }

    /// Begins to ask; the answer comes by [`Self::next`].
    pub(super) fn ask(&mut self, request: DebugRequest) {
        if let DebugRequest::Log(attempt) = request {
            self.log = log(self.context, &self.run, attempt);
            return;
        }
        let (context, run, states) = (self.context, self.run.clone(), Rc::clone(&self.states));
        let answer = async move {
            match answered(context, &run, &states, &request).await {
                Ok(answer) => answer,
                Err(fault) => {
                    let is_away = fault.code.exit() == AWAY;
                    DebugAnswer::Refused { request, why: said(&fault), is_away }
                }
            }
        };
        self.asked.push(Box::pin(answer));
    }

    /// The next answer, from wherever it comes.
    pub(super) async fn next(&mut self) -> DebugAnswer {
        loop {
            tokio::select! {
                Some(answer) = self.asked.next(), if !self.asked.is_empty() => return answer,
                answer = self.run_now.next() => match answer {
                    Some(answer) => return answer,
                    None => self.run_now = stream::pending().boxed_local(),
                },
                answer = self.log.next() => match answer {
                    Some(answer) => return answer,
                    None => self.log = stream::pending().boxed_local(),
                },
            }
        }
    }
}

/// A fault in one line: what happened, and what to do.
pub(super) fn said(fault: &Fault) -> String {
    match &fault.hint {
        Some(hint) => format!("{} [{}]: {hint}", fault.message, fault.code),
        None => format!("{} [{}]", fault.message, fault.code),
    }
}

async fn answered(
    context: &CommandContext,
    run: &str,
    states: &KeptStates,
    request: &DebugRequest,
) -> Result<DebugAnswer, Fault> {
    let path = format!("/api/v1/runs/{run}");
    Ok(match request {
        DebugRequest::Events { from, limit } => {
            let items = events(context, run, *from, *limit).await?;
            DebugAnswer::Events { from: *from, limit: *limit, items }
        }
        DebugRequest::State { version } => {
            let before = async {
                match version.checked_sub(1).filter(|before| *before > 0) {
                    Some(before) => state(context, run, states, before).await,
                    None => Ok(Arc::new(Value::Null)),
                }
            };
            let (before, after) = futures::try_join!(before, state(context, run, states, *version))?;
            DebugAnswer::State(StatePair { version: *version, before, after })
        }
        DebugRequest::Causes { version } => {
            let params = query([("version", Some(version.to_string()))]);
            let why: RunWhy = context.client.get(&format!("{path}/why{params}")).await?;
            let mut lines = Vec::new();
            cause_lines(&why.causes, 1, why.at, None, &mut lines);
            DebugAnswer::Causes { version: *version, text: lines.join("\n") }
        }
        DebugRequest::Today { version } => {
            let params =
                query([("definition", Some("current".to_owned())), ("version", Some(version.to_string()))]);
            let replay: Replay = context.client.get(&format!("{path}/replay{params}")).await?;
            DebugAnswer::Today { version: *version, lines: today_lines(&replay) }
        }
        DebugRequest::Find { goal, from, is_forward } => {
            found(context, run, request, (goal, *from, *is_forward)).await?
        }
        DebugRequest::GoTo(text) => {
            let version = match moment("version or time", text)? {
                TypedMoment::Number(version) => version,
                TypedMoment::Time(at) => version_at(context, run, at).await?.unwrap_or(1),
            };
            DebugAnswer::Meant { request: request.clone(), version }
        }
        DebugRequest::Breakpoint { step } => {
            // Somebody else may have set others since they were read last.
            let view: RunView = context.client.get(&path).await?;
            let mut steps = view.breakpoints;
            match steps.iter().position(|known| known == step) {
                Some(at) => drop(steps.remove(at)),
                None => steps.push(step.clone()),
            }
            let body = BreakpointsBody { steps };
            let view: RunView = context.client.put(&format!("{path}/breakpoints"), &body).await?;
            DebugAnswer::Breakpoints { request: request.clone(), steps: view.breakpoints }
        }
        DebugRequest::Fork { version } => {
            // The new run goes on when the debugger has ended.
            background_owner::reach(context).await?;
            let body = ForkBody { version: Some(*version), detach: true, ..ForkBody::default() };
            let view: RunView = context.client.post(&format!("{path}/fork"), &body).await?;
            let command = format!("{} debug {}", context.program, view.short_id);
            DebugAnswer::Forked { request: request.clone(), short_id: view.short_id, command }
        }
        DebugRequest::Log(_) => return Err(Fault::new(Code::Internal, "a log is followed, not asked for")),
    })
}

async fn events(context: &CommandContext, run: &str, from: u64, limit: u64) -> Result<Vec<Value>, Fault> {
    let path = format!("/api/v1/runs/{run}/events?from={from}&limit={limit}");
    let mut page: Value = context.client.get(&path).await?;
    match page["items"].take() {
        Value::Array(items) => Ok(items),
        _other => Err(Fault::new(Code::Internal, "the owner's answer lists no events")),
    }
}

async fn state(
    context: &CommandContext,
    run: &str,
    states: &KeptStates,
    version: u64,
) -> Result<Arc<Value>, Fault> {
    if let Some(known) = states.borrow_mut().get(&version) {
        return Ok(Arc::clone(known));
    }
    let path = format!("/api/v1/runs/{run}/state?version={version}");
    let state: Arc<Value> = Arc::new(context.client.get(&path).await?);
    states.borrow_mut().put(version, Arc::clone(&state));
    Ok(state)
}

/// Looks through the history, a part at a time, from the event beside `from` on.
async fn found(
    context: &CommandContext,
    run: &str,
    request: &DebugRequest,
    (goal, from, is_forward): (&EventGoal, u64, bool),
) -> Result<DebugAnswer, Fault> {
    let terms = match goal {
        EventGoal::Text(text) => {
            let read = EventSearch::read(text);
            Some(read.map_err(|why| Fault::new(Code::Usage, why))?)
        }
        _named => None,
    };
    let fits = |event: &Value| match goal {
        EventGoal::Decision => EventNature::of(event).is_decision,
        EventGoal::Failure => EventNature::of(event).is_failure,
        EventGoal::OfStep(step) => EventNature::of(event).step.as_deref() == Some(step.as_str()),
        EventGoal::Text(_) => terms.as_ref().is_some_and(|terms| terms.fits(event)),
    };
    let request = request.clone();
    let (mut at, mut searched) = (from, 0);
    loop {
        let (first, limit) = match is_forward {
            true => (at + 1, PART),
            false => (at.saturating_sub(PART).max(1), PART.min(at.saturating_sub(1))),
        };
        if limit == 0 {
            return Ok(DebugAnswer::Found { request, version: None, looked_to: 1, is_all: true });
        }
        let items = match is_forward {
            true => events(context, run, first, limit).await?,
            false => whole(context, run, first, at - 1).await?,
        };
        let version = |event: &Value| ShownEvent(event).version();
        let hit = match is_forward {
            true => items.iter().find(|event| fits(event)),
            false => items.iter().rev().find(|event| fits(event)),
        };
        if let Some(hit) = hit {
            let version = Some(version(hit));
            return Ok(DebugAnswer::Found { request, version, looked_to: at, is_all: true });
        }
        searched += items.len() as u64;
        let next = if is_forward { items.last() } else { items.first() };
        let Some(next) = next.map(version) else {
            return Ok(DebugAnswer::Found { request, version: None, looked_to: at, is_all: true });
        };
        at = next;
        if searched >= SEARCHED_MAX {
            return Ok(DebugAnswer::Found { request, version: None, looked_to: at, is_all: false });
        }
    }
}

/// All events of a range; a part ends early where they are large.
async fn whole(context: &CommandContext, run: &str, first: u64, last: u64) -> Result<Vec<Value>, Fault> {
    let (mut all, mut from) = (Vec::new(), first);
    while from <= last {
        let items = events(context, run, from, last - from + 1).await?;
        let Some(end) = items.last().map(|event| ShownEvent(event).version()) else { break };
        all.extend(items);
        from = end + 1;
    }
    Ok(all)
}

/// How far a run was followed.
struct FollowedRun<'a> {
    context: &'a CommandContext,
    run: String,
    last: u64,
    stream: Option<Followed<'a>>,
    is_lost: bool,
    is_over: bool,
}

/// What the run records from here on; of one that ended nothing. It goes on where the connection was lost.
fn followed(context: &CommandContext, run: String, last: u64) -> LocalBoxStream<'_, DebugAnswer> {
    let begun = FollowedRun { context, run, last, stream: None, is_lost: false, is_over: false };
    stream::unfold(begun, |mut place| async move { place.next().await.map(|answer| (answer, place)) })
        .boxed_local()
}

impl FollowedRun<'_> {
    async fn next(&mut self) -> Option<DebugAnswer> {
        if self.is_over {
            return None;
        }
        if std::mem::take(&mut self.is_lost) {
            // Whoever is away would be asked all the time.
            tokio::time::sleep(AGAIN).await;
        }
        let follow = Follow { run: self.run.clone(), from: self.last + 1, live: true, drive: false };
        let client = &self.context.client;
        let stream = self.stream.get_or_insert_with(|| Followed::new(client, follow));
        Some(match stream.next().await {
            Ok(FollowMessage::Event(event)) => {
                self.last = self.last.max(ShownEvent(&event).version());
                DebugAnswer::Appended(*event)
            }
            Ok(FollowMessage::State(view)) => DebugAnswer::Now {
                last: view.version.get(),
                is_ended: view.status.is_ended(),
                breakpoints: view.breakpoints.clone(),
            },
            Ok(FollowMessage::End) => {
                self.is_over = true;
                DebugAnswer::Ended
            }
            Err(fault) => {
                (self.stream, self.is_lost) = (None, true);
                DebugAnswer::Unfollowed(said(&fault))
            }
        })
    }
}

/// The lines of a log, from its last ones on, and as they are written.
fn log<'a>(
    context: &'a CommandContext,
    run: &str,
    attempt: LoggedAttempt,
) -> LocalBoxStream<'a, DebugAnswer> {
    let LoggedAttempt { step, round, attempt: number, .. } = &attempt;
    let path = format!(
        "/api/v1/runs/{run}/attempts/{}/{round}/{number}/log?follow=true&tail={TAIL}&format=json",
        encode(step)
    );
    let lines = LogLines::new(&context.client, path);
    let next = |(lines, attempt): (Option<LogLines<'a>>, LoggedAttempt)| async move {
        let mut lines = lines?;
        let ended = |fault| DebugAnswer::LogEnd { attempt: attempt.clone(), fault };
        Some(match lines.next().await {
            Ok(Some(record)) => {
                (DebugAnswer::LogRecord { attempt: attempt.clone(), record }, (Some(lines), attempt))
            }
            Ok(None) => (ended(None), (None, attempt)),
            Err(fault) => (ended(Some(said(&fault))), (None, attempt)),
        })
    };
    stream::unfold((Some(lines), attempt), next).boxed_local()
}
