//! Abandons a quarantined run: ends it behind its last event.
//!
//! Law: only the head of its stream is needed. Where the history can be folded, the decision is the one that replay
//! would give; else the two facts that end a run are recorded behind the last event. Then its keys and slots are
//! freed, and its work is ended.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::error::{LoadError, RecoverError, SubmitError};
use crate::messages::ShardMessage;
use crate::runtime::Runtime;
use crate::start::submission::Accepted;
use crate::stream_end::{EventOrigin, StreamEnd};
use everfold_base::actor::Actor;
use everfold_base::envelope::{Cause, StreamId, StreamKind};
use everfold_base::id::{InputId, RunId};
use everfold_base::json::{BlobRef, JsonText};
use everfold_core::decide::{Batch, Decision, Refusal, decide};
use everfold_core::event;
use everfold_core::event::{RunAbandoned, RunCancelled, RunEvent};
use everfold_core::input::{Input, InputKind};
use everfold_core::state::RunState;
use everfold_language::expr::Loaded;
use everfold_store::{Append, AppendError, Dedup, StreamHead, StreamNote};
use everfold_system::os_error::is_shortage;

/// Streams that are listed at once.
const PAGE: usize = 1_000;
/// How often a decision may ask for further values.
const NEEDS_MAX: usize = 64;

/// A run to abandon.
#[derive(Debug, Clone)]
pub struct Abandon {
    /// The run.
    pub run: RunId,
    /// Why.
    pub reason: Option<String>,
    /// The actor of the request.
    pub actor: Actor,
    /// Makes a repeated one recognisable.
    pub id: InputId,
    /// Recognises a repeated request.
    pub dedup: Option<Dedup>,
}

/// Ends a run that is quarantined; see [`Engine::abandon`](crate::Engine::abandon).
pub(crate) async fn abandon(shared: &Runtime, abandon: Abandon) -> Result<Accepted, SubmitError> {
    if let Some(first) = shared.abandoned_before(&abandon).await? {
        return Ok(first);
    }
    let run = abandon.run;
    // Another engine may have quarantined it; this one loads it and checks for itself.
    match shared.drive(run, true).await {
        Ok(true) => {}
        Ok(false) => return Err(SubmitError::NotFound(run)),
        Err(RecoverError::ShuttingDown) => return Err(SubmitError::ShuttingDown),
        Err(error) => return Err(SubmitError::Store(error.to_string())),
    }
    if !shared.quarantined().contains_key(&run) {
        return Err(SubmitError::Refused(Refusal::NotSetAside));
    }
    let (accepted, is_folded) = shared.record_abandoned(abandon).await?;
    shared.release_everything(run, is_folded).await?;
    Ok(accepted)
}

impl Runtime {
    async fn abandoned_before(&self, abandon: &Abandon) -> Result<Option<Accepted>, SubmitError> {
        let Some(dedup) = &abandon.dedup else { return Ok(None) };
        let Some(first) = self.store.first_write(dedup.key).await? else { return Ok(None) };
        if first.body != dedup.body {
            return Err(SubmitError::KeyReused);
        }
        Ok(Some(Accepted::again(&first.appended)))
    }

    /// Records that the run is abandoned; answers whether its history could be folded.
    async fn record_abandoned(&self, abandon: Abandon) -> Result<(Accepted, bool), SubmitError> {
        let failed = |error: &dyn std::fmt::Display| SubmitError::Store(error.to_string());
        let (run, stream) = (abandon.run, StreamId::run(abandon.run));
        let head = self.store.head(&stream).await.map_err(|error| failed(&error))?;
        let head = head.ok_or(SubmitError::NotFound(run))?;
        let last =
            self.store.read(&stream, head.version, 1).await.ok().and_then(|read| read.into_iter().next());
        let at = last.map_or(self.now(), |last| last.header.recorded_at.max(self.now()));
        let kind = InputKind::Abandon(RunAbandoned { reason: abandon.reason.clone() });
        let input = Input { id: abandon.id, at, actor: abandon.actor.clone(), kind };
        let decided = self.decided(run, &head, &input).await?;
        let is_folded = decided.is_some();
        let (batch, note) = decided.unwrap_or_else(|| {
            let facts: [RunEvent; 2] =
                [RunAbandoned { reason: abandon.reason }.into(), RunCancelled {}.into()];
            let batch = Batch { events: facts.into(), blobs: Vec::new() };
            (batch, StreamNote { open: false, busy: false, wake_at: None })
        });
        self.keep_blobs(run, batch.blobs).await?;
        let cause = Cause { input: abandon.id, because: head.version };
        let mut end = StreamEnd { version: head.version, hash: head.hash };
        let origin = EventOrigin { stream: &stream, actor: &abandon.actor, at, cause };
        let mut events = Vec::with_capacity(batch.events.len());
        for event in &batch.events {
            let (schema, payload) = event::encode(event).map_err(|error| failed(&error))?;
            events.push(end.link(&origin, (event.kind(), schema, payload)));
        }
        let (expected, previous, dedup, fence) = (head.version, head.hash, abandon.dedup, self.config.fence);
        let appended =
            self.store.append(Append { stream, expected, previous, events, dedup, fence, note }).await;
        match appended {
            Ok(appended) => {
                let (version, position) = (appended.last_version(), appended.last_position());
                let repeated = appended.repeated;
                Ok((Accepted { version, position, changed: true, repeated }, is_folded))
            }
            Err(AppendError::Full) => Err(SubmitError::Full),
            Err(error) => Err(failed(&error)),
        }
    }

