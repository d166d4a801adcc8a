//! Structs of former schemas: what they held. Frozen for ever.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::parts::{
    AdmissionEvidence, ApprovalTerms, AttemptHolder, Comment, EffectLimits, Hearing, LogSeal, Origin, Parent,
    ReworkSource, RunNumber, SignalEnd, SignalTaker, SkipReason, StopReason, Unblocked,
};
use crate::artefact::Artefact;
use everfold_base::actor::Actor;
use everfold_base::failure::Failure;
use everfold_base::id::{AttemptId, Round, RunId, StepId, StepPath, Version};
use everfold_base::json::{Hash, Payload};
use everfold_base::time::Timestamp;
use everfold_language::definition::{FinishStatus, Vote};
use everfold_language::words::UnblockDecision;

/// [`super::RunStarted`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunStarted1 {
    pub(super) run: RunId,
    pub(super) pipeline: String,
    pub(super) definition: Hash,
    pub(super) input: Payload,
    pub(super) title: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) cwd: Option<String>,
    pub(super) entropy: u64,
}

/// [`super::RunStarted`], schema 2.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunStarted2 {
    pub(super) run: RunId,
    pub(super) pipeline: String,
    pub(super) definition: Hash,
    pub(super) input: Payload,
    pub(super) title: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) cwd: Option<String>,
    pub(super) entropy: u64,
    pub(super) config: Option<Payload>,
    pub(super) parent: Option<Parent>,
    pub(super) priority: i32,
    pub(super) admission: Vec<AdmissionEvidence>,
}

/// [`super::RunStarted`], schema 3.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunStarted3 {
    pub(super) run: RunId,
    pub(super) pipeline: String,
    pub(super) definition: Hash,
    pub(super) input: Payload,
    pub(super) title: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) cwd: Option<String>,
    pub(super) entropy: u64,
    pub(super) config: Option<Payload>,
    pub(super) parent: Option<Parent>,
    pub(super) priority: i32,
    pub(super) admission: Vec<AdmissionEvidence>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) number: Option<RunNumber>,
}

/// [`super::RunStarted`], schema 4: a topmost run, and no number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunStarted4 {
    pub(super) run: RunId,
    pub(super) pipeline: String,
    pub(super) definition: Hash,
    pub(super) input: Payload,
    pub(super) title: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) cwd: Option<String>,
    pub(super) entropy: u64,
    pub(super) config: Option<Payload>,
    pub(super) parent: Option<Parent>,
    pub(super) priority: i32,
    pub(super) admission: Vec<AdmissionEvidence>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) top: Option<RunId>,
}

/// [`super::RunStarted`], schema 5: a number and a topmost run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunStarted5 {
    pub(super) run: RunId,
    pub(super) pipeline: String,
    pub(super) definition: Hash,
    pub(super) input: Payload,
    pub(super) title: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) cwd: Option<String>,
    pub(super) entropy: u64,
    pub(super) config: Option<Payload>,
    pub(super) parent: Option<Parent>,
    pub(super) priority: i32,
    pub(super) admission: Vec<AdmissionEvidence>,
    pub(super) number: Option<RunNumber>,
    pub(super) top: Option<RunId>,
}

/// [`super::RunStarted`], schema 6 as it is stored: no field is left out, so that the rest can be found behind one that is
/// empty.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunStartedWhole {
    pub(super) run: RunId,
    pub(super) pipeline: String,
    pub(super) definition: Hash,
    pub(super) input: Payload,
    pub(super) title: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) cwd: Option<String>,
    pub(super) entropy: u64,
    pub(super) config: Option<Payload>,
    pub(super) parent: Option<Parent>,
    pub(super) priority: i32,
    pub(super) admission: Vec<AdmissionEvidence>,
    pub(super) number: Option<RunNumber>,
    pub(super) top: Option<RunId>,
    pub(super) initiator: Option<Actor>,
}

/// [`super::AttemptStarted`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptStarted1 {
    pub(super) id: AttemptId,
}

/// [`super::AttemptStarted`], schema 2.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptStarted2 {
    pub(super) id: AttemptId,
    pub(super) began_at: Option<Timestamp>,
}

