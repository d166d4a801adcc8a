//! One read model at work: its fold, its keys, how far it is.
//!
//! Law: what is in the shelf is what the checkpoint's position says, and no more. Readers see what was shown
//! last and wait for no fold. A fact that a model cannot fold stops that model alone, and names run and position.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use everfold_engine::id::{Position, RunId};
use serde::Serialize;

use crate::generation::{Generation, save_generation};
use crate::look::Seen;
use crate::projection::{Fact, FoldError, Projection};
use crate::shelf::{Checkpoint, Shelf};
use crate::source::Facts;
use crate::tx::Tx;

/// Values that stay in memory though they do not change.
const HELD_MAX: usize = 4_096;
/// Where the position stands among a model's keys.
const POSITION: &[u8] = b"!";

/// Why a model went no further.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stopped {
    /// The run of the event; none where something else failed.
    pub run: Option<RunId>,
    /// The event's place in the store.
    pub position: Position,
    /// What happened.
    pub what: String,
}

/// What can be told of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelStatus {
    /// Its name.
    pub name: &'static str,
    /// The version of its data's form.
    pub schema: u32,
    /// The last event that is folded.
    pub position: Position,
    /// Events of the log that are not folded yet.
    pub lag: u64,
    /// Up to where a crash would lose nothing of it.
    pub checkpoint: Position,
    /// Why it goes no further.
    pub stopped: Option<Stopped>,
    /// How far it has been built anew, where that is going on.
    pub rebuilding: Option<Position>,
}

/// A read model with its keys.
pub(crate) struct Inner<P> {
    pub(crate) fold: P,
    pub(crate) tx: Tx,
    pub(crate) position: Position,
    checkpoint: Position,
    /// Readers see all that was folded.
    is_shown: bool,
    pub(crate) stopped: Option<Stopped>,
}

impl<P: Projection> Inner<P> {
    /// Goes on from what is there under a generation's keys.
    pub(crate) fn open(shelf: Arc<Shelf>, generation: u32) -> Result<Self, FoldError> {
        let prefix = generation.to_be_bytes();
        let position = match shelf.get(&[&prefix[..], POSITION].concat())? {
            Some(bytes) => {
                let bytes = bytes.as_slice().try_into();
                Position(u64::from_le_bytes(bytes.map_err(|_| FoldError::Row("no position".to_owned()))?))
            }
            None => Position::ZERO,
        };
        let tx = Tx::new(shelf, prefix, position);
        let fold = P::open(&tx)?;
        Ok(Self { fold, tx, position, checkpoint: position, is_shown: true, stopped: None })
    }

    /// Folds what is behind the position, and shows it.
    pub(crate) fn fold(&mut self, facts: &Facts) {
        self.take(facts);
        self.show();
    }

    /// Folds what is behind the position. Readers see it with the next [`Self::show`].
    pub(crate) fn take(&mut self, facts: &Facts) {
        if self.stopped.is_some() || facts.last <= self.position {
            return;
        }
        if facts.first > self.position.next() {
            let what = format!("the events before {} were not shown to it", facts.first);
            tracing::error!(model = P::NAME, what, "a read model stopped");
            self.stopped = Some(Stopped { run: None, position: self.position, what });
            return;
        }
        let (mut at, mut run) = (self.position, None);
        let folded = catch_unwind(AssertUnwindSafe(|| {
            for staged in facts.staged_after(self.position) {
                (at, run) = (staged.position, None);
                self.fold.define(staged, &mut self.tx)?;
            }
            for fact in facts.after(self.position) {
                if !P::heeds(fact.event) {
                    debug_assert!(self.is_nothing(&fact), "{} is not heeded", fact.event.name());
                    continue;
                }
                (at, run) = (fact.position, Some(fact.run));
                self.fold.apply(&fact, &mut self.tx)?;
            }
            Ok(())
        }));
        match folded {
            Ok(Ok(())) => (self.position, self.is_shown) = (facts.last, false),
            failed => self.stop(run, at, failed),
        }
    }

    /// Whether a fact changes nothing: tests ask that of those which the model does not heed.
    fn is_nothing(&mut self, fact: &Fact<'_>) -> bool {
        let before = self.fold.unsettled() + self.tx.changed();
        self.fold.apply(fact, &mut self.tx).is_ok() && before == self.fold.unsettled() + self.tx.changed()
    }

