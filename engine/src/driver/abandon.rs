//! The way out for a run that is set aside: it is ended by the head of its stream alone.
//!
//! Law: a run that can be told anything is told, and decides by itself. Only where it is set aside, two
//! events end it without a fold: `CancelRequested` and `RunCancelled`, with the flag `forced`. The store
//! checks version and hash as always, so whatever else wrote meanwhile comes first. Who holds something
//! for the run (keys, slots, processes) is told by the run's id, not by its state.

use std::sync::Arc;

use super::desk::Ask;
use super::engine::{Accepted, Engine};
use super::message::Message;
use super::shared::Shared;
use super::survivors::end_all_of;
use super::{By, Submission, SubmitError};
use crate::actor::Actor;
use crate::decide::Refusal;
use crate::envelope::{Cause, EventHeader, NewEvent, StreamId, flag};
use crate::event::{self, CancelRequested, RunCancelled, RunEvent};
use crate::id::{InputId, RunId};
use crate::input::InputKind;
use crate::json::Hash;
use crate::state::RunStatus;
use crate::store::{Append, AppendError, Dedup, Head, StreamNote};

/// How often another writer may come first.
const TRIES: u32 = 8;

impl Engine {
    /// Cancels a run; where it is set aside it is ended at once, by its head alone: without `on_finish`, and
    /// with its keys, slots and processes given back.
    ///
    /// # Errors
    /// [`SubmitError`]: there is no such run, it has ended, or the store takes nothing.
    pub async fn abandon(
        &self,
        run: RunId,
        reason: Option<String>,
        by: impl Into<By>,
    ) -> Result<Accepted, SubmitError> {
        let By { actor, dedup } = by.into();
        let kind = InputKind::Cancel { reason: reason.clone() };
        let asked = Submission { run, kind, actor: actor.clone(), id: None, dedup };
        match self.submit(asked).await {
            Err(SubmitError::SetAside { .. }) => {}
            answered => return answered,
        }
        let shared = Arc::clone(&self.inner.shared);
        let accepted = shared.end_by_head(run, reason, actor, dedup).await?;
        shared.forget(run).await;
        shared.desk.put(Ask::Gone(run));
        shared.ends.tell(run);
        if let Some(survivors) = shared.edge.survivors.clone() {
            end_all_of(&shared.layout, survivors.as_ref(), run).await;
        }
        Ok(accepted)
    }
}

impl Shared {
    async fn end_by_head(
        &self,
        run: RunId,
        reason: Option<String>,
        actor: Actor,
        dedup: Option<Dedup>,
    ) -> Result<Accepted, SubmitError> {
        let stream = StreamId::run(run);
        let failed = |error: String| SubmitError::Store(error);
        for _ in 0..TRIES {
            let head = self.store.head(&stream).await.map_err(|error| failed(error.to_string()))?;
            let Some(head) = head else { return Err(SubmitError::NotFound(run)) };
            if !head.note.open {
                return self.ended_before(&head, dedup).await;
            }
            let append = self.ending(&stream, &head, reason.clone(), actor.clone(), dedup)?;
            match self.store.append(append).await {
                Ok(appended) => {
                    let (version, position) = (appended.last_version(), appended.last_position());
                    tracing::warn!(%run, "a run that was set aside is ended by its head");
                    return Ok(Accepted { version, position, changed: !appended.repeated });
                }
                Err(AppendError::WrongExpectedVersion { .. } | AppendError::WrongPreviousHash { .. }) => {}
                Err(AppendError::DedupConflict) => return Err(SubmitError::KeyReused),
                Err(AppendError::Full) => return Err(SubmitError::Full),
                Err(error) => return Err(failed(error.to_string())),
            }
        }
        Err(SubmitError::Busy)
    }

    /// It is over already; who asked for that a second time gets the first answer.
    async fn ended_before(&self, head: &Head, dedup: Option<Dedup>) -> Result<Accepted, SubmitError> {
        if let Some(dedup) = dedup {
            let first = self.store.first_write(dedup.key).await;
            match first.map_err(|error| SubmitError::Store(error.to_string()))? {
                Some(first) if first.body != dedup.body => return Err(SubmitError::KeyReused),
                Some(_) => {
                    let (version, position) = (head.version, head.position);
                    return Ok(Accepted { version, position, changed: false });
                }
                None => {}
            }
        }
        Err(SubmitError::Refused(Refusal::Ended(RunStatus::Cancelled)))
    }

    /// The two events behind a head.
    fn ending(
        &self,
        stream: &StreamId,
        head: &Head,
        reason: Option<String>,
        actor: Actor,
        dedup: Option<Dedup>,
    ) -> Result<Append, SubmitError> {
        let events =
            [RunEvent::CancelRequested(CancelRequested { reason }), RunEvent::RunCancelled(RunCancelled {})];
        let input = InputId::derive(&format!("{stream}/forced/{}", head.version));
        let cause = Cause { input, because: head.version };
        let (at, mut version, mut hash) = (self.now(), head.version, head.hash);
        let mut linked = Vec::with_capacity(events.len());
        for event in &events {
            let (schema, payload) =
                event::encode(event).map_err(|error| SubmitError::Store(error.to_string()))?;
            version = version.next();
            let header = EventHeader {
                stream: stream.clone(),
                version,
                recorded_at: at,
                actor: actor.clone(),
                cause,
                kind: event.kind(),
                schema,
                flags: flag::FORCED,
                payload_hash: Hash::ZERO,
            };
            let event = NewEvent::link(header, payload, &hash);
            hash = event.hash;
            linked.push(event);
        }
        Ok(Append {
            stream: stream.clone(),
            expected: head.version,
            previous: head.hash,
            events: linked,
            dedup,
            fence: self.config.fence,
            note: StreamNote { open: false, busy: false, wake_at: None },
        })
    }

    /// Has the shard let go of a run that was set aside: who asks for it next reads what is there.
    async fn forget(&self, run: RunId) {
        let (done, gone) = tokio::sync::oneshot::channel();
        if self.send(run, Message::Forget { run, done }).await.is_ok() {
            let _told_or_ending = gone.await;
        }
    }

    /// Whether the last event of a run that cannot be read ended it by force.
    pub(super) async fn is_forced(&self, run: RunId) -> bool {
        let stream = StreamId::run(run);
        let Ok(Some(head)) = self.store.head(&stream).await else { return false };
        let last = self.store.read(&stream, head.version, 1).await;
        let flags = last.ok().and_then(|last| last.first().map(|last| last.header.flags));
        !head.note.open && flags.is_some_and(|flags| flags & flag::FORCED != 0)
    }
}
