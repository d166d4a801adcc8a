//! Aggregates: small streams of the engine's own that are folded as a whole, such as tokens, pauses and breaker resets.
//!
//! Law (S9): an [`AggregateStore`] is its stream's only writer; a change is decided on the fold of everything
//! before it, is durable before any reader sees it, and one is made at a time. Unlike the actors' streams, an append
//! that the store refuses is not waited for: its error is the caller's. An append goes on where its caller goes away,
//! and readers see what it made durable.

use std::panic::resume_unwind;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio::task::AbortHandle;

use crate::stream_end::{EncodedEvent, EventOrigin, StreamEnd};
use crate::stream_pages::StreamPages;
use everfold_base::actor::Actor;
use everfold_base::envelope::{Cause, StreamId};
use everfold_base::id::{InputId, Position};
use everfold_base::time::Timestamp;
use everfold_core::aggregate::{Aggregate, EventStamp};
use everfold_store::{Append, AppendError, Dedup, EventStore, ReadError, StreamNote};
use everfold_system::clock::{Chance, Clock};

/// Events of the stream that are read at once.
const PAGE: usize = 1_000;

/// Why a change was not recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AggregateError {
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store did not take it.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The stream holds what this Everfold cannot read, or would have to hold what is too large.
    #[error("the stream {stream}: {what}")]
    Unreadable {
        /// Which.
        stream: StreamId,
        /// What was found.
        what: String,
    },
}

/// A change that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Where the stream stands in the store.
    pub position: Position,
    /// Something was recorded; false where it was so already.
    pub changed: bool,
    /// It was recorded before, under the same key.
    pub repeated: bool,
}

/// The fold of a stream, kept up to date, and the way to change it.
pub struct AggregateStore<A: Aggregate> {
    stream: Arc<AggregateStream<A>>,
    clock: Clock,
    chance: Chance,
    /// The append that is in flight: it ends with the store.
    appending: std::sync::Mutex<Option<AbortHandle>>,
}

impl<A: Aggregate> Drop for AggregateStore<A> {
    fn drop(&mut self) {
        let appending = self.appending.get_mut().unwrap_or_else(PoisonError::into_inner);
        appending.iter().for_each(AbortHandle::abort);
    }
}

/// The stream, and what was read of it.
struct AggregateStream<A: Aggregate> {
    store: Arc<dyn EventStore>,
    known: RwLock<LastRead<A>>,
    /// Marked as changed with each fold that readers are shown.
    shown: watch::Sender<()>,
    /// Where the stream ends; held while it is read or added to.
    head: Arc<Mutex<AggregateHead>>,
}

/// The fold that was read last.
struct LastRead<A> {
    aggregate: Arc<A>,
    /// It is the fold of the whole stream. False until the stream was read, and after an append whose outcome is not
    /// known.
    is_current: bool,
}

/// The end of the stream, and its place in the store.
#[derive(Debug, Clone, Copy, Default)]
struct AggregateHead {
    end: StreamEnd,
    position: Position,
}

