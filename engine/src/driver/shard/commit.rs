//! From inputs to durable events.
//!
//! Law (D2): a run has one append in flight. Inputs that queued meanwhile are decided in turn and
//! appended as one batch, split at the store's limits; every answer waits until the state it was
//! judged on is durable.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::cell::{Cell, Item};
use crate::decide::{Decision, Loaded, Refusal, decide};
use crate::driver::load::panic_text;
use crate::driver::message::{Look, Queued};
use crate::driver::shared::Shared;
use crate::driver::{Accepted, QueryError, SubmitError};
use crate::envelope::{Cause, EventHeader, NewEvent};
use crate::event::{self, RunEvent};
use crate::expr::ValueRef;
use crate::id::{InputId, Position, RunId, Version};
use crate::input::{Input, InputKind};
use crate::json::{BlobRef, Hash, JsonText};
use crate::store::{APPEND_BYTES_MAX, APPEND_EVENTS_MAX, Append, Appended, Dedup, StreamNote};
use crate::time::Timestamp;

/// From here on a batch is sent rather than made longer.
const CHUNK_EVENTS: usize = APPEND_EVENTS_MAX / 2;
const CHUNK_BYTES: usize = APPEND_BYTES_MAX / 2;
/// How often one decision may ask for further values.
const NEEDS_MAX: usize = 64;

/// The events of one append, with the inputs that led to them.
pub(super) struct Chunk {
    expected: Version,
    previous: Hash,
    events: Vec<NewEvent>,
    bytes: usize,
    pub(super) blobs: Vec<(BlobRef, JsonText)>,
    dedup: Option<Dedup>,
    decided: Vec<Decided>,
    /// It holds the event after which the process is to kill itself.
    pub(super) is_last_wish: bool,
}

/// An item that was taken up, with what it waits to be told.
enum Decided {
    Changed { queued: Box<Queued>, last: u64 },
    Unchanged(Box<Queued>),
    Refused(Box<Queued>, Refusal),
    Looked(Look),
}

/// What is to be done after the queue was worked on.
pub(super) enum Next {
    /// Everything is durable already.
    Rest,
    /// The outbox is to be appended.
    Append,
    /// These values are to be read first.
    Fetch(Vec<ValueRef>),
    /// The run cannot be gone on with.
    Aside(String),
}

/// The fact that the clock says less than what is recorded.
pub(super) fn clock_read(run: RunId, version: Version, clock: Timestamp) -> Queued {
    let about = format!("{run}/clock/{version}/{}", clock.0);
    Queued::own(InputId::derive(&about), InputKind::ClockRead { clock })
}

