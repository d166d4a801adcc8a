//! What the state knows of one step.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::control::{Cut, StepOrder};
use super::people::{AnsweredAsk, ApprovalState, People, QuestionState};
use super::stored_value::StoredValue;
use crate::event::{BlockReason, ReworkSource, UnblockDecision};
use crate::policy::Verdict;
use everfold_base::failure::Failure;
use everfold_base::id::{Attempt, AttemptId, Round};
use everfold_base::time::Timestamp;
use everfold_language::definition::OnLost;

/// A step of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepState {
    /// How far it is.
    pub phase: Phase,
    /// The current round; 0 before the first.
    pub round: Round,
    /// Rounds that ran; skipped visits do not count.
    pub rounds_run: u32,
    /// Needs that are not satisfied; where it matters how they ended, that have not ended.
    pub(crate) unmet: u32,
    /// Joins, holds, what ended the round before its time.
    pub(crate) order: StepOrder,
    /// A rework named it: the next visit runs, also of a standby step.
    pub(crate) named: bool,
    /// The work of the round, unless it is a `foreach`.
    pub unit: Unit,
    /// The items of the round of a `foreach`.
    pub items: Option<Items>,
    /// How far the judging is.
    pub judging: Judging,
    /// The number of the newest probe of each gate in this round; a recheck goes on counting.
    pub(crate) probes: BTreeMap<String, u32>,
    /// The newest verdict of each gate of this round, in order.
    pub gates: Vec<GateVerdict>,
    /// What each gate last said, in whatever round.
    pub(crate) judged: BTreeMap<String, VerdictSummary>,
    /// Policies by which a person has the gates of this attempt judged instead.
    pub(crate) policies: BTreeMap<String, String>,
    /// The worktree's head when the round began; `None`: there was none yet.
    pub(crate) base: Option<String>,
    /// The output of this round.
    pub output: StoredValue,
    /// What the last completed round before this one led to.
    pub last: Last,
    /// Files kept from this round: path by name.
    pub artefacts: BTreeMap<String, String>,
    /// The worktree's head after the last attempt.
    pub commit: Option<String>,
    /// How the work failed, or the step.
    pub failure: Option<Failure>,
    /// The findings of the rework that named it.
    pub rework: Option<Rework>,
    /// When the round began.
    pub started_at: Option<Timestamp>,
    /// When the round ended.
    pub ended_at: Option<Timestamp>,
}

/// What a completed round led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Last {
    /// This output; null where there was no such round.
    Output(StoredValue),
    /// The ends of a `foreach`'s items, in their order.
    Items(Vec<ItemEnd>),
}

impl Default for Last {
    fn default() -> Self {
        Self::Output(StoredValue::Null)
    }
}

/// How an item of a `foreach` ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemEnd {
    /// How far it came; `None`: it was never scheduled.
    pub stage: Option<Stage>,
    /// Its output.
    pub output: StoredValue,
    /// How it failed.
    pub failure: Option<Failure>,
}

impl StepState {
    /// What the last round led to whose work was done, when this round is over for good.
    pub(crate) fn into_last(self) -> Last {
        match self.items {
            _ if !self.phase.is_behind_work() => self.last,
            Some(items) if self.output == StoredValue::Null => Last::Items(items.into_ends()),
            _one_output => Last::Output(self.output),
        }
    }

    /// A probe of the current gate was scheduled, or judged without IO.
    pub(crate) fn note_probe(&mut self, gate: &str, probe_no: u32, at: Timestamp) {
        self.judging.probe_no = probe_no;
        if !std::mem::take(&mut self.judging.uncounted) {
            self.judging.polls += 1;
        }
        self.judging.since.get_or_insert(at);
        self.probes.insert(gate.to_owned(), probe_no);
    }

    /// Whether its current gate was asked, and may be asked again: the time for that passes, also between a verdict and
    /// the timer of the next probe.
    pub(crate) fn is_polling(&self) -> bool {
        let is_open = matches!(
            self.phase,
            Phase::Judging
                | Phase::Settling(Settling::GateOpen { .. } | Settling::GateFailed | Settling::GateBroken)
        );
        is_open && self.judging.since.is_some()
    }
}

