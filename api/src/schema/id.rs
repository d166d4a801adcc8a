//! What names runs, steps and attempts, and the moments of events.

use serde::Serialize;
use utoipa::ToSchema;

/// A run's id: a UUID.
#[derive(ToSchema, Serialize)]
#[schema(example = "0190b3a2-7c1e-7a44-9d6f-3b1c5e2f8a10")]
#[schema(as = RunId)]
pub(crate) struct RunIdSchema(String);

/// A time in RFC 3339, UTC.
#[derive(ToSchema, Serialize)]
#[schema(format = DateTime, example = "2026-11-20T10:00:00.000Z")]
#[schema(as = Time)]
pub(crate) struct TimeSchema(String);

/// A moment in a body: a time in RFC 3339, or a position of the log.
#[derive(ToSchema, Serialize)]
#[serde(untagged)]
#[schema(as = WrittenMoment)]
pub(crate) enum MomentOfBodySchema {
    #[schema(format = DateTime)]
    Time(String),
    Position(u64),
}

/// A BLAKE3 hash in hexadecimal digits.
#[derive(ToSchema, Serialize)]
#[schema(example = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262")]
#[schema(as = Hash)]
pub(crate) struct HashSchema(String);

/// A step by its id, or an item of it.
#[derive(ToSchema, Serialize)]
#[schema(as = StepPath)]
pub(crate) struct StepPathSchema {
    /// The step.
    step: String,
    /// The item of a `foreach`, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<u32>,
}

/// An attempt of a step.
#[derive(ToSchema, Serialize)]
#[schema(as = AttemptId)]
pub(crate) struct AttemptIdSchema {
    path: StepPathSchema,
    round: u32,
    attempt: u32,
}
