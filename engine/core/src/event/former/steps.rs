//! Structs of former schemas: steps. Frozen for ever.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::parts::{ReworkSource, SkipReason, Unblocked};
use everfold_base::failure::Failure;
use everfold_base::id::{Round, StepId, StepPath};
use everfold_base::json::Payload;
use everfold_language::definition::FinishStatus;
use everfold_language::words::UnblockDecision;

/// [`crate::event::ReworkRequested`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReworkRequested1 {
    pub(crate) target: StepId,
    pub(crate) source: ReworkSource,
    pub(crate) route: String,
    pub(crate) used: u32,
    pub(crate) max: Option<u32>,
    pub(crate) findings: Payload,
    pub(crate) reset: Vec<StepId>,
}

/// [`crate::event::RunUnblocked`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunUnblocked1 {
    pub(crate) unblocked: Unblocked1,
}

/// [`crate::event::RunUnblocked`], schema 2: without the gates that are passed over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunUnblocked2 {
    pub(crate) unblocked: Unblocked,
}

/// [`crate::event::RunUnblocked`], schema 3: without what is said of items.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunUnblocked3 {
    pub(crate) unblocked: Unblocked,
    pub(crate) bypassed: Vec<String>,
}

/// [`crate::event::RunUnblocked`], all of it: the bytes of the newest schema.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunUnblockedWhole {
    pub(crate) unblocked: Unblocked,
    pub(crate) bypassed: Vec<String>,
    pub(crate) keeps_items: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Unblocked1 {
    pub(crate) path: StepPath,
    pub(crate) decision: UnblockDecision,
    pub(crate) output: Option<Payload>,
    pub(crate) reason: Option<String>,
}

/// [`crate::event::StepSucceeded`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepSucceeded1 {
    pub(crate) path: StepPath,
    pub(crate) round: Round,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) finish: Option<FinishStatus>,
}

/// [`crate::event::StepSkipped`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepSkipped1 {
    pub(crate) path: StepPath,
    pub(crate) round: Round,
    pub(crate) reason: SkipReason,
}

/// [`crate::event::StepFailed`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepFailed1 {
    pub(crate) path: StepPath,
    pub(crate) round: Round,
    pub(crate) failure: Failure,
    pub(crate) tolerated: bool,
    pub(crate) finish: Option<FinishStatus>,
}
