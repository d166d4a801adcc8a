//! Decides the queue of a run: from inputs and queries to the batches that are appended.
//!
//! Law (D2): a run has one append in flight. Inputs that queued meanwhile are decided in turn and
//! appended as one batch, split at the store's limits; every answer waits until the state it was
//! judged on is durable.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::messages::Queued;
use crate::panic::panic_text;
use crate::run::append_batch::DecidedItem;
use crate::run::loaded_run::{Item, LoadedRun};
use crate::runtime::Runtime;
use everfold_base::id::{InputId, RunId, Version};
use everfold_base::time::Timestamp;
use everfold_core::decide::{Decision, decide};
use everfold_core::event::ClockRead;
use everfold_core::input::{Input, InputKind};
use everfold_core::state::RunState;
use everfold_language::expr::{Loaded, ValueRef};
use everfold_store::{APPEND_BYTES_MAX, APPEND_EVENTS_MAX};

/// A batch of this size is sent; a smaller one takes further inputs.
const BATCH_EVENTS: usize = APPEND_EVENTS_MAX / 2;
const BATCH_BYTES: usize = APPEND_BYTES_MAX / 2;
/// How often one decision may ask for further values.
const NEEDS_MAX: usize = 64;

/// What follows when the queue was decided as far as possible.
pub(crate) enum QueueOutcome {
    /// Nothing is to be appended: all that was decided rests on durable state.
    Rest,
    /// The batches are to be appended.
    Append,
    /// These values are to be read first.
    Fetch(Vec<ValueRef>),
    /// The run cannot be decided any further.
    Quarantine(String),
}

/// The fact that the clock says less than what is recorded.
pub(crate) fn clock_read(run: RunId, version: Version, clock: Timestamp) -> Queued {
    let about = format!("{run}/clock/{version}/{}", clock.0);
    Queued::own(InputId::derive(&about), InputKind::ClockRead(ClockRead { clock }))
}

/// Whether a worker is about to take what no worker has begun, in a run of which nothing may start: a pause was decided before.
fn takes_while_paused(state: &RunState, input: &InputKind) -> bool {
    let InputKind::AttemptStarted(started) = input else { return false };
    started.holder.is_some() && state.is_paused() && !state.has_begun(&started.id)
}