    /// Shows readers all that was folded. What many events say of one row or one term is put together once.
    pub(crate) fn show(&mut self) {
        if self.stopped.is_some() || self.is_shown {
            return;
        }
        match catch_unwind(AssertUnwindSafe(|| self.fold.publish(&mut self.tx))) {
            Ok(Ok(())) => {
                self.tx.publish(self.position);
                self.is_shown = true;
            }
            failed => self.stop(None, self.position, failed),
        }
    }

    fn stop(&mut self, run: Option<RunId>, at: Position, why: std::thread::Result<Result<(), FoldError>>) {
        let what = match why {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_panic) => "a panic within Everfold".to_owned(),
        };
        tracing::error!(model = P::NAME, position = at.0, run = ?run, what, "a read model stopped");
        self.stopped = Some(Stopped { run, position: at, what });
    }

    fn changed(&self) -> usize {
        if self.stopped.is_some() { 0 } else { self.fold.unsettled() + self.tx.changed() }
    }

    /// What the shelf is to take to be where the model is.
    pub(crate) fn settle(&mut self) -> Result<Option<(Checkpoint, Position)>, FoldError> {
        self.show();
        if self.stopped.is_some() || self.position == self.checkpoint {
            return Ok(None);
        }
        self.fold.settle(&mut self.tx)?;
        let position = crate::shelf::Value::new(self.position.0.to_le_bytes().to_vec());
        self.tx.put_through(POSITION, position);
        Ok(Some((self.tx.drain(), self.position)))
    }

    /// Brings the shelf up to where the model is, and waits for it.
    pub(crate) fn put_away(&mut self, shelf: &Shelf) -> Result<(), FoldError> {
        if let Some((checkpoint, at)) = self.settle()? {
            shelf.put_away(&checkpoint)?;
            self.settled(at);
        }
        Ok(())
    }

    pub(crate) fn settled(&mut self, at: Position) {
        self.checkpoint = at;
        self.fold.trim();
        self.tx.settled(HELD_MAX);
    }
}

/// What can be told of a model without waiting for its fold.
struct Told {
    seen: Arc<Seen>,
    generation: u32,
    checkpoint: Position,
    stopped: Option<Stopped>,
    rebuilding: Option<Position>,
}

/// What the shelf did not take yet, and up to where it brings it.
type Pending = Option<(Checkpoint, Position)>;

/// A read model that is kept up, and perhaps another one being built to take its place.
pub(crate) struct Model<P> {
    /// Locked by the threads that fold, never by readers.
    inner: Mutex<Inner<P>>,
    told: Mutex<Told>,
    /// Locked by who writes it.
    pending: Mutex<Pending>,
    shelf: Arc<Shelf>,
}

/// A read model, whatever it is of.
pub(crate) trait AnyModel: Send + Sync {
    fn name(&self) -> &'static str;
    fn position(&self) -> Position;
    fn stopped(&self) -> Option<Stopped>;
    fn status(&self, head: Position) -> ModelStatus;
    /// Folds; readers see it later.
    fn take(&self, facts: &Facts);
    /// Shows readers all that was folded.
    fn show(&self);
    /// How much a checkpoint would write.
    fn changed(&self) -> usize;
    /// How many events a kill would have it fold again.
    fn unsaved(&self) -> u64;
    /// Brings the shelf up to where the model is.
    fn checkpoint(&self) -> Result<(), FoldError>;
    /// Makes ready what would bring the shelf up to where the model is, unless that is being written; whether there
    /// is anything to [`Self::put_away`].
    fn prepare(&self) -> Result<bool, FoldError>;
    /// Writes what is ready. Nobody who folds waits for it.
    fn put_away(&self) -> Result<(), FoldError>;
    /// Begins to build it anew, unless that is going on.
    fn begin_rebuild(&self, generation: u32) -> Option<Box<dyn Rebuild + '_>>;
    fn generation(&self) -> Generation;
}

/// A read model that is built beside another one.
pub(crate) trait Rebuild {
    fn fold(&mut self, facts: &Facts) -> Result<(), FoldError>;
    /// Takes the other one's place, where it has come as far as the fold of what is new: `folded`, which
    /// the caller keeps from moving. Gives the generation that nobody needs any more.
    fn take_over(&mut self, folded: Position) -> Result<Option<u32>, FoldError>;
    /// How far it is.
    fn position(&self) -> Position;
    fn stopped(&self) -> Option<Stopped>;
}

