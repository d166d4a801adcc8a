//! Models that fail, are checkpointed while they are folded, and are rebuilt.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
use std::sync::Arc;

use everfold_base::actor::Actor;
use everfold_base::envelope::{Cause, Envelope, EventHeader, NewEvent, StreamId};
use everfold_base::id::{InputId, Position, RunId, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;
use everfold_core::event::{NoteAdded, RunEvent, encode};
use everfold_store::MemoryStore;

use super::fold::ModelFold;
use super::live::{AnyModel, Model};
use crate::generation::{former_generations, generation_of, remove_generation};
use crate::log_reader::FactBatch;
use crate::projection::{Fact, FoldError, Projection};
use crate::storage::Storage;
use crate::write_batch::WriteBatch;

/// Counts notes, and cannot fold one that says so.
struct Notes<const CAREFUL: bool>(u64);

impl<const CAREFUL: bool> Projection for Notes<CAREFUL> {
    const NAME: &'static str = "notes";
    const SCHEMA: u32 = 1;

    fn handles(_event: &RunEvent) -> bool {
        true
    }

    fn open(batch: &WriteBatch) -> Result<Self, FoldError> {
        Ok(Self(batch.get(b"n")?.map_or(0, |bytes| u64::from(bytes[0]))))
    }

    fn apply(&mut self, fact: &Fact<'_>, _: &mut WriteBatch) -> Result<(), FoldError> {
        let RunEvent::NoteAdded(note) = fact.event else { return Ok(()) };
        assert!(CAREFUL || note.text != "panic", "as asked");
        if CAREFUL && note.text == "refuse" {
            return Err(FoldError::Row("as asked".to_owned()));
        }
        self.0 += 1;
        Ok(())
    }

    fn publish(&mut self, _: &mut WriteBatch) -> Result<(), FoldError> {
        Ok(())
    }

    fn settle(&mut self, batch: &mut WriteBatch) -> Result<(), FoldError> {
        batch.put(b"n", vec![u8::try_from(self.0).unwrap()]);
        Ok(())
    }

    fn unsettled(&self) -> usize {
        1
    }

    fn trim(&mut self) {}
}

fn facts(texts: &[&str]) -> FactBatch {
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
        Arc::new(Envelope { header, hash, position: Position(number), committed_at: Timestamp(1), payload })
    });
    let events = events.collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(FactBatch::of(events, &MemoryStore::default())).unwrap()
}

impl<P: Projection> Model<P> {
    fn fold(&self, facts: &FactBatch) {
        self.take(facts);
        self.show();
    }
}

fn uuid() -> uuid::Uuid {
    "0198c1f0-0000-7000-8000-0000deadbeef".parse().unwrap()
}

fn model<P: Projection>(storage: &Arc<Storage>, generation: u32) -> Model<P> {
    Model::new(Arc::clone(storage), ModelFold::open(Arc::clone(storage), generation).unwrap())
}

#[test]
fn a_model_that_fails_on_an_event_names_run_and_position_and_keeps_its_checkpoint() {
    let storage = Arc::new(Storage::memory());
    let failing = model::<Notes<true>>(&storage, 1);
    failing.fold(&facts(&["a", "b"]));
    failing.checkpoint().unwrap();
    failing.fold(&facts(&["a", "b", "c", "refuse", "d"]));
    let stopped = failing.stopped().unwrap();
    assert_eq!((stopped.run, stopped.position), (Some(RunId(uuid())), Position(4)));
    failing.checkpoint().unwrap();
    assert_eq!(model::<Notes<true>>(&storage, 1).position(), Position(2));
    assert_eq!(model::<Notes<true>>(&storage, 1).inner().fold.0, 2);
    let panicking = model::<Notes<false>>(&storage, 2);
    panicking.fold(&facts(&["a", "panic"]));
    assert_eq!(panicking.stopped().unwrap().position, Position(2));
}

#[test]
fn a_model_is_folded_while_its_checkpoint_is_written() {
    let storage = Arc::new(Storage::memory());
    let model = model::<Notes<true>>(&storage, 1);
    model.fold(&facts(&["a", "b"]));
    assert!(model.prepare().unwrap());
    let writing = model.pending();
    model.fold(&facts(&["a", "b", "c"]));
    assert!(!model.prepare().unwrap(), "one checkpoint at a time");
    drop(writing);
    model.write_prepared().unwrap();
    assert_eq!((model.position(), model.status(Position(3)).checkpoint), (Position(3), Position(2)));
    assert_eq!(self::model::<Notes<true>>(&storage, 1).inner().fold.0, 2, "what a kill leaves");
    assert!(model.prepare().unwrap());
    model.write_prepared().unwrap();
    assert_eq!(self::model::<Notes<true>>(&storage, 1).inner().fold.0, 3);
}

#[test]
fn a_model_that_was_not_shown_everything_stops() {
    let model = model::<Notes<true>>(&Arc::new(Storage::memory()), 1);
    let mut facts = facts(&["a", "b", "c"]);
    facts.first = Position(2);
    model.fold(&facts);
    assert_eq!((model.position(), model.stopped().unwrap().run), (Position::ZERO, None));
}

#[test]
fn a_model_that_stopped_is_repaired_by_building_it_anew_beside_it() {
    let storage = Arc::new(Storage::memory());
    // What the older program could not fold, this one can.
    let older = model::<Notes<true>>(&storage, 1);
    older.fold(&facts(&["a", "refuse", "c"]));
    assert!(older.stopped().is_some());
    let model = model::<Notes<false>>(&storage, 1);
    let mut beside = model.begin_rebuild(2).unwrap().unwrap();
    assert!(model.begin_rebuild(3).unwrap().is_none(), "one at a time");
    model.fold(&facts(&["a", "b", "c"]));
    beside.fold(&facts(&["a"])).unwrap();
    assert_eq!(beside.take_over(Position(3)).unwrap(), None, "it has not come as far");
    assert_eq!(model.status(Position(3)).rebuilding, Some(Position(1)));
    beside.fold(&facts(&["a", "b", "c"])).unwrap();
    assert_eq!(beside.take_over(Position(3)).unwrap(), Some(1));
    drop(beside);
    assert_eq!((model.position(), model.stopped()), (Position(3), None));
    assert_eq!(model.generation().number, 2);
    assert_eq!(generation_of(&storage, "notes").unwrap().unwrap().number, 2);
    assert!(former_generations(&storage, &[2]).unwrap().is_empty());
    assert_eq!(former_generations(&storage, &[7]).unwrap(), [2]);
    assert_eq!(remove_generation(&storage, 2).unwrap(), 2, "its row and its position");
}

#[test]
fn a_rebuild_that_cannot_begin_or_cannot_be_stored_says_so() {
    let home = tempfile::tempdir().unwrap();
    let storage = Arc::new(Storage::open(home.path(), "e", "b").unwrap().storage);
    let model = model::<Notes<false>>(&storage, 1);
    let position = [&2_u32.to_be_bytes()[..], b"!"].concat();
    storage.write(vec![(position, Some(b"no position".to_vec()))]).unwrap();
    assert!(model.begin_rebuild(2).is_err());
    assert_eq!(model.status(Position(3)).rebuilding, None);
    let mut beside = model.begin_rebuild(3).unwrap().unwrap();
    beside.fold(&facts(&["a", "b", "c"])).unwrap();
    storage.close("e", "b", std::collections::BTreeMap::new()).unwrap();
    assert!(beside.take_over(Position(3)).is_err());
    assert_eq!(beside.position(), Position(3), "where it failed");
}
