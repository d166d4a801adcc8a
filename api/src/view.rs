//! A run as answers show it. The command line reads the same documents back and prints them.

use std::collections::BTreeMap;

use crate::shape;
use everfold_engine::budgets;
use everfold_engine::definition::{OnOver, Period, Release, StepWorkspace, Task as RunTask, Work};
use everfold_engine::driver::{LiveRun, Waiting};
use everfold_engine::event::{BlockReason, HaltScope, Measure, Origin, SlotKind, Spent, WantedSlot};
use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::id::{Attempt, AttemptId, RunId, StepPath, Version};
use everfold_engine::json::Hash;
use everfold_engine::policy::Verdict;
use everfold_engine::state::{
    Awaited, Kept, Pause, PausedBy, RunState, RunStatus, Stage, StepState, StepStatus, Unit,
};
use everfold_engine::time::Timestamp;
use everfold_engine::trace::Workspace;
use everfold_projections::Task;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunView {
    /// The run.
    #[schema(value_type = shape::RunId)]
    pub id: RunId,
    /// The last 8 digits of the id.
    pub short_id: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// The pinned definition.
    #[schema(value_type = shape::Hash)]
    pub definition: Hash,
    /// For readers.
    pub title: Option<String>,
    /// Addresses and filters.
    pub labels: BTreeMap<String, String>,
    /// What it is doing.
    #[schema(value_type = shape::RunStatus)]
    pub status: RunStatus,
    /// The version that this state was folded up to.
    #[schema(value_type = u64)]
    pub version: Version,
    /// Who started it.
    pub started_by: String,
    /// When it began.
    #[schema(value_type = shape::Time)]
    pub started_at: Timestamp,
    /// When the last event was recorded.
    #[schema(value_type = shape::Time)]
    pub updated_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<shape::Time>)]
    pub ended_at: Option<Timestamp>,
    /// The input.
    pub input: Value,
    /// The result.
    pub output: Value,
    /// How it failed.
    pub failure: Option<FailureView>,
    /// Where steps without a workspace work.
    pub cwd: Option<String>,
    /// The workspace.
    #[schema(value_type = Option<shape::Workspace>)]
    pub workspace: Option<Workspace>,
    /// The worktree's head as last recorded.
    pub commit: Option<String>,
    /// What was used up.
    pub usage: UsageView,
    /// The steps in the order of the file.
    pub steps: Vec<StepView>,
    /// What it waits for, people first.
    pub awaits: Vec<AwaitView>,
    /// Why it stands still: its own pause first.
    #[serde(default)]
    pub paused: Vec<PauseView>,
    /// The steps before which it pauses.
    #[serde(default)]
    pub breakpoints: Vec<String>,
    /// The steps that begin next, while it stands still.
    #[serde(default)]
    pub next_steps: Vec<String>,
    /// Whether the owner goes on with it at this moment.
    pub driven: bool,
    /// How many notices nobody was told yet.
    #[serde(default)]
    pub notices_outstanding: usize,
    /// The step of another run that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ParentView>,
    /// The run whose history this one began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<shape::Origin>)]
    pub origin: Option<Origin>,
    /// The answer to a start: it had the key already, and nothing was started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// What it waits for before it begins, or holds until it ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<shape::WantedSlot>)]
    pub slots: Vec<WantedSlot>,
    /// The attempts and probes that wait for a place, a resource, a rate or a breaker: those that have
    /// waited longest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<shape::Waiting>)]
    pub in_line: Vec<Waiting>,
    /// How many there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub in_line_total: usize,
    /// The settings documents, a map by name.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub config: Value,
    /// Its budgets, in the order of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budget: Vec<BudgetView>,
}