impl<P: Projection> Model<P> {
    pub(crate) fn new(shelf: Arc<Shelf>, inner: Inner<P>) -> Self {
        let told = Told {
            seen: Arc::clone(inner.tx.seen()),
            generation: u32::from_be_bytes(inner.tx.prefix()),
            checkpoint: inner.checkpoint,
            stopped: inner.stopped.clone(),
            rebuilding: None,
        };
        Self { inner: Mutex::new(inner), told: Mutex::new(told), pending: Mutex::default(), shelf }
    }

    fn inner(&self) -> MutexGuard<'_, Inner<P>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with(&self, fold: impl FnOnce(&mut Inner<P>)) {
        let mut inner = self.inner();
        fold(&mut inner);
        if inner.stopped.is_some() {
            self.told().stopped.clone_from(&inner.stopped);
        }
    }

    /// What readers see.
    pub(crate) fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.told().seen)
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a checkpoint, unless there is one that was not written yet: that goes first, and readers find all of it
    /// in memory until then.
    fn settle(&self, pending: &mut Pending) -> Result<(), FoldError> {
        if pending.is_some() {
            return Ok(());
        }
        let mut inner = self.inner();
        match inner.settle() {
            Ok(settled) => *pending = settled,
            Err(error) => {
                let (position, what) = (inner.position, error.to_string());
                inner.stopped = Some(Stopped { run: None, position, what });
                self.told().stopped.clone_from(&inner.stopped);
                return Err(error);
            }
        }
        Ok(())
    }

    fn write(&self, pending: &mut Pending) -> Result<(), FoldError> {
        if let Some((checkpoint, at)) = pending {
            self.shelf.put_away(checkpoint)?;
            self.inner().settled(*at);
            self.told().checkpoint = *at;
        }
        *pending = None;
        Ok(())
    }
}

impl<P: Projection> AnyModel for Model<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn position(&self) -> Position {
        self.seen().look().position()
    }

    fn stopped(&self) -> Option<Stopped> {
        self.told().stopped.clone()
    }

    fn status(&self, head: Position) -> ModelStatus {
        let position = self.position();
        let told = self.told();
        ModelStatus {
            name: P::NAME,
            schema: P::SCHEMA,
            position,
            lag: head.0.saturating_sub(position.0),
            checkpoint: told.checkpoint,
            stopped: told.stopped.clone(),
            rebuilding: told.rebuilding,
        }
    }

    fn take(&self, facts: &Facts) {
        self.with(|inner| inner.take(facts));
    }

    fn show(&self) {
        self.with(Inner::show);
    }

    fn changed(&self) -> usize {
        self.inner().changed()
    }

    fn unsaved(&self) -> u64 {
        let inner = self.inner();
        if inner.stopped.is_some() { 0 } else { inner.position.0 - inner.checkpoint.0 }
    }

    fn checkpoint(&self) -> Result<(), FoldError> {
        let mut pending = self.pending();
        self.settle(&mut pending)?;
        self.write(&mut pending)
    }

    fn prepare(&self) -> Result<bool, FoldError> {
        let mut pending = match self.pending.try_lock() {
            Ok(pending) => pending,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(false),
        };
        self.settle(&mut pending)?;
        Ok(pending.is_some())
    }

    fn put_away(&self) -> Result<(), FoldError> {
        self.write(&mut self.pending())
    }

    fn begin_rebuild(&self, generation: u32) -> Option<Box<dyn Rebuild + '_>> {
        let mut told = self.told();
        if told.rebuilding.is_some() {
            return None;
        }
        let inner = Inner::open(Arc::clone(&self.shelf), generation).ok()?;
        told.rebuilding = Some(Position::ZERO);
        Some(Box::new(Beside { model: self, inner: Some(inner) }))
    }

    fn generation(&self) -> Generation {
        Generation { number: self.told().generation, schema: P::SCHEMA }
    }
}

/// A read model that is built beside the one that answers.
struct Beside<'a, P: Projection> {
    model: &'a Model<P>,
    inner: Option<Inner<P>>,
}

/// Changes that go into the shelf together while a model is built.
const CHANGES: usize = 4_000;

