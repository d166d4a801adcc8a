//! From a recorded fact back to the input that caused it.
//!
//! Law (H5): every kind of input has exactly one kind of fact, first in its batch, that holds all of
//! it. So `decide(fold(prefix), input_of(fact))` equals the recorded batch.
//!
//! Called by replay.

use crate::event::RunEvent;
use crate::event::Told;
use crate::input::{Fork, Input, InputKind, SharedFrom, Start};
use crate::state::EventMeta;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::{BlobRef, JsonText, Payload};

/// Why there is no input for an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoInput {
    /// Such an event follows from others; it is never the first of its batch.
    #[error("{0} is no fact of an input")]
    NotAFact(&'static str),
    /// The value is kept as a blob that was not given.
    #[error("the value {} of {name} is not at hand", blob.hash.short())]
    Missing {
        /// The event's name.
        name: &'static str,
        /// The blob.
        blob: BlobRef,
    },
}

/// The input whose fact this event is. `blob` gives the text of a value that is kept outside.
///
/// # Errors
/// [`NoInput`]: the event is not a fact, or a blob is not at hand.
pub fn input_of(
    event: &RunEvent,
    meta: &EventMeta,
    blob: &dyn Fn(&BlobRef) -> Option<JsonText>,
) -> Result<Input, NoInput> {
    let text = |payload: &Payload| match payload {
        Payload::Inline(text) => Ok(text.clone()),
        Payload::Blob(reference) => {
            blob(reference).ok_or(NoInput::Missing { name: event.name(), blob: *reference })
        }
    };
    let kind = match event.clone() {
        RunEvent::RunStarted(fact) => InputKind::Start(Start {
            run: fact.run,
            input: text(&fact.input)?,
            title: fact.title,
            // The pipeline's own are among them: given again, they win over equal ones.
            labels: fact.labels,
            cwd: fact.cwd,
            entropy: fact.entropy,
            config: fact.config.as_ref().map(text).transpose()?,
            parent: fact.parent,
            priority: fact.priority,
            admission: fact.admission,
        }),
        RunEvent::AttemptStarted(fact) => InputKind::AttemptStarted { id: fact.id },
        RunEvent::AttemptSucceeded(fact) => InputKind::AttemptFinished {
            id: fact.id,
            result: Ok(text(&fact.output)?),
            commit: fact.commit,
            artefacts: fact.artefacts,
            ended_at: fact.ended_at,
            told: fact.told,
            ask: None,
        },
        RunEvent::AttemptFailed(fact) => InputKind::AttemptFinished {
            id: fact.id,
            result: Err(fact.failure),
            commit: fact.commit,
            artefacts: fact.artefacts,
            ended_at: fact.ended_at,
            told: fact.told,
            ask: None,
        },
        RunEvent::AttemptAsked(fact) => InputKind::AttemptFinished {
            ask: Some(text(&fact.ask)?),
            id: fact.id,
            result: Ok(JsonText::null()),
            commit: fact.commit,
            artefacts: Vec::new(),
            ended_at: fact.ended_at,
            told: fact.told,
        },
        RunEvent::ChildStarted(fact) => InputKind::AttemptStarted { id: fact.id },
        RunEvent::ChildFinished(fact) => InputKind::AttemptFinished {
            result: match fact.failure {
                Some(failure) => Err(failure),
                None => Ok(text(&fact.output)?),
            },
            id: fact.id,
            commit: fact.commit,
            artefacts: Vec::new(),
            ended_at: fact.ended_at,
            told: Told::default(),
            ask: None,
        },
        RunEvent::ChildStopped(fact) => InputKind::AttemptFinished {
            id: fact.id,
            result: Err(Failure::new(FailureKind::Cancelled, "the run that started it was cancelled")),
            commit: None,
            artefacts: Vec::new(),
            ended_at: fact.ended_at,
            told: Told::default(),
            ask: None,
        },
        RunEvent::AttemptLost(fact) => {
            InputKind::AttemptLost { id: fact.id, reason: fact.reason, fallback: fact.fallback }
        }
        RunEvent::UsageRecorded(fact) => InputKind::Usage { id: fact.id, seq: fact.seq, usage: fact.usage },
        RunEvent::WorkspacePrepared(fact) => {
            InputKind::WorkspacePrepared(match (fact.workspace, fact.failure) {
                (Some(workspace), _) => Ok(workspace),
                (None, Some(failure)) => Err(failure),
                (None, None) => return Err(NoInput::NotAFact("WorkspacePrepared")),
            })
        }
        RunEvent::WorkspaceShared(fact) => InputKind::WorkspaceShared(SharedFrom {
            workspace: fact.workspace,
            owner: fact.owner,
            save: fact.save,
            author: fact.author,
        }),
        RunEvent::WorkspaceRemoved(fact) => InputKind::WorkspaceRemoved { path: fact.path },
        RunEvent::GateEvaluated(fact) => InputKind::ProbeFinished {
            evidence: text(&fact.evidence)?,
            id: fact.id,
            gate: fact.gate,
            probe_no: fact.probe_no,
            took_ms: fact.took_ms,
        },
        RunEvent::ProbeFailed(fact) => InputKind::ProbeFailed {
            id: fact.id,
            gate: fact.gate,
            probe_no: fact.probe_no,
            message: fact.message,
            permanent: fact.permanent,
            took_ms: fact.took_ms,
            broken: fact.broken,
        },
        RunEvent::TimerFired(fact) => InputKind::TimerFired { timer: fact.timer, due: fact.due },
        RunEvent::VoteCast(fact) => {
            let edited = fact.edited.as_ref().map(text).transpose()?;
            let (vote, comment, roles, comments) = (fact.vote, fact.comment, fact.roles, fact.comments);
            InputKind::Vote { id: fact.id, vote, comment, roles, comments, edited }
        }
        RunEvent::AnswerSaved(fact) => {
            InputKind::SaveAnswer { answer: text(&fact.answer)?, id: fact.id, roles: fact.roles }
        }
        RunEvent::QuestionAnswered(fact) => {
            InputKind::Answer { answer: text(&fact.answer)?, id: fact.id, roles: fact.roles }
        }
        RunEvent::SignalReceived(fact) => {
            InputKind::Signal { payload: text(&fact.payload)?, name: fact.name, delivery: fact.delivery }
        }
        RunEvent::RecheckRequested(fact) => {
            InputKind::Recheck { path: fact.path, policies: fact.policies, reason: fact.reason }
        }
        RunEvent::StepCancelRequested(fact) => InputKind::CancelStep { path: fact.path, reason: fact.reason },
        RunEvent::BreakpointsSet(fact) => InputKind::Breakpoints { steps: fact.steps },
        RunEvent::RunAdmitted(fact) => {
            InputKind::Admitted { admission: fact.admission, at_once: fact.at_once }
        }
        RunEvent::NoticeSent(fact) => InputKind::NoticeFinished {
            version: fact.version,
            notice: fact.notice,
            tries: fact.tries,
            failure: None,
        },
        RunEvent::NoticeFailed(fact) => InputKind::NoticeFinished {
            version: fact.version,
            notice: fact.notice,
            tries: fact.tries,
            failure: Some(fact.message),
        },
        RunEvent::RunForked(fact) => InputKind::Fork(Box::new(Fork {
            input: text(&fact.input)?,
            config: fact.config.as_ref().map(text).transpose()?,
            run: fact.run,
            origin: fact.origin,
            definition: fact.definition,
            from_step: fact.from_step,
            title: fact.title,
            entropy: fact.entropy,
            until_step: fact.until_step,
        })),
        RunEvent::CancelRequested(fact) => InputKind::Cancel { reason: fact.reason },
        RunEvent::RunPaused(fact) => InputKind::Pause { reason: fact.reason },
        RunEvent::RunHalted(fact) => InputKind::Halt { scope: fact.scope, reason: fact.reason },
        RunEvent::RunReleased(fact) => InputKind::Release { scope: fact.scope },
        RunEvent::RunResumed(fact) => InputKind::Resume { reason: fact.reason },
        RunEvent::RunUnblocked(fact) => InputKind::Unblock {
            output: fact.unblocked.output.as_ref().map(text).transpose()?,
            path: Some(fact.unblocked.path),
            decision: fact.unblocked.decision,
            reason: fact.unblocked.reason,
            policies: fact.unblocked.policies,
        },
        RunEvent::NoteAdded(fact) => InputKind::Note { text: fact.text },
        RunEvent::FundsRequested(fact) => InputKind::FundsWanted { id: fact.id },
        RunEvent::FundsAnswered(fact) => {
            InputKind::FundsAnswered { id: fact.id, refused: fact.refused, readings: fact.readings }
        }
        RunEvent::SpendReported(fact) => {
            InputKind::SpendReported { version: fact.version, readings: fact.readings }
        }
        RunEvent::BudgetRaised(fact) => {
            InputKind::RaiseBudget { budget: Some(fact.budget), add: fact.add, reason: fact.reason }
        }
        RunEvent::RunAbandoned(fact) => InputKind::Abandon { reason: fact.reason },
        RunEvent::Advanced(_) => InputKind::Advance,
        RunEvent::ClockRead(fact) => InputKind::ClockRead { clock: fact.clock },
        RunEvent::StepScheduled(_)
        | RunEvent::ItemsExpanded(_)
        | RunEvent::StopRequested(_)
        | RunEvent::RetryScheduled(_)
        | RunEvent::StepSucceeded(_)
        | RunEvent::StepSkipped(_)
        | RunEvent::StepFailed(_)
        | RunEvent::StepBlocked(_)
        | RunEvent::StepCancelled(_)
        | RunEvent::ProbeScheduled(_)
        | RunEvent::ReworkRequested(_)
        | RunEvent::ApprovalRequested(_)
        | RunEvent::ApprovalDecided(_)
        | RunEvent::TimerSet(_)
        | RunEvent::RunCancelled(_)
        | RunEvent::RunSucceeded(_)
        | RunEvent::RunFailed(_)
        | RunEvent::RunQueued(_)
        | RunEvent::QuestionAsked(_)
        | RunEvent::SignalTaken(_)
        | RunEvent::BreakpointHit(_)
        | RunEvent::NoticeQueued(_)
        | RunEvent::BudgetsOpened(_)
        | RunEvent::BudgetExceeded(_)
        | RunEvent::FundsGranted(_)
        | RunEvent::BudgetPeriodBegan(_)
        | RunEvent::WorktreeReset(_) => return Err(NoInput::NotAFact(event.name())),
    };
    Ok(Input { id: meta.input, at: meta.at, actor: meta.actor.clone(), kind })
}