/// How far a step is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Not begun in this round.
    #[default]
    Pending,
    /// Its work is in progress, or people or a timer are awaited.
    Working,
    /// Its gates are judged.
    Judging,
    /// Something ended, and what follows is to be decided.
    Settling(Settling),
    /// A person must decide.
    Blocked(BlockReason),
    /// It ended well.
    Succeeded,
    /// It failed for good.
    Failed {
        /// The run goes on as if it had succeeded without output.
        tolerated: bool,
    },
    /// It did not apply, or was passed over.
    Skipped,
    /// It was ended with its run.
    Cancelled,
}

impl Phase {
    /// Whether the round's work was done well: the step succeeded, or its gates are judged next.
    fn is_behind_work(&self) -> bool {
        match self {
            Self::Succeeded | Self::Judging => true,
            Self::Settling(settling) => match settling {
                Settling::GateFailed
                | Settling::GateBroken
                | Settling::GateOpen { .. }
                | Settling::GatesPassed => true,
                Settling::Unblocked(_, reason) => reason.gate().is_some(),
                Settling::Work | Settling::Items | Settling::Cut | Settling::Unheard => false,
            },
            Self::Blocked(reason) => reason.gate().is_some(),
            Self::Pending | Self::Working | Self::Failed { .. } | Self::Skipped | Self::Cancelled => false,
        }
    }

    /// Whether the step's round is over.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed { .. } | Self::Skipped | Self::Cancelled)
    }

    /// Whether what needs the step may go on.
    #[must_use]
    pub fn is_satisfied(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed { tolerated: true } | Self::Skipped)
    }
}

/// What ended, so that something must follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Settling {
    /// The work, well or not: the unit says how.
    Work,
    /// All items.
    Items,
    /// A gate said fail.
    GateFailed,
    /// A gate said pending, or had no evidence.
    GateOpen {
        /// Asking again cannot help.
        permanent: bool,
    },
    /// All gates passed.
    GatesPassed,
    /// The round was ended before its time: by its deadline, or because it was cancelled.
    Cut,
    /// The signal that was awaited did not come in time.
    Unheard,
    /// A person decided on a blocked step.
    Unblocked(UnblockDecision, BlockReason),
    /// A gate cannot be judged: an expression of it failed.
    GateBroken,
}

/// The work of one round, or of one item of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// The current attempt; 0 before the first.
    pub attempt: Attempt,
    /// How far it is.
    pub stage: Stage,
    /// What is to be done: `{spec, env, outputs}`.
    pub(crate) task: StoredValue,
    /// The time limit of an attempt in milliseconds.
    pub(crate) timeout_ms: Option<u64>,
    /// From SIGTERM to SIGKILL in milliseconds.
    pub(crate) grace_ms: u64,
    /// The executor; empty where none is needed.
    pub kind: String,
    /// Usage reports of the current attempt.
    pub(crate) usage_seq: u32,
    /// Attempts of this round that vanished.
    pub(crate) lost: u32,
    /// When the current attempt was scheduled, or really began.
    pub since: Option<Timestamp>,
    /// The output, of an item.
    pub output: StoredValue,
    /// It was ended before its time, of an item.
    pub(crate) cut: Option<Cut>,
    /// How it failed.
    pub failure: Option<Failure>,
    /// What the newest attempt said for readers.
    pub note: Option<String>,
    /// The code that the newest attempt gave its end.
    pub code: Option<String>,
    /// What people are asked by it.
    pub people: Option<Box<People>>,
    /// Tries of this round that `retry` does not count: those before a person had it retried, and attempts that a fork cut
    /// off.
    pub(crate) tries_before: u32,
}

impl Unit {
    /// Attempts of this round that count as tries: neither those that vanished, nor those that ended with a question, nor
    /// approvals that were asked anew.
    pub(crate) fn tries(&self) -> u32 {
        self.attempt.0.saturating_sub(self.lost).saturating_sub(self.asks()).saturating_sub(self.outdated())
    }

