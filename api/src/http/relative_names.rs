//! Writes that name their run or task relatively (`@`, the only open task): a repeat goes to the run of the first time.
//!
//! Law: an idempotency key keeps the meaning that it was first sent with. `@` is another run as soon as a further one
//! has started, and a run's only open task is another one as soon as the first is answered; a client that repeats a
//! write whose answer was lost means neither of these.

use axum::http::HeaderMap;
use everfold_engine::event::{self, RunEvent};
use everfold_engine::id::{AttemptId, RunId};
use everfold_engine::json::Hash;
use everfold_engine::store::DedupKeep;

use super::app::App;
use super::extract::once;
use crate::access::Caller;
use crate::fault::{Code, Fault};
use crate::node::Idempotency;

/// Resolves the run that a write names, and reads the write's idempotency key.
pub(super) async fn once_of_run(
    app: &App,
    (headers, caller): (&HeaderMap, &Caller),
    name: &str,
    verb: &str,
    body: &[u8],
) -> Result<(RunId, Idempotency), Fault> {
    if !name.starts_with('@') {
        let run = app.resolve(name).await?;
        return Ok((run, once(headers, caller, &format!("POST /runs/{run}/{verb}"), body, DedupKeep::Week)?));
    }
    let once = once(headers, caller, &format!("POST /runs/{name}/{verb}"), body, DedupKeep::Week)?;
    let first = match &once.dedup {
        Some(dedup) => run_of(app, dedup.key).await?,
        None => None,
    };
    let run = match first {
        Some(run) => run,
        None => app.resolve(name).await?,
    };
    Ok((run, once))
}

/// Resolves the task that a write names by `find`, and reads the write's idempotency key.
pub(super) async fn once_of_task(
    app: &App,
    (headers, caller): (&HeaderMap, &Caller),
    task: &str,
    body: &[u8],
    find: impl Future<Output = Result<(RunId, AttemptId), Fault>>,
) -> Result<(RunId, AttemptId, Idempotency), Fault> {
    if task.contains(':') && !task.starts_with('@') {
        let (run, id) = find.await?;
        let once = once(headers, caller, &format!("POST /inbox/{run}/{id}"), body, DedupKeep::Week)?;
        return Ok((run, id, once));
    }
    let once = once(headers, caller, &format!("POST /inbox/{task}"), body, DedupKeep::Week)?;
    let first = match &once.dedup {
        Some(dedup) => first_of(app, dedup.key).await?,
        None => None,
    };
    let (run, id) = match first {
        Some((run, RunEvent::VoteCast(event))) => (run, event.id),
        Some((run, RunEvent::QuestionAnswered(event))) => (run, event.id),
        Some((run, RunEvent::AnswerSaved(event))) => (run, event.id),
        _none => find.await?,
    };
    Ok((run, id, once))
}

/// The run of the write that was first made with a key; `None`: no write was.
async fn run_of(app: &App, key: Hash) -> Result<Option<RunId>, Fault> {
    Ok(first_of(app, key).await?.map(|(run, event)| match event {
        // A fork records the key in the new run, and the caller had named its origin.
        RunEvent::RunForked(forked) => forked.origin.run,
        _of_the_run_itself => run,
    }))
}

/// The first event that came of a write under a key, and its run.
async fn first_of(app: &App, key: Hash) -> Result<Option<(RunId, RunEvent)>, Fault> {
    let Some(envelope) = app.first_event(key).await? else { return Ok(None) };
    let header = &envelope.header;
    let Some(run) = header.stream.as_run() else { return Ok(None) };
    let event = event::decode(header.kind, header.schema, &envelope.payload)
        .map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
    Ok(Some((run, event)))
}