/// A budget of a run, or the counter that runs share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BudgetView {
    /// Its name in the pipeline.
    pub id: String,
    /// Whose use is counted together; null: this run's.
    pub scope: Option<String>,
    /// Over which time.
    #[schema(value_type = shape::Period)]
    pub per: Period,
    /// Where days begin; null: UTC.
    pub zone: Option<String>,
    /// What follows when it is used up.
    #[schema(value_type = shape::OnOver)]
    pub on_over: OnOver,
    /// The limits, with what they were raised by.
    pub limit: AmountsView,
    /// What was spent; of a shared one as its counter said last.
    pub spent: AmountsView,
    /// What is kept free for work that runs, in US dollars.
    pub reserved_usd: String,
    /// By how much it was raised.
    pub raised: AmountsView,
    /// What of it is used up: `cost`, `tokens` or `wall`; null while there is room.
    #[schema(value_type = Option<shape::Measure>)]
    pub over: Option<Measure>,
    /// When its period ends; null: never.
    #[schema(value_type = Option<shape::Time>)]
    pub until: Option<Timestamp>,
    /// How full it is, in words.
    pub summary: String,
}

/// Money, tokens and time; null where there is no limit of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AmountsView {
    /// US dollars, as a decimal.
    pub cost_usd: Option<String>,
    /// Tokens.
    pub tokens: Option<u64>,
    /// Milliseconds.
    pub wall_ms: Option<u64>,
}

impl AmountsView {
    pub(crate) fn of(spent: Spent) -> Self {
        Self {
            cost_usd: Some(usd(spent.cost_micros)),
            tokens: Some(spent.tokens),
            wall_ms: Some(spent.wall_ms),
        }
    }
}

fn budget_view(view: &everfold_engine::state::BudgetView<'_>) -> BudgetView {
    let (terms, used) = (view.terms, &view.used);
    let limit = |measure| budgets::limit(terms, measure, used.raised);
    BudgetView {
        id: terms.id.clone(),
        scope: terms.scope.clone(),
        per: terms.per,
        zone: terms.zone.clone(),
        on_over: terms.on_over,
        limit: AmountsView {
            cost_usd: limit(Measure::Cost).map(usd),
            tokens: limit(Measure::Tokens),
            wall_ms: limit(Measure::Wall),
        },
        spent: AmountsView::of(used.spent),
        reserved_usd: usd(used.reserved_micros),
        raised: AmountsView::of(used.raised),
        over: view.over,
        until: view.period.map(|(_, until)| until),
        summary: view.summary(),
    }
}

/// Why a run stands still.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PauseView {
    /// Who paused it, or what it stands still with, in words.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// Since when.
    #[schema(value_type = shape::Time)]
    pub since: Timestamp,
    /// It stands still with its pipeline, or with the whole engine.
    pub shared: bool,
    /// The pipeline that is paused, if it is that.
    pub pipeline: Option<String>,
}

/// The step that started a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ParentView {
    /// Its run.
    #[schema(value_type = shape::RunId)]
    pub run: RunId,
    /// The last 8 digits of that id.
    pub short_id: String,
    /// The step, or an item of it.
    pub step: String,
}

/// What a run used up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UsageView {
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// US dollars, as a decimal.
    pub cost_usd: String,
}

/// How something failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FailureView {
    /// Which kind.
    #[schema(value_type = shape::FailureKind)]
    pub kind: FailureKind,
    /// An own code below the kind.
    pub code: Option<String>,
    /// What happened, in one line.
    pub message: String,
    /// More of it.
    pub detail: Option<String>,
    /// What to do next.
    pub hint: String,
    /// The exit code, where there is one.
    pub exit_code: Option<i32>,
    /// Where.
    pub step: Option<String>,
    /// In which round.
    pub round: Option<u32>,
    /// In which attempt.
    pub attempt: Option<u32>,
}

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
    #[schema(value_type = shape::StepStatus)]
    pub status: StepStatus,
    /// A standby step.
    pub standby: bool,
    /// The current round; 0 before the first.
    pub round: u32,
    /// The current attempt; 0 before the first.
    pub attempt: u32,
    /// When the round began.
    #[schema(value_type = Option<shape::Time>)]
    pub started_at: Option<Timestamp>,
    /// When the round ended.
    #[schema(value_type = Option<shape::Time>)]
    pub ended_at: Option<Timestamp>,
    /// When the next attempt begins.
    #[schema(value_type = Option<shape::Time>)]
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
    #[schema(value_type = Option<shape::RunId>)]
    pub child: Option<RunId>,
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
    #[schema(value_type = shape::Verdict)]
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

