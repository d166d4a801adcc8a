//! The folded part of a run's state: what a snapshot holds.
//!
//! Law: the fields stand in the order of the stored bytes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::account::Account;
use super::agenda::Agenda;
use super::ancestry::Ancestry;
use super::clock::ClockFacts;
use super::control::Order;
use super::effect_facts::EffectFacts;
use super::executor_facts::EdgeFacts;
use super::interrupts::InterruptedRounds;
use super::kept_items::KeptItems;
use super::key::Key;
use super::lifecycle::{Cancelling, RunEnd, RunOutcome, Started};
use super::outbox::Outbox;
use super::refused_rounds::RefusedRounds;
use super::reminders::ReminderFacts;
use super::seen::SeenApprovals;
use super::slot_demand::Queue;
use super::spend::Spend;
use super::step::{LateProbes, StepState};
use super::stored_value::StoredValue;
use super::worker_holds::WorkerHolds;
use crate::artefact::Workspace;
use crate::event::{RunNumber, SearchValue, StopReason, TimerId, UsageRecorded};
use crate::progress::WorkProgress;
use everfold_base::actor::Actor;
use everfold_base::id::{AttemptId, InputId, RunId, StepId, StepPath, Version};
use everfold_base::time::Timestamp;

/// The folded part of the state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub(crate) version: Version,
    pub(crate) last_at: Timestamp,
    pub(crate) started: Option<Started>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) input: StoredValue,
    /// The settings documents, by name.
    pub(crate) config: StoredValue,
    /// What the run waits for before it begins.
    pub(crate) queue: Queue,
    pub(crate) steps: Vec<StepState>,
    pub(crate) workspace: Option<Workspace>,
    /// The worktree's head as last recorded.
    pub(crate) commit: Option<String>,
    pub(crate) agenda: BTreeSet<Agenda>,
    /// Units with an attempt to start or in progress.
    pub(crate) attempts: BTreeSet<Key>,
    /// Steps whose current gate waits for a probe.
    pub(crate) probing: BTreeSet<usize>,
    /// Probes of rounds that were reset.
    pub(crate) late: LateProbes,
    /// Attempts to end; until their end is recorded.
    pub(crate) stops: BTreeMap<AttemptId, StopReason>,
    /// How many of them a rework caused: attempts that are scheduled meanwhile wait for these.
    pub(crate) rework_stops: usize,
    /// Units that wait so.
    pub(crate) held: BTreeSet<Key>,
    pub(crate) timers: BTreeMap<TimerId, Timestamp>,
    pub(crate) blocked: BTreeSet<Key>,
    /// Units whose approval or question is open.
    pub(crate) asking: BTreeSet<Key>,
    /// Main steps that have not ended.
    pub(crate) unended: usize,
    /// Uses of each route.
    pub(crate) routes: BTreeMap<String, RouteUse>,
    pub(crate) paused: bool,
    pub(crate) cancels: u32,
    /// How the run will end, once that is certain.
    pub(crate) outcome: Option<RunOutcome>,
    pub(crate) ended: Option<RunEnd>,
    /// Inputs of people, newest last: a repeated one is recognised.
    pub(crate) inputs: VecDeque<InputId>,
    pub(crate) usage: UsageTotal,
    pub(crate) outbox: Outbox,
    /// Signals, breakpoints, pauses.
    pub order: Order,
    /// Budgets; in a snapshot behind everything else, and only where there are any.
    #[serde(skip)]
    pub(crate) spend: Spend,
    /// Written behind everything else, and only where there is something.
    #[serde(skip)]
    pub(crate) edge: EdgeFacts,
    /// Written behind everything else, and only where there is something, as well.
    #[serde(skip)]
    pub(crate) clock: ClockFacts,
    /// The actor and the reason of the cancellation; written like those.
    #[serde(skip)]
    pub(crate) cancelling: Option<Cancelling>,
    /// What the run tells of itself; written like those.
    #[serde(skip)]
    pub(crate) account: Account,
    /// How often in a row the current gate of a step could not be read, where its poll bounds that; written like those.
    #[serde(skip)]
    pub(crate) unread: BTreeMap<StepId, u32>,
    /// The run's number; written like those.
    #[serde(skip)]
    pub(crate) number: Option<RunNumber>,
    /// The topmost run above it, where that is not its parent; written like those.
    #[serde(skip)]
    pub(crate) top: Option<RunId>,
    /// Who is behind the start, where that is not its actor; written like those.
    #[serde(skip)]
    pub(crate) initiator: Option<Actor>,
    /// What it goes on from; written like those.
    #[serde(skip)]
    pub(crate) ancestry: Ancestry,
    /// What it is found by; written like those.
    #[serde(skip)]
    pub(crate) search: BTreeMap<String, SearchValue>,
    /// How far the newest attempt of a step or item said that it is; written like those.
    #[serde(skip)]
    pub(crate) progress: BTreeMap<StepPath, WorkProgress>,
    /// What was interrupted; written like those.
    #[serde(skip)]
    pub(crate) interrupts: InterruptedRounds,
    /// What approvals showed; written like those.
    #[serde(skip)]
    pub(crate) seen: SeenApprovals,
    /// How often people were reminded; written like those.
    #[serde(skip)]
    pub(crate) reminders: ReminderFacts,
    /// Which workers hold attempts; written like those.
    #[serde(skip)]
    pub(crate) workers: WorkerHolds,
    /// What rounds changed that were refused; written like those.
    #[serde(skip)]
    pub(crate) refused: RefusedRounds,
    /// What of a fork's work is not done, and was not; written like those.
    #[serde(skip)]
    pub(crate) effects: EffectFacts,
    /// Items that retries do not repeat; written like those.
    #[serde(skip)]
    pub(crate) kept: KeptItems,
}

/// How often a route was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RouteUse {
    pub(crate) used: u32,
    pub(crate) max: Option<u32>,
}

/// What a run used up so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageTotal {
    /// Tokens read, cached ones included.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Cost in millionths of a US dollar.
    pub cost_micros: u64,
}

impl UsageTotal {
    /// Adds what was reported. No report, however wrong, ends in a panic or begins at zero again.
    pub(crate) fn add(&mut self, report: &UsageRecorded) {
        let usage = &report.usage;
        let read = usage.input_tokens.saturating_add(usage.cached_tokens);
        self.input_tokens = self.input_tokens.saturating_add(read);
        self.output_tokens = self.output_tokens.saturating_add(usage.output_tokens);
        self.cost_micros = report.added_to(self.cost_micros);
    }
}