impl Cell {
    /// Decides what waits, up to what one append takes.
    pub(super) fn decide_queue(&mut self, shared: &Shared) -> Next {
        let mut asked = 0;
        while self.has_room() {
            let mut queued = match self.queue.pop_front() {
                None => break,
                Some(Item::Look(look)) => {
                    self.decided(Decided::Looked(look));
                    continue;
                }
                Some(Item::Input(queued)) => queued,
            };
            if queued.dedup.is_some() && !self.outbox.is_empty() {
                // Its append may turn out to be a repeated one, and must not take others with it.
                self.queue.push_front(Item::Input(queued));
                break;
            }
            let Some(state) = self.state.as_mut() else {
                self.queue.push_front(Item::Input(queued));
                break;
            };
            let now = shared.now();
            if matches!(queued.kind, InputKind::ClockRead { .. }) {
                // What the clock said when this began to wait is a reading of the past.
                *queued = clock_read(self.run, self.version, now);
            }
            // What makes a run of a copied history comes before anything else of it.
            let is_first = matches!(queued.kind, InputKind::Fork(_) | InputKind::ClockRead { .. });
            if state.wants_clock(now) && !is_first {
                // Spans that follow from the input count by the clock, and not by what is recorded of it.
                self.queue.push_front(Item::Input(queued));
                self.queue.push_front(Item::Input(Box::new(clock_read(self.run, self.version, now))));
                continue;
            }
            let input = Input {
                id: queued.id,
                at: now.max(state.last_at()),
                actor: queued.actor.clone(),
                kind: std::mem::replace(&mut queued.kind, InputKind::Advance),
            };
            if let (InputKind::Fork(fork), Some(definition)) = (&input.kind, &queued.definition) {
                state.goes_on_by(fork.definition, std::sync::Arc::clone(definition));
            }
            let known = &self.known;
            let decision = catch_unwind(AssertUnwindSafe(|| decide(state, &input, known)));
            let at = input.at;
            queued.kind = input.kind;
            let is_advance = matches!(queued.kind, InputKind::Advance);
            let aligns = matches!(queued.kind, InputKind::Halt { .. } | InputKind::Release { .. });
            match decision {
                Err(panic) => {
                    self.queue.push_front(Item::Input(queued));
                    return Next::Aside(panic_text(panic.as_ref()));
                }
                Ok(Err(refusal)) => self.decided(Decided::Refused(queued, refusal)),
                Ok(Ok(Decision::Events(batch))) if batch.events.is_empty() => {
                    self.decided(Decided::Unchanged(queued));
                }
                Ok(Ok(Decision::Events(batch))) => {
                    if let Err(reason) = self.record(queued, at, batch.events, batch.blobs, shared) {
                        return Next::Aside(reason);
                    }
                }
                Ok(Ok(Decision::Needs(wanted))) => {
                    self.queue.push_front(Item::Input(queued));
                    asked += 1;
                    if asked > NEEDS_MAX {
                        return Next::Aside("a decision asks for ever more values".into());
                    }
                    let missing = shared.values.at_hand(wanted, &mut self.known);
                    if !missing.is_empty() {
                        return Next::Fetch(missing);
                    }
                    continue;
                }
            }
            // Decided, and not put back to wait for values: only then it may be asked for again.
            self.advancing &= !is_advance;
            self.aligning &= !aligns;
            // What one input asked for may not carry the next one further than it would come alone:
            // replay decides each by itself.
            self.known = Loaded::default();
        }
        if self.outbox.is_empty() { Next::Rest } else { Next::Append }
    }

    fn has_room(&self) -> bool {
        match self.outbox.back() {
            None => true,
            Some(last) => {
                self.outbox.len() == 1
                    && last.dedup.is_none()
                    && last.events.len() < CHUNK_EVENTS
                    && last.bytes < CHUNK_BYTES
            }
        }
    }

    /// Tells at once what rests on durable state; the rest waits for the append.
    fn decided(&mut self, decided: Decided) {
        match self.outbox.back_mut() {
            Some(chunk) => chunk.decided.push(decided),
            None => self.tell(decided, self.version, self.position),
        }
    }

    fn tell(&mut self, decided: Decided, version: Version, position: Position) {
        if let Decided::Changed { queued, .. } | Decided::Unchanged(queued) | Decided::Refused(queued, _) =
            &decided
        {
            self.settle_work(&queued.kind);
        }
        let answered = |changed, version, position| Accepted { version, position, changed, repeated: false };
        match decided {
            Decided::Changed { mut queued, last } => {
                let behind = version.0.saturating_sub(last);
                let position = Position(position.0.saturating_sub(behind));
                queued.answer(Ok(answered(true, Version(last), position)));
            }
            Decided::Unchanged(mut queued) => queued.answer(Ok(answered(false, version, position))),
            Decided::Refused(mut queued, refusal) => queued.answer(Err(SubmitError::Refused(refusal))),
            Decided::Looked(look) => match &self.state {
                Some(state) if !self.is_copy() => look(Ok(state)),
                _none_or_another_run => look(Err(QueryError::NotFound(self.run))),
            },
        }
    }

