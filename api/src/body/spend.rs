//! Bodies of `/spend` and of the budgets of runs.

use everfold_projections::{SpendBy, SpendRow, SpendSum};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::whole_number::whole_if;
use crate::schema;
use crate::view::{AmountsView, BudgetStatus, usd};

/// The budgets of a run.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct BudgetsAnswer {
    pub(crate) items: Vec<BudgetStatus>,
}

/// What was used up, in groups, and the counters that runs share.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct SpendAnswer {
    /// What makes a group: `run`, `step`, `role`, `model`, `day`, `pipeline`, or `label:NAME`.
    pub(crate) by: String,
    pub(crate) items: Vec<SpendItem>,
    pub(crate) total: SpendItem,
    /// The counters of budgets with a `scope`.
    pub(crate) budgets: Vec<CounterView>,
}

/// A group.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct SpendItem {
    /// The group; empty where nothing is known of it, `""` of a label without a text.
    pub(crate) group: String,
    /// For readers: of a run its short id.
    pub(crate) name: String,
    pub(crate) cost_usd: String,
    /// Tokens read, those from a cache among them.
    pub(crate) input_tokens: u64,
    /// Those of them that came from a cache.
    pub(crate) cached_tokens: u64,
    pub(crate) output_tokens: u64,
    pub(crate) reports: u64,
}

/// A counter that runs share.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct CounterView {
    /// `PERIOD@ZONE:SCOPE`.
    pub(crate) counter: String,
    pub(crate) spent: AmountsView,
    pub(crate) reserved_usd: String,
    pub(crate) raised: AmountsView,
    #[schema(value_type = Option<schema::TimeSchema>)]
    pub(crate) until: Option<everfold_engine::time::Timestamp>,
    /// Attempts that something is kept free for.
    pub(crate) running: usize,
}

impl SpendItem {
    pub(crate) fn of(by: SpendBy, row: SpendRow) -> Self {
        let SpendRow { group, sum } = row;
        let name = match by {
            SpendBy::Run => group.chars().rev().take(8).collect::<Vec<_>>().into_iter().rev().collect(),
            _named => group.clone(),
        };
        let SpendSum { reports, input_tokens, cached_tokens, output_tokens, cost_micros } = sum;
        let cost_usd = usd(cost_micros);
        let input_tokens = input_tokens.saturating_add(cached_tokens);
        Self { group, name, cost_usd, input_tokens, cached_tokens, output_tokens, reports }
    }
}

/// Money is a decimal string or a number of US dollars.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"add": "2.00", "reason": "nearly done"}))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RaiseBody {
    pub(crate) budget: Option<String>,
    #[schema(value_type = Option<schema::AmountSchema>)]
    pub(crate) add: Option<Value>,
    #[serde(deserialize_with = "whole_if")]
    pub(crate) tokens: Option<u64>,
    /// A span: `1h`.
    pub(crate) wall: Option<String>,
    pub(crate) reason: Option<String>,
}