impl<A: Aggregate> AggregateStore<A> {
    /// An aggregate that is read when it is first asked for.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, clock: Clock, chance: Chance) -> Self {
        let known = LastRead { aggregate: Arc::new(A::default()), is_current: false };
        let stream = AggregateStream {
            store,
            known: RwLock::new(known),
            shown: watch::Sender::new(()),
            head: Arc::default(),
        };
        Self { stream: Arc::new(stream), clock, chance, appending: std::sync::Mutex::default() }
    }

    /// The aggregate as it is now.
    ///
    /// # Errors
    /// The stream cannot be read.
    pub async fn current(&self) -> Result<Arc<A>, AggregateError> {
        match self.stream.known() {
            Some(known) => Ok(known),
            None => self.stream.ensure(&mut *self.stream.head.lock().await).await,
        }
    }

    /// What was read last, for callers that cannot wait: empty until the stream was read once, and as it was before
    /// while the outcome of an append is not known.
    pub fn last_known(&self) -> Arc<A> {
        Arc::clone(&self.stream.known.read().unwrap_or_else(PoisonError::into_inner).aggregate)
    }

    /// Resolves with each fold that readers are shown from now on, also where the caller that changed it went away.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.stream.shown.subscribe()
    }

    /// Decides on the aggregate as it is now, and records what follows. Records nothing where `decide` gives none, or
    /// where the change was recorded before under the same `dedup` (S10): then the first answer is given once more.
    ///
    /// # Errors
    /// What `decide` refused with, or [`AggregateError`]: the store did not take it.
    pub async fn change<R: From<AggregateError> + Send>(
        &self,
        actor: Actor,
        dedup: Option<Dedup>,
        decide: impl FnOnce(&A, Timestamp) -> Result<Option<A::Event>, R> + Send,
    ) -> Result<Change, R> {
        let mut head = Arc::clone(&self.stream.head).lock_owned().await;
        let aggregate = self.stream.ensure(&mut head).await?;
        let at = (self.clock)();
        let event = match decide(&aggregate, at) {
            Ok(Some(event)) => event,
            // A repeated request gets its first answer, though nothing is left to do, or it would be refused now.
            nothing => {
                if let Some(position) = self.first(dedup).await? {
                    return Ok(Change { position, changed: true, repeated: true });
                }
                nothing?;
                return Ok(Change { position: head.position, changed: false, repeated: false });
            }
        };
        let encoded = A::encode(&event).map_err(unreadable::<A>)?;
        let cause = Cause { input: InputId((self.chance)().to_le_bytes()), because: head.end.version };
        let decided = DecidedChange { event, encoded, actor, at, cause, dedup };
        // The store goes on with an append that was begun, so a task waits for it: the caller may go away.
        let appending = tokio::spawn(Arc::clone(&self.stream).record(head, aggregate, decided));
        *self.appending.lock().unwrap_or_else(PoisonError::into_inner) = Some(appending.abort_handle());
        match appending.await {
            Ok(recorded) => Ok(recorded?),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_runtime_ends) => Err(AggregateError::Append(AppendError::Closed).into()),
            },
        }
    }

    /// The position of the change that was made under a key, if one was.
    async fn first(&self, dedup: Option<Dedup>) -> Result<Option<Position>, AggregateError> {
        let Some(dedup) = dedup else { return Ok(None) };
        match self.stream.store.first_write(dedup.key).await? {
            None => Ok(None),
            Some(first) if first.body != dedup.body => {
                Err(AggregateError::Append(AppendError::DedupConflict))
            }
            Some(first) => Ok(Some(first.appended.last_position())),
        }
    }
}

/// A change that is decided, and not recorded yet.
struct DecidedChange<E> {
    event: E,
    encoded: EncodedEvent,
    actor: Actor,
    at: Timestamp,
    cause: Cause,
    dedup: Option<Dedup>,
}

impl<A: Aggregate> AggregateStream<A> {
    fn known(&self) -> Option<Arc<A>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.is_current.then(|| Arc::clone(&known.aggregate))
    }

    fn publish(&self, aggregate: Arc<A>) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) =
            LastRead { aggregate, is_current: true };
        self.shown.send_replace(());
    }

    fn doubt(&self) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).is_current = false;
    }

    /// Reads the stream where that was not done yet.
    async fn ensure(&self, head: &mut AggregateHead) -> Result<Arc<A>, AggregateError> {
        if let Some(known) = self.known() {
            return Ok(known);
        }
        let stream = A::stream();
        let (mut aggregate, mut read) = (A::default(), AggregateHead::default());
        if self.store.head(&stream).await?.is_some() {
            let mut pages = StreamPages::new(self.store.as_ref(), &stream, read.end.version.next(), PAGE);
            while let Some(page) = pages.next().await? {
                for envelope in &page {
                    let header = &envelope.header;
                    let event =
                        A::decode(header.kind, header.schema, &envelope.payload).map_err(unreadable::<A>)?;
                    aggregate.apply(&event, &EventStamp { by: &header.actor, at: header.recorded_at });
                    read = AggregateHead { end: StreamEnd::of(envelope), position: envelope.position };
                }
            }
        }
        *head = read;
        let aggregate = Arc::new(aggregate);
        self.publish(Arc::clone(&aggregate));
        Ok(aggregate)
    }

    /// Appends a change, and shows it to readers when it is durable.
    async fn record(
        self: Arc<Self>,
        mut head: OwnedMutexGuard<AggregateHead>,
        aggregate: Arc<A>,
        decided: DecidedChange<A::Event>,
    ) -> Result<Change, AggregateError> {
        let DecidedChange { event, encoded, actor, at, cause, dedup } = decided;
        let stream = A::stream();
        let mut end = head.end;
        let origin = EventOrigin { stream: &stream, actor: &actor, at, cause };
        let events = vec![end.link(&origin, encoded)];
        let append = Append {
            stream,
            expected: head.end.version,
            previous: head.end.hash,
            events,
            dedup,
            fence: None,
            note: StreamNote::default(),
        };
        let appended = match self.store.append(append).await {
            Ok(appended) => appended,
            Err(error) => {
                // The event may be durable all the same: the stream is read anew. Where it cannot be read now, the
                // next request reads it.
                self.doubt();
                drop(self.ensure(&mut head).await);
                return Err(error.into());
            }
        };
        if appended.repeated {
            // Its event is folded already, and may be undone by now.
            return Ok(Change { position: appended.last_position(), changed: true, repeated: true });
        }
        *head = AggregateHead { end, position: appended.last_position() };
        let mut aggregate = A::clone(&aggregate);
        aggregate.apply(&event, &EventStamp { by: &actor, at });
        self.publish(Arc::new(aggregate));
        Ok(Change { position: head.position, changed: true, repeated: false })
    }
}