    /// Encodes and links the events of one input.
    fn record(
        &mut self,
        queued: Box<Queued>,
        at: crate::time::Timestamp,
        events: Vec<RunEvent>,
        blobs: Vec<(BlobRef, JsonText)>,
        shared: &Shared,
    ) -> Result<(), String> {
        let cause = Cause { input: queued.id, because: self.version };
        let (expected, previous) = (self.version, self.hash);
        let mut linked = Vec::with_capacity(events.len());
        let mut bytes = 0;
        let mut is_last_wish = false;
        for event in &events {
            let (schema, payload) = event::encode(event).map_err(|error| error.to_string())?;
            bytes += payload.len();
            is_last_wish |= shared.config.crash_after.as_deref() == Some(event.name());
            let header = EventHeader {
                stream: self.stream.clone(),
                version: self.version.next(),
                recorded_at: at,
                actor: queued.actor.clone(),
                cause,
                kind: event.kind(),
                schema,
                flags: 0,
                payload_hash: Hash::ZERO,
            };
            let event = NewEvent::link(header, payload, &self.hash);
            self.version = self.version.next();
            self.hash = event.hash;
            linked.push(event);
        }
        let fits = self.outbox.back().is_some_and(|chunk| {
            chunk.events.len() + linked.len() <= APPEND_EVENTS_MAX && chunk.bytes + bytes <= APPEND_BYTES_MAX
        });
        if !fits {
            self.outbox.push_back(Chunk {
                expected,
                previous,
                events: Vec::new(),
                bytes: 0,
                blobs: Vec::new(),
                dedup: queued.dedup,
                decided: Vec::new(),
                is_last_wish: false,
            });
        }
        let last = self.version.0;
        let chunk = self.outbox.back_mut().expect("pushed above where it did not fit");
        chunk.events.extend(linked);
        chunk.bytes += bytes;
        chunk.blobs.extend(blobs);
        chunk.is_last_wish |= is_last_wish;
        chunk.decided.push(Decided::Changed { queued, last });
        Ok(())
    }

    /// The append of the first chunk, taken out of it, and the values to be durable before it.
    pub(super) fn next_append(&mut self, shared: &Shared) -> Option<(Append, Vec<(BlobRef, JsonText)>)> {
        let is_only = self.outbox.len() == 1;
        let note = match &self.state {
            // The state is ahead of all but the last chunk: whoever finds such a one looks closer.
            Some(state) if is_only => {
                let note = state.note();
                StreamNote { open: note.open, busy: note.busy, wake_at: note.wake_at }
            }
            _ => StreamNote { open: true, busy: true, wake_at: None },
        };
        let stream = self.stream.clone();
        let chunk = self.outbox.front_mut()?;
        let append = Append {
            stream,
            expected: chunk.expected,
            previous: chunk.previous,
            events: std::mem::take(&mut chunk.events),
            dedup: chunk.dedup,
            fence: shared.config.fence,
            note,
        };
        Some((append, std::mem::take(&mut chunk.blobs)))
    }

    /// The first chunk is durable: its inputs are answered.
    pub(super) fn commit(&mut self, appended: &Appended) {
        let Some(chunk) = self.outbox.pop_front() else { return };
        self.position = appended.last_position();
        self.tries = 0;
        self.bytes += chunk.bytes as u64;
        self.since.bytes += chunk.bytes as u64;
        self.since.events += u64::from(appended.count);
        for decided in chunk.decided {
            self.tell(decided, appended.last_version(), appended.last_position());
        }
    }

    /// The first chunk had been written before under its idempotency key: nothing of it was added,
    /// and its input gets the first answer.
    pub(super) fn repeated(&mut self, appended: &Appended) {
        self.drop_first(|queued| queued.answer(Ok(Accepted::again(appended))));
    }

    /// Takes the input with the idempotency key out, answers it, and requeues all others.
    pub(super) fn drop_first(&mut self, mut tell: impl FnMut(&mut Queued)) {
        self.requeue();
        let first =
            self.queue.iter().position(|item| matches!(item, Item::Input(queued) if queued.dedup.is_some()));
        if let Some(Item::Input(mut queued)) = first.and_then(|at| self.queue.remove(at)) {
            tell(&mut queued);
        }
    }

