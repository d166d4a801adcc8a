//! What the state knows of signals, pauses and breakpoints, and of what ends a round before its time.
//!
//! Law: so many signals are kept, and of those that were put off one per name and place. Only the deliveries that came
//! are as many as there were, because one counts once for as long as the run: a few bytes of each, of which the history
//! holds the whole.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::{Agenda, Kept, Key, Phase, RunState};
use crate::actor::Actor;
use crate::event::HaltScope;
use crate::failure::{Failure, FailureKind};
use crate::id::{InputId, StepId, Version};
use crate::json::Hash;
use crate::time::Timestamp;

/// Signals that are kept for a `wait` to come, in one run.
pub(crate) const KEPT_MAX: usize = 100;

/// A signal that came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Heard {
    /// The version of its `SignalReceived`.
    pub(crate) version: Version,
    pub(crate) name: String,
    pub(crate) payload: Kept,
    pub(crate) by: Actor,
}

/// Why a run stands still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Who paused it.
    pub by: PausedBy,
    /// Why.
    pub reason: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

/// Who paused a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PausedBy {
    /// Somebody, this run alone.
    Actor(String),
    /// A breakpoint, at this step.
    Breakpoint(StepId),
    /// It stands still with others.
    Halt(HaltScope),
}

/// Signals, pauses and breakpoints of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The last signal that came, until it is known who takes it.
    pub(crate) newest: Option<Heard>,
    /// Those that nobody heard and a `wait` may still come for, oldest first.
    pub(crate) kept: VecDeque<Heard>,
    /// Those that wait for the end of work: by step (or the run) and name.
    pub(crate) deferred: BTreeMap<(Option<usize>, String), Heard>,
    /// Deliveries that came: a repeated one is no news.
    pub(crate) deliveries: BTreeSet<InputId>,
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
    /// Since when it stands still for whatever reason.
    pub(crate) still_since: Option<Timestamp>,
}

impl Order {
    /// What a delivery of a signal is remembered as.
    pub(crate) fn delivery(name: &str, delivery: &str) -> InputId {
        InputId::derive(&format!("{name}\n{delivery}"))
    }

    pub(crate) fn remember(&mut self, delivery: InputId) {
        self.deliveries.insert(delivery);
    }

    /// The signal that came with this version, wherever it waits.
    pub(crate) fn heard(&self, signal: Version) -> Option<&Heard> {
        let all = self.newest.iter().chain(&self.kept).chain(self.deferred.values());
        all.into_iter().find(|heard| heard.version == signal)
    }

    pub(crate) fn forget(&mut self, signal: Version) {
        self.newest.take_if(|heard| heard.version == signal);
        self.kept.retain(|heard| heard.version != signal);
        self.deferred.retain(|_, heard| heard.version != signal);
    }

    /// The oldest signal that was put off there.
    pub(crate) fn first_deferred(&self, place: Option<usize>) -> Option<&Heard> {
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
    /// Of `join: any`: needs that succeeded.
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
    /// Somebody cancelled it.
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

impl RunState {
    /// Why the run stands still: its own pause first.
    pub fn pauses(&self) -> impl Iterator<Item = &Pause> {
        self.facts.order.pause.iter().chain(self.facts.order.halts.values())
    }

    /// What the run stands still with.
    pub fn halts(&self) -> impl Iterator<Item = &HaltScope> {
        self.facts.order.halts.keys()
    }

    /// Whether it is certain how the run ends: it is no longer paused with others.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.facts.outcome.is_some() || self.facts.ended.is_some()
    }

    /// The steps with a breakpoint, in the order of the file.
    pub fn breakpoints(&self) -> impl Iterator<Item = StepId> + '_ {
        self.facts.order.breakpoints.iter().map(|at| self.step_id(*at))
    }

    /// The steps that would begin now if the run did not stand still, in the order of the file.
    pub fn next_steps(&self) -> impl Iterator<Item = StepId> + '_ {
        self.facts.agenda.iter().filter_map(|item| match item {
            Agenda::Ready(at) => Some(self.step_id(*at)),
            _other => None,
        })
    }

    /// Whether a step's round has begun and not ended, or waits for a person: it hears signals.
    pub(crate) fn is_active(&self, at: usize) -> bool {
        let phase = &self.facts.steps[at].phase;
        *phase != Phase::Pending && !phase.is_ended() && self.is_live(at)
    }

    /// Whether an attempt of the step's current round executes, a stopped one included.
    pub(crate) fn is_executing(&self, at: usize) -> bool {
        let is_in_flight = |key: Key| self.unit_at(key).is_some_and(|unit| unit.stage.is_in_flight());
        let own = Key::step(at)..Key::step(at + 1);
        self.facts.attempts.range(own).next().is_some()
            || self.stops_of_step(at).any(|id| self.current(id).is_some_and(is_in_flight))
    }

    /// Whether any attempt of the run executes.
    pub(crate) fn is_any_executing(&self) -> bool {
        !self.facts.attempts.is_empty() || !self.facts.stops.is_empty()
    }

    /// Whether the gate failed on the evidence of its failure before.
    pub(crate) fn failed_unchanged(&self, at: usize, gate: &str) -> bool {
        self.facts.steps[at].order.failed_on.get(gate).is_some_and(|failed| failed.again)
    }
}
