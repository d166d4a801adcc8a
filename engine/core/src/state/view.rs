//! What other modules and crates read of a state.

use std::collections::BTreeMap;
use std::time::Duration;

use super::facts::UsageTotal;
use super::lifecycle::Cancelling;
use super::run_state::RunState;
use super::status::RunStatus;
use super::step::{Phase, Stage, StepState};
use super::stored_value::StoredValue;
use crate::artefact::Workspace;
use crate::event::{BlockReason, Origin, Parent, RunNumber, SearchValue, StopReason, TimerId, TimerKind};
use crate::progress::WorkProgress;
use everfold_base::actor::Actor;
use everfold_base::failure::Failure;
use everfold_base::id::{AttemptId, RunId, StepId, StepPath, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;
use everfold_language::definition::{ExecutorTask, FinishStatus, RouteTo, Step};

/// How many signals of a name a run hears before a route about late ones holds no more.
const HEARD_MAX: u32 = 1_000;

/// What the start of an engine must know of a run without folding it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunNote {
    /// It has not ended.
    pub open: bool,
    /// Something is to be started or stopped.
    pub busy: bool,
    /// The earliest timer.
    pub wake_at: Option<Timestamp>,
}

impl RunState {
    /// The run, once it is started.
    #[must_use]
    pub fn run(&self) -> Option<RunId> {
        self.facts.started.as_ref().map(|started| started.run)
    }

