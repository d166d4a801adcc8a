//! The shapes of answers that other crates own, as the OpenAPI document tells them.
//!
//! Law: each says what its type writes; the pure core knows no document, so they stand here, and a test holds
//! real answers against them. Nothing is ever made of them.
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

pub(crate) use access::{Role, Token};
pub(crate) use board::{Board, Stats};
pub(crate) use budget::{Amount, Measure, OnOver, Period, SpendBy};
pub(crate) use history::{AttemptRow, Decision, EventLine, RunDecision, StreamEvent, Verdict};
pub(crate) use id::{Hash, RunId, Time};
pub(crate) use line::{LimitsAnswer, Waiting};
pub(crate) use model::Projections;
pub(crate) use pipeline::{FileProblem, Written};
pub(crate) use run::{
    BlockReason, FailureKind, Origin, RunRow, RunStatus, StepStatus, WantedSlot, Workspace,
};
pub(crate) use signal::{Hearing, SignalTaker};
pub(crate) use task::{Task, Unblocking, Voting};
pub(crate) use worker::{AttemptName, Heard, Job, Told, WorkersAnswer};
