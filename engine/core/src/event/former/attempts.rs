//! Structs of former schemas: attempts. Frozen for ever.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::artefact::Artefact;
use crate::event::parts::{AttemptHolder, LogSeal, StopReason};
use everfold_base::failure::Failure;
use everfold_base::id::{AttemptId, RunId};
use everfold_base::json::{Hash, Payload};
use everfold_base::time::Timestamp;

/// [`crate::event::AttemptStarted`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptStarted1 {
    pub(crate) id: AttemptId,
}

/// [`crate::event::AttemptStarted`], schema 2.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptStarted2 {
    pub(crate) id: AttemptId,
    pub(crate) began_at: Option<Timestamp>,
}

/// [`crate::event::AttemptStarted`], schema 3: held by a worker, without a time of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptStarted3 {
    pub(crate) id: AttemptId,
    pub(crate) holder: Option<AttemptHolder>,
}

/// [`crate::event::AttemptSucceeded`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptSucceeded1 {
    pub(crate) id: AttemptId,
    pub(crate) output: Payload,
    pub(crate) commit: Option<String>,
    pub(crate) artefacts: Vec<Artefact>,
    pub(crate) ended_at: Timestamp,
}

/// [`crate::event::AttemptFailed`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptFailed1 {
    pub(crate) id: AttemptId,
    pub(crate) failure: Failure,
    pub(crate) commit: Option<String>,
    pub(crate) artefacts: Vec<Artefact>,
    pub(crate) ended_at: Timestamp,
}

/// [`crate::event::AttemptSucceeded`], schema 2.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptSucceeded2 {
    pub(crate) id: AttemptId,
    pub(crate) output: Payload,
    pub(crate) commit: Option<String>,
    pub(crate) artefacts: Vec<Artefact>,
    pub(crate) ended_at: Timestamp,
    pub(crate) notes: AttemptNotes1,
}

/// [`crate::event::AttemptFailed`], schema 2.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptFailed2 {
    pub(crate) id: AttemptId,
    pub(crate) failure: Failure,
    pub(crate) commit: Option<String>,
    pub(crate) artefacts: Vec<Artefact>,
    pub(crate) ended_at: Timestamp,
    pub(crate) notes: AttemptNotes1,
}

/// [`crate::event::AttemptAsked`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptAsked1 {
    pub(crate) id: AttemptId,
    pub(crate) ask: Payload,
    pub(crate) commit: Option<String>,
    pub(crate) ended_at: Timestamp,
    pub(crate) notes: AttemptNotes1,
}

/// [`crate::event::AttemptSucceeded`], schema 3: with a log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptSucceeded3 {
    pub(crate) id: AttemptId,
    pub(crate) output: Payload,
    pub(crate) commit: Option<String>,
    pub(crate) artefacts: Vec<Artefact>,
    pub(crate) ended_at: Timestamp,
    pub(crate) notes: AttemptNotes2,
}

/// [`crate::event::AttemptFailed`], schema 3: with a log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptFailed3 {
    pub(crate) id: AttemptId,
    pub(crate) failure: Failure,
    pub(crate) commit: Option<String>,
    pub(crate) artefacts: Vec<Artefact>,
    pub(crate) ended_at: Timestamp,
    pub(crate) notes: AttemptNotes2,
}

/// [`crate::event::AttemptAsked`], schema 2: with a log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptAsked2 {
    pub(crate) id: AttemptId,
    pub(crate) ask: Payload,
    pub(crate) commit: Option<String>,
    pub(crate) ended_at: Timestamp,
    pub(crate) notes: AttemptNotes2,
}

/// [`crate::event::AttemptSucceeded`], schema 4: with the report of a worker, without a log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptSucceeded4 {
    pub(crate) id: AttemptId,
    pub(crate) output: Payload,
    pub(crate) commit: Option<String>,
    pub(crate) artefacts: Vec<Artefact>,
    pub(crate) ended_at: Timestamp,
    pub(crate) notes: AttemptNotes3,
}

/// [`crate::event::AttemptFailed`], schema 4: with the report of a worker, without a log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptFailed4 {
    pub(crate) id: AttemptId,
    pub(crate) failure: Failure,
    pub(crate) commit: Option<String>,
    pub(crate) artefacts: Vec<Artefact>,
    pub(crate) ended_at: Timestamp,
    pub(crate) notes: AttemptNotes3,
}

/// [`crate::event::AttemptAsked`], schema 3: with the report of a worker, without a log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptAsked3 {
    pub(crate) id: AttemptId,
    pub(crate) ask: Payload,
    pub(crate) commit: Option<String>,
    pub(crate) ended_at: Timestamp,
    pub(crate) notes: AttemptNotes3,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AttemptNotes1 {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) note: Option<String>,
    pub(crate) code: Option<String>,
}

/// With a log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AttemptNotes2 {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) note: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) log: Option<LogSeal>,
}

/// With the report of a worker, without a log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AttemptNotes3 {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) note: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) report: Option<Hash>,
}

/// [`crate::event::ChildFinished`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChildFinished1 {
    pub(crate) id: AttemptId,
    pub(crate) child: RunId,
    pub(crate) output: Payload,
    pub(crate) failure: Option<Failure>,
    pub(crate) ended_at: Timestamp,
}

/// [`crate::event::StopRequested`], schema 1: no interrupt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StopRequested1 {
    pub(crate) ids: Vec<AttemptId>,
    pub(crate) reason: StopReason,
}
