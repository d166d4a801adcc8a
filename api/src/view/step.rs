//! A step of a run, its items and its gates.

use std::collections::BTreeMap;

use everfold_engine::definition::{ExecutorTask, Step, StepWorkspace, Work};
use everfold_engine::driver::LiveRun;
use everfold_engine::expr::Loaded;
use everfold_engine::id::{AttemptId, RunId, StepPath};
use everfold_engine::json::Value;
use everfold_engine::policy::Verdict;
use everfold_engine::progress::{ProgressItem, WorkProgress};
use everfold_engine::state::{Phase, RunState, Stage, StepState, StepStatus, StoredValue};
use everfold_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::account::{StepUsageView, usage_view};
use super::failure::{FailureView, failure_view};
use crate::schema;

/// A step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StepView {
    /// Its name.
    pub id: String,
    /// The board's column.
    pub stage: Option<String>,
    /// What it does: `command`, `agent`, `function`, `approval`, `wait`, `gates`.
    pub kind: String,
    /// What it is doing.
    #[schema(value_type = schema::StepStatusSchema)]
    pub status: StepStatus,
    /// A standby step.
    pub standby: bool,
    /// The current round; 0 before the first.
    pub round: u32,
    /// The current attempt; 0 before the first.
    pub attempt: u32,
    /// When the round began.
    #[schema(value_type = Option<schema::TimeSchema>)]
    pub started_at: Option<Timestamp>,
    /// When the round ended.
    #[schema(value_type = Option<schema::TimeSchema>)]
    pub ended_at: Option<Timestamp>,
    /// When the next attempt begins.
    #[schema(value_type = Option<schema::TimeSchema>)]
    pub retry_at: Option<Timestamp>,
    /// The items of a `foreach`.
    pub items: Option<ItemsView>,
    /// The newest verdict of each gate of the round.
    pub gates: Vec<GateView>,
    /// Kept files: path by name.
    pub outputs: BTreeMap<String, String>,
    /// How it failed.
    pub failure: Option<FailureView>,
    /// It failed, and the run goes on.
    pub tolerated: bool,
    /// The newest line of its output, while it runs.
    pub line: Option<String>,
    /// What its work said for readers.
    pub note: Option<String>,
    /// The code that its work gave its end.
    pub code: Option<String>,
    /// The run that its current attempt started; those of items are listed by `runs --parent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::RunIdSchema>)]
    pub child: Option<RunId>,
    /// What it used up, in all its rounds and attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<StepUsageView>,
    /// The model that an agent's attempt is told to use, from its scheduling to its end; `None`: the profile chooses the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Where its attempt stands: it waits in line, is being started, is at work, is being stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<StepPhase>,
    /// How far its work is, or was when it ended, as it said itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressView>,
}

/// Where the attempt of a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepPhase {
    /// It waits for a place, a resource, a rate, a breaker.
    InLine,
    /// It is to begin, and has not said yet that it did.
    Starting,
    /// It began.
    Running,
    /// It was asked to end, and has not ended.
    Stopping,
    /// A signal stopped its process, or the supervisor of that: it goes on when a signal lets it (`SIGCONT`).
    Suspended,
}

/// How far work is, as it said itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ProgressView {
    /// So many parts are done.
    pub done: u64,
    /// Of so many; 0: it is not known.
    pub of: u64,
    /// The part that is done, from 0 to 1; 0 where it is not known of how many.
    pub share: f64,
    /// The parts by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<ProgressItemView>,
    /// For readers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A part of the work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ProgressItemView {
    /// Its name.
    pub text: String,
    /// It is done.
    pub done: bool,
}

/// The items of a `foreach`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ItemsView {
    /// How many there are.
    pub total: usize,
    /// How many were scheduled.
    pub scheduled: usize,
    /// How many are over.
    pub ended: usize,
    /// How many of those failed.
    pub failed: u32,
    /// How many wait for a person to decide how they go on.
    pub blocked: u32,
    /// How many wait for votes or answers.
    pub asking: u32,
}

/// What a gate last said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct GateView {
    /// The gate.
    pub gate: String,
    /// What it says.
    #[schema(value_type = schema::VerdictSchema)]
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// The number of the probe.
    pub probe_no: u32,
    /// It failed, and the run goes on.
    pub tolerated: bool,
    /// The gate's own code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

