//! Small streams of the engine's own that are folded as a whole: tokens, pauses, and what else people set.
//!
//! Law (S9): a [`Ledger`] is its stream's only writer; a change is decided on the fold of everything
//! before it, is durable before anybody sees it, and one is made at a time.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Mutex;

use everfold_base::actor::Actor;
use everfold_base::envelope::{Cause, EventHeader, NewEvent, StreamId};
use everfold_base::id::{InputId, Position, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;
use everfold_core::aggregate::{Aggregate, EventStamp};
use everfold_store::{Append, AppendError, Dedup, EventStore, ReadError, StreamNote};
use everfold_system::clock::{Chance, Clock};

/// Events of the stream that are read at once.
const PAGE: usize = 1_000;

/// Why a change was not recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
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
pub struct Ledger<K: Aggregate> {
    store: Arc<dyn EventStore>,
    clock: Clock,
    chance: Chance,
    known: RwLock<LastRead<K>>,
    /// Where the stream ends; held while it is read or added to.
    end: Mutex<StreamEnd>,
}

/// What was read last.
struct LastRead<K> {
    kept: Arc<K>,
    /// It is what holds: not until it was read, and not after an append whose outcome is not known.
    is_current: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct StreamEnd {
    version: Version,
    hash: Hash,
    position: Position,
}

impl<K: Aggregate> Ledger<K> {
    /// A ledger that reads its stream when it is first asked.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, clock: Clock, chance: Chance) -> Self {
        let known = LastRead { kept: Arc::new(K::default()), is_current: false };
        Self { store, clock, chance, known: RwLock::new(known), end: Mutex::default() }
    }

    /// What holds now.
    ///
    /// # Errors
    /// The stream cannot be read.
    pub async fn current(&self) -> Result<Arc<K>, LedgerError> {
        match self.known() {
            Some(known) => Ok(known),
            None => self.ensure(&mut *self.end.lock().await).await,
        }
    }

    /// What was read last, for those who cannot wait: as if nothing were there until it was read once, and
    /// what held before while the outcome of an append is not known.
    pub fn last_known(&self) -> Arc<K> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner).kept)
    }

    fn known(&self) -> Option<Arc<K>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.is_current.then(|| Arc::clone(&known.kept))
    }

    fn publish(&self, kept: Arc<K>) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = LastRead { kept, is_current: true };
    }

    fn doubt(&self) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).is_current = false;
    }

    /// Reads the stream where that was not done yet.
    async fn ensure(&self, end: &mut StreamEnd) -> Result<Arc<K>, LedgerError> {
        if let Some(known) = self.known() {
            return Ok(known);
        }
        let (mut kept, mut read) = (K::default(), StreamEnd::default());
        let mut is_there = self.store.head(&K::stream()).await?.is_some();
        while is_there {
            let page = self.store.read(&K::stream(), read.version.next(), PAGE).await?;
            for envelope in &page {
                let header = &envelope.header;
                let event =
                    K::decode(header.kind, header.schema, &envelope.payload).map_err(unreadable::<K>)?;
                kept.apply(&event, &EventStamp { by: &header.actor, at: header.recorded_at });
                read =
                    StreamEnd { version: header.version, hash: envelope.hash, position: envelope.position };
            }
            is_there = page.len() == PAGE;
        }
        *end = read;
        let kept = Arc::new(kept);
        self.publish(Arc::clone(&kept));
        Ok(kept)
    }

    /// Decides on what holds now, and records what follows; nothing where `decide` gives none, or where it was
    /// recorded before under the same `dedup` (S10): then the first answer is given once more.
    ///
    /// # Errors
    /// What `decide` refused with, or [`LedgerError`]: the store did not take it.
    pub async fn change<R: From<LedgerError> + Send>(
        &self,
        actor: Actor,
        dedup: Option<Dedup>,
        decide: impl FnOnce(&K, Timestamp) -> Result<Option<K::Event>, R> + Send,
    ) -> Result<Change, R> {
        let mut end = self.end.lock().await;
        let kept = self.ensure(&mut end).await?;
        let at = (self.clock)();
        let event = match decide(&kept, at) {
            Ok(Some(event)) => event,
            // What was done once is answered as it was then, though nothing is left to do, or it would be refused now.
            nothing => {
                if let Some(position) = self.first(dedup).await? {
                    return Ok(Change { position, changed: true, repeated: true });
                }
                nothing?;
                return Ok(Change { position: end.position, changed: false, repeated: false });
            }
        };
        let (kind, schema, payload) = K::encode(&event).map_err(unreadable::<K>)?;
        let header = EventHeader {
            stream: K::stream(),
            version: end.version.next(),
            recorded_at: at,
            actor: actor.clone(),
            cause: Cause { input: InputId((self.chance)().to_le_bytes()), because: end.version },
            kind,
            schema,
            flags: 0,
            payload_hash: Hash::ZERO,
        };
        let new = NewEvent::link(header, payload, &end.hash);
        let hash = new.hash;
        let append = Append {
            stream: K::stream(),
            expected: end.version,
            previous: end.hash,
            events: vec![new],
            dedup,
            fence: None,
            note: StreamNote::default(),
        };
        let appended = match self.store.append(append).await {
            Ok(appended) => appended,
            Err(error) => {
                // It may be there all the same: what became of it, the stream alone knows. Where that cannot be
                // read now, the next request reads it.
                self.doubt();
                drop(self.ensure(&mut end).await);
                return Err(LedgerError::Append(error).into());
            }
        };
        if appended.repeated {
            // What it led to then is folded already, and may be over by now.
            return Ok(Change { position: appended.last_position(), changed: true, repeated: true });
        }
        *end = StreamEnd { version: appended.last_version(), hash, position: appended.last_position() };
        let mut kept = K::clone(&kept);
        kept.apply(&event, &EventStamp { by: &actor, at });
        self.publish(Arc::new(kept));
        Ok(Change { position: end.position, changed: true, repeated: false })
    }

    /// Where the change went that was made under a key, if one was.
    async fn first(&self, dedup: Option<Dedup>) -> Result<Option<Position>, LedgerError> {
        let Some(dedup) = dedup else { return Ok(None) };
        match self.store.first_write(dedup.key).await? {
            None => Ok(None),
            Some(first) if first.body != dedup.body => Err(LedgerError::Append(AppendError::DedupConflict)),
            Some(first) => Ok(Some(first.appended.last_position())),
        }
    }
}

