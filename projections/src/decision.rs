//! Decisions of runs: gates, votes, overrides, cancellations. [`crate::AuditView`] finds them.

use std::collections::BTreeMap;

use everfold_base::actor::Actor;
use everfold_base::envelope::{Envelope, flag};
use everfold_base::id::{Attempt, Position, Round, Version};
use everfold_base::json::{Hash, Payload};
use everfold_base::time::Timestamp;
use everfold_core::event::{
    self, Comment, RunEvent, Seen, SignalDecision, SignalEnd, SignalTaken, SignalTaker, TimerKind,
    UnblockDecision,
};
use everfold_core::policy::Verdict;
use everfold_language::definition::FinishStatus;
use serde::{Deserialize, Serialize};

use crate::event_readers::{DECISIONS, is_read_by, passed_over};
use crate::inbox::vote_word;
use crate::rechecks::AskedRecheck;

/// One decision.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decision {
    /// The event's place in its run.
    pub version: Version,
    /// The event's place in the store.
    pub position: Position,
    /// When.
    pub at: Timestamp,
    /// Who decided. A verdict, and the rework that it leads to, are the engine's: a person who has a gate judged again, by
    /// whatever policy, is the actor of the recheck.
    pub actor: String,
    /// The step, or an item of it.
    pub step: Option<String>,
    /// The round.
    pub round: Option<Round>,
    /// What was decided.
    #[serde(flatten)]
    pub kind: DecisionKind,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DecisionKind {
    /// A gate was judged.
    Gate {
        /// The gate.
        gate: String,
        /// The attempt that was judged.
        attempt: Attempt,
        /// The number of the probe.
        probe_no: u32,
        /// What it says.
        verdict: Verdict,
        /// Why.
        reason: String,
        /// On what.
        evidence: Payload,
        /// By which policy.
        policy: String,
        /// BLAKE3 of that text.
        policy_hash: Hash,
        /// The version of the evaluator.
        evaluator: u32,
        /// It failed, and the run went on.
        tolerated: bool,
    },
    /// A vote.
    Vote {
        /// What was said.
        vote: &'static str,
        /// With which words.
        comment: Option<String>,
        /// Remarks on what was shown.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        comments: Vec<Comment>,
        /// What was put in the place of the shown value.
        #[serde(skip_serializing_if = "Option::is_none")]
        edited: Option<Payload>,
        /// The digest of what the task showed.
        #[serde(skip_serializing_if = "Option::is_none")]
        seen: Option<Hash>,
    },
    /// A part of an answer that a person saved.
    Part {
        /// `{choice?, text?, items?, states?}`.
        answer: Payload,
    },
    /// An answer to a question.
    Answer {
        /// `{choice, text, items, by}`.
        answer: Payload,
    },
    /// An approval or a question expired without a decision.
    Expiry {
        /// Until when there was time.
        due: Timestamp,
    },
    /// The votes sufficed.
    Approval {
        /// What they say.
        decision: &'static str,
        /// Whose votes made it.
        by: Vec<String>,
        /// Their comments.
        comment: Option<String>,
        /// On what: the hashes of all that was shown, and the votes of former rounds that counted on.
        #[serde(skip_serializing_if = "Option::is_none")]
        seen: Option<Seen>,
    },
    /// A person decided on a blocked step, or a signal ended the run.
    Override {
        /// What to do.
        decision: OverrideDecision,
        /// The signal that ended the run.
        #[serde(skip_serializing_if = "Option::is_none")]
        signal: Option<String>,
        /// Why.
        reason: Option<String>,
        /// By what the gates were judged again instead of the pipeline's policies.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        policies: BTreeMap<String, String>,
        /// The gates that were passed over: those of the step that had not passed in its round; where a signal ended the
        /// run, those of all steps that were judged or blocked, as `STEP/GATE`.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        bypassed: Vec<String>,
        /// The output that the step was given in the place of its own.
        #[serde(skip_serializing_if = "Option::is_none")]
        output: Option<Payload>,
    },
    /// An operator had a step's gates judged again.
    Recheck {
        /// Why.
        reason: Option<String>,
        /// By what instead of the pipeline's policies, by gate.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        policies: BTreeMap<String, String>,
        /// The recheck in whose place it is: not all that it asked for was judged.
        #[serde(skip_serializing_if = "Option::is_none")]
        displaced: Option<AskedRecheck>,
    },
    /// A recheck came to no verdict of a gate: there was no evidence, or none to judge by.
    Unjudged {
        /// The gate.
        gate: String,
        /// The attempt that was to be judged.
        attempt: Attempt,
        /// The number of the probe.
        probe_no: u32,
        /// What happened.
        reason: String,
        /// Asking again cannot help.
        permanent: bool,
        /// The recheck.
        asked: AskedRecheck,
    },
    /// A step was sent back.
    Rework {
        /// The gate that failed, if it was one.
        gate: Option<String>,
        /// The person behind it, if it was one.
        by: Option<String>,
        /// Which route, as `STEP/PLACE/INDEX`.
        route: String,
        /// The uses of the route, this one included.
        used: u32,
        /// How many are allowed.
        max: Option<u32>,
    },
    /// The run, or a step of it, was cancelled.
    Cancel {
        /// Why.
        reason: Option<String>,
        /// The signal that ended the run.
        #[serde(skip_serializing_if = "Option::is_none")]
        signal: Option<String>,
    },
}

