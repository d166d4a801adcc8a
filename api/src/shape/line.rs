//! Who waits for what, and how slots, rates and breakers stand.

use serde::Serialize;
use utoipa::ToSchema;

use super::id::{AttemptId, RunId, Time};

/// An attempt or probe that waits in line.
#[derive(ToSchema, Serialize)]
pub(crate) struct Waiting {
    attempt: AttemptId,
    /// The gate, where a probe waits.
    gate: Option<String>,
    since: Time,
    priority: i32,
    /// For what, the most telling first.
    reasons: Vec<WaitReason>,
}

/// What an attempt waits for.
#[derive(ToSchema, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum WaitReason {
    /// A resource.
    Resource { name: String, in_use: usize, size: usize, line: usize },
    /// A resource that the settings do not name.
    Unknown { name: String },
    /// A resource that is given to nobody until it is known what the living work of all runs holds: `run` cannot be read.
    Withheld { name: String, run: Option<RunId> },
    /// A place among all work in progress.
    Place { name: String, in_use: usize, size: usize, line: usize },
    /// The next start of a rate.
    Rate { service: String, next: Time, starts: u32, per: String },
    /// A breaker that is open.
    Breaker { service: String, since: Time, next: Time, last: Option<String> },
}

/// All slots, rates and breakers.
#[derive(ToSchema, Serialize)]
pub(crate) struct LimitsAnswer {
    /// Between whom places are shared out evenly.
    fair_by: String,
    places: Vec<PoolView>,
    resources: Vec<PoolView>,
    rates: Vec<RateView>,
    breakers: Vec<BreakerView>,
    /// The newest resets, newest first.
    resets: Vec<Reset>,
}

/// A breaker that a person closed.
#[derive(ToSchema, Serialize)]
pub(crate) struct Reset {
    /// `KIND.NAME`.
    service: String,
    /// Outages in a row that it had counted.
    failures: u32,
    reason: Option<String>,
    /// Who.
    by: String,
    at: Time,
}

/// Something of which there are so many.
#[derive(ToSchema, Serialize)]
pub(crate) struct PoolView {
    name: String,
    size: usize,
    in_use: usize,
    waiting: usize,
}

/// How often attempts may start.
#[derive(ToSchema, Serialize)]
pub(crate) struct RateView {
    /// `KIND.NAME`.
    service: String,
    starts: u32,
    per: String,
    burst: u32,
    left: u32,
    /// Null: now.
    next: Option<Time>,
    waiting: usize,
}

/// How a breaker stands.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BreakerStand {
    Closed,
    Open,
    HalfOpen,
}

/// A breaker.
#[derive(ToSchema, Serialize)]
pub(crate) struct BreakerView {
    /// `KIND.NAME`.
    service: String,
    state: BreakerStand,
    /// Outages in a row.
    failures: u32,
    failures_max: u32,
    since: Option<Time>,
    next: Option<Time>,
    last: Option<String>,
    last_at: Option<Time>,
    waiting: usize,
}
