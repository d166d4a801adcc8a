//! Bodies of `/orch`: tasks that go along stages, their reviews, queue and costs.

use std::collections::BTreeMap;

use everfold_engine::id::{Position, RunId};
use everfold_engine::state::RunStatus;
use everfold_engine::time::Timestamp;
use serde::Serialize;

use super::filter::FilterAnswer;
use super::spend::SpendItem;
use crate::schema;
use crate::view::StepUsageView;

/// A run that goes along stages, as lists show it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct StagedTask {
    /// The run.
    #[schema(value_type = schema::RunIdSchema)]
    pub(crate) run: RunId,
    /// The last 8 digits of its id.
    pub(crate) short_id: String,
    pub(crate) pipeline: String,
    /// The work item, as `ET-018`: the label `item`.
    pub(crate) item: Option<String>,
    pub(crate) title: Option<String>,
    /// The label `project`.
    pub(crate) project: Option<String>,
    /// The label `repo`.
    pub(crate) repo: Option<String>,
    /// The label `branch`.
    pub(crate) branch: Option<String>,
    /// What the run is doing.
    #[schema(value_type = schema::RunStatusSchema)]
    pub(crate) status: RunStatus,
    /// The stage of the step that began last; null: none that names one has begun.
    pub(crate) stage: Option<String>,
    #[schema(value_type = Option<schema::TimeSchema>)]
    pub(crate) stage_since: Option<Timestamp>,
    /// The state that a tracker shows: of what people are waited for, else of the stage.
    pub(crate) tracker: String,
    /// Who is at work, or in line for it.
    pub(crate) work: Vec<StagedWork>,
    /// Whom it waits for, and since when.
    pub(crate) waits: Vec<StagedWait>,
    /// What goes on by itself, the next first: an attempt that is tried again, a gate that asks again, a `wait`.
    pub(crate) pauses: Vec<StagedPause>,
    /// When it goes on by itself; null: no timer is set.
    #[schema(value_type = Option<schema::TimeSchema>)]
    pub(crate) next_at: Option<Timestamp>,
    /// Steps that began anew or whose rounds are limited: how many rounds of how many, and why.
    pub(crate) rounds: Vec<StagedRounds>,
    /// What was sent back last.
    pub(crate) sent_back: Option<StagedRejection>,
    /// How long people had approvals in their hands.
    pub(crate) reviews: Vec<StagedReview>,
    /// What a gate said last.
    pub(crate) gate: Option<StagedVerdict>,
    /// What a gate waits for that is asked again by itself, as it said last, where nothing else goes on; null of a past
    /// moment.
    pub(crate) pending: Option<StagedVerdict>,
    /// What the task cost, in the runs that this one continues, too.
    pub(crate) cost_usd: String,
    /// Tokens read, those from a cache among them.
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
    /// The label `in_production`; null: nothing says it.
    pub(crate) in_production: Option<bool>,
    /// Nobody is at work, nobody is asked, no timer is set, and it has not ended; or it is set aside.
    pub(crate) stuck: bool,
    /// Why it cannot be gone on with.
    pub(crate) set_aside: Option<String>,
    /// How it failed, or why it stands still.
    pub(crate) note: Option<String>,
    #[schema(value_type = schema::TimeSchema)]
    pub(crate) started_at: Timestamp,
    #[schema(value_type = Option<schema::TimeSchema>)]
    pub(crate) ended_at: Option<Timestamp>,
    #[schema(value_type = schema::TimeSchema)]
    pub(crate) updated_at: Timestamp,
    /// Changes with every event of the run.
    pub(crate) version: u64,
}

/// An attempt that has not ended.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct StagedWork {
    /// The step, or an item of it; of an agent its name in the pipeline.
    pub(crate) step: String,
    /// An agent, or anything else.
    pub(crate) agent: bool,
    pub(crate) round: u32,
    pub(crate) attempt: u32,
    #[schema(value_type = schema::TimeSchema)]
    pub(crate) since: Timestamp,
    /// When it began; null: it waits in line.
    #[schema(value_type = Option<schema::TimeSchema>)]
    pub(crate) started_at: Option<Timestamp>,
    /// What its agent needs and is missing, so that it does not work yet; null: nothing, or of a past moment.
    pub(crate) waits_for: Option<StagedPreflight>,
}

/// What an agent waits for before it works.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct StagedPreflight {
    /// In words: `the login of claude`.
    pub(crate) awaits: String,
    #[schema(value_type = schema::TimeSchema)]
    pub(crate) since: Timestamp,
    /// Why it is missing.
    pub(crate) reason: String,
    /// What to do.
    pub(crate) hint: String,
}