/// [`super::AttemptStarted`], schema 3: held by a worker, without a time of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptStarted3 {
    pub(super) id: AttemptId,
    pub(super) holder: Option<AttemptHolder>,
}

/// [`super::AttemptSucceeded`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptSucceeded1 {
    pub(super) id: AttemptId,
    pub(super) output: Payload,
    pub(super) commit: Option<String>,
    pub(super) artefacts: Vec<Artefact>,
    pub(super) ended_at: Timestamp,
}

/// [`super::AttemptFailed`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptFailed1 {
    pub(super) id: AttemptId,
    pub(super) failure: Failure,
    pub(super) commit: Option<String>,
    pub(super) artefacts: Vec<Artefact>,
    pub(super) ended_at: Timestamp,
}

/// [`super::AttemptSucceeded`], schema 2.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptSucceeded2 {
    pub(super) id: AttemptId,
    pub(super) output: Payload,
    pub(super) commit: Option<String>,
    pub(super) artefacts: Vec<Artefact>,
    pub(super) ended_at: Timestamp,
    pub(super) notes: AttemptNotes1,
}

/// [`super::AttemptFailed`], schema 2.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptFailed2 {
    pub(super) id: AttemptId,
    pub(super) failure: Failure,
    pub(super) commit: Option<String>,
    pub(super) artefacts: Vec<Artefact>,
    pub(super) ended_at: Timestamp,
    pub(super) notes: AttemptNotes1,
}

/// [`super::AttemptAsked`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptAsked1 {
    pub(super) id: AttemptId,
    pub(super) ask: Payload,
    pub(super) commit: Option<String>,
    pub(super) ended_at: Timestamp,
    pub(super) notes: AttemptNotes1,
}

/// [`super::AttemptSucceeded`], schema 3: with a log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptSucceeded3 {
    pub(super) id: AttemptId,
    pub(super) output: Payload,
    pub(super) commit: Option<String>,
    pub(super) artefacts: Vec<Artefact>,
    pub(super) ended_at: Timestamp,
    pub(super) notes: AttemptNotes2,
}

/// [`super::AttemptFailed`], schema 3: with a log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptFailed3 {
    pub(super) id: AttemptId,
    pub(super) failure: Failure,
    pub(super) commit: Option<String>,
    pub(super) artefacts: Vec<Artefact>,
    pub(super) ended_at: Timestamp,
    pub(super) notes: AttemptNotes2,
}

/// [`super::AttemptAsked`], schema 2: with a log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptAsked2 {
    pub(super) id: AttemptId,
    pub(super) ask: Payload,
    pub(super) commit: Option<String>,
    pub(super) ended_at: Timestamp,
    pub(super) notes: AttemptNotes2,
}

/// [`super::AttemptSucceeded`], schema 4: with the report of a worker, without a log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptSucceeded4 {
    pub(super) id: AttemptId,
    pub(super) output: Payload,
    pub(super) commit: Option<String>,
    pub(super) artefacts: Vec<Artefact>,
    pub(super) ended_at: Timestamp,
    pub(super) notes: AttemptNotes3,
}

/// [`super::AttemptFailed`], schema 4: with the report of a worker, without a log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptFailed4 {
    pub(super) id: AttemptId,
    pub(super) failure: Failure,
    pub(super) commit: Option<String>,
    pub(super) artefacts: Vec<Artefact>,
    pub(super) ended_at: Timestamp,
    pub(super) notes: AttemptNotes3,
}

/// [`super::AttemptAsked`], schema 3: with the report of a worker, without a log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptAsked3 {
    pub(super) id: AttemptId,
    pub(super) ask: Payload,
    pub(super) commit: Option<String>,
    pub(super) ended_at: Timestamp,
    pub(super) notes: AttemptNotes3,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct AttemptNotes1 {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) note: Option<String>,
    pub(super) code: Option<String>,
}

/// With a log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct AttemptNotes2 {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) note: Option<String>,
    pub(super) code: Option<String>,
    pub(super) log: Option<LogSeal>,
}

/// With the report of a worker, without a log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct AttemptNotes3 {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) note: Option<String>,
    pub(super) code: Option<String>,
    pub(super) report: Option<Hash>,
}

