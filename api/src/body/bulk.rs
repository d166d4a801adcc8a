//! One order to many runs.

use everfold_engine::definition::Period;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

use super::filter::FilterAnswer;
use super::spend::RaiseBody;
use super::start::{RestartBody, RetryBody};
use super::steering::{CancelBody, NoteBody, ReasonBody, RecheckBody, ResumeBody, UnblockBody};
use super::whole_number::whole_if;
use crate::schema;
use crate::view::AmountsView;

/// What is ordered of each run: a verb with the body of its own route.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BulkOrder {
    Cancel(CancelBody),
    Pause(ReasonBody),
    Interrupt(ReasonBody),
    Resume(ResumeBody),
    Unblock(UnblockBody),
    Recheck(RecheckBody),
    Retry(RetryBody),
    Restart(RestartBody),
    Signal(NamedSignal),
    Note(NoteBody),
    Budget(RaiseBody),
}

/// A signal with its name, which the signal's own route has in its path.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamedSignal {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) payload: Value,
    #[serde(default)]
    pub(crate) delivery: Option<String>,
}

const VERBS: &str =
    "cancel, pause, interrupt, resume, unblock, recheck, retry, restart, signal, note or budget";

/// An order, which is an object with one verb: the reader of enums would call another object unreadable JSON.
fn one_order<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BulkOrder, D::Error> {
    let order = Value::deserialize(deserializer)?;
    let verbs: Vec<&str> = order.as_object().into_iter().flatten().map(|(verb, _)| verb.as_str()).collect();
    let wrong = match verbs.as_slice() {
        [_one] => return BulkOrder::deserialize(order).map_err(de::Error::custom),
        [] => "names no verb".to_owned(),
        several => format!("names several verbs ({})", several.join(", ")),
    };
    let example = "{\"cancel\": {\"reason\": \"the branch is gone\"}}";
    Err(de::Error::custom(format!("`order` {wrong}: it is an object with one of {VERBS}, as {example}")))
}

/// An order to the runs of which an expression is true.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({
    "order": {"cancel": {"reason": "the branch is gone"}}, "filter": "status == 'blocked' && labels.team == 'blue'",
    "dry_run": true,
}))]
#[serde(deny_unknown_fields)]
pub(crate) struct BulkBody {
    #[serde(deserialize_with = "one_order")]
    pub(crate) order: BulkOrder,
    /// An expression over the fields of a row: which runs.
    pub(crate) filter: String,
    /// Only say which runs would get the order.
    #[serde(default)]
    pub(crate) dry_run: bool,
    /// The position whose runs are meant: that which the dry run answered with. Without it those of the present.
    #[serde(default, deserialize_with = "whole_if", skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<u64>,
    /// Where the part before ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<String>,
    /// How many runs this part has at most, 1 to 1,000; without it 100.
    #[schema(minimum = 1, maximum = 1000)]
    #[serde(default, deserialize_with = "whole_if", skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<usize>,
}

/// What became of an order in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BulkOutcome {
    /// A dry run: it would get the order.
    Fits,
    /// The order is recorded.
    Ordered,
    /// The run refuses it.
    Refused,
    /// The expression is no longer true of it, so it did not get the order.
    Changed,
}

/// A run that was meant by an order.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct BulkRun {
    #[schema(value_type = schema::RunIdSchema)]
    pub(crate) id: everfold_engine::id::RunId,
    pub(crate) short_id: String,
    pub(crate) pipeline: String,
    pub(crate) title: Option<String>,
    /// Where it stood at the position.
    #[schema(value_type = schema::RunStatusSchema)]
    pub(crate) status: everfold_engine::state::RunStatus,
    pub(crate) outcome: BulkOutcome,
    /// The run that a retry or a restart began.
    #[schema(value_type = Option<schema::RunIdSchema>)]
    pub(crate) new_run: Option<everfold_engine::id::RunId>,
    /// Why it refuses, as the verb's own route would say it.
    pub(crate) problem: Option<BulkProblem>,
    /// Of `budget`: what it adds to a budget that the run shares; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shared: Option<SharedRaise>,
}

/// What a raise of a run's budget adds to a budget that runs share.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct SharedRaise {
    /// The text that the budgets of its runs share.
    pub(crate) scope: String,
    /// Over which time.
    #[schema(value_type = schema::PeriodSchema)]
    pub(crate) per: Period,
    /// Where days begin; null: UTC.
    pub(crate) zone: Option<String>,
    pub(crate) add: AmountsView,
}

/// Why a run refuses an order.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct BulkProblem {
    pub(crate) code: String,
    pub(crate) message: String,
}

/// One part of an order.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct BulkAnswer {
    pub(crate) items: Vec<BulkRun>,
    /// Where the next part begins; null: every run has been gone over.
    pub(crate) next_cursor: Option<String>,
    /// The position whose runs are meant.
    pub(crate) at: u64,
    /// How the runs were found.
    pub(crate) filter: Option<FilterAnswer>,
}