impl<P: Projection> Rebuild for Beside<'_, P> {
    fn fold(&mut self, facts: &Facts) -> Result<(), FoldError> {
        let Some(inner) = &mut self.inner else { return Ok(()) };
        inner.fold(facts);
        self.model.told().rebuilding = Some(inner.position);
        if inner.changed() >= CHANGES {
            inner.put_away(&self.model.shelf)?;
        }
        Ok(())
    }

    fn take_over(&mut self, folded: Position) -> Result<Option<u32>, FoldError> {
        let Some(mut inner) = self.inner.take_if(|inner| inner.position >= folded && inner.stopped.is_none())
        else {
            return Ok(None);
        };
        inner.put_away(&self.model.shelf)?;
        let number = u32::from_be_bytes(inner.tx.prefix());
        let mut pending = self.model.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let mut live = self.model.inner();
        save_generation(&self.model.shelf, P::NAME, Generation { number, schema: P::SCHEMA })?;
        // What the other one had left to write is of no use any more.
        *pending = None;
        let mut told = self.model.told();
        told.seen = Arc::clone(inner.tx.seen());
        (told.checkpoint, told.stopped) = (inner.checkpoint, None);
        let former = std::mem::replace(&mut told.generation, number);
        drop(told);
        *live = inner;
        Ok(Some(former))
    }

    fn position(&self) -> Position {
        self.inner.as_ref().map_or(Position::ZERO, |inner| inner.position)
    }

    fn stopped(&self) -> Option<Stopped> {
        self.inner.as_ref().and_then(|inner| inner.stopped.clone())
    }
}