pub(super) fn step_view(
    state: &RunState,
    step: &Step,
    facts: &StepState,
    live: Option<&LiveRun>,
) -> StepView {
    let tolerated = matches!(facts.phase, Phase::Failed { tolerated: true });
    let status = state.step_status(&step.id).unwrap_or(StepStatus::Pending);
    let newest = live.and_then(|attempts| {
        let own = attempts.iter().filter(|(id, _)| id.path.step == step.id);
        own.max_by_key(|(_, attempt)| attempt.at).map(|(_, attempt)| attempt.line.to_string())
    });
    let path = StepPath::step(&step.id);
    StepView {
        id: step.id.to_string(),
        stage: step.stage.clone(),
        kind: step.kind().to_owned(),
        status,
        standby: step.standby,
        round: facts.round.get(),
        attempt: facts.unit.attempt.get(),
        started_at: facts.started_at,
        ended_at: facts.ended_at,
        retry_at: match &facts.unit.stage {
            Stage::RetryAt(at) => Some(*at),
            _other => None,
        },
        items: facts.items.as_ref().map(|items| ItemsView {
            total: items.total(),
            scheduled: items.units.len(),
            ended: items.ended(),
            failed: items.failed,
            blocked: items.blocked,
            asking: items.asking,
        }),
        gates: facts
            .gates
            .iter()
            .map(|gate| GateView {
                gate: gate.gate.clone(),
                verdict: gate.verdict,
                reason: gate.reason.clone(),
                probe_no: gate.probe_no,
                tolerated: gate.tolerated,
                code: step.gates.iter().find(|own| own.id == gate.gate).and_then(|own| own.code.clone()),
            })
            .collect(),
        outputs: facts.artefacts.clone(),
        failure: facts
            .failure
            .as_ref()
            .or(facts.unit.failure.as_ref())
            .map(|failure| failure_view(failure, Some(&path), state)),
        tolerated,
        note: facts.unit.note.clone(),
        code: facts.unit.code.clone(),
        child: state.started_by(step, facts),
        usage: usage_view(state.usage_of(&step.id)),
        model: agent_in_flight(step, facts)
            .and_then(|task| task.value(&Loaded::default()).ok())
            .and_then(|task| model_of(&task)),
        phase: phase(state, step, facts),
        progress: state.progress(&path).map(progress_view),
        line: newest.filter(|_| status == StepStatus::Running || status == StepStatus::Scheduled),
    }
}

/// What the agent of a step is to do, while its attempt is scheduled or in progress; none for items, which are many.
pub(crate) fn agent_in_flight<'a>(step: &Step, facts: &'a StepState) -> Option<&'a StoredValue> {
    let is_agent = matches!(&step.work, Some(Work::Task(task)) if task.kind == ExecutorTask::AGENT);
    let is_its_own = facts.items.is_none() && facts.unit.stage.is_in_flight();
    (is_agent && is_its_own).then(|| facts.unit.task())
}

/// The model that a rendered task of an agent names.
pub(crate) fn model_of(task: &Value) -> Option<String> {
    task["spec"]["model"].as_str().map(str::to_owned)
}

/// Where the step's own attempt stands; none for items, whose attempts stand in many places.
fn phase(state: &RunState, step: &Step, facts: &StepState) -> Option<StepPhase> {
    let path = StepPath::step(&step.id);
    if facts.items.is_some() || state.is_ended() {
        return None;
    }
    let id = AttemptId { path, round: facts.round, attempt: facts.unit.attempt };
    match &facts.unit.stage {
        _ if state.stopping(&id).is_some() => Some(StepPhase::Stopping),
        Stage::Scheduled if !state.is_paused() && state.held_by_budgets().all(|held| *held != id) => {
            Some(StepPhase::Starting)
        }
        Stage::Running => Some(StepPhase::Running),
        _nothing_at_work => None,
    }
}

fn progress_view(progress: &WorkProgress) -> ProgressView {
    let item = |item: &ProgressItem| ProgressItemView { text: item.text.clone(), done: item.done };
    ProgressView {
        done: progress.done,
        of: progress.of,
        share: progress.share(),
        items: progress.items.iter().map(item).collect(),
        note: progress.note.clone(),
    }
}

/// Whether a step works in the run's workspace.
#[must_use]
pub fn is_in_workspace(step: &Step) -> bool {
    matches!(step.workspace, StepWorkspace::Run)
}
