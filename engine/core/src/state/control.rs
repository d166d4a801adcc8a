//! What the state knows of signals, pauses and breakpoints, and of what ends a round before its time.
//!
//! Law: kept signals are bounded by [`KEPT_MAX`]; of deferred signals one stays per name and place. Deliveries alone are
//! unbounded, because each counts once in the life of the run: a few bytes of each; the history holds the whole.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::key::Key;
use super::stored_value::StoredValue;
use crate::event::HaltScope;
use everfold_base::actor::Actor;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{InputId, StepId, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

/// Signals that are kept for a `wait` to come, in one run.
pub(crate) const KEPT_MAX: usize = 100;

/// A signal that came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReceivedSignal {
    /// The version of its `SignalReceived`.
    pub(crate) version: Version,
    pub(crate) name: String,
    pub(crate) payload: StoredValue,
    pub(crate) by: Actor,
}

/// Why a run is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// What paused it.
    pub by: PausedBy,
    /// Why.
    pub reason: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

/// What paused a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PausedBy {
    /// A person, this run alone.
    Actor(String),
    /// A breakpoint, at this step.
    Breakpoint(StepId),
    /// A halt of its pipeline or of the engine.
    Halt(HaltScope),
}

/// Signals, pauses and breakpoints of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The last signal that came, until its taker is known.
    pub(crate) newest: Option<ReceivedSignal>,
    /// Those that no step took and a `wait` may still come for, oldest first.
    pub(crate) kept: VecDeque<ReceivedSignal>,
    /// Those that wait for the end of work: by step (or the run) and name.
    pub(crate) deferred: BTreeMap<(Option<usize>, String), ReceivedSignal>,
    /// Deliveries that came: a repeated one changes nothing.
    pub deliveries: BTreeSet<InputId>,
    /// Steps, and items, that wait for a signal.
    pub(crate) waiting: BTreeSet<Key>,
    /// Steps that do not begin before a person says so.
    pub(crate) breakpoints: BTreeSet<usize>,
    /// Steps whose breakpoint paused the run.
    pub(crate) hit: BTreeSet<usize>,
    /// Steps whose breakpoint was passed, until they begin.
    pub(crate) passed: BTreeSet<usize>,
    /// The pause of this run alone.
    pub(crate) pause: Option<Pause>,
    /// Pauses that it shares with others.
    pub(crate) halts: BTreeMap<HaltScope, Pause>,
    /// Since when it is paused, for any reason.
    pub(crate) still_since: Option<Timestamp>,
}

impl Order {
    /// What a delivery of a signal is remembered as.
    pub fn delivery(name: &str, delivery: &str) -> InputId {
        InputId::derive(&format!("{name}\n{delivery}"))
    }

    pub(crate) fn remember(&mut self, delivery: InputId) {
        self.deliveries.insert(delivery);
    }

    /// The signal that came with this version, wherever it waits.
    pub(crate) fn heard(&self, signal: Version) -> Option<&ReceivedSignal> {
        let all = self.newest.iter().chain(&self.kept).chain(self.deferred.values());
        all.into_iter().find(|heard| heard.version == signal)
    }

    pub(crate) fn forget(&mut self, signal: Version) {
        self.newest.take_if(|heard| heard.version == signal);
        self.kept.retain(|heard| heard.version != signal);
        self.deferred.retain(|_, heard| heard.version != signal);
    }

    /// The oldest signal that was put off there.
    pub(crate) fn first_deferred(&self, place: Option<usize>) -> Option<&ReceivedSignal> {
        self.deferred
            .iter()
            .filter(|((at, _), _)| *at == place)
            .map(|(_, heard)| heard)
            .min_by_key(|heard| heard.version)
    }
}

/// Joins, holds and early ends of one step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StepOrder {
    /// Where it matters how they ended: needs that succeeded.
    pub(crate) met: u32,
    /// The round that comes waits for a person.
    pub(crate) hold: bool,
    /// The round is being ended before its time.
    pub(crate) cut: Option<Cut>,
    /// The evidence of each gate's last failure, over all rounds.
    pub(crate) failed_on: BTreeMap<String, FailedOn>,
}

/// The evidence of a gate's last failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FailedOn {
    /// Its hash, where it came from left out.
    pub(crate) hash: Hash,
    /// It was the same as at the failure before.
    pub(crate) again: bool,
}

/// What ends a round, or an item of it, before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Cut {
    /// Its deadline passed.
    Deadline,
    /// A person cancelled it.
    Cancelled { by: String, reason: Option<String> },
}

impl Cut {
    pub(crate) fn failure(&self) -> Failure {
        match self {
            Self::Deadline => Failure::new(FailureKind::Timeout, "the round took longer than its deadline")
                .with_hint(
                    "raise `deadline` of the step, or see what took so long: retries, gates and people count",
                ),
            Self::Cancelled { by, reason } => {
                let why = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                Failure::new(FailureKind::Cancelled, format!("cancelled by {by}{why}"))
            }
        }
    }
}