fn unreadable<K: Aggregate>(what: String) -> LedgerError {
    LedgerError::Unreadable { stream: K::stream(), what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everfold_core::event::HaltScope;
    use everfold_core::pauses::{Pauses, Wanted};
    use everfold_core::tokens::{Access, AccessEvent, Role, TokenCreated};
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
        let ledger = Arc::new(Ledger::<Access>::new(Arc::clone(&store), clock::system(), clock::chance()));
        let mut changes = tokio::task::JoinSet::new();
        for n in 0..20 {
            let ledger = Arc::clone(&ledger);
            changes.spawn(async move {
                let seen = move |access: &Access, _| {
                    let before = access.tokens().count();
                    Ok::<_, LedgerError>((before < 10).then(|| created(&format!("token-{n}"))))
                };
                ledger.change(Actor::Engine, None, seen).await.unwrap().changed
            });
        }
        let changed = changes.join_all().await.into_iter().filter(|changed| *changed).count();
        assert_eq!(changed, 10);
        let again = Ledger::<Access>::new(store, clock::system(), clock::chance());
        assert_eq!(again.current().await.unwrap(), ledger.current().await.unwrap());
    }

    #[tokio::test]
    async fn s10_what_is_asked_again_under_its_key_gets_its_answer_and_undoes_nothing_that_came_after() {
        let store: Arc<dyn EventStore> = Arc::new(MemoryStore::default());
        let ledger = Ledger::<Pauses>::new(Arc::clone(&store), clock::system(), clock::chance());
        let order = async |wanted, body: Option<&[u8]>| {
            let dedup =
                body.map(|body| Dedup { key: Hash::of(b"k"), body: Hash::of(body), keep: DedupKeep::Week });
            let decide = |halts: &Pauses, _| {
                Ok::<_, LedgerError>(halts.decide(wanted, &HaltScope::Engine, None).unwrap())
            };
            ledger.change(Actor::Engine, dedup, decide).await
        };
        let first = order(Wanted::Halt, Some(b"{}")).await.unwrap();
        let again = Change { repeated: true, ..first };
        assert_eq!(order(Wanted::Halt, Some(b"{}")).await.unwrap(), again, "at once");
        let other = order(Wanted::Halt, Some(b"")).await;
        assert!(matches!(other, Err(LedgerError::Append(AppendError::DedupConflict))), "another body");
        order(Wanted::Release, None).await.unwrap();
        assert_eq!(order(Wanted::Halt, Some(b"{}")).await.unwrap(), again, "after it was over");
        assert_eq!(ledger.current().await.unwrap().all().count(), 0, "it stays over");
        assert_eq!(store.last_position().get(), 2);
        assert!(order(Wanted::Halt, None).await.unwrap().changed, "and others go on from where it stands");
    }
}
