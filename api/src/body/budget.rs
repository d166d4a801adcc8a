//! Bodies, queries and answers of `/budgets`.

use everfold_engine::definition::Period;
use everfold_engine::event::Measure;
use everfold_engine::id::RunId;
use everfold_engine::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::whole_number::whole_if;
use crate::schema;
use crate::view::AmountsView;

/// The limits that a shared budget has of its own; what is absent is not limited.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"per": "month", "cost": "500.00", "reason": "the plan for this year"}))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SharedBudgetBody {
    /// Over which time; without it all.
    #[schema(value_type = schema::PeriodSchema)]
    pub(crate) per: Period,
    /// Where days begin; without it UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) zone: Option<String>,
    /// Money.
    #[schema(value_type = Option<schema::AmountSchema>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cost: Option<Value>,
    /// Tokens, read and written.
    #[serde(deserialize_with = "whole_if", skip_serializing_if = "Option::is_none")]
    pub(crate) tokens: Option<u64>,
    /// The time of paid attempts: `40h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wall: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// Query of `DELETE /budgets/{scope}`.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SharedBudgetQuery {
    /// Over which time; without it all.
    #[param(value_type = Option<schema::PeriodSchema>)]
    pub(crate) per: Option<Period>,
    /// Where days begin; without it UTC.
    pub(crate) zone: Option<String>,
    /// Why.
    pub(crate) reason: Option<String>,
}

/// A budget that runs share: its counter, and the limits that it has of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SharedBudgetView {
    /// The text that the budgets of its runs share; `#HASH` of one over 160 bytes that has no limit of its own.
    pub scope: String,
    /// Over which time.
    #[schema(value_type = schema::PeriodSchema)]
    pub per: Period,
    /// Where days begin; null: UTC.
    pub zone: Option<String>,
    /// The limits that it has of its own, as they were set; the limits of its runs stand beside them.
    #[serde(default)]
    pub set: AmountsView,
    /// `set` and `raised` together: what counts now.
    pub limit: AmountsView,
    /// The money of it as it was written, where that was in another currency.
    pub written: Option<String>,
    /// What was spent in the period.
    pub spent: AmountsView,
    /// What is kept free for work that runs, in US dollars.
    pub reserved_usd: String,
    /// By how much limits were raised, until the period ends.
    pub raised: AmountsView,
    /// What of its own limits is used up, or reserved; null while there is room.
    #[schema(value_type = Option<schema::MeasureSchema>)]
    pub over: Option<Measure>,
    /// Whether what is reserved for work that runs is all that leaves no room: less of it is spent than its limit.
    #[serde(default)]
    pub is_reserved: bool,
    /// When its period ends; null: never.
    #[schema(value_type = Option<schema::TimeSchema>)]
    pub until: Option<Timestamp>,
    /// Attempts that something is kept free for.
    pub running: usize,
    /// Attempts whose start waits for what is kept for work that runs, and for nothing else of it.
    #[serde(default)]
    pub waiting: usize,
    /// Why it has these limits.
    pub reason: Option<String>,
    /// The runs whose work waited for it, and may start now; absent in other answers than to a change.
    #[schema(value_type = Option<Vec<schema::RunIdSchema>>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed: Option<Vec<RunId>>,
}
