//! The view of a run, made of its state; `run_details.rs` adds what the state does not hold.

use std::collections::BTreeMap;

use everfold_engine::artefact::Workspace;
use everfold_engine::definition::Release;
use everfold_engine::driver::{LiveRun, Waiting};
use everfold_engine::event::{Origin, SlotKind, WantedSlot};
use everfold_engine::id::{RunId, Version};
use everfold_engine::json::Hash;
use everfold_engine::state::{RunState, RunStatus};
use everfold_engine::text::one_line;
use everfold_engine::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::account::{RouteView, WarningView, route_view, warning_view};
use super::awaits::{AwaitView, await_view};
use super::budget::{BudgetStatus, UsageView, budget_view, usd};
use super::effects::{EffectsView, effects_view};
use super::failure::{FailureView, failure_view};
use super::notice::{OutstandingNotice, outstanding};
use super::pause::{PauseView, pause_view};
use super::step::{StepView, step_view};
use super::stored_value::small;
use crate::body::notice::NoticeView;
use crate::schema;

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunView {
    /// The run.
    #[schema(value_type = schema::RunIdSchema)]
    pub id: RunId,
    /// The last 8 digits of the id.
    pub short_id: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// The pinned definition.
    #[schema(value_type = schema::HashSchema)]
    pub definition: Hash,
    /// Its number among the runs of its key, where its pipeline numbers them.
    #[serde(default)]
    pub number: Option<u64>,
    /// By what it is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number_key: Option<String>,
    /// For readers.
    pub title: Option<String>,
    /// Addresses and filters.
    pub labels: BTreeMap<String, String>,
    /// What it is found by beside its labels: texts, numbers, times, bools, lists of texts.
    pub search: BTreeMap<String, Value>,
    /// What it is doing.
    #[schema(value_type = schema::RunStatusSchema)]
    pub status: RunStatus,
    /// The version that this state was folded up to.
    #[schema(value_type = u64)]
    pub version: Version,
    /// Who started it.
    pub started_by: String,
    /// Who is behind the start, where that is another: who started the topmost run whose steps led to it, made its schedule
    /// or triggered that by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initiator: Option<String>,
    /// When it began.
    #[schema(value_type = schema::TimeSchema)]
    pub started_at: Timestamp,
    /// When the last event was recorded.
    #[schema(value_type = schema::TimeSchema)]
    pub updated_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<schema::TimeSchema>)]
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
    #[schema(value_type = Option<schema::WorkspaceSchema>)]
    pub workspace: Option<Workspace>,
    /// The folder of the workspace was removed after the end of the run.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub workspace_removed: bool,
    /// The worktree's head as last recorded.
    pub commit: Option<String>,
    /// What was used up.
    pub usage: UsageView,
    /// The steps in the order of the file.
    pub steps: Vec<StepView>,
    /// What it waits for, people first.
    pub awaits: Vec<AwaitView>,
    /// The runs that it started and waits for, where nothing else of it goes on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<schema::RunIdSchema>)]
    pub awaited_runs: Vec<RunId>,
    /// Why it stands still: its own pause first.
    #[serde(default)]
    pub paused: Vec<PauseView>,
    /// Who had it cancelled, and why; also while it is still ending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<CancelView>,
    /// What went wrong though the run went on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<WarningView>,
    /// The rework routes of its pipeline, each with how often it was used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteView>,
    /// How often each signal came; names that the pipeline listens to are always among them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub signals: BTreeMap<String, u32>,
    /// The steps before which it pauses.
    #[serde(default)]
    pub breakpoints: Vec<String>,
    /// The steps that begin next, while it stands still.
    #[serde(default)]
    pub next_steps: Vec<String>,
    /// Whether the owner goes on with it at this moment.
    pub driven: bool,
    /// The disk is full: nothing of it is recorded until there is room, then it goes on by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disk_full: bool,
    /// How many notices have not arrived yet.
    #[serde(default)]
    pub notices_outstanding: usize,
    /// Those that go first of them: how often each was tried, and why it was not sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<OutstandingNotice>,
    /// Notices of its pipeline that were given up, and were not sent again or dropped since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices_given_up: Vec<NoticeView>,
    /// The step of another run that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ParentView>,
    /// The run whose history this one began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::OriginSchema>)]
    pub origin: Option<Origin>,
    /// What of its work is not done, where not all of it is: of a fork, and of runs that one starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<EffectsView>,
    /// The answer to a start: it had the key already, and nothing was started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// What it waits for before it begins, or holds until it ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<schema::WantedSlotSchema>)]
    pub slots: Vec<WantedSlot>,
    /// It does not have all of the slots yet, also where it is paused meanwhile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits_for_slots: bool,
    /// The attempts and probes that wait for a place, a resource, a rate or a breaker: those that have
    /// waited longest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<schema::WaitingSchema>)]
    pub in_line: Vec<Waiting>,
    /// How many there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub in_line_total: usize,
    /// The settings documents, a map by name.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub config: Value,
    /// Its budgets, in the order of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budget: Vec<BudgetStatus>,
}

