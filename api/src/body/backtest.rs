//! Bodies of `/audit/backtest`.

use std::collections::BTreeMap;

use everfold_engine::id::{RunId, Version};
use everfold_engine::json::Hash;
use everfold_engine::policy::Verdict;
use everfold_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::whole_number::whole_if;
use crate::schema;

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"gate": "tests", "policy": "evidence.exit == 0", "since": "2026-11-01T00:00:00Z"}))]
#[serde(deny_unknown_fields)]
pub(crate) struct BacktestBody {
    /// The gate, by its id.
    #[schema(min_length = 1)]
    pub(crate) gate: String,
    /// A CEL text over `evidence`, as `policy` of a gate; or `default:KIND`.
    #[schema(min_length = 1)]
    pub(crate) policy: String,
    /// A time: verdicts from then on.
    #[schema(format = DateTime)]
    pub(crate) since: Option<String>,
    /// Only runs of this pipeline.
    pub(crate) pipeline: Option<String>,
    /// So many verdicts in one answer.
    #[schema(minimum = 1, maximum = 1000)]
    #[serde(default, deserialize_with = "whole_if")]
    pub(crate) limit: Option<usize>,
    /// Where to go on: `next_cursor` of the answer before.
    pub(crate) cursor: Option<String>,
}

/// What came of the verdicts of one part, newest first.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct BacktestAnswer {
    pub(crate) gate: String,
    pub(crate) policy: String,
    /// BLAKE3 of the policy's text.
    #[schema(value_type = schema::HashSchema)]
    pub(crate) policy_hash: Hash,
    /// Verdicts that were given again.
    pub(crate) verdicts: u64,
    /// Those that stay what they are.
    pub(crate) equal: u64,
    /// Those that would be others.
    pub(crate) changed: u64,
    /// Those on whose evidence the policy gives no verdict.
    pub(crate) failed: u64,
    /// Those that came of no evidence, so that no policy judges them: polling was over, or nothing applied.
    pub(crate) not_judged: u64,
    /// How many would become what: `fail → pass`.
    pub(crate) becomes: BTreeMap<String, u64>,
    /// Each that would be another, and each without a verdict.
    pub(crate) items: Vec<Changed>,
    /// When the oldest verdict of this part was given.
    #[schema(value_type = Option<schema::TimeSchema>)]
    pub(crate) back_to: Option<Timestamp>,
    pub(crate) next_cursor: Option<String>,
}

/// A verdict that would be another.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct Changed {
    #[schema(value_type = schema::RunIdSchema)]
    pub(crate) run: RunId,
    pub(crate) short_id: String,
    #[schema(value_type = u64)]
    pub(crate) version: Version,
    #[schema(value_type = schema::TimeSchema)]
    pub(crate) at: Timestamp,
    /// The step, or an item of it.
    pub(crate) step: String,
    pub(crate) round: u32,
    pub(crate) probe_no: u32,
    /// What was decided.
    pub(crate) recorded: BacktestVerdict,
    /// What the policy says; null where it gives no verdict.
    pub(crate) judged: Option<BacktestVerdict>,
    /// Why it gives none.
    pub(crate) problem: Option<String>,
}

/// A verdict and its reason.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Said)]
pub(crate) struct BacktestVerdict {
    #[schema(value_type = schema::VerdictSchema)]
    pub(crate) verdict: Verdict,
    pub(crate) reason: String,
}

impl BacktestAnswer {
    /// Takes the next, older part in.
    pub(crate) fn and(&mut self, older: Self) {
        self.verdicts += older.verdicts;
        self.equal += older.equal;
        self.changed += older.changed;
        self.failed += older.failed;
        self.not_judged += older.not_judged;
        for (what, count) in older.becomes {
            *self.becomes.entry(what).or_default() += count;
        }
        self.items.extend(older.items);
        self.back_to = older.back_to.or(self.back_to);
        self.next_cursor = older.next_cursor;
    }
}