/// What was decided in the place of the pipeline's own judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OverrideDecision {
    /// The run ends well.
    Succeed,
    /// The run fails.
    Fail,
    /// How a blocked step goes on.
    #[serde(untagged)]
    Unblock(UnblockDecision),
}

/// What kind of decision: the `kind` of a [`DecisionKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionType {
    /// [`DecisionKind::Gate`].
    Gate,
    /// [`DecisionKind::Vote`].
    Vote,
    /// [`DecisionKind::Part`].
    Part,
    /// [`DecisionKind::Answer`].
    Answer,
    /// [`DecisionKind::Expiry`].
    Expiry,
    /// [`DecisionKind::Approval`].
    Approval,
    /// [`DecisionKind::Override`].
    Override,
    /// [`DecisionKind::Recheck`].
    Recheck,
    /// [`DecisionKind::Unjudged`].
    Unjudged,
    /// [`DecisionKind::Rework`].
    Rework,
    /// [`DecisionKind::Cancel`].
    Cancel,
}

impl DecisionType {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Gate,
        Self::Vote,
        Self::Part,
        Self::Answer,
        Self::Expiry,
        Self::Approval,
        Self::Override,
        Self::Recheck,
        Self::Unjudged,
        Self::Rework,
        Self::Cancel,
    ];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Vote => "vote",
            Self::Part => "part",
            Self::Answer => "answer",
            Self::Expiry => "expiry",
            Self::Approval => "approval",
            Self::Override => "override",
            Self::Recheck => "recheck",
            Self::Unjudged => "unjudged",
            Self::Rework => "rework",
            Self::Cancel => "cancel",
        }
    }
}

/// The decision that an event is, if it is one; those of a copied history are another run's. `about` is the recheck that it
/// fails to judge, or displaces.
#[must_use]
pub fn decision_of(envelope: &Envelope, about: Option<AskedRecheck>) -> Option<Decision> {
    let header = &envelope.header;
    if header.flags & flag::COPIED != 0 {
        return None;
    }
    let event = event::decode(header.kind, header.schema, &envelope.payload).ok()?;
    let (step, round, kind) = decision(&event, about)?;
    Some(Decision {
        version: header.version,
        position: envelope.position,
        at: header.recorded_at,
        actor: actor_of(&event).unwrap_or(&header.actor).to_string(),
        step,
        round,
        kind,
    })
}

/// Whether an event is a decision, or may be one.
pub(crate) fn is_decision(event: &RunEvent) -> bool {
    match event {
        RunEvent::TimerFired(event) => event.timer.kind == TimerKind::Expiry,
        RunEvent::SignalTaken(taken) => decides(taken),
        other => is_read_by(other, DECISIONS),
    }
}