/// Who had a run cancelled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CancelView {
    /// Who said so.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// When.
    #[schema(value_type = schema::TimeSchema)]
    pub at: Timestamp,
}

/// The step that started a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ParentView {
    /// Its run.
    #[schema(value_type = schema::RunIdSchema)]
    pub run: RunId,
    /// The last 8 digits of that id.
    pub short_id: String,
    /// The step, or an item of it.
    pub step: String,
    /// The topmost run above it: the parent of its parent, and so on.
    #[serde(default)]
    #[schema(value_type = schema::RunIdSchema)]
    pub top: Option<RunId>,
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
            number: state.number().map(|given| given.number),
            number_key: state.number().map(|given| given.key.clone()),
            title: state.title().map(|title| one_line(title).into_owned()),
            labels: state.labels().clone(),
            search: state.search().iter().map(|(name, value)| (name.clone(), value.json())).collect(),
            status: state.status(),
            version: state.version(),
            started_by: by.to_string(),
            initiator: state.initiator().map(ToString::to_string),
            started_at: at,
            updated_at: state.last_at(),
            ended_at: state.ended_at(),
            input: small(state.input()),
            output: small(state.output()),
            failure: state.failure().map(|(failure, path)| failure_view(failure, path, state)),
            cwd: state.cwd().map(str::to_owned),
            workspace: state.workspace().cloned(),
            workspace_removed: false,
            commit: state.commit().map(str::to_owned),
            usage: UsageView {
                input_tokens: usage.input_tokens,
                output_tokens: usage.output_tokens,
                cost_usd: usd(usage.cost_micros),
            },
            steps: state.steps().map(|(step, facts)| step_view(state, step, facts, live)).collect(),
            awaits: state.awaited().iter().map(|awaited| await_view(id, state, awaited)).collect(),
            awaited_runs: state.awaited_runs(),
            paused: state.pauses().map(|pause| pause_view(state, pause)).collect(),
            cancelled: state.cancelling().map(|cancelling| CancelView {
                by: cancelling.by.to_string(),
                reason: cancelling.reason.clone(),
                at: cancelling.at,
            }),
            warnings: state.warnings().into_iter().map(warning_view).collect(),
            routes: state.route_uses().into_iter().map(route_view).collect(),
            signals: state
                .signal_counts()
                .into_iter()
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
            breakpoints: state.breakpoints().map(|step| step.to_string()).collect(),
            next_steps: match state.status() {
                RunStatus::Paused => state.next_steps().map(|step| step.to_string()).collect(),
                _goes_on => Vec::new(),
            },
            driven,
            disk_full: false,
            notices_outstanding: state.notices_outstanding(),
            notices: outstanding(state),
            notices_given_up: Vec::new(),
            held: false,
            origin: state.origin().cloned(),
            effects: effects_view(state),
            slots: slots(state),
            waits_for_slots: state.is_queued(),
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
                top: state.top(),
            }),
        })
    }

    /// Whether something is to be done that needs no person: work in progress, a timer.
    #[must_use]
    pub fn goes_on_by_itself(&self) -> bool {
        let is_timed = self.awaits.iter().any(|awaited| {
            let (_, remind_at) = awaited.reminders();
            matches!(awaited, AwaitView::Timer { .. } | AwaitView::Budget { until: Some(_), .. })
                || remind_at.is_some()
        });
        let is_paused = self.awaits.contains(&AwaitView::Resume);
        match self.status {
            RunStatus::Running | RunStatus::Queued | RunStatus::Stopping => true,
            RunStatus::Waiting | RunStatus::Blocked => is_timed,
            RunStatus::Paused => is_timed && !is_paused,
            RunStatus::Succeeded | RunStatus::Failed | RunStatus::Cancelled => false,
        }
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

/// The slots that a run waits for or holds. One that has ended holds none, but a key that is kept by success.
fn slots(state: &RunState) -> Vec<WantedSlot> {
    let is_kept = |slot: &&WantedSlot| {
        let by_success = matches!(slot.kind, SlotKind::Identity { release: Release::Unsuccessful, .. });
        !state.is_ended() || (by_success && state.status() == RunStatus::Succeeded)
    };
    state.slots().iter().filter(is_kept).cloned().collect()
}
