//! Writes to a run that is named by what is the newest: repeated, they are the first run's.
//!
//! Law: what a key was sent with first is what it means. `@` is another run once a further one has begun, and the only
//! thing that a run asks is another one once the first is answered: a caller who repeats a write whose answer was lost means
//! neither.

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

/// The run that a write names, and what makes it recognisable.
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

/// What a task's write names, and what makes it recognisable; `find` finds the task.
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

/// The run that a write named which was made under a key; `None`: there was none.
async fn run_of(app: &App, key: Hash) -> Result<Option<RunId>, Fault> {
    Ok(first_of(app, key).await?.map(|(run, event)| match event {
        // A copied history is the new run's, and was asked of its origin.
        RunEvent::RunForked(forked) => forked.origin.run,
        _of_the_run_itself => run,
    }))
}

/// The first event that came of a write under a key, and its run.
async fn first_of(app: &App, key: Hash) -> Result<Option<(RunId, RunEvent)>, Fault> {
    let Some(first) = app.store().first_write(key).await? else { return Ok(None) };
    let read = app.store().read_all(first.appended.first_position, 1).await?;
    let Some(envelope) = read.first() else { return Ok(None) };
    let header = &envelope.header;
    let Some(run) = header.stream.as_run() else { return Ok(None) };
    let event = event::decode(header.kind, header.schema, &envelope.payload)
        .map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
    Ok(Some((run, event)))
}