    /// Puts what was decided but did not become durable back to where it came from.
    pub(super) fn requeue(&mut self) {
        let decided: Vec<Decided> = self.outbox.drain(..).flat_map(|chunk| chunk.decided).collect();
        for decided in decided.into_iter().rev() {
            self.queue.push_front(match decided {
                Decided::Changed { queued, .. }
                | Decided::Unchanged(queued)
                | Decided::Refused(queued, _) => Item::Input(queued),
                Decided::Looked(look) => Item::Look(look),
            });
        }
        self.state = None;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::driver::EngineConfig;
    use crate::driver::shard::cell::Phase;
    use crate::execution::Edge;
    use crate::id::{InputId, RunId};
    use crate::input::Start;
    use crate::layout::Layout;
    use crate::state::RunState;
    use crate::store::{BlobStore, MemoryStore};
    use serde_json::json;

    fn shared() -> Shared {
        let blobs = Arc::new(BlobStore::new(std::path::Path::new("/nowhere")));
        let (store, layout) = (Arc::new(MemoryStore::default()), Layout::new("/nowhere"));
        Shared::new(EngineConfig::default(), store, blobs, layout, Edge::default())
    }

    fn started(shared: &Shared) -> Box<Cell> {
        let document = json!({"name": "p", "steps": [{"id": "pause", "work": {"wait": {"for": "1h"}}}]});
        let definition = Arc::new(serde_json::from_value(document).unwrap());
        let run = RunId(uuid::Uuid::from_u128(1));
        let mut cell = Cell::new(run, Phase::Ready, Some(RunState::new(definition)));
        let start = Start {
            run,
            input: JsonText::null(),
            title: None,
            labels: BTreeMap::new(),
            cwd: None,
            entropy: 0,
            config: None,
            parent: None,
            priority: 0,
            admission: Vec::new(),
        };
        cell.push(Queued::own(InputId::derive("start"), InputKind::Start(start)));
        assert!(matches!(cell.decide_queue(shared), Next::Append));
        cell
    }

    fn note(at: usize, length: usize) -> Queued {
        let text = format!("{at} {}", "x".repeat(length));
        Queued::own(InputId::derive(&at.to_string()), InputKind::Note { text })
    }

    #[test]
    fn d4_a_panic_in_decide_is_the_runs_alone_and_its_inputs_are_kept() {
        let shared = shared();
        let mut cell = started(&shared);
        // A state that no history folds to.
        cell.state.as_mut().unwrap().facts.steps.clear();
        cell.push(Queued::own(InputId::derive("cancel"), InputKind::Cancel { reason: None }));
        let Next::Aside(reason) = cell.decide_queue(&shared) else { panic!("it went on") };
        assert!(reason.starts_with("panicked"), "{reason}");
        cell.requeue();
        let kept: Vec<InputId> = cell
            .queue
            .iter()
            .filter_map(|item| match item {
                Item::Input(queued) => Some(queued.id),
                Item::Look(_) => None,
            })
            .collect();
        assert_eq!(kept, ["start", "cancel"].map(InputId::derive), "in their order");
    }

    #[test]
    fn s8_what_is_decided_in_turn_is_split_at_the_limits_of_an_append() {
        for (count, length) in [(3_000, 1), (400, 30_000)] {
            let shared = shared();
            let mut cell = started(&shared);
            (0..count).for_each(|at| cell.push(note(at, length)));
            let mut last = Version::ZERO;
            let mut appends = 0;
            while matches!(cell.decide_queue(&shared), Next::Append) {
                while let Some((append, _)) = cell.next_append(&shared) {
                    assert_eq!((append.expected, append.events[0].header.version), (last, last.next()));
                    assert!(append.events.len() <= APPEND_EVENTS_MAX);
                    let bytes: usize = append.events.iter().map(|event| event.payload.len()).sum();
                    assert!(bytes <= APPEND_BYTES_MAX, "{bytes}");
                    last = append.events.last().unwrap().header.version;
                    appends += 1;
                    cell.outbox.pop_front();
                }
            }
            assert_eq!(last, cell.version);
            assert!(cell.queue.is_empty() && (5..=8).contains(&appends), "{appends}");
        }
    }
}
