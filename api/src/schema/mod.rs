//! Schemas of the types that other crates own, for the OpenAPI document.
//!
//! Law: `NameSchema` describes what the type `Name` serializes to; the crates below depend on no document, so the
//! schemas stand here, and a test validates real answers against them. No value of them is ever constructed.
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
mod worker;

pub(crate) use access::{RoleSchema, TokenSchema};
pub(crate) use board::{BoardSchema, StatsSchema};
pub(crate) use budget::{AmountSchema, MeasureSchema, OnOverSchema, PeriodSchema, SpendBySchema};
pub(crate) use history::{
    AttemptRowSchema, DecisionSchema, EventLineSchema, RunDecisionSchema, StreamEventSchema, VerdictSchema,
};
pub(crate) use id::{HashSchema, RunIdSchema, TimeSchema};
pub(crate) use line::{LimitsAnswerSchema, WaitingSchema};
pub(crate) use model::ModelStatusSchema;
pub(crate) use pipeline::{FileProblemSchema, WrittenSchema};
pub(crate) use run::{
    BlockReasonSchema, FailureKindSchema, OriginSchema, RunRowSchema, RunStatusSchema, StepStatusSchema,
    WantedSlotSchema, WorkspaceSchema,
};
pub(crate) use signal::{HearingSchema, SignalTakerSchema};
pub(crate) use task::{TaskSchema, UnblockingSchema, VotingSchema};
pub(crate) use worker::{
    AttemptNameSchema, HeardSchema, JobSchema, ReportedFailureSchema, WorkersAnswerSchema,
};