/// Something that people are waited for.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct StagedWait {
    /// `approval`, `question`, `unblock` or `budget`.
    pub(crate) kind: String,
    pub(crate) step: String,
    /// The roles that may; empty: anyone who may decide.
    pub(crate) roles: Vec<String>,
    #[schema(value_type = schema::TimeSchema)]
    pub(crate) since: Timestamp,
    /// Why, where a step is blocked.
    pub(crate) why: Option<String>,
}

/// Something that goes on by itself.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct StagedPause {
    pub(crate) step: String,
    /// `retry`, `poll` or `wait`.
    pub(crate) kind: String,
    /// When.
    #[schema(value_type = schema::TimeSchema)]
    pub(crate) at: Timestamp,
    /// Of a retry the code or kind of the failure before it, of a poll its gate.
    pub(crate) why: Option<String>,
}

/// The rounds of a step.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct StagedRounds {
    pub(crate) step: String,
    /// The first included.
    pub(crate) used: u32,
    /// Null: the pipeline's file says no number.
    pub(crate) max: Option<u32>,
    /// How often it began anew for each cause: a gate, `rejected`, `changes`, `signal:NAME`, a code of a failure.
    pub(crate) causes: BTreeMap<String, u32>,
}

/// What was sent back.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct StagedRejection {
    #[schema(value_type = schema::TimeSchema)]
    pub(crate) at: Timestamp,
    /// The step whose result it was.
    pub(crate) step: String,
    pub(crate) gate: Option<String>,
    /// The person behind it.
    pub(crate) by: Option<String>,
    pub(crate) cause: String,
    pub(crate) reason: Option<String>,
    /// The step that began anew.
    pub(crate) to: String,
}

/// How long people had an approval in their hands; work on what they sent back is not counted.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct StagedReview {
    pub(crate) step: String,
    /// When they were asked first.
    #[schema(value_type = schema::TimeSchema)]
    pub(crate) started_at: Timestamp,
    /// Since when they are asked; null: they are not asked now.
    #[schema(value_type = Option<schema::TimeSchema>)]
    pub(crate) open_since: Option<Timestamp>,
    /// When it was approved first.
    #[schema(value_type = Option<schema::TimeSchema>)]
    pub(crate) ended_at: Option<Timestamp>,
    /// By the moment of the answer; it stands still while nobody is asked.
    pub(crate) elapsed_ms: u64,
}

/// What a gate said.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct StagedVerdict {
    pub(crate) step: String,
    pub(crate) gate: String,
    pub(crate) round: u32,
    pub(crate) verdict: String,
    pub(crate) reason: String,
    #[schema(value_type = schema::TimeSchema)]
    pub(crate) at: Timestamp,
}

/// A task with all that is known of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct StagedTaskDetail {
    #[schema(value_type = u64)]
    pub(crate) position: Position,
    #[serde(flatten)]
    pub(crate) task: StagedTask,
    /// The stages of its pipeline, in the order of their use.
    pub(crate) stages: Vec<String>,
    /// Its steps, in the order of the file.
    pub(crate) steps: Vec<StagedStep>,
    /// What its gates said, oldest first, the newest 200.
    pub(crate) gates: Vec<StagedVerdict>,
    /// What each agent used up, by its role.
    pub(crate) agents: Vec<SpendItem>,
    /// The message that shows how it stands, as it was recorded to be sent; null: it has none.
    pub(crate) message: Option<StagedMessage>,
}

/// A step of a task.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct StagedStep {
    pub(crate) step: String,
    pub(crate) stage: Option<String>,
    /// `agent`, `command`, `function`, `approval`, `question`, `wait`, `gates`.
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) round: u32,
    pub(crate) attempt: u32,
    #[schema(value_type = Option<schema::TimeSchema>)]
    pub(crate) started_at: Option<Timestamp>,
    #[schema(value_type = Option<schema::TimeSchema>)]
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) usage: Option<StepUsageView>,
}

/// The message that shows how a task stands.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct StagedMessage {
    /// The notice of its pipeline.
    pub(crate) notice: String,
    /// The version of the event that recorded the text.
    pub(crate) version: u64,
    pub(crate) text: String,
}

