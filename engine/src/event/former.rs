//! Structs of former schemas: what they held, and how it reads today. Frozen for ever.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::parts::{ApprovalTerms, Told, UnblockDecision, Unblocked};
use super::{
    AdmissionEvidence, ApprovalRequested, AttemptFailed, AttemptSucceeded, ChildFinished, NoticeQueued,
    Origin, ProbeFailed, ReworkRequested, RunAdmitted, RunForked, RunStarted, RunUnblocked, VoteCast,
};
use crate::definition::Vote;
use crate::failure::Failure;
use crate::id::{AttemptId, RunId, StepId, StepPath, Version};
use crate::json::{Hash, Payload};
use crate::time::Timestamp;
use crate::trace::Artefact;

/// [`RunStarted`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunStarted1 {
    run: RunId,
    pipeline: String,
    definition: Hash,
    input: Payload,
    title: Option<String>,
    labels: BTreeMap<String, String>,
    cwd: Option<String>,
    entropy: u64,
}

impl From<RunStarted1> for RunStarted {
    fn from(old: RunStarted1) -> Self {
        Self {
            run: old.run,
            pipeline: old.pipeline,
            definition: old.definition,
            input: old.input,
            title: old.title,
            labels: old.labels,
            cwd: old.cwd,
            entropy: old.entropy,
            config: None,
            parent: None,
            priority: 0,
            admission: Vec::new(),
        }
    }
}

/// [`AttemptSucceeded`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptSucceeded1 {
    id: AttemptId,
    output: Payload,
    commit: Option<String>,
    artefacts: Vec<Artefact>,
    ended_at: Timestamp,
}

impl From<AttemptSucceeded1> for AttemptSucceeded {
    fn from(old: AttemptSucceeded1) -> Self {
        Self {
            id: old.id,
            output: old.output,
            commit: old.commit,
            artefacts: old.artefacts,
            ended_at: old.ended_at,
            told: Told::default(),
        }
    }
}

/// [`AttemptFailed`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptFailed1 {
    id: AttemptId,
    failure: Failure,
    commit: Option<String>,
    artefacts: Vec<Artefact>,
    ended_at: Timestamp,
}

impl From<AttemptFailed1> for AttemptFailed {
    fn from(old: AttemptFailed1) -> Self {
        let AttemptFailed1 { id, failure, commit, artefacts, ended_at } = old;
        Self { id, failure, commit, artefacts, ended_at, told: Told::default() }
    }
}

/// [`ChildFinished`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChildFinished1 {
    id: AttemptId,
    child: RunId,
    output: Payload,
    failure: Option<Failure>,
    ended_at: Timestamp,
}

impl From<ChildFinished1> for ChildFinished {
    fn from(old: ChildFinished1) -> Self {
        let ChildFinished1 { id, child, output, failure, ended_at } = old;
        Self { id, child, output, failure, ended_at, commit: None }
    }
}

/// [`ProbeFailed`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProbeFailed1 {
    id: AttemptId,
    gate: String,
    probe_no: u32,
    message: String,
    permanent: bool,
    took_ms: u64,
}

impl From<ProbeFailed1> for ProbeFailed {
    fn from(old: ProbeFailed1) -> Self {
        let ProbeFailed1 { id, gate, probe_no, message, permanent, took_ms } = old;
        Self { id, gate, probe_no, message, permanent, took_ms, broken: false }
    }
}

/// [`RunAdmitted`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunAdmitted1 {
    admission: Vec<AdmissionEvidence>,
}

impl From<RunAdmitted1> for RunAdmitted {
    fn from(old: RunAdmitted1) -> Self {
        Self { admission: old.admission, at_once: false }
    }
}

/// [`ReworkRequested`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReworkRequested1 {
    target: StepId,
    source: super::ReworkSource,
    route: String,
    used: u32,
    max: Option<u32>,
    findings: Payload,
    reset: Vec<StepId>,
}