    /// The last folded version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.facts.version
    }

    /// The last input's time.
    #[must_use]
    pub fn last_at(&self) -> Timestamp {
        self.facts.last_at
    }

    /// The pipeline's name.
    #[must_use]
    pub fn pipeline(&self) -> &str {
        &self.graph.definition.name
    }

    /// The pinned definition's hash, once the run is started.
    #[must_use]
    pub fn definition_hash(&self) -> Option<Hash> {
        self.facts.started.as_ref().map(|started| started.definition)
    }

    /// For readers.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.facts.started.as_ref()?.title.as_deref()
    }

    /// Its number, with what it is counted by; `None`: the pipeline does not number its runs. A fork has that of its
    /// origin.
    #[must_use]
    pub fn number(&self) -> Option<&RunNumber> {
        self.facts.number.as_ref()
    }

    /// How far the newest attempt of a step or item is, or was when it ended, as it said itself.
    #[must_use]
    pub fn progress(&self, path: &StepPath) -> Option<&WorkProgress> {
        self.facts.progress.get(path)
    }

    /// Who started it, and when.
    #[must_use]
    pub fn started(&self) -> Option<(&Actor, Timestamp)> {
        self.facts.started.as_ref().map(|started| (&started.by, started.at))
    }

    /// Who is behind the start, where that is not the actor of it: who started the topmost run that led here, or
    /// triggered the schedule by hand. `None`: the actor itself, or a run of a former version.
    #[must_use]
    pub fn initiator(&self) -> Option<&Actor> {
        self.facts.initiator.as_ref()
    }

    /// Who started the run, or one that it goes on from, or is behind such a start.
    pub(crate) fn starters(&self) -> impl Iterator<Item = &Actor> {
        let by = self.facts.started.as_ref().map(|started| &started.by);
        by.into_iter().chain(&self.facts.initiator).chain(&self.facts.ancestry.authors)
    }

    /// The actor and the reason of its cancellation; `None`: it was not cancelled, whatever its status.
    #[must_use]
    pub fn cancelling(&self) -> Option<&Cancelling> {
        self.facts.cancelling.as_ref()
    }

    /// The working folder of the actor that started it.
    #[must_use]
    pub fn cwd(&self) -> Option<&str> {
        self.facts.started.as_ref()?.cwd.as_deref()
    }

    /// Addresses and filters.
    #[must_use]
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.facts.labels
    }

    /// What it is found by beside its labels.
    #[must_use]
    pub fn search(&self) -> &BTreeMap<String, SearchValue> {
        &self.facts.search
    }

    /// The checked input.
    #[must_use]
    pub fn input(&self) -> &StoredValue {
        &self.facts.input
    }

    /// The settings documents, a map by name; null without any.
    #[must_use]
    pub fn config(&self) -> &StoredValue {
        &self.facts.config
    }

    /// The step of another run that started it.
    #[must_use]
    pub fn parent(&self) -> Option<&Parent> {
        self.facts.started.as_ref()?.parent.as_ref()
    }

    /// The run whose history this one began with.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        Some(&self.facts.started.as_ref()?.forked.as_ref()?.origin)
    }

    /// The run that the history began with: the first origin of one that was forked, else the run itself.
    #[must_use]
    pub fn root(&self) -> Option<RunId> {
        self.facts.edge.root.or_else(|| self.run())
    }

    /// The topmost run above this one: the parent of its parent, and so on; the run itself, where no step of another
    /// run started it. A fork has no parent. A run of a former version takes its parent for the topmost.
    #[must_use]
    pub fn top(&self) -> Option<RunId> {
        match self.parent() {
            Some(parent) => Some(self.facts.top.unwrap_or(parent.run)),
            None => self.run(),
        }
    }

    /// The step that a retry of an ended run begins with: the one that made it fail, else the first that
    /// did not end well.
    #[must_use]
    pub fn retry_step(&self) -> Option<StepId> {
        let failed = self.facts.ended.as_ref()?.path.as_ref().map(|path| path.step.clone());
        let is_open = |at: &usize| {
            matches!(self.facts.steps[*at].phase, Phase::Failed { tolerated: false } | Phase::Cancelled)
        };
        let is_main = |step: &StepId| self.graph.find(step).is_some_and(|at| !self.graph.is_finish(at));
        failed.filter(is_main).or_else(|| (0..self.graph.main_len()).find(is_open).map(|at| self.step_id(at)))
    }

    /// Higher goes first where runs wait for a slot.
    #[must_use]
    pub fn priority(&self) -> i32 {
        self.facts.started.as_ref().map_or(0, |started| started.priority)
    }

    /// Why an attempt is being stopped, if it is.
    #[must_use]
    pub fn stopping(&self, id: &AttemptId) -> Option<StopReason> {
        self.facts.stops.get(id).copied()
    }

    /// How an attempt that its time limit stopped has failed. `None` of any other attempt, and of one that is a run: that
    /// says how it ended.
    #[must_use]
    pub fn time_limit_failure(&self, id: &AttemptId) -> Option<Failure> {
        let key = self.current(id).filter(|_| self.stopping(id) == Some(StopReason::Timeout))?;
        let unit = self.unit_at(key).filter(|unit| unit.kind != ExecutorTask::RUN)?;
        unit.time_limit_failure()
    }

    /// The time limit of an attempt that has not ended, where it has one.
    #[must_use]
    pub fn time_limit(&self, id: &AttemptId) -> Option<Duration> {
        self.unit_at(self.current(id)?)?.timeout_ms.map(Duration::from_millis)
    }

    /// The workspace, once it is there.
    #[must_use]
    pub fn workspace(&self) -> Option<&Workspace> {
        self.facts.workspace.as_ref()
    }

    /// The worktree's head as last recorded.
    #[must_use]
    pub fn commit(&self) -> Option<&str> {
        self.facts.commit.as_deref()
    }

    /// What was used up so far.
    #[must_use]
    pub fn usage(&self) -> UsageTotal {
        self.facts.usage
    }

    /// Whether the run is over.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.facts.ended.is_some()
    }

    /// About how many bytes it needs beside what its events said.
    pub fn fixed_bytes(&self) -> usize {
        self.facts.steps.len() * std::mem::size_of::<super::StepState>()
    }

    /// When the run ended.
    #[must_use]
    pub fn ended_at(&self) -> Option<Timestamp> {
        self.facts.ended.as_ref().map(|ended| ended.at)
    }

    /// The run's result; null before its end.
    #[must_use]
    pub fn output(&self) -> &StoredValue {
        self.facts.ended.as_ref().map_or(&StoredValue::Null, |ended| &ended.output)
    }

    /// How the run failed, and where.
    #[must_use]
    pub fn failure(&self) -> Option<(&Failure, Option<&StepPath>)> {
        let ended = self.facts.ended.as_ref()?;
        Some((ended.failure.as_ref()?, ended.path.as_ref()))
    }

    /// What the run is doing: the first that is true of ended, paused, stopping, running, blocked,
    /// waiting.
    #[must_use]
    pub fn status(&self) -> RunStatus {
        let facts = &self.facts;
        match &facts.ended {
            Some(ended) => match ended.status {
                FinishStatus::Succeeded => RunStatus::Succeeded,
                FinishStatus::Failed => RunStatus::Failed,
                FinishStatus::Cancelled => RunStatus::Cancelled,
            },
            None if facts.started.is_none() => RunStatus::Queued,
            None if facts.paused => RunStatus::Paused,
            None if facts.queue.waits && facts.outcome.is_none() => RunStatus::Queued,
            None if self.is_busy() && facts.cancelling.is_some() => RunStatus::Stopping,
            None if self.is_busy() => RunStatus::Running,
            None if !facts.blocked.is_empty() => RunStatus::Blocked,
            None if !facts.spend.held.is_empty() => RunStatus::Paused,
            None => RunStatus::Waiting,
        }
    }

    fn is_busy(&self) -> bool {
        let facts = &self.facts;
        facts.attempts.len() > facts.spend.held.len()
            || !facts.probing.is_empty()
            || !facts.stops.is_empty()
            || (self.owes_workspace() && !self.stands_still())
            || self.next_agenda().is_some()
    }

    /// What the start of an engine must know of the run.
    #[must_use]
    pub fn note(&self) -> RunNote {
        match self.is_ended() {
            true => RunNote {
                open: false,
                busy: !self.facts.stops.is_empty() || !self.facts.outbox.is_empty() || self.needs_counters(),
                wake_at: None,
            },
            false => RunNote {
                open: true,
                busy: self.is_busy()
                    || self.facts.queue.waits
                    || !self.facts.outbox.is_empty()
                    || self.needs_counters(),
                wake_at: match self.facts.queue.waits && self.wants_more_than_slots() {
                    true => Some(self.last_at()),
                    false => self.next_due().filter(|_| !self.stands_still()),
                },
            },
        }
    }

    /// Whether a run that stands in a queue has anything else to do: then it is due at once. What it is to
    /// work on waits until it is admitted.
    fn wants_more_than_slots(&self) -> bool {
        !self.facts.stops.is_empty() || !self.facts.outbox.is_empty() || self.needs_counters()
    }

    /// Whether the history has come to an attempt: its round and number are those of now, or former ones.
    #[must_use]
    pub fn has_come_to(&self, id: &AttemptId) -> bool {
        let unit = self.key(&id.path).and_then(|key| Some((key, self.unit_at(key)?)));
        unit.is_some_and(|(key, unit)| {
            let round = self.facts.steps[key.step].round;
            id.round < round || (id.round == round && id.attempt <= unit.attempt)
        })
    }

    /// What a task's id names, while its round and attempt are the current ones.
    #[must_use]
    pub fn asking_unit(&self, id: &AttemptId) -> Option<&super::Unit> {
        self.unit_at(self.current(id)?)
    }

    /// Whether people are asked there now: a task that was decided, ran out of time or was withdrawn is none.
    #[must_use]
    pub fn is_asking(&self, id: &AttemptId) -> bool {
        self.current(id).is_some_and(|key| self.facts.asking.contains(&key) && self.is_live(key.step))
    }

    /// Until when a task is open; `None`: for ever, or it is not.
    #[must_use]
    pub fn expires_at(&self, id: &AttemptId) -> Option<Timestamp> {
        let timer = TimerId { id: id.clone(), kind: TimerKind::Expiry, name: String::new() };
        self.facts.timers.get(&timer).copied()
    }

    /// The current attempt of a step, or of an item of one.
    #[must_use]
    pub fn attempt_of(&self, path: &StepPath) -> Option<AttemptId> {
        Some(self.attempt_id(self.key(path)?))
    }

    /// What the newest probe of a step's gate said that gave no verdict, in short.
    #[must_use]
    pub fn said_of_gate(&self, step: &StepId) -> Option<&str> {
        self.facts.steps[self.graph.find(step)?].judging.said.as_deref()
    }

    /// Why a step or item is blocked, if it is.
    #[must_use]
    pub fn block_reason(&self, path: &StepPath) -> Option<&BlockReason> {
        let key = self.key(path)?;
        match key.item {
            None => match &self.facts.steps[key.step].phase {
                Phase::Blocked(reason) => Some(reason),
                _not_blocked => None,
            },
            Some(_) => match &self.unit_at(key)?.stage {
                Stage::Blocked(reason) => Some(reason),
                _not_blocked => None,
            },
        }
    }

    /// The steps in the order of the file, those of `on_finish` last.
    pub fn steps(&self) -> impl Iterator<Item = (&Step, &StepState)> {
        self.facts.steps.iter().enumerate().map(|(at, state)| (self.graph.step(at), state))
    }

    /// One step.
    #[must_use]
    pub fn step(&self, step: &StepId) -> Option<(&Step, &StepState)> {
        let at = self.graph.find(step)?;
        Some((self.graph.step(at), &self.facts.steps[at]))
    }

    /// Whether anything in the pipeline ever listens to a signal of this name.
    pub fn listens_to(&self, signal: &str) -> bool {
        self.graph.listeners(signal).is_some()
            || !self.graph.woken_by(signal).is_empty()
            || self.definition().on_signal.contains_key(signal)
    }

    /// Whether a route of the run's own is about this signal where it comes when the run has ended, and the run has
    /// not heard a thousand of this name yet: a history that has ended grows no further.
    #[must_use]
    pub fn hears_late(&self, signal: &str) -> bool {
        if self.facts.account.signals.get(signal).is_some_and(|heard| *heard >= HEARD_MAX) {
            return false;
        }
        let routes = self.definition().on_signal.get(signal);
        routes.is_some_and(|routes| routes.0.iter().any(|route| matches!(route.to, RouteTo::Late(_))))
    }

    /// Whether it is paused, alone or with others.
    pub fn is_paused(&self) -> bool {
        self.facts.paused
    }
}