impl LoadedRun {
    /// Decides what waits, up to what one append takes.
    pub(crate) fn decide_queue(&mut self, shared: &Runtime) -> QueueOutcome {
        let mut asked = 0;
        while self.has_room() {
            let mut queued = match self.queue.pop_front() {
                None => break,
                Some(Item::Query(query)) => {
                    self.decided(DecidedItem::Query(query));
                    continue;
                }
                Some(Item::Input(queued)) => queued,
            };
            if queued.dedup.is_some() && !self.batches.is_empty() {
                // Its append may turn out to be a repeated one, and must not take others with it.
                self.queue.push_front(Item::Input(queued));
                break;
            }
            let Some(state) = self.state.as_mut() else {
                self.queue.push_front(Item::Input(queued));
                break;
            };
            if takes_while_paused(state, &queued.kind) {
                // What waits for its receipt hears that it is not recorded.
                continue;
            }
            let now = shared.now();
            if matches!(queued.kind, InputKind::ClockRead(_)) {
                // What the clock said when this began to wait is a reading of the past.
                *queued = clock_read(self.run, self.version, now);
            }
            // What makes a run of a copied history comes before anything else of it.
            let is_first = matches!(queued.kind, InputKind::Fork(_) | InputKind::ClockRead(_));
            if state.wants_clock(now) && !is_first {
                // Time spans that follow from the input count by the clock, not by the time that is recorded.
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
            let known = &self.values.of_decision;
            let decision = catch_unwind(AssertUnwindSafe(|| decide(state, &input, known)));
            let at = input.at;
            queued.kind = input.kind;
            let is_advance = matches!(queued.kind, InputKind::Advance);
            let aligns = matches!(queued.kind, InputKind::Halt(_) | InputKind::Release(_));
            match decision {
                Err(panic) => {
                    self.queue.push_front(Item::Input(queued));
                    return QueueOutcome::Quarantine(panic_text(panic.as_ref()));
                }
                Ok(Err(refusal)) => self.decided(DecidedItem::Refused(queued, refusal)),
                Ok(Ok(Decision::Events(batch))) if batch.events.is_empty() => {
                    self.decided(DecidedItem::Unchanged(queued));
                }
                Ok(Ok(Decision::Events(batch))) => {
                    if let Err(reason) = self.record(queued, at, batch.events, batch.blobs, shared) {
                        return QueueOutcome::Quarantine(reason);
                    }
                }
                Ok(Ok(Decision::Needs(wanted))) => {
                    self.queue.push_front(Item::Input(queued));
                    asked += 1;
                    if asked > NEEDS_MAX {
                        return QueueOutcome::Quarantine("a decision asks for ever more values".into());
                    }
                    let known = &self.values.of_decision;
                    if let Some(why) = wanted.iter().find_map(|value| known.lost(value)) {
                        let why = why.to_owned();
                        // It may be there again when the run is taken up again.
                        self.values.of_decision = Loaded::default();
                        return QueueOutcome::Quarantine(why);
                    }
                    let missing = shared.values.at_hand(wanted, &mut self.values.of_decision);
                    if !missing.is_empty() {
                        return QueueOutcome::Fetch(missing);
                    }
                    continue;
                }
            }
            // The input is decided, and not put back to wait for values: only now may another one of its kind be queued.
            self.own_inputs.advancing &= !is_advance;
            self.own_inputs.aligning &= !aligns;
            // Values that one input needed are not offered to the next one: replay decides each input by itself.
            self.values.of_decision = Loaded::default();
        }
        if self.batches.is_empty() { QueueOutcome::Rest } else { QueueOutcome::Append }
    }

    fn has_room(&self) -> bool {
        match self.batches.back() {
            None => true,
            Some(last) => {
                self.batches.len() == 1
                    && last.dedup.is_none()
                    && last.events.len() < BATCH_EVENTS
                    && last.bytes < BATCH_BYTES
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::EngineConfig;
    use crate::run::loaded_run::RunPhase;
    use everfold_base::data_folder::Layout;
    use everfold_base::id::{InputId, RunId};
    use everfold_core::event::{CancelRequested, NoteAdded};
    use everfold_core::input::{Start, StartOptions};
    use everfold_ports::Edge;
    use everfold_store::{BlobStore, MemoryStore};
    use serde_json::json;

    fn shared() -> Runtime {
        let blobs = Arc::new(BlobStore::new(std::path::Path::new("/nowhere")));
        let (store, layout) = (Arc::new(MemoryStore::default()), Layout::new("/nowhere"));
        Runtime::new(EngineConfig::default(), store, blobs, layout, Edge::default())
    }

    fn started(shared: &Runtime) -> Box<LoadedRun> {
        let document = json!({"name": "p", "steps": [{"id": "pause", "work": {"wait": {"for": "1h"}}}]});
        let definition = Arc::new(serde_json::from_value(document).unwrap());
        let run = RunId(uuid::Uuid::from_u128(1));
        let mut loaded = LoadedRun::new(run, RunPhase::Ready, Some(RunState::new(definition)));
        let start = Start {
            run,
            options: StartOptions::default(),
            entropy: 0,
            config: None,
            admission: Vec::new(),
            number: None,
        };
        loaded.push(Queued::own(InputId::derive("start"), InputKind::Start(start)));
        assert!(matches!(loaded.decide_queue(shared), QueueOutcome::Append));
        loaded
    }

    fn note(at: usize, length: usize) -> Queued {
        let text = format!("{at} {}", "x".repeat(length));
        Queued::own(InputId::derive(&at.to_string()), InputKind::Note(NoteAdded { text }))
    }

    #[test]
    fn d4_a_panic_in_decide_is_the_runs_alone_and_its_inputs_are_kept() {
        let shared = shared();
        let mut loaded = started(&shared);
        // A state that no history folds to: its definition has more steps than it has facts of.
        let step = |id: &str| json!({"id": id, "work": {"wait": {"for": "1h"}}});
        let document = json!({"name": "p", "steps": [step("a"), step("b"), step("c")]});
        let mut broken = RunState::new(Arc::new(serde_json::from_value(document).unwrap()));
        broken.facts = loaded.state.take().unwrap().facts;
        loaded.state = Some(broken);
        loaded.push(Queued::own(
            InputId::derive("cancel"),
            InputKind::Cancel(CancelRequested { reason: None }),
        ));
        let QueueOutcome::Quarantine(reason) = loaded.decide_queue(&shared) else { panic!("it went on") };
        assert!(reason.starts_with("panicked"), "{reason}");
        loaded.requeue();
        let kept: Vec<InputId> = loaded
            .queue
            .iter()
            .filter_map(|item| match item {
                Item::Input(queued) => Some(queued.id),
                Item::Query(_) => None,
            })
            .collect();
        assert_eq!(kept, ["start", "cancel"].map(InputId::derive), "in their order");
    }

    #[test]
    fn s8_what_is_decided_in_turn_is_split_at_the_limits_of_an_append() {
        for (count, length) in [(3_000, 1), (400, 30_000)] {
            let shared = shared();
            let mut loaded = started(&shared);
            (0..count).for_each(|at| loaded.push(note(at, length)));
            let mut last = Version::ZERO;
            let mut appends = 0;
            while matches!(loaded.decide_queue(&shared), QueueOutcome::Append) {
                while let Some((append, _)) = loaded.next_append(&shared) {
                    assert_eq!((append.expected, append.events[0].header.version), (last, last.next()));
                    assert!(append.events.len() <= APPEND_EVENTS_MAX);
                    let bytes: usize = append.events.iter().map(|event| event.payload.len()).sum();
                    assert!(bytes <= APPEND_BYTES_MAX, "{bytes}");
                    last = append.events.last().unwrap().header.version;
                    appends += 1;
                    loaded.batches.pop_front();
                }
            }
            assert_eq!(last, loaded.version);
            assert!(loaded.queue.is_empty() && (5..=8).contains(&appends), "{appends}");
        }
    }
}