fn unreadable<A: Aggregate>(what: String) -> AggregateError {
    AggregateError::Unreadable { stream: A::stream(), what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everfold_base::json::Hash;
    use everfold_core::event::HaltScope;
    use everfold_core::pauses::{PauseOrder, Pauses};
    use everfold_core::tokens::{AccessEvent, AccessRegistry, Role, TokenCreated};
    use everfold_store::{DedupKeep, MemoryStore};
    use everfold_system::clock;

    fn created(name: &str) -> AccessEvent {
        AccessEvent::TokenCreated(TokenCreated {
            name: name.to_owned(),
            role: Role::Viewer,
            approves: Vec::new(),
            hash: Hash::of(name.as_bytes()),
            expires_at: None,
        })
    }

    #[tokio::test]
    async fn s9_changes_made_at_once_are_decided_one_after_the_other_and_read_back() {
        let store: Arc<dyn EventStore> = Arc::new(MemoryStore::default());
        let aggregate = Arc::new(AggregateStore::<AccessRegistry>::new(
            Arc::clone(&store),
            clock::system(),
            clock::chance(),
        ));
        let mut changes = tokio::task::JoinSet::new();
        for n in 0..20 {
            let aggregate = Arc::clone(&aggregate);
            changes.spawn(async move {
                let seen = move |access: &AccessRegistry, _| {
                    let before = access.tokens().count();
                    Ok::<_, AggregateError>((before < 10).then(|| created(&format!("token-{n}"))))
                };
                aggregate.change(Actor::Engine, None, seen).await.unwrap().changed
            });
        }
        let changed = changes.join_all().await.into_iter().filter(|changed| *changed).count();
        assert_eq!(changed, 10);
        let again = AggregateStore::<AccessRegistry>::new(store, clock::system(), clock::chance());
        assert_eq!(again.current().await.unwrap(), aggregate.current().await.unwrap());
    }

    #[tokio::test]
    async fn s10_what_is_asked_again_under_its_key_gets_its_answer_and_undoes_nothing_that_came_after() {
        let store: Arc<dyn EventStore> = Arc::new(MemoryStore::default());
        let aggregate = AggregateStore::<Pauses>::new(Arc::clone(&store), clock::system(), clock::chance());
        let order = async |wanted, body: Option<&[u8]>| {
            let dedup =
                body.map(|body| Dedup { key: Hash::of(b"k"), body: Hash::of(body), keep: DedupKeep::Week });
            let decide = |halts: &Pauses, _| {
                Ok::<_, AggregateError>(halts.decide(wanted, &HaltScope::Engine, None).unwrap())
            };
            aggregate.change(Actor::Engine, dedup, decide).await
        };
        let first = order(PauseOrder::Halt, Some(b"{}")).await.unwrap();
        let again = Change { repeated: true, ..first };
        assert_eq!(order(PauseOrder::Halt, Some(b"{}")).await.unwrap(), again, "at once");
        let other = order(PauseOrder::Halt, Some(b"")).await;
        assert!(matches!(other, Err(AggregateError::Append(AppendError::DedupConflict))), "another body");
        order(PauseOrder::Release, None).await.unwrap();
        assert_eq!(order(PauseOrder::Halt, Some(b"{}")).await.unwrap(), again, "after it was over");
        assert_eq!(aggregate.current().await.unwrap().all().count(), 0, "it stays over");
        assert_eq!(store.last_position().get(), 2);
        assert!(
            order(PauseOrder::Halt, None).await.unwrap().changed,
            "and others go on from where it stands"
        );
    }

    #[tokio::test]
    async fn a_reader_that_waits_for_changes_learns_of_one_whose_caller_went_away() {
        let store: Arc<dyn EventStore> = Arc::new(MemoryStore::default());
        let aggregate = AggregateStore::<AccessRegistry>::new(store, clock::system(), clock::chance());
        aggregate.current().await.unwrap();
        let mut changes = aggregate.subscribe();
        let change =
            aggregate.change(Actor::Engine, None, |_, _| Ok::<_, AggregateError>(Some(created("one"))));
        let mut change = Box::pin(change);
        let first = std::future::poll_fn(|context| {
            std::task::Poll::Ready(change.as_mut().poll(context).is_pending())
        });
        assert!(first.await, "the append is in flight");
        drop(change);
        changes.changed().await.unwrap();
        assert_eq!(aggregate.current().await.unwrap().tokens().count(), 1);
    }
}