/// Whether a signal ended its run, or failed its step. Former versions recorded no decision with an end.
fn decides(taken: &SignalTaken) -> bool {
    taken.ends.is_some() || taken.decision.is_some()
}

/// Who decided, where it is not the actor of the event: a signal that was put off is taken with a later input, and what a
/// gate says is recorded with the input of a person where there was nothing to be probed.
pub(crate) fn actor_of(event: &RunEvent) -> Option<&Actor> {
    match event {
        RunEvent::SignalTaken(event) => event.decision.as_ref().map(|decision| &decision.sent_by),
        RunEvent::GateEvaluated(_) | RunEvent::ProbeFailed(_) => Some(&Actor::Engine),
        RunEvent::ReworkRequested(event) if event.source.gate.is_some() && event.source.by.is_none() => {
            Some(&Actor::Engine)
        }
        _others => None,
    }
}

/// What kind of decision an event is, if it is one; a probe that failed is one within a recheck.
pub(crate) fn type_of(event: &RunEvent) -> Option<DecisionType> {
    Some(match event {
        RunEvent::GateEvaluated(_) => DecisionType::Gate,
        RunEvent::VoteCast(_) => DecisionType::Vote,
        RunEvent::AnswerSaved(_) => DecisionType::Part,
        RunEvent::QuestionAnswered(_) => DecisionType::Answer,
        RunEvent::TimerFired(_) => return is_decision(event).then_some(DecisionType::Expiry),
        RunEvent::ApprovalDecided(_) => DecisionType::Approval,
        RunEvent::RunUnblocked(_) => DecisionType::Override,
        RunEvent::SignalTaken(taken) => {
            let kind = match &taken.ends {
                Some(SignalEnd::Finished(FinishStatus::Cancelled)) => DecisionType::Cancel,
                Some(SignalEnd::Finished(_) | SignalEnd::Failed(_)) | None => DecisionType::Override,
            };
            return decides(taken).then_some(kind);
        }
        RunEvent::RecheckRequested(_) => DecisionType::Recheck,
        RunEvent::ProbeFailed(_) => DecisionType::Unjudged,
        RunEvent::ReworkRequested(_) => DecisionType::Rework,
        RunEvent::StepCancelRequested(_) | RunEvent::CancelRequested(_) | RunEvent::RunAbandoned(_) => {
            DecisionType::Cancel
        }
        other => {
            passed_over(other, DECISIONS);
            return None;
        }
    })
}

