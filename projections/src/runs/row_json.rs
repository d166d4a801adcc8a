//! A row in JSON: the fields of a run as the run's own view names them.
//!
//! Law: a field of a row has the value that the run's own view has under that name, of the same type, in the same
//! unit. A failure comes without `detail`, `round` and `attempt`; what only lists have has names of its own.

use std::collections::BTreeMap;

use everfold_base::failure::FailureKind;
use everfold_base::id::{RunId, StepId};
use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use everfold_core::state::RunStatus;
use serde::{Serialize, Serializer};

use super::awaited_action::AwaitedAction;
use super::row_state::{RowFailure, RowParent, RowProgress, RowState};
use crate::money::usd;

#[derive(Serialize)]
struct RowJson<'a> {
    status: RunStatus,
    moved_at: Timestamp,
    active_steps: &'a [StepId],
    failure: Option<FailureJson<'a>>,
    note: Option<&'a str>,
    labels: &'a BTreeMap<String, String>,
    search: BTreeMap<&'a str, Value>,
    awaits: &'a [AwaitedAction],
    ended_at: Option<Timestamp>,
    usage: UsageJson,
    progress: Option<&'a RowProgress>,
}

#[derive(Serialize)]
struct FailureJson<'a> {
    kind: FailureKind,
    code: Option<&'a str>,
    message: &'a str,
    hint: &'a str,
    exit_code: Option<i32>,
    step: Option<&'a str>,
}

#[derive(Serialize)]
struct UsageJson {
    input_tokens: u64,
    output_tokens: u64,
    cost_usd: String,
}

#[derive(Serialize)]
struct ParentJson<'a> {
    run: RunId,
    short_id: String,
    step: &'a str,
    top: RunId,
}

pub(super) fn state<S: Serializer>(shown: &RowState, serializer: S) -> Result<S::Ok, S::Error> {
    let usage = shown.usage;
    RowJson {
        status: shown.status,
        moved_at: shown.moved_at,
        active_steps: &shown.steps,
        failure: shown.failure.as_ref().map(failure),
        note: shown.note(),
        labels: &shown.labels,
        search: shown.search.iter().map(|(name, value)| (name.as_str(), value.json())).collect(),
        awaits: &shown.awaits,
        ended_at: shown.ended_at,
        usage: UsageJson {
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            cost_usd: usd(usage.cost_micros),
        },
        progress: shown.progress.as_ref(),
    }
    .serialize(serializer)
}

pub(super) fn parent<S: Serializer>(parent: &Option<RowParent>, serializer: S) -> Result<S::Ok, S::Error> {
    let json = parent.as_ref().map(|RowParent { run, step, top }| ParentJson {
        run: *run,
        short_id: run.short(),
        step,
        top: *top,
    });
    json.serialize(serializer)
}

fn failure(RowFailure { step, failure }: &RowFailure) -> FailureJson<'_> {
    FailureJson {
        kind: failure.kind,
        code: failure.code.as_deref(),
        message: &failure.message,
        hint: failure.hint(),
        exit_code: failure.exit_code,
        step: step.as_deref(),
    }
}