    /// How an attempt fails whose time limit passed.
    pub(crate) fn time_limit_failure(&self) -> Option<Failure> {
        self.timeout_ms.map(|limit| Failure::time_limit(Duration::from_millis(limit)))
    }

    /// What the current attempt is to do, as it was rendered: `{spec, env, outputs}`.
    #[must_use]
    pub fn task(&self) -> &StoredValue {
        &self.task
    }

    /// The approval of the current attempt.
    #[must_use]
    pub fn approval(&self) -> Option<&ApprovalState> {
        self.people.as_ref()?.approval.as_ref()
    }

    /// The question of the current attempt.
    #[must_use]
    pub fn question(&self) -> Option<&QuestionState> {
        self.people.as_ref()?.question.as_ref()
    }

    /// Approvals of this round that were asked anew because a person wanted a new look.
    pub(crate) fn outdated(&self) -> u32 {
        self.people.as_ref().map_or(0, |people| people.outdated)
    }

    /// Questions that the work asked in this round.
    #[must_use]
    pub fn asks(&self) -> u32 {
        self.people.as_ref().map_or(0, |people| people.asks)
    }

    /// Whether an answer, a vote or a signal was waited for and did not come in time.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.people.as_ref().is_some_and(|people| people.expired)
    }

    pub(crate) fn answers(&self) -> &[AnsweredAsk] {
        self.people.as_ref().map_or(&[], |people| people.answers.as_slice())
    }

    pub(crate) fn people_mut(&mut self) -> &mut People {
        self.people.get_or_insert_default()
    }
}

/// How far a piece of work is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Nothing was scheduled.
    #[default]
    Idle,
    /// To be started.
    Scheduled,
    /// It really began.
    Running,
    /// The next attempt waits for its time.
    RetryAt(Timestamp),
    /// People are asked.
    Asking,
    /// The attempt ended; what follows is to be decided.
    Ended(AttemptEnding),
    /// A person must decide.
    Blocked(BlockReason),
    /// A person decided; what follows is to be decided.
    Unblocked(UnblockDecision),
    /// It is over, well.
    Succeeded,
    /// It is over, and failed.
    Failed,
    /// It was passed over.
    Skipped,
}

impl Stage {
    /// Whether an attempt is to be started or in progress.
    #[must_use]
    pub fn is_in_flight(&self) -> bool {
        matches!(self, Self::Scheduled | Self::Running)
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Skipped)
    }

    /// Whether an attempt ended with a question to people, answered or not: the work goes on.
    pub(crate) fn is_talking(&self) -> bool {
        let Self::Ended(ending) = self else { return false };
        match ending {
            AttemptEnding::Asked
            | AttemptEnding::Answered
            | AttemptEnding::Looked
            | AttemptEnding::Outdated => true,
            AttemptEnding::Succeeded
            | AttemptEnding::Failed
            | AttemptEnding::Lost(_)
            | AttemptEnding::Interrupted => false,
        }
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttemptEnding {
    /// Well.
    Succeeded,
    /// It failed.
    Failed,
    /// It vanished; what follows where the step does not say.
    Lost(OnLost),
    /// With a question to people.
    Asked,
    /// With a question to people that was answered: the next attempt gets the answer.
    Answered,
    /// A person interrupted it: the next attempt goes on.
    Interrupted,
    /// It found what an approval shows: people are asked.
    Looked,
    /// People are to be asked anew, with what lies in the workspace by now.
    Outdated,
}

/// The items of a `foreach`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Items {
    /// The list of items.
    pub(crate) list: Vec<StoredValue>,
    /// The work of those that were scheduled, in order.
    pub units: Vec<Unit>,
    /// Items in progress at once.
    pub(crate) max_in_flight: Option<u32>,
    /// Scheduled and not over.
    pub(crate) open: u32,
    /// Over, and failed.
    pub failed: u32,
    /// Waiting for a person to decide how it goes on.
    pub blocked: u32,
    /// Waiting for votes or an answer.
    pub asking: u32,
    /// A failed item stops the others from starting.
    pub(crate) stopped: bool,
}

