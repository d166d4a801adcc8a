//! Answers of `/runs/{run}/diff/{other}`, and the rounds of `/runs/{run}/diff`.

use std::collections::BTreeMap;

use everfold_engine::id::{RunId, Version};
use everfold_engine::json::Hash;
use everfold_engine::state::RunStatus;
use everfold_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::compare::ValueDifference;
use crate::schema;

/// Two runs, aligned by step and round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct RunsDiff {
    /// The short id of the first run.
    pub(crate) from: String,
    /// The short id of the other one.
    pub(crate) to: String,
    /// The first run and the other one.
    #[schema(value_type = Vec<ComparedRun>, min_items = 2, max_items = 2)]
    pub(crate) runs: [ComparedRun; 2],
    /// Whether both had the same input.
    pub(crate) same_input: bool,
    /// Whether both had the same definition.
    pub(crate) same_definition: bool,
    /// Where they part first; null: what ran, its attempts, outputs, verdicts and ends are the same.
    pub(crate) first: Option<Divergence>,
    /// The rounds of both, in the order in which they began; the first thousand.
    pub(crate) rounds: Vec<RoundPair>,
    /// How many there are.
    pub(crate) rounds_total: usize,
    /// What is different in their states, but for times and places.
    pub(crate) differences: Vec<ValueDifference>,
}

/// One of two runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct ComparedRun {
    /// The run.
    #[schema(value_type = schema::RunIdSchema)]
    pub(crate) run: RunId,
    /// The last 8 digits of the id.
    pub(crate) short_id: String,
    /// The pipeline's name.
    pub(crate) pipeline: String,
    /// For readers.
    pub(crate) title: Option<String>,
    /// What it is doing.
    #[schema(value_type = schema::RunStatusSchema)]
    pub(crate) status: RunStatus,
    /// The version that is compared.
    #[schema(value_type = u64)]
    pub(crate) version: Version,
    /// How long it took, or takes up to its last event, in milliseconds; a fork began when it was forked.
    pub(crate) took_ms: u64,
    /// What it cost in US dollars.
    pub(crate) cost_usd: String,
    /// The pinned definition.
    #[schema(value_type = schema::HashSchema)]
    pub(crate) definition: Hash,
}

/// A round of a step on both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct RoundPair {
    /// The step, or an item of it.
    pub(crate) step: String,
    /// The round.
    pub(crate) round: u32,
    /// On the first side; null: it did not begin there.
    pub(crate) from: Option<ComparedRound>,
    /// On the other side.
    pub(crate) to: Option<ComparedRound>,
    /// What is different: `ran` (it began on one side alone), `attempts`, `output`, `gates` (verdicts), `end`; and what alone
    /// makes no two runs part: `work` (what it was given to do), `evidence`, `policy` (of gates).
    pub(crate) differs: Vec<String>,
}

/// A round on one side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct ComparedRound {
    /// The event that began it.
    #[schema(value_type = u64)]
    pub(crate) version: Version,
    /// `succeeded`, `failed`, `skipped`, `cancelled`, `reworked`, or `blocked`; null: it goes on.
    pub(crate) end: Option<String>,
    /// Why it was passed over; null: it was not.
    #[serde(default)]
    pub(crate) skipped: Option<String>,
    /// How many attempts began.
    pub(crate) attempts: u32,
    /// The hash of what it was given to do.
    #[schema(value_type = Option<schema::HashSchema>)]
    pub(crate) work: Option<Hash>,
    /// The hash of what came of it.
    #[schema(value_type = Option<schema::HashSchema>)]
    pub(crate) output: Option<Hash>,
    /// What its gates said last, by gate.
    pub(crate) gates: BTreeMap<String, ComparedGate>,
    /// How the newest of its attempts that failed did so, or the round itself.
    pub(crate) failure: Option<String>,
    /// When it began.
    #[schema(value_type = schema::TimeSchema)]
    pub(crate) began_at: Timestamp,
    /// How long it took in milliseconds, without the time between a fork's copied history and the fork; null: it has not
    /// ended.
    pub(crate) took_ms: Option<u64>,
    /// What it cost in US dollars.
    pub(crate) cost_usd: String,
}

/// What a gate said of a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct ComparedGate {
    /// `pass`, `fail`, `pending`, `skipped`.
    pub(crate) verdict: String,
    /// Why.
    pub(crate) reason: String,
    /// The hash of the evidence.
    #[schema(value_type = schema::HashSchema)]
    pub(crate) evidence: Hash,
    /// The hash of the policy.
    #[schema(value_type = schema::HashSchema)]
    pub(crate) policy: Hash,
    /// The event.
    #[schema(value_type = u64)]
    pub(crate) version: Version,
}

/// Where two runs part first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct Divergence {
    /// The step, or an item of it.
    pub(crate) step: String,
    /// The round.
    pub(crate) round: u32,
    /// What is different: `ran`, `attempts`, `output`, `gates`, `end`.
    pub(crate) part: String,
    /// The event of the first run from which on it is different; null: it has none.
    #[schema(value_type = Option<u64>)]
    pub(crate) from: Option<Version>,
    /// That of the other run.
    #[schema(value_type = Option<u64>)]
    pub(crate) to: Option<Version>,
    /// One run has not come so far, and goes on; up to there both are the same.
    pub(crate) not_so_far: bool,
    /// Why, in a sentence, as far as the log says it.
    pub(crate) cause: String,
}