/// [`super::ChildFinished`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChildFinished1 {
    pub(super) id: AttemptId,
    pub(super) child: RunId,
    pub(super) output: Payload,
    pub(super) failure: Option<Failure>,
    pub(super) ended_at: Timestamp,
}

/// [`super::ProbeFailed`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProbeFailed1 {
    pub(super) id: AttemptId,
    pub(super) gate: String,
    pub(super) probe_no: u32,
    pub(super) message: String,
    pub(super) permanent: bool,
    pub(super) took_ms: u64,
}

/// [`super::FundsRequested`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FundsRequested1 {
    pub(super) id: AttemptId,
}

/// [`super::RunAdmitted`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunAdmitted1 {
    pub(super) admission: Vec<AdmissionEvidence>,
}

/// [`super::ReworkRequested`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReworkRequested1 {
    pub(super) target: StepId,
    pub(super) source: ReworkSource,
    pub(super) route: String,
    pub(super) used: u32,
    pub(super) max: Option<u32>,
    pub(super) findings: Payload,
    pub(super) reset: Vec<StepId>,
}

/// [`super::ApprovalRequested`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApprovalRequested1 {
    pub(super) id: AttemptId,
    pub(super) title: String,
    pub(super) show: Payload,
    pub(super) terms: ApprovalTerms1,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ApprovalTerms1 {
    pub(super) roles: Vec<String>,
    pub(super) quorum: u32,
    pub(super) veto: bool,
    pub(super) self_approval: bool,
    pub(super) comment: Vec<Vote>,
}

/// [`super::VoteCast`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VoteCast1 {
    pub(super) id: AttemptId,
    pub(super) vote: Vote,
    pub(super) comment: Option<String>,
    pub(super) roles: Vec<String>,
}

/// [`super::ApprovalRequested`], schema 2: what was shown is not recorded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApprovalRequested2 {
    pub(super) id: AttemptId,
    pub(super) title: String,
    pub(super) show: Payload,
    pub(super) terms: ApprovalTerms,
    pub(super) edit: Option<Payload>,
}

/// [`super::ApprovalDecided`], schema 1: what was shown is not recorded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApprovalDecided1 {
    pub(super) id: AttemptId,
    pub(super) decision: Vote,
    pub(super) by: Vec<String>,
    pub(super) comment: Option<String>,
}

/// [`super::VoteCast`], schema 2: it names nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VoteCast2 {
    pub(super) id: AttemptId,
    pub(super) vote: Vote,
    pub(super) comment: Option<String>,
    pub(super) roles: Vec<String>,
    pub(super) comments: Vec<Comment>,
    pub(super) edited: Option<Payload>,
}

/// [`super::RunUnblocked`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunUnblocked1 {
    pub(super) unblocked: Unblocked1,
}

/// [`super::RunUnblocked`], schema 2: without the gates that are passed over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunUnblocked2 {
    pub(super) unblocked: Unblocked,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Unblocked1 {
    pub(super) path: StepPath,
    pub(super) decision: UnblockDecision,
    pub(super) output: Option<Payload>,
    pub(super) reason: Option<String>,
}

/// [`super::RunForked`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunForked1 {
    pub(super) run: RunId,
    pub(super) origin: Origin,
    pub(super) definition: Hash,
    pub(super) input: Payload,
    pub(super) config: Option<Payload>,
    pub(super) from_step: Option<StepId>,
    pub(super) reset: Vec<StepId>,
    pub(super) title: Option<String>,
    pub(super) entropy: u64,
}

/// [`super::RunForked`], schema 2.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunForked2 {
    pub(super) run: RunId,
    pub(super) origin: Origin,
    pub(super) definition: Hash,
    pub(super) input: Payload,
    pub(super) config: Option<Payload>,
    pub(super) from_step: Option<StepId>,
    pub(super) reset: Vec<StepId>,
    pub(super) title: Option<String>,
    pub(super) entropy: u64,
    pub(super) until_step: Option<StepId>,
}

/// [`super::RunForked`], schema 3: with who is behind it, and without limits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunForked3 {
    pub(super) run: RunId,
    pub(super) origin: Origin,
    pub(super) definition: Hash,
    pub(super) input: Payload,
    pub(super) config: Option<Payload>,
    pub(super) from_step: Option<StepId>,
    pub(super) reset: Vec<StepId>,
    pub(super) title: Option<String>,
    pub(super) entropy: u64,
    pub(super) until_step: Option<StepId>,
    pub(super) initiator: Option<Actor>,
}

