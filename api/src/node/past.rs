//! Moments of the past: which version a run had at a position of the log, and who stood at a key then.

use std::collections::BTreeMap;

use everfold_engine::envelope::{Envelope, StreamId};
use everfold_engine::event::WantedSlot;
use everfold_engine::id::{Position, RunId, Version};
use everfold_engine::slots::{SlotEvent, SlotGranted, SlotShared, SlotState, stream};
use everfold_engine::time::Timestamp;

use super::handle::Node;
use crate::fault::{Code, Fault};

/// Events that are read at once.
const CHUNK: usize = 1_000;

/// A run that another one waits for at a key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AwaitedHolder {
    pub(super) run: RunId,
    /// Since when it holds the slot; `None`: it waits for it, too, and comes first.
    pub(super) since: Option<Timestamp>,
}

impl Node {
    /// The last version of a run up to a position of the log.
    ///
    /// # Errors
    /// It had not begun then; its history cannot be read.
    pub(crate) async fn version_before(&self, run: RunId, at: Position) -> Result<Version, Fault> {
        let stream = StreamId::run(run);
        let mut found = Version::ZERO;
        loop {
            let events = self.store.read(&stream, found.next(), CHUNK).await?;
            let until = events.iter().take_while(|event| event.position <= at).last();
            if let Some(event) = until {
                found = event.header.version;
            }
            let over = events.last().is_none_or(|event| event.position > at);
            if over {
                break;
            }
        }
        if found == Version::ZERO {
            return Err(not_begun(run));
        }
        Ok(found)
    }

    /// The runs that a run waits for at a slot, now or at a position of the log: those that hold it, else those that
    /// come first; `None`: it need not wait. Costs as much as the key's history is long.
    ///
    /// # Errors
    /// The key cannot be read.
    pub(super) async fn awaited_at(
        &self,
        run: RunId,
        slot: &WantedSlot,
        at: Option<Position>,
    ) -> Result<Option<Vec<AwaitedHolder>>, Fault> {
        let (stream, mut state) = (stream(slot), SlotState::default());
        let (mut next, mut held_since) = (Version::FIRST, BTreeMap::new());
        loop {
            let events = self.store.read(&stream, next, CHUNK).await?;
            let Some(last) = events.last() else { break };
            next = last.header.version.next();
            let is_then = |event: &&Envelope| at.is_none_or(|at| event.position <= at);
            for event in events.iter().take_while(is_then) {
                let header = &event.header;
                let fact = SlotEvent::decode(header.kind, header.schema, &event.payload)
                    .map_err(|error| Fault::new(Code::Internal, format!("the key {}: {error}", slot.key)))?;
                // A sharer has the slot when its host has left it.
                if let SlotEvent::SlotGranted(SlotGranted { run, .. })
                | SlotEvent::SlotShared(SlotShared { run, .. }) = &fact
                {
                    held_since.insert(*run, header.recorded_at);
                }
                state.apply(&fact);
            }
        }
        let Some(awaited) = state.awaited_by(run, slot) else { return Ok(None) };
        let holds = |run: &RunId| if state.holds(*run) { held_since.get(run).copied() } else { None };
        Ok(Some(awaited.into_iter().map(|run| AwaitedHolder { since: holds(&run), run }).collect()))
    }
}

/// A run had not begun at the moment that is asked for.
pub(crate) fn not_begun(run: RunId) -> Fault {
    Fault::new(Code::NotYet, format!("run {} had not begun then", run.short()))
        .hint(format!("`everfold show {}` says when it started", run.short()))
}