impl Items {
    fn into_ends(self) -> Vec<ItemEnd> {
        let total = self.total();
        let end =
            |unit: Unit| ItemEnd { stage: Some(unit.stage), output: unit.output, failure: unit.failure };
        let mut ends: Vec<ItemEnd> = self.units.into_iter().map(end).collect();
        ends.resize(total, ItemEnd { stage: None, output: StoredValue::Null, failure: None });
        ends
    }

    /// The number of items.
    #[must_use]
    pub fn total(&self) -> usize {
        self.list.len()
    }

    /// Items that are over.
    #[must_use]
    pub fn ended(&self) -> usize {
        self.units.len() - self.open as usize
    }

    /// Whether another item may be scheduled.
    pub(crate) fn has_room(&self) -> bool {
        !self.stopped && self.units.len() < self.list.len() && self.has_place()
    }

    /// Whether fewer are in progress than may be. Those that are blocked are not.
    pub(crate) fn has_place(&self) -> bool {
        self.max_in_flight.is_none_or(|max| self.open - self.blocked < max)
    }

    /// Whether nothing more will come of it.
    pub(crate) fn is_over(&self) -> bool {
        self.open == 0 && (self.stopped || self.units.len() == self.list.len())
    }
}

/// How far the judging is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judging {
    /// The index of the current gate.
    pub gate: usize,
    /// The number of its newest probe; 0 before the first.
    pub probe_no: u32,
    /// Probes in all since the gate was opened; a recheck begins anew.
    pub(crate) polls: u32,
    /// When the first of them was scheduled.
    pub(crate) since: Option<Timestamp>,
    /// The prober; empty before the first probe.
    pub(crate) kind: String,
    /// Its parameters: `{spec, env}`.
    pub(crate) task: StoredValue,
    /// What the newest probe said that gave no verdict.
    pub(crate) said: Option<String>,
    /// A signal came while it was probed: an answer that does not pass is followed by one more probe.
    pub(crate) again: bool,
    /// The next probe is caused by a signal, and no poll.
    pub(crate) uncounted: bool,
}

/// What a gate last said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateVerdict {
    /// The gate.
    pub gate: String,
    /// The number of the probe.
    pub probe_no: u32,
    /// What it says.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// On what.
    pub(crate) evidence: StoredValue,
    /// The findings for a rework.
    pub(crate) findings: StoredValue,
    /// It failed, and the run goes on.
    pub tolerated: bool,
}

/// A verdict in short: later rounds compare with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VerdictSummary {
    pub(crate) round: Round,
    pub(crate) verdict: Verdict,
    pub(crate) evidence: StoredValue,
}

/// Probes of rounds that were reset while they were in progress: their verdicts are still recorded.
///
/// Most never answer, because they are asked to end; the newest are remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LateProbes(std::collections::VecDeque<(AttemptId, String, u32)>);

impl LateProbes {
    const MAX: usize = 32;

    pub(crate) fn insert(&mut self, id: AttemptId, gate: String, probe_no: u32) {
        if self.0.len() == Self::MAX {
            self.0.pop_front();
        }
        self.0.push_back((id, gate, probe_no));
    }

    pub(crate) fn find(&self, id: &AttemptId, gate: &str, probe_no: u32) -> bool {
        self.0.iter().any(|known| known.0 == *id && known.1 == gate && known.2 == probe_no)
    }

    pub(crate) fn remove(&mut self, id: &AttemptId, gate: &str, probe_no: u32) {
        self.0.retain(|known| !(known.0 == *id && known.1 == gate && known.2 == probe_no));
    }
}

/// What a reworked step gets: source, findings, and the findings before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rework {
    /// What led to it.
    pub source: ReworkSource,
    /// What is to be done better.
    pub(crate) findings: StoredValue,
    /// The findings of former reworks, oldest first; at most [`Rework::HISTORY_MAX`].
    pub(crate) history: Vec<StoredValue>,
}

impl Rework {
    pub(crate) const HISTORY_MAX: usize = 16;
}