/// [`super::RunForked`], schema 4: with limits, by nobody else.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunForked4 {
    pub(super) run: RunId,
    pub(super) origin: Origin,
    pub(super) definition: Hash,
    pub(super) input: Payload,
    pub(super) config: Option<Payload>,
    pub(super) from_step: Option<StepId>,
    pub(super) reset: Vec<StepId>,
    pub(super) title: Option<String>,
    pub(super) entropy: u64,
    pub(super) until_step: Option<StepId>,
    pub(super) effects: Option<EffectLimits>,
}

/// [`super::RunForked`], schema 5: with limits and who is behind it; what it cuts off counts as a try.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunForked5 {
    pub(super) run: RunId,
    pub(super) origin: Origin,
    pub(super) definition: Hash,
    pub(super) input: Payload,
    pub(super) config: Option<Payload>,
    pub(super) from_step: Option<StepId>,
    pub(super) reset: Vec<StepId>,
    pub(super) title: Option<String>,
    pub(super) entropy: u64,
    pub(super) until_step: Option<StepId>,
    pub(super) initiator: Option<Actor>,
    pub(super) effects: Option<EffectLimits>,
}

/// [`super::RunForked`], all of it: the bytes of the newest schema.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunForkedWhole {
    pub(super) run: RunId,
    pub(super) origin: Origin,
    pub(super) definition: Hash,
    pub(super) input: Payload,
    pub(super) config: Option<Payload>,
    pub(super) from_step: Option<StepId>,
    pub(super) reset: Vec<StepId>,
    pub(super) title: Option<String>,
    pub(super) entropy: u64,
    pub(super) until_step: Option<StepId>,
    pub(super) initiator: Option<Actor>,
    pub(super) effects: Option<EffectLimits>,
    pub(super) keeps_tries: bool,
}

/// [`super::NoticeQueued`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NoticeQueued1 {
    pub(super) version: Version,
    pub(super) notice: String,
    pub(super) function: String,
    pub(super) channel: String,
    pub(super) with: Payload,
}

/// [`super::NoticeQueued`], schema 2.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NoticeQueued2 {
    pub(super) version: Version,
    pub(super) notice: String,
    pub(super) function: String,
    pub(super) channel: String,
    pub(super) with: Payload,
    pub(super) replaces: bool,
}

/// [`super::NoticeQueued`], schema 3.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NoticeQueued3 {
    pub(super) version: Version,
    pub(super) notice: String,
    pub(super) function: String,
    pub(super) channel: String,
    pub(super) with: Payload,
    pub(super) fallback: Option<String>,
}

/// [`super::NoticeSent`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NoticeSent1 {
    pub(super) version: Version,
    pub(super) notice: String,
    pub(super) tries: u32,
}

/// [`super::StepSucceeded`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepSucceeded1 {
    pub(super) path: StepPath,
    pub(super) round: Round,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) finish: Option<FinishStatus>,
}

/// [`super::StepSkipped`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepSkipped1 {
    pub(super) path: StepPath,
    pub(super) round: Round,
    pub(super) reason: SkipReason,
}

/// [`super::StepFailed`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepFailed1 {
    pub(super) path: StepPath,
    pub(super) round: Round,
    pub(super) failure: Failure,
    pub(super) tolerated: bool,
    pub(super) finish: Option<FinishStatus>,
}

/// [`super::SignalTaken`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignalTaken1 {
    pub(super) signal: Version,
    pub(super) by: SignalTaker,
    pub(super) how: Hearing,
    pub(super) ends: Option<SignalEnd>,
}

/// [`super::RunFailed`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunFailed1 {
    pub(super) path: Option<StepPath>,
    pub(super) failure: Failure,
}

/// [`super::RunPaused`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunPaused1 {
    pub(super) reason: Option<String>,
}

/// [`super::RunResumed`], schema 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunResumed1 {
    pub(super) reason: Option<String>,
}

/// [`super::StopRequested`], schema 1: no interrupt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StopRequested1 {
    pub(super) ids: Vec<AttemptId>,
    pub(super) reason: StopReason,
}
