//! A row in JSON: the fields of a run as the run itself tells them.
//!
//! Law: what a row tells under a name is what the run alone tells under that name, of the same type, in the same
//! unit. A failure comes without `detail`, `round` and `attempt`; what only lists tell has names of its own.

use std::collections::BTreeMap;

use everfold_engine::failure::FailureKind;
use everfold_engine::id::{RunId, StepId};
use everfold_engine::state::RunStatus;
use everfold_engine::time::Timestamp;
use serde::{Serialize, Serializer};

use super::record::{RowFailure, RowParent, Shown};
use crate::activity::Awaits;
use crate::money::usd;

#[derive(Serialize)]
struct Told<'a> {
    status: RunStatus,
    moved_at: Timestamp,
    active_steps: &'a [StepId],
    failure: Option<ToldFailure<'a>>,
    note: Option<&'a str>,
    labels: &'a BTreeMap<String, String>,
    awaits: &'a [Awaits],
    ended_at: Option<Timestamp>,
    usage: ToldUsage,
}

#[derive(Serialize)]
struct ToldFailure<'a> {
    kind: FailureKind,
    code: Option<&'a str>,
    message: &'a str,
    hint: &'a str,
    exit_code: Option<i32>,
    step: Option<&'a str>,
}

#[derive(Serialize)]
struct ToldUsage {
    input_tokens: u64,
    output_tokens: u64,
    cost_usd: String,
}

#[derive(Serialize)]
struct ToldParent<'a> {
    run: RunId,
    short_id: String,
    step: &'a str,
}

pub(super) fn told<S: Serializer>(shown: &Shown, serializer: S) -> Result<S::Ok, S::Error> {
    let usage = shown.usage;
    Told {
        status: shown.status,
        moved_at: shown.moved_at,
        active_steps: &shown.steps,
        failure: shown.failure.as_ref().map(failure),
        note: shown.note(),
        labels: &shown.labels,
        awaits: &shown.awaits,
        ended_at: shown.ended_at,
        usage: ToldUsage {
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            cost_usd: usd(usage.cost_micros),
        },
    }
    .serialize(serializer)
}

pub(super) fn parent<S: Serializer>(parent: &Option<RowParent>, serializer: S) -> Result<S::Ok, S::Error> {
    let told =
        parent.as_ref().map(|RowParent { run, step }| ToldParent { run: *run, short_id: run.short(), step });
    told.serialize(serializer)
}

fn failure(RowFailure { step, failure }: &RowFailure) -> ToldFailure<'_> {
    ToldFailure {
        kind: failure.kind,
        code: failure.code.as_deref(),
        message: &failure.message,
        hint: failure.hint(),
        exit_code: failure.exit_code,
        step: step.as_deref(),
    }
}

impl Shown {
    /// How it failed or why it stands still, in one line.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        let failed = self.failure.as_ref().map(|failed| failed.failure.message.as_str());
        failed.or(self.paused.as_deref())
    }
}