    async fn keep_blobs(&self, run: RunId, texts: Vec<(BlobRef, JsonText)>) -> Result<(), SubmitError> {
        if texts.is_empty() {
            return Ok(());
        }
        let blobs = Arc::clone(&self.blobs);
        let kept = self.config.blocking.run(move || {
            texts.iter().try_for_each(|(_, text)| blobs.put(run, text.as_str().as_bytes()).map(drop))
        });
        match kept.await.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok(()) => Ok(()),
            Err(error) if is_shortage(&error) => Err(SubmitError::Full),
            Err(error) => Err(SubmitError::Store(format!("a large value could not be kept: {error}"))),
        }
    }

    /// What follows from the history; `None` where the history, or a value that the decision needs, is damaged.
    async fn decided(
        &self,
        run: RunId,
        head: &StreamHead,
        input: &Input,
    ) -> Result<Option<(Batch, StreamNote)>, SubmitError> {
        let folded = match self.loader().fold(run, None).await {
            Ok(folded) => folded,
            Err(error) => return unreadable(&error).map_or(Ok(None), Err),
        };
        if folded.version != head.version {
            return Err(SubmitError::Busy);
        }
        let mut loaded = Loaded::default();
        for _ in 0..NEEDS_MAX {
            let mut state: RunState = folded.state.clone();
            match catch_unwind(AssertUnwindSafe(|| (decide(&mut state, input, &loaded), state.note()))) {
                Ok((Ok(Decision::Events(batch)), note)) => {
                    let note = StreamNote { open: note.open, busy: note.busy, wake_at: note.wake_at };
                    return Ok(Some((batch, note)));
                }
                Ok((Err(refusal), _)) => return Err(SubmitError::Refused(refusal)),
                Ok((Ok(Decision::Needs(wanted)), _)) => match self.values.load(run, wanted).await {
                    Ok(values) => values.iter().for_each(|(value, text)| loaded.insert(value, text.clone())),
                    Err(error) => return unreadable(&error).map_or(Ok(None), Err),
                },
                Err(_panicked) => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Ends the work of an abandoned run, and releases its keys and slots.
    async fn release_everything(&self, run: RunId, is_folded: bool) -> Result<(), SubmitError> {
        let (done, left) = oneshot::channel();
        let shard = self.mailboxes.shard(run).ok_or(SubmitError::ShuttingDown)?;
        let sent = shard.send(ShardMessage::Abandoned { run, is_folded, done }).await;
        sent.map_err(|_| SubmitError::ShuttingDown)?;
        drop(shard);
        let _gone = left.await;
        if let Some(survivors) = &self.edge.survivors {
            let living = survivors.living(self.layout.all_attempts()).await;
            let name = run.to_string();
            let is_own = |folder: &&std::path::PathBuf| {
                folder.parent().and_then(Path::file_name).is_some_and(|parent| parent == name.as_str())
            };
            let ending = living.iter().filter(is_own).map(|folder| survivors.end(folder.clone()));
            futures::future::join_all(ending).await;
        }
        self.ends.report(run);
        self.remove_credentials(run).await;
        // Its history may be unreadable; the streams of the keys show which ones it holds.
        let mut after = None;
        loop {
            let page = self.store.streams(StreamKind::Key, after, PAGE).await;
            let page = page.map_err(|error| SubmitError::Store(error.to_string()))?;
            self.mailboxes
                .slots
                .abandoned(run, page.iter().map(|(stream, _)| stream.clone()).collect())
                .await;
            match page.last() {
                Some((last, _)) if page.len() == PAGE => after = Some(last.id.to_string()),
                _ => return Ok(()),
            }
        }
    }
}

/// What a caller learns where reading again may help; `None` where the history itself is wrong.
fn unreadable(error: &LoadError) -> Option<SubmitError> {
    match error {
        full if full.is_full() => Some(SubmitError::Full),
        passing if passing.is_passing() => Some(SubmitError::Store(passing.to_string())),
        _damaged => None,
    }
}
