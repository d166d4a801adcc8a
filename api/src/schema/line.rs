//! Who waits for what, and how slots, rates and breakers stand.

use serde::Serialize;
use utoipa::ToSchema;

use crate::body::limits::SlotsView;

use super::id::{AttemptIdSchema, RunIdSchema, TimeSchema};

/// An attempt or probe that waits in line.
#[derive(ToSchema, Serialize)]
#[schema(as = Waiting)]
pub(crate) struct WaitingSchema {
    attempt: AttemptIdSchema,
    /// The gate, where a probe waits.
    gate: Option<String>,
    since: TimeSchema,
    priority: i32,
    /// For what, the most telling first.
    reasons: Vec<WaitReasonSchema>,
}

/// What an attempt waits for.
#[derive(ToSchema, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schema(as = WaitReason)]
pub(crate) enum WaitReasonSchema {
    /// A resource.
    Resource { name: String, in_use: usize, size: usize, line: usize },
    /// A resource that the settings do not name.
    Unknown { name: String },
    /// A resource that is not given out until it is known what the living work of all runs holds: `run` cannot be read.
    Withheld { name: String, run: Option<RunIdSchema> },
    /// A place among all work in progress.
    Place { name: String, in_use: usize, size: usize, line: usize },
    /// The next start of a rate.
    Rate { service: String, next: TimeSchema, starts: u32, per: String },
    /// A breaker that is open.
    Breaker { service: String, since: TimeSchema, next: TimeSchema, last: Option<String> },
}

/// All slots, rates and breakers.
#[derive(ToSchema, Serialize)]
#[schema(as = LimitsAnswer)]
pub(crate) struct LimitsAnswerSchema {
    /// The groups between which places are shared out evenly.
    fair_by: String,
    places: Vec<PoolViewSchema>,
    resources: Vec<PoolViewSchema>,
    rates: Vec<RateViewSchema>,
    breakers: Vec<BreakerViewSchema>,
    /// The slots of `concurrency` that runs hold or wait for; of the runs that go on the newest 500 are looked at.
    slots: Vec<SlotsView>,
    /// The newest resets, newest first.
    resets: Vec<ResetSchema>,
}

/// A breaker that a person closed.
#[derive(ToSchema, Serialize)]
#[schema(as = Reset)]
pub(crate) struct ResetSchema {
    /// `KIND.NAME`.
    service: String,
    /// Outages in a row that it had counted.
    failures: u32,
    reason: Option<String>,
    /// Who.
    by: String,
    at: TimeSchema,
}

/// Something of which there are so many.
#[derive(ToSchema, Serialize)]
#[schema(as = PoolView)]
pub(crate) struct PoolViewSchema {
    name: String,
    size: usize,
    in_use: usize,
    waiting: usize,
}

/// How often attempts may start.
#[derive(ToSchema, Serialize)]
#[schema(as = RateView)]
pub(crate) struct RateViewSchema {
    /// `KIND.NAME`.
    service: String,
    starts: u32,
    per: String,
    burst: u32,
    left: u32,
    /// Null: now.
    next: Option<TimeSchema>,
    waiting: usize,
}

/// How a breaker stands.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schema(as = BreakerStand)]
pub(crate) enum BreakerStandSchema {
    Closed,
    Open,
    HalfOpen,
}

/// A breaker.
#[derive(ToSchema, Serialize)]
#[schema(as = BreakerView)]
pub(crate) struct BreakerViewSchema {
    /// `KIND.NAME`.
    service: String,
    state: BreakerStandSchema,
    /// Outages in a row.
    failures: u32,
    failures_max: u32,
    since: Option<TimeSchema>,
    next: Option<TimeSchema>,
    last: Option<String>,
    last_at: Option<TimeSchema>,
    waiting: usize,
}
