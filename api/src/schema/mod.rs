//! Schemas of the types that other crates own, for the OpenAPI document.
//!
//! Law: `NameSchema` describes what the type `Name` serializes to. No value of a schema is ever constructed. A type that
//! this crate owns derives its schema itself; only what comes from below has a mirror here.
//!
//! Why mirrors: the crates below depend on no document. A schema that schemars derived there would need it in the crate
//! of ids and times, which the core stands on, and would say other things than this document does: fields that may be
//! null as required, variants with a description each, numbers without their range, comments for programmers in place of
//! those for callers. The tests `schema_mirrors` of `api/tests/api` compare the fields, variants and words of each mirror
//! with its type, and `document` validates real answers against the whole document.
#![allow(dead_code, reason = "they are read by their derive alone")]

mod access;
mod board;
mod budget;
mod history;
mod id;
mod line;
mod model;
mod pipeline;
mod run;
mod signal;
mod task;
mod why;
mod worker;

pub(crate) use access::{RoleSchema, TokenSchema};
pub(crate) use board::{GroupBySchema, StatsSchema, StepFiguresSchema, TimeFiguresSchema};
pub(crate) use budget::{AmountSchema, MeasureSchema, OnOverSchema, PeriodSchema};
pub(crate) use history::{
    AttemptRowSchema, DecisionSchema, EventLineSchema, ListedDecisionSchema, RunAttemptSchema,
    RunDecisionSchema, StreamEventSchema, VerdictSchema,
};
pub(crate) use id::{HashSchema, MomentOfBodySchema, RunIdSchema, TimeSchema};
pub(crate) use line::{BreakerViewSchema, LimitsAnswerSchema, WaitingSchema};
pub(crate) use model::ModelStatusSchema;
pub(crate) use pipeline::{FileProblemSchema, WrittenSchema};
pub(crate) use run::{
    BlockReasonSchema, FailureKindSchema, OriginSchema, RunRowSchema, RunStatusSchema, StepStatusSchema,
    WantedSlotSchema, WorkspaceSchema,
};
pub(crate) use signal::{HearingSchema, SignalTakerSchema};
pub(crate) use task::{SeenKindSchema, TaskSchema, UnblockingSchema, VotingSchema};
pub(crate) use why::CauseSchema;
pub(crate) use worker::{
    AttemptNameSchema, HeardSchema, JobSchema, RemoteViewSchema, ReportedFailureSchema, WorkerViewSchema,
};