fn decision(
    event: &RunEvent,
    about: Option<AskedRecheck>,
) -> Option<(Option<String>, Option<Round>, DecisionKind)> {
    let (step, round, kind) = match event {
        RunEvent::GateEvaluated(event) => (
            event.id.path.to_string(),
            Some(event.id.round),
            DecisionKind::Gate {
                gate: event.gate.clone(),
                attempt: event.id.attempt,
                probe_no: event.probe_no,
                verdict: event.verdict,
                reason: event.reason.clone(),
                evidence: event.evidence.clone(),
                policy: event.policy.clone(),
                policy_hash: event.policy_hash,
                evaluator: event.evaluator,
                tolerated: event.tolerated,
            },
        ),
        RunEvent::VoteCast(event) => (
            event.id.path.to_string(),
            Some(event.id.round),
            DecisionKind::Vote {
                vote: vote_word(event.vote),
                comment: event.comment.clone(),
                comments: event.comments.clone(),
                edited: event.edited.clone(),
                seen: event.seen,
            },
        ),
        RunEvent::AnswerSaved(event) => (
            event.id.path.to_string(),
            Some(event.id.round),
            DecisionKind::Part { answer: event.answer.clone() },
        ),
        RunEvent::QuestionAnswered(event) => (
            event.id.path.to_string(),
            Some(event.id.round),
            DecisionKind::Answer { answer: event.answer.clone() },
        ),
        RunEvent::TimerFired(event) => {
            let id = &event.timer.id;
            let kind = DecisionKind::Expiry { due: event.due };
            let is_decision = event.timer.kind == TimerKind::Expiry;
            return is_decision.then(|| (Some(id.path.to_string()), Some(id.round), kind));
        }
        RunEvent::ApprovalDecided(event) => (
            event.id.path.to_string(),
            Some(event.id.round),
            DecisionKind::Approval {
                decision: vote_word(event.decision),
                by: event.by.clone(),
                comment: event.comment.clone(),
                seen: event.seen.clone(),
            },
        ),
        RunEvent::RunUnblocked(event) => (
            event.unblocked.path.to_string(),
            None,
            DecisionKind::Override {
                decision: OverrideDecision::Unblock(event.unblocked.decision),
                signal: None,
                reason: event.unblocked.reason.clone(),
                policies: event.unblocked.policies.clone(),
                bypassed: event.bypassed.clone(),
                output: event.unblocked.output.clone(),
            },
        ),
        RunEvent::RecheckRequested(event) => (
            event.path.to_string(),
            None,
            DecisionKind::Recheck {
                reason: event.reason.clone(),
                policies: event.policies.clone(),
                displaced: about,
            },
        ),
        RunEvent::ProbeFailed(event) => (
            event.id.path.to_string(),
            Some(event.id.round),
            DecisionKind::Unjudged {
                gate: event.gate.clone(),
                attempt: event.id.attempt,
                probe_no: event.probe_no,
                reason: event.message.clone(),
                permanent: event.permanent,
                asked: about?,
            },
        ),
        RunEvent::ReworkRequested(event) => (
            event.target.to_string(),
            None,
            DecisionKind::Rework {
                gate: event.source.gate.clone(),
                by: event.source.by.clone(),
                route: event.route.clone(),
                used: event.used,
                max: event.max,
            },
        ),
        RunEvent::SignalTaken(event) => return by_signal(event),
        RunEvent::StepCancelRequested(event) => {
            let step = Some(event.path.to_string());
            return Some((step, None, DecisionKind::Cancel { reason: event.reason.clone(), signal: None }));
        }
        RunEvent::CancelRequested(event) => {
            return Some((None, None, DecisionKind::Cancel { reason: event.reason.clone(), signal: None }));
        }
        RunEvent::RunAbandoned(event) => {
            return Some((None, None, DecisionKind::Cancel { reason: event.reason.clone(), signal: None }));
        }
        other => {
            passed_over(other, DECISIONS);
            return None;
        }
    };
    Some((Some(step), round, kind))
}

/// What a signal decided that ended its run, or failed its step. Former versions recorded neither its name nor the gates
/// with it, and of a step nothing.
fn by_signal(event: &SignalTaken) -> Option<(Option<String>, Option<Round>, DecisionKind)> {
    if !decides(event) {
        return None;
    }
    let known = event.decision.as_ref();
    let (step, round) = match &event.by {
        SignalTaker::Step(id) => (Some(id.path.to_string()), Some(id.round)),
        SignalTaker::Run | SignalTaker::Nobody | SignalTaker::Gate { .. } | SignalTaker::Wait(_) => {
            (None, None)
        }
    };
    let signal = known.map(|known| known.name.clone());
    let reason = known.map(SignalDecision::reason);
    let decided = |decision, reason| {
        let bypassed = known.map(|known| known.bypassed.clone()).unwrap_or_default();
        let (policies, output) = (BTreeMap::new(), None);
        DecisionKind::Override { decision, signal: signal.clone(), reason, policies, bypassed, output }
    };
    let kind = match &event.ends {
        Some(SignalEnd::Finished(FinishStatus::Succeeded)) => decided(OverrideDecision::Succeed, reason),
        Some(SignalEnd::Failed(failure)) => decided(OverrideDecision::Fail, Some(failure.message.clone())),
        Some(SignalEnd::Finished(FinishStatus::Cancelled)) => DecisionKind::Cancel { reason, signal },
        Some(SignalEnd::Finished(FinishStatus::Failed)) | None => decided(OverrideDecision::Fail, reason),
    };
    Some((step, round, kind))
}