/// Part of the tasks.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct StagedTasks {
    #[schema(value_type = u64)]
    pub(crate) position: Position,
    /// The stages of their pipelines, in the order of their use.
    pub(crate) stages: Vec<String>,
    pub(crate) items: Vec<StagedTask>,
    pub(crate) next_cursor: Option<String>,
    /// How rows were looked at, where `filter` was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<FilterAnswer>,
}

/// A review of a task.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct TaskReview {
    #[schema(value_type = schema::RunIdSchema)]
    pub(crate) run: RunId,
    pub(crate) short_id: String,
    pub(crate) item: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) project: Option<String>,
    #[serde(flatten)]
    pub(crate) review: StagedReview,
}

/// The reviews of part of the tasks.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct TaskReviews {
    #[schema(value_type = u64)]
    pub(crate) position: Position,
    pub(crate) items: Vec<TaskReview>,
    pub(crate) next_cursor: Option<String>,
}

/// The attempts of agents.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct AgentQueue {
    pub(crate) counts: QueueCounts,
    /// How many processes work at once at most, agents among them.
    pub(crate) max_concurrency: Option<usize>,
    pub(crate) resilience: QueueResilience,
    /// Tasks in which no agent is in line or at work, because a gate is asked again later; the newest 100.
    pub(crate) held: Vec<QueueHeld>,
    /// The last that ended, newest first.
    pub(crate) recent: Vec<QueueJob>,
}

/// How many attempts of agents there are.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct QueueCounts {
    pub(crate) queued: u64,
    pub(crate) running: u64,
    pub(crate) done: u64,
    pub(crate) failed: u64,
}

/// What holds agents back when their service is in trouble.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct QueueResilience {
    /// `open` where the breaker of an agent is open, `half_open` where one is tried, else `closed`.
    pub(crate) breaker: &'static str,
    /// The breakers of agents. What a preflight finds missing counts as their outage, and `last` says what it was.
    #[schema(value_type = Vec<schema::BreakerViewSchema>)]
    pub(crate) breakers: Vec<serde_json::Value>,
    /// `failing` where something is missing that an agent needs, else `ok`.
    pub(crate) preflight: &'static str,
    /// What the newest preflight of each profile found.
    pub(crate) preflights: Vec<QueuePreflight>,
}

/// What the newest preflight of a profile found.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct QueuePreflight {
    pub(crate) profile: String,
    /// Nothing is missing.
    pub(crate) ok: bool,
    /// `UNREACHABLE`, `UNAUTHORISED`, `NO_PROGRAM`, `NO_ANSWER`.
    pub(crate) code: Option<String>,
    /// Why it is missing.
    pub(crate) reason: Option<String>,
    /// What to do.
    pub(crate) hint: Option<String>,
    /// Since when it is so.
    #[schema(value_type = schema::TimeSchema)]
    pub(crate) since: Timestamp,
    /// When it was looked at last.
    #[schema(value_type = schema::TimeSchema)]
    pub(crate) looked_at: Timestamp,
    /// Attempts that wait for it.
    pub(crate) waiting: usize,
}

/// A task that waits for what a gate looks at.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct QueueHeld {
    #[schema(value_type = schema::RunIdSchema)]
    pub(crate) run: RunId,
    pub(crate) item: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) step: String,
    pub(crate) gate: String,
    /// What it waits for, as the gate said last.
    pub(crate) reason: String,
    /// When it is asked again.
    #[schema(value_type = Option<schema::TimeSchema>)]
    pub(crate) next_at: Option<Timestamp>,
}

/// An attempt of an agent that ended.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct QueueJob {
    /// `SHORT_ID:STEP:ROUND.ATTEMPT`.
    pub(crate) id: String,
    #[schema(value_type = schema::RunIdSchema)]
    pub(crate) run: RunId,
    pub(crate) item: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) repo: Option<String>,
    /// The step.
    pub(crate) agent: String,
    /// `done` or `failed`.
    pub(crate) status: &'static str,
    /// The code or kind of the failure.
    pub(crate) failure: Option<String>,
    #[schema(value_type = schema::TimeSchema)]
    pub(crate) since: Timestamp,
    #[schema(value_type = schema::TimeSchema)]
    pub(crate) ended_at: Timestamp,
}

/// What tasks cost, three times grouped.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct TaskCosts {
    /// By the label `project`.
    pub(crate) projects: Vec<SpendItem>,
    /// By the role of the agent.
    pub(crate) agents: Vec<SpendItem>,
    /// By the label `item`; of more than `limit` those that cost most.
    pub(crate) tasks: Vec<SpendItem>,
    pub(crate) total: SpendItem,
}