impl From<ReworkRequested1> for ReworkRequested {
    fn from(old: ReworkRequested1) -> Self {
        Self {
            target: old.target,
            source: old.source,
            route: old.route,
            used: old.used,
            max: old.max,
            findings: old.findings,
            reset: old.reset,
            hold: false,
        }
    }
}

/// [`ApprovalRequested`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApprovalRequested1 {
    id: AttemptId,
    title: String,
    show: Payload,
    terms: ApprovalTerms1,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct ApprovalTerms1 {
    roles: Vec<String>,
    quorum: u32,
    veto: bool,
    self_approval: bool,
    comment: Vec<Vote>,
}

impl From<ApprovalRequested1> for ApprovalRequested {
    fn from(old: ApprovalRequested1) -> Self {
        let terms = ApprovalTerms {
            roles: old.terms.roles,
            quorum: old.terms.quorum,
            veto: old.terms.veto,
            self_approval: old.terms.self_approval,
            comment: old.terms.comment,
            changes: false,
            remind_ms: None,
        };
        Self { id: old.id, title: old.title, show: old.show, terms, edit: None }
    }
}

/// [`VoteCast`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VoteCast1 {
    id: AttemptId,
    vote: Vote,
    comment: Option<String>,
    roles: Vec<String>,
}

impl From<VoteCast1> for VoteCast {
    fn from(old: VoteCast1) -> Self {
        Self {
            id: old.id,
            vote: old.vote,
            comment: old.comment,
            roles: old.roles,
            comments: Vec::new(),
            edited: None,
        }
    }
}

/// [`RunUnblocked`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunUnblocked1 {
    unblocked: Unblocked1,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Unblocked1 {
    path: StepPath,
    decision: UnblockDecision,
    output: Option<Payload>,
    reason: Option<String>,
}

impl From<RunUnblocked1> for RunUnblocked {
    fn from(old: RunUnblocked1) -> Self {
        let Unblocked1 { path, decision, output, reason } = old.unblocked;
        Self { unblocked: Unblocked { path, decision, output, reason, policies: BTreeMap::new() } }
    }
}

/// [`RunForked`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunForked1 {
    run: RunId,
    origin: Origin,
    definition: Hash,
    input: Payload,
    config: Option<Payload>,
    from_step: Option<StepId>,
    reset: Vec<StepId>,
    title: Option<String>,
    entropy: u64,
}

impl From<RunForked1> for RunForked {
    fn from(old: RunForked1) -> Self {
        Self {
            run: old.run,
            origin: old.origin,
            definition: old.definition,
            input: old.input,
            config: old.config,
            from_step: old.from_step,
            reset: old.reset,
            title: old.title,
            entropy: old.entropy,
            until_step: None,
        }
    }
}

/// [`NoticeQueued`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NoticeQueued1 {
    version: Version,
    notice: String,
    function: String,
    channel: String,
    with: Payload,
}

impl From<NoticeQueued1> for NoticeQueued {
    fn from(old: NoticeQueued1) -> Self {
        let NoticeQueued1 { version, notice, function, channel, with } = old;
        Self { version, notice, function, channel, with, replaces: false }
    }
}

impl NoticeQueued {
    /// The former schema says all of it.
    pub(super) fn replaces_none(&self) -> bool {
        !self.replaces
    }
}

impl AttemptFailed {
    /// The former schema, in which such events were released, says all of it.
    pub(super) fn is_silent(&self) -> bool {
        self.told.is_nothing()
    }
}

impl RunAdmitted {
    /// The former schema says all of it.
    pub(super) fn has_waited(&self) -> bool {
        !self.at_once
    }
}

impl ProbeFailed {
    /// The former schema says all of it.
    pub(super) fn is_sound(&self) -> bool {
        !self.broken
    }
}

impl ChildFinished {
    /// The former schema says all of it.
    pub(super) fn has_no_commit(&self) -> bool {
        self.commit.is_none()
    }
}