/// What a run waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AwaitView {
    /// Votes.
    Approval {
        /// The task's id.
        task: String,
        /// The step.
        step: String,
        /// What is asked.
        title: String,
        /// What is shown.
        show: Value,
        /// Who may vote; empty: anyone.
        roles: Vec<String>,
        /// Approvals needed.
        quorum: u32,
        /// Changes may be asked for.
        changes: bool,
        /// The value that may be replaced, as it stands; null where there is none.
        value: Value,
        /// Who said what.
        votes: BTreeMap<String, String>,
        /// Until when; `None`: for ever.
        #[schema(value_type = Option<shape::Time>)]
        expires_at: Option<Timestamp>,
    },
    /// An answer.
    Question {
        /// The task's id.
        task: String,
        /// The step.
        step: String,
        /// What is asked, in one line.
        title: String,
        /// What is asked, in full.
        text: Value,
        /// What may be chosen.
        options: Vec<String>,
        /// Parts that are answered one by one: `[{id, text, options}]`.
        items: Value,
        /// Who may answer; empty: anyone.
        roles: Vec<String>,
        /// The parts of an answer that were saved.
        draft: Value,
        /// Who saved the newest of them.
        saved_by: Option<String>,
        /// Until when; `None`: for ever.
        #[schema(value_type = Option<shape::Time>)]
        expires_at: Option<Timestamp>,
    },
    /// A decision on a blocked step.
    Unblock {
        /// The step, or an item of it.
        step: String,
        /// Why.
        #[schema(value_type = shape::BlockReason)]
        reason: BlockReason,
        /// Why, in words.
        message: String,
    },
    /// A moment.
    Timer {
        /// What it belongs to.
        step: String,
        /// When it is due.
        #[schema(value_type = shape::Time)]
        at: Timestamp,
        /// It bounds something else that is awaited.
        #[serde(default)]
        limit: bool,
    },
    /// A signal.
    Signal {
        /// The step that waits for it.
        step: String,
        /// Its name.
        name: String,
    },
    /// The end of a pause.
    Resume,
    /// Room in a budget.
    Budget {
        /// Which.
        budget: String,
        /// How full it is, in words.
        message: String,
        /// When its next period begins; `None`: never.
        #[schema(value_type = Option<shape::Time>)]
        until: Option<Timestamp>,
    },
    /// A slot or key that others hold.
    Slot {
        /// Which.
        key: String,
        /// The runs that hold it.
        #[schema(value_type = Vec<shape::RunId>)]
        holders: Vec<RunId>,
    },
}

/// What stands in place of a value that is too large for the state: where it is.
#[must_use]
pub fn small(kept: &Kept) -> Value {
    match kept {
        Kept::Null => Value::Null,
        Kept::Whole(text) => text.value(),
        Kept::Map { known, name, apart } => {
            let mut whole = known.value();
            whole[name] = small(apart);
            whole
        }
        Kept::Ref(reference) => json!({
            "large": { "version": reference.version, "hash": reference.hash, "size_bytes": reference.size_bytes },
        }),
    }
}

