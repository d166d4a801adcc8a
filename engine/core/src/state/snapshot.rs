//! States as bytes.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::facts::Facts;
use super::run_state::RunState;
use super::spend::Spend;
use everfold_base::json::Hash;
use everfold_language::definition::{Definition, Graph};

/// The number of this fold. Grows whenever the same history folds to another state or the state's
/// bytes change, so that no snapshot of another fold is used.
pub const FOLD_VERSION: u32 = 12;

/// Parts that are written behind all others where they are used; states without them keep their bytes.
const SPEND: u8 = 1;
const EDGE: u8 = 2;
const CANCELLING: u8 = 3;
const CLOCK: u8 = 5;
const ACCOUNT: u8 = 6;
const UNREAD: u8 = 7;
const NUMBER: u8 = 8;
const PROGRESS: u8 = 9;
const INTERRUPTS: u8 = 10;
const SEEN: u8 = 11;
const REMINDERS: u8 = 12;
const TOP: u8 = 16;
const INITIATOR: u8 = 17;
const WORKERS: u8 = 18;
const REFUSED: u8 = 19;
const SEARCH: u8 = 20;
const EFFECTS: u8 = 21;
const KEPT: u8 = 22;
const ANCESTRY: u8 = 23;

/// Why bytes are no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot cannot be read: {0}")]
pub struct SnapshotError(String);