impl<P: Projection> Drop for Beside<'_, P> {
    fn drop(&mut self) {
        self.model.told().rebuilding = None;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use everfold_engine::actor::Actor;
    use everfold_engine::envelope::{Cause, Envelope, EventHeader, NewEvent, StreamId};
    use everfold_engine::event::{NoteAdded, RunEvent, encode};
    use everfold_engine::id::{InputId, Version};
    use everfold_engine::json::Hash;
    use everfold_engine::store::MemoryStore;
    use everfold_engine::time::Timestamp;

    use super::*;
    use crate::generation::{former_generations, generation_of, remove_generation};

    /// Counts notes, and cannot fold one that says so.
    struct Notes<const CAREFUL: bool>(u64);

    impl<const CAREFUL: bool> Projection for Notes<CAREFUL> {
        const NAME: &'static str = "notes";
        const SCHEMA: u32 = 1;

        fn heeds(_event: &RunEvent) -> bool {
            true
        }

        fn open(tx: &Tx) -> Result<Self, FoldError> {
            Ok(Self(tx.get(b"n")?.map_or(0, |bytes| u64::from(bytes[0]))))
        }

        fn apply(&mut self, fact: &Fact<'_>, _: &mut Tx) -> Result<(), FoldError> {
            let RunEvent::NoteAdded(note) = fact.event else { return Ok(()) };
            assert!(CAREFUL || note.text != "panic", "as asked");
            if CAREFUL && note.text == "refuse" {
                return Err(FoldError::Row("as asked".to_owned()));
            }
            self.0 += 1;
            Ok(())
        }

        fn publish(&mut self, _: &mut Tx) -> Result<(), FoldError> {
            Ok(())
        }

        fn settle(&mut self, tx: &mut Tx) -> Result<(), FoldError> {
            tx.put(b"n", vec![u8::try_from(self.0).unwrap()]);
            Ok(())
        }

        fn unsettled(&self) -> usize {
            1
        }

        fn trim(&mut self) {}
    }

    fn facts(texts: &[&str]) -> Facts {
        let events = texts.iter().zip(1..).map(|(text, number)| {
            let (schema, payload) = encode(&RunEvent::from(NoteAdded { text: (*text).to_owned() })).unwrap();
            let header = EventHeader {
                stream: StreamId::run(RunId(uuid())),
                version: Version(number),
                recorded_at: Timestamp(1),
                actor: Actor::Engine,
                cause: Cause { input: InputId::default(), because: Version(0) },
                kind: 34,
                schema,
                flags: 0,
                payload_hash: Hash::ZERO,
            };
            let NewEvent { header, hash, payload } = NewEvent::link(header, payload, &Hash::ZERO);
            Arc::new(Envelope {
                header,
                hash,
                position: Position(number),
                committed_at: Timestamp(1),
                payload,
            })
        });
        let events = events.collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(Facts::of(events, &MemoryStore::default())).unwrap()
    }

    impl<P: Projection> Model<P> {
        fn fold(&self, facts: &Facts) {
            self.take(facts);
            self.show();
        }
    }

    fn uuid() -> uuid::Uuid {
        "0198c1f0-0000-7000-8000-0000deadbeef".parse().unwrap()
    }

    fn model<P: Projection>(shelf: &Arc<Shelf>, generation: u32) -> Model<P> {
        Model::new(Arc::clone(shelf), Inner::open(Arc::clone(shelf), generation).unwrap())
    }

    #[test]
    fn a_model_that_fails_on_an_event_names_run_and_position_and_keeps_its_checkpoint() {
        let shelf = Arc::new(Shelf::memory());
        let failing = model::<Notes<true>>(&shelf, 1);
        failing.fold(&facts(&["a", "b"]));
        failing.checkpoint().unwrap();
        failing.fold(&facts(&["a", "b", "c", "refuse", "d"]));
        let stopped = failing.stopped().unwrap();
        assert_eq!((stopped.run, stopped.position), (Some(RunId(uuid())), Position(4)));
        failing.checkpoint().unwrap();
        assert_eq!(model::<Notes<true>>(&shelf, 1).position(), Position(2));
        assert_eq!(model::<Notes<true>>(&shelf, 1).inner().fold.0, 2);
        let panicking = model::<Notes<false>>(&shelf, 2);
        panicking.fold(&facts(&["a", "panic"]));
        assert_eq!(panicking.stopped().unwrap().position, Position(2));
    }

    #[test]
    fn a_model_is_folded_while_its_checkpoint_is_written() {
        let shelf = Arc::new(Shelf::memory());
        let model = model::<Notes<true>>(&shelf, 1);
        model.fold(&facts(&["a", "b"]));
        assert!(model.prepare().unwrap());
        let writing = model.pending();
        model.fold(&facts(&["a", "b", "c"]));
        assert!(!model.prepare().unwrap(), "one checkpoint at a time");
        drop(writing);
        model.put_away().unwrap();
        assert_eq!((model.position(), model.status(Position(3)).checkpoint), (Position(3), Position(2)));
        assert_eq!(self::model::<Notes<true>>(&shelf, 1).inner().fold.0, 2, "what a kill leaves");
        assert!(model.prepare().unwrap());
        model.put_away().unwrap();
        assert_eq!(self::model::<Notes<true>>(&shelf, 1).inner().fold.0, 3);
    }

    #[test]
    fn a_model_that_was_not_shown_everything_stops() {
        let model = model::<Notes<true>>(&Arc::new(Shelf::memory()), 1);
        let mut facts = facts(&["a", "b", "c"]);
        facts.first = Position(2);
        model.fold(&facts);
        assert_eq!((model.position(), model.stopped().unwrap().run), (Position::ZERO, None));
    }

    #[test]
    fn a_model_that_stopped_is_repaired_by_building_it_anew_beside_it() {
        let shelf = Arc::new(Shelf::memory());
        // What the older program could not fold, this one can.
        let older = model::<Notes<true>>(&shelf, 1);
        older.fold(&facts(&["a", "refuse", "c"]));
        assert!(older.stopped().is_some());
        let model = model::<Notes<false>>(&shelf, 1);
        let mut beside = model.begin_rebuild(2).unwrap();
        assert!(model.begin_rebuild(3).is_none(), "one at a time");
        model.fold(&facts(&["a", "b", "c"]));
        beside.fold(&facts(&["a"])).unwrap();
        assert_eq!(beside.take_over(Position(3)).unwrap(), None, "it has not come as far");
        assert_eq!(model.status(Position(3)).rebuilding, Some(Position(1)));
        beside.fold(&facts(&["a", "b", "c"])).unwrap();
        assert_eq!(beside.take_over(Position(3)).unwrap(), Some(1));
        drop(beside);
        assert_eq!((model.position(), model.stopped()), (Position(3), None));
        assert_eq!(model.generation().number, 2);
        assert_eq!(generation_of(&shelf, "notes").unwrap().unwrap().number, 2);
        assert!(former_generations(&shelf, &[2]).unwrap().is_empty());
        assert_eq!(former_generations(&shelf, &[7]).unwrap(), [2]);
        assert_eq!(remove_generation(&shelf, 2).unwrap(), 2, "its row and its position");
    }
}