impl RunView {
    /// The view of a started run.
    #[must_use]
    pub fn of(state: &RunState, live: Option<&LiveRun>, driven: bool) -> Option<Self> {
        let (by, at) = state.started()?;
        let id = state.run()?;
        let usage = state.usage();
        Some(Self {
            id,
            short_id: id.short(),
            pipeline: state.pipeline().to_owned(),
            definition: state.definition_hash()?,
            title: state.title().map(str::to_owned),
            labels: state.labels().clone(),
            status: state.status(),
            version: state.version(),
            started_by: by.to_string(),
            started_at: at,
            updated_at: state.last_at(),
            ended_at: state.ended_at(),
            input: small(state.input()),
            output: small(state.output()),
            failure: state.failure().map(|(failure, path)| failure_view(failure, path, state)),
            cwd: state.cwd().map(str::to_owned),
            workspace: state.workspace().cloned(),
            commit: state.commit().map(str::to_owned),
            usage: UsageView {
                input_tokens: usage.input_tokens,
                output_tokens: usage.output_tokens,
                cost_usd: usd(usage.cost_micros),
            },
            steps: state.steps().map(|(step, facts)| step_view(state, step, facts, live)).collect(),
            awaits: state.awaited().iter().map(|awaited| await_view(id, state, awaited)).collect(),
            paused: state.pauses().map(pause_view).collect(),
            breakpoints: state.breakpoints().map(|step| step.to_string()).collect(),
            next_steps: match state.status() {
                RunStatus::Paused => state.next_steps().map(|step| step.to_string()).collect(),
                _goes_on => Vec::new(),
            },
            driven,
            notices_outstanding: state.notices_outstanding(),
            held: false,
            origin: state.origin().cloned(),
            slots: slots(state),
            in_line: Vec::new(),
            in_line_total: 0,
            config: small(state.config()),
            budget: {
                // A former state is shown as of its last event, a living one as of now.
                let now = live.map_or(state.last_at(), |_| everfold_engine::clock::now());
                state.budgets(now).map(|view| budget_view(&view)).collect()
            },
            parent: state.parent().map(|parent| ParentView {
                run: parent.run,
                short_id: parent.run.short(),
                step: parent.id.path.to_string(),
            }),
        })
    }

    /// Whether something is to be done that needs no person: work in progress, a timer.
    #[must_use]
    pub fn goes_on_by_itself(&self) -> bool {
        let is_timed = self.awaits.iter().any(|awaited| {
            matches!(awaited, AwaitView::Timer { .. } | AwaitView::Budget { until: Some(_), .. })
        });
        let is_paused = self.awaits.contains(&AwaitView::Resume);
        match self.status {
            RunStatus::Running | RunStatus::Queued => true,
            RunStatus::Waiting | RunStatus::Blocked => is_timed,
            RunStatus::Paused => is_timed && !is_paused,
            RunStatus::Succeeded | RunStatus::Failed | RunStatus::Cancelled => false,
        }
    }

    /// Says who of the run waits in line, and with each step what its first attempt waits for.
    pub fn stands_in_line(&mut self, (waiting, total): (Vec<Waiting>, usize)) {
        for step in &mut self.steps {
            let first = waiting.iter().find(|waiting| waiting.attempt.path.step.as_str() == step.id);
            if let Some(reason) = first.and_then(|waiting| waiting.reasons.first()) {
                step.line = Some(format!("waits for {reason}"));
            }
        }
        (self.in_line, self.in_line_total) = (waiting, total);
    }