impl RunState {
    /// The state's bytes.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        let mut bytes = bincode::serialize(&self.facts).expect("the state holds only what bincode can write");
        if self.facts.spend != Spend::default() {
            bytes.push(SPEND);
            bincode::serialize_into(&mut bytes, &self.facts.spend)
                .expect("the state holds only what bincode can write");
        }
        if !self.facts.edge.is_empty() {
            bytes.push(EDGE);
            bincode::serialize_into(&mut bytes, &self.facts.edge)
                .expect("the state holds only what bincode can write");
        }
        if !self.facts.clock.is_empty() {
            bytes.push(CLOCK);
            bincode::serialize_into(&mut bytes, &self.facts.clock)
                .expect("the state holds only what bincode can write");
        }
        if let Some(cancelling) = &self.facts.cancelling {
            bytes.push(CANCELLING);
            bincode::serialize_into(&mut bytes, cancelling)
                .expect("the state holds only what bincode can write");
        }
        if !self.facts.account.is_empty() {
            bytes.push(ACCOUNT);
            bincode::serialize_into(&mut bytes, &self.facts.account)
                .expect("the state holds only what bincode can write");
        }
        if !self.facts.unread.is_empty() {
            bytes.push(UNREAD);
            bincode::serialize_into(&mut bytes, &self.facts.unread)
                .expect("the state holds only what bincode can write");
        }
        if let Some(number) = &self.facts.number {
            bytes.push(NUMBER);
            bincode::serialize_into(&mut bytes, number).expect("the state holds only what bincode can write");
        }
        if let Some(top) = &self.facts.top {
            bytes.push(TOP);
            bincode::serialize_into(&mut bytes, top).expect("the state holds only what bincode can write");
        }
        if let Some(initiator) = &self.facts.initiator {
            bytes.push(INITIATOR);
            bincode::serialize_into(&mut bytes, initiator)
                .expect("the state holds only what bincode can write");
        }
        if !self.facts.ancestry.is_empty() {
            bytes.push(ANCESTRY);
            bincode::serialize_into(&mut bytes, &self.facts.ancestry)
                .expect("the state holds only what bincode can write");
        }
        if !self.facts.progress.is_empty() {
            bytes.push(PROGRESS);
            bincode::serialize_into(&mut bytes, &self.facts.progress)
                .expect("the state holds only what bincode can write");
        }
        if !self.facts.interrupts.is_empty() {
            bytes.push(INTERRUPTS);
            bincode::serialize_into(&mut bytes, &self.facts.interrupts)
                .expect("the state holds only what bincode can write");
        }
        if !self.facts.seen.is_empty() {
            bytes.push(SEEN);
            bincode::serialize_into(&mut bytes, &self.facts.seen)
                .expect("the state holds only what bincode can write");
        }
        if !self.facts.reminders.is_empty() {
            bytes.push(REMINDERS);
            bincode::serialize_into(&mut bytes, &self.facts.reminders)
                .expect("the state holds only what bincode can write");
        }
        if !self.facts.workers.is_empty() {
            bytes.push(WORKERS);
            bincode::serialize_into(&mut bytes, &self.facts.workers)
                .expect("the state holds only what bincode can write");
        }
        if !self.facts.refused.is_empty() {
            bytes.push(REFUSED);
            bincode::serialize_into(&mut bytes, &self.facts.refused)
                .expect("the state holds only what bincode can write");
        }
        if !self.facts.effects.is_empty() {
            bytes.push(EFFECTS);
            bincode::serialize_into(&mut bytes, &self.facts.effects)
                .expect("the state holds only what bincode can write");
        }
        if !self.facts.kept.is_empty() {
            bytes.push(KEPT);
            bincode::serialize_into(&mut bytes, &self.facts.kept)
                .expect("the state holds only what bincode can write");
        }
        if !self.facts.search.is_empty() {
            bytes.push(SEARCH);
            bincode::serialize_into(&mut bytes, &self.facts.search)
                .expect("the state holds only what bincode can write");
        }
        bytes
    }

    /// Reads a state of a run that is pinned to `definition`.
    ///
    /// # Errors
    /// [`SnapshotError`] where the bytes are none, or belong to another definition.
    pub fn from_snapshot(definition: Arc<Definition>, bytes: &[u8]) -> Result<Self, SnapshotError> {
        let failed = |error: bincode::Error| SnapshotError(error.to_string());
        let mut rest = bytes;
        let mut facts: Facts = bincode::deserialize_from(&mut rest).map_err(failed)?;
        while let Some((part, bytes)) = rest.split_first() {
            rest = bytes;
            match *part {
                SPEND => facts.spend = bincode::deserialize_from(&mut rest).map_err(failed)?,
                EDGE => facts.edge = bincode::deserialize_from(&mut rest).map_err(failed)?,
                CLOCK => facts.clock = bincode::deserialize_from(&mut rest).map_err(failed)?,
                CANCELLING => {
                    facts.cancelling = Some(bincode::deserialize_from(&mut rest).map_err(failed)?);
                }
                ACCOUNT => facts.account = bincode::deserialize_from(&mut rest).map_err(failed)?,
                PROGRESS => facts.progress = bincode::deserialize_from(&mut rest).map_err(failed)?,
                NUMBER => facts.number = Some(bincode::deserialize_from(&mut rest).map_err(failed)?),
                TOP => facts.top = Some(bincode::deserialize_from(&mut rest).map_err(failed)?),
                INITIATOR => facts.initiator = Some(bincode::deserialize_from(&mut rest).map_err(failed)?),
                ANCESTRY => facts.ancestry = bincode::deserialize_from(&mut rest).map_err(failed)?,
                UNREAD => facts.unread = bincode::deserialize_from(&mut rest).map_err(failed)?,
                SEEN => facts.seen = bincode::deserialize_from(&mut rest).map_err(failed)?,
                INTERRUPTS => facts.interrupts = bincode::deserialize_from(&mut rest).map_err(failed)?,
                REMINDERS => facts.reminders = bincode::deserialize_from(&mut rest).map_err(failed)?,
                WORKERS => facts.workers = bincode::deserialize_from(&mut rest).map_err(failed)?,
                REFUSED => facts.refused = bincode::deserialize_from(&mut rest).map_err(failed)?,
                EFFECTS => facts.effects = bincode::deserialize_from(&mut rest).map_err(failed)?,
                KEPT => facts.kept = bincode::deserialize_from(&mut rest).map_err(failed)?,
                SEARCH => facts.search = bincode::deserialize_from(&mut rest).map_err(failed)?,
                unknown => return Err(SnapshotError(format!("part {unknown} is of a newer everfold"))),
            }
        }
        let graph = Graph::new(definition);
        if facts.steps.len() != graph.len() {
            return Err(SnapshotError("it belongs to another definition".into()));
        }
        let due: BTreeSet<_> = facts.timers.iter().map(|(timer, at)| (*at, timer.clone())).collect();
        Ok(Self { graph, facts, due, touched: Vec::new(), next: None })
    }

    /// The definition that a state in bytes is pinned to: where the run went on by another one, not that
    /// which it began with. `None` before its first event.
    ///
    /// # Errors
    /// [`SnapshotError`] where the bytes are none.
    pub fn definition_of(bytes: &[u8]) -> Result<Option<Hash>, SnapshotError> {
        /// The first of the facts: the others need not be read.
        #[derive(serde::Deserialize)]
        struct SnapshotHead {
            _version: everfold_base::id::Version,
            _last_at: everfold_base::time::Timestamp,
            started: Option<super::lifecycle::Started>,
        }
        let head: SnapshotHead =
            bincode::deserialize_from(bytes).map_err(|error| SnapshotError(error.to_string()))?;
        Ok(head.started.map(|started| started.definition))
    }

    /// BLAKE3 of the state's bytes: two folds agree exactly when these do.
    #[must_use]
    pub fn fingerprint(&self) -> Hash {
        Hash::of(&self.snapshot())
    }
}