    /// The step of this name.
    #[must_use]
    pub fn step(&self, id: &str) -> Option<&StepView> {
        self.steps.iter().find(|step| step.id == id)
    }
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

fn pause_view(pause: &Pause) -> PauseView {
    let (by, shared, pipeline) = match &pause.by {
        PausedBy::Actor(actor) => (actor.clone(), false, None),
        PausedBy::Breakpoint(step) => (format!("the breakpoint before {step}"), false, None),
        PausedBy::Halt(scope @ HaltScope::Engine) => (scope.to_string(), true, None),
        PausedBy::Halt(scope @ HaltScope::Pipeline(name)) => (scope.to_string(), true, Some(name.clone())),
    };
    PauseView { by, reason: pause.reason.clone(), since: pause.since, shared, pipeline }
}

pub(crate) fn usd(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

fn failure_view(failure: &Failure, path: Option<&StepPath>, state: &RunState) -> FailureView {
    let facts = path.and_then(|path| state.step(&path.step)).map(|(_, facts)| facts);
    FailureView {
        kind: failure.kind,
        code: failure.code.clone(),
        message: failure.message.clone(),
        detail: failure.detail.clone(),
        hint: failure.hint().to_owned(),
        exit_code: failure.exit_code,
        step: path.map(ToString::to_string),
        round: facts.map(|facts| facts.round.get()),
        attempt: facts.map(|facts| facts.unit.attempt.get()).filter(|attempt| *attempt > 0),
    }
}

fn step_view(
    state: &RunState,
    step: &everfold_engine::definition::Step,
    facts: &StepState,
    live: Option<&LiveRun>,
) -> StepView {
    let tolerated = matches!(facts.phase, everfold_engine::state::Phase::Failed { tolerated: true });
    let status = state.step_status(&step.id).unwrap_or(StepStatus::Pending);
    let newest = live.and_then(|attempts| {
        let own = attempts.iter().filter(|(id, _)| id.path.step == step.id);
        own.max_by_key(|(_, attempt)| attempt.at).map(|(_, attempt)| attempt.line.to_string())
    });
    let path = StepPath::step(&step.id);
    StepView {
        id: step.id.to_string(),
        stage: step.stage.clone(),
        kind: kind_of(step),
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
        child: child_of(state, step, facts),
        line: newest.filter(|_| status == StepStatus::Running || status == StepStatus::Scheduled),
    }
}

/// The run that a step's current attempt started.
fn child_of(state: &RunState, step: &everfold_engine::definition::Step, facts: &StepState) -> Option<RunId> {
    let is_run = matches!(&step.work, Some(Work::Task(task)) if task.kind == RunTask::RUN);
    let began = matches!(facts.unit.stage, Stage::Running | Stage::Ended(_)) || facts.phase.is_ended();
    if !is_run || facts.items.is_some() || facts.unit.attempt == Attempt::ZERO || !began {
        return None;
    }
    let id = AttemptId { path: StepPath::step(&step.id), round: facts.round, attempt: facts.unit.attempt };
    state.run().map(|run| run.child(&id))
}

/// What a step does, in one word.
#[must_use]
pub fn kind_of(step: &everfold_engine::definition::Step) -> String {
    match &step.work {
        Some(Work::Task(task)) => task.kind.clone(),
        Some(Work::Approval(_)) => "approval".to_owned(),
        Some(Work::Question(_)) => "question".to_owned(),
        Some(Work::Wait(_)) => "wait".to_owned(),
        None => "gates".to_owned(),
    }
}

/// Whether a step works in the run's workspace.
#[must_use]
pub fn is_in_workspace(step: &everfold_engine::definition::Step) -> bool {
    matches!(step.workspace, StepWorkspace::Run)
}

fn await_view(run: RunId, state: &RunState, awaited: &Awaited) -> AwaitView {
    match awaited {
        Awaited::Approval { id, roles } => approval_view(run, state, id, roles),
        Awaited::Question { id, roles } => question_view(run, state, id, roles),
        Awaited::Unblock { path, reason } => AwaitView::Unblock {
            step: path.to_string(),
            reason: reason.clone(),
            message: block_message(reason, state.said_of_gate(&path.step)),
        },
        Awaited::Timer { path, at, is_limit } => {
            AwaitView::Timer { step: path.to_string(), at: *at, limit: *is_limit }
        }
        Awaited::Signal { path, name } => AwaitView::Signal { step: path.to_string(), name: name.clone() },
        Awaited::Resume => AwaitView::Resume,
        Awaited::Budget { budget, until } => {
            let view = state.budgets(state.last_at()).find(|view| view.terms.id == *budget);
            let message = view.map(|view| view.summary()).unwrap_or_default();
            AwaitView::Budget { budget: budget.clone(), message, until: *until }
        }
    }
}

fn approval_view(run: RunId, state: &RunState, id: &AttemptId, roles: &[String]) -> AwaitView {
    let approval = state.asking_unit(id).and_then(Unit::approval);
    let vote = |vote: &everfold_engine::definition::Vote| {
        serde_json::to_value(vote).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
    };
    AwaitView::Approval {
        task: Task::id_of(run, id, false),
        step: id.path.to_string(),
        expires_at: state.expires_at(id),
        changes: approval.is_some_and(|approval| approval.terms.changes),
        value: approval.map_or(Value::Null, |approval| small(approval.value())),
        title: approval.map(|approval| approval.title.clone()).unwrap_or_default(),
        show: approval.map_or(Value::Null, |approval| small(&approval.show)),
        roles: roles.to_vec(),
        quorum: approval.map_or(1, |approval| approval.terms.quorum),
        votes: approval
            .map(|approval| approval.votes.iter().map(|(by, cast)| (by.clone(), vote(&cast.vote))).collect())
            .unwrap_or_default(),
    }
}

fn question_view(run: RunId, state: &RunState, id: &AttemptId, roles: &[String]) -> AwaitView {
    let question = state.asking_unit(id).and_then(Unit::question);
    let terms = question.map(|question| &question.terms);
    let items = terms.and_then(|terms| terms.items.as_ref());
    AwaitView::Question {
        task: Task::id_of(run, id, false),
        step: id.path.to_string(),
        title: question.map(|question| question.title.clone()).unwrap_or_default(),
        text: question.map_or(Value::Null, |question| small(&question.text)),
        options: terms.map(|terms| terms.options.clone()).unwrap_or_default(),
        items: items.map_or(Value::Null, everfold_engine::json::JsonText::value),
        roles: roles.to_vec(),
        draft: question.map_or(Value::Null, |question| small(&question.draft)),
        saved_by: question.and_then(|question| question.saved.as_ref()).map(|(by, _)| by.clone()),
        expires_at: state.expires_at(id),
    }
}

/// Why a step is blocked, in words; `said` is what its gate's newest probe said that gave no verdict.
#[must_use]
pub fn block_message(reason: &BlockReason, said: Option<&str>) -> String {
    match reason {
        BlockReason::Lost => "an attempt vanished, and it is not known what it did".to_owned(),
        BlockReason::Failed => "the work failed".to_owned(),
        BlockReason::Gate { gate } => format!("the gate {gate} failed"),
        BlockReason::UsedUp { target, gate: Some(gate) } => {
            format!("the gate {gate} failed, and {target} was reworked as often as it may be")
        }
        BlockReason::UsedUp { target, gate: None } => format!("{target} was reworked as often as it may be"),
        BlockReason::NoEvidence { gate } => match said {
            Some(said) => format!("the gate {gate} has no evidence: {said}"),
            None => format!("the gate {gate} has no evidence"),
        },
        BlockReason::Rejected => "a person rejected".to_owned(),
        BlockReason::Held => "its new round waits for a person".to_owned(),
        BlockReason::Unchanged { gate, .. } => format!("the gate {gate} failed on unchanged evidence"),
        BlockReason::Signal { name } => format!("the signal {name} says so"),
        BlockReason::Asked => "the work asked more often than it may".to_owned(),
    }
}

/// The slots that a run waits for or holds. One that has ended holds none, but a key that is kept by success.
fn slots(state: &RunState) -> Vec<WantedSlot> {
    let is_kept = |slot: &&WantedSlot| {
        let by_success = matches!(slot.kind, SlotKind::Identity { release: Release::Unsuccessful, .. });
        !state.is_ended() || (by_success && state.status() == RunStatus::Succeeded)
    };
    state.slots().iter().filter(is_kept).cloned().collect()
}
