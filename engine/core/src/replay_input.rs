//! From a recorded fact back to the input that caused it.
//!
//! Law (H5): the fact of an input is first in its batch and holds all of the input. So
//! `decide(fold(prefix), input_of(fact))` equals the recorded batch.
//!
//! Called by replay.

use crate::event::{
    Advanced, AnswerSaved, AttemptAsked, AttemptFailed, AttemptLost, AttemptNotes, AttemptStarted,
    AttemptSucceeded, BudgetRaised, ChildFinished, ChildStopped, GateEvaluated, QuestionAnswered, RunEvent,
    RunForked, RunResumed, RunStarted, RunUnblocked, SignalReceived, Unblocked, VoteCast, WorkspacePrepared,
};
use crate::input::{Fork, Input, InputKind, Start, StartOptions};
use crate::state::EventMeta;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::{BlobRef, JsonText, Payload};

/// Why there is no input for an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoInput {
    /// Such an event follows from another one; it is never the first of its batch.
    #[error("{0} is no fact of an input")]
    NotAFact(&'static str),
    /// The value is a blob that the caller cannot read.
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
/// [`NoInput`]: the event is not a fact, or a blob cannot be read.
pub fn input_of(
    event: &RunEvent,
    meta: &EventMeta,
    blob: &dyn Fn(&BlobRef) -> Option<JsonText>,
) -> Result<Input, NoInput> {
    let kind = kind_of(event, &Values { name: event.name(), blob })?;
    Ok(Input { id: meta.input, at: meta.at, actor: meta.actor.clone(), kind })
}

/// The values of one event, wherever they are kept.
struct Values<'a> {
    name: &'static str,
    blob: &'a dyn Fn(&BlobRef) -> Option<JsonText>,
}

impl Values<'_> {
    fn text(&self, payload: &Payload) -> Result<JsonText, NoInput> {
        match payload {
            Payload::Inline(text) => Ok(text.clone()),
            Payload::Blob(blob) => (self.blob)(blob).ok_or(NoInput::Missing { name: self.name, blob: *blob }),
        }
    }

    fn text_if(&self, payload: Option<&Payload>) -> Result<Option<JsonText>, NoInput> {
        payload.map(|payload| self.text(payload)).transpose()
    }

    fn inline(&self, payload: &Payload) -> Result<Payload, NoInput> {
        self.text(payload).map(Payload::Inline)
    }

    fn inline_if(&self, payload: Option<&Payload>) -> Result<Option<Payload>, NoInput> {
        payload.map(|payload| self.inline(payload)).transpose()
    }
}

/// Most facts are their input, with values put inline; one that differs from it has a function of its own.
fn kind_of(event: &RunEvent, values: &Values<'_>) -> Result<InputKind, NoInput> {
    Ok(match event.clone() {
        RunEvent::RunStarted(fact) => start(fact, values)?,
        RunEvent::RunForked(fact) => fork(fact, values)?,
        RunEvent::AttemptStarted(fact) => InputKind::AttemptStarted(fact),
        RunEvent::ChildStarted(fact) => {
            InputKind::AttemptStarted(AttemptStarted { id: fact.id, began_at: None, holder: None })
        }
        RunEvent::AttemptSucceeded(fact) => succeeded(fact, values)?,
        RunEvent::AttemptFailed(fact) => failed(fact),
        RunEvent::AttemptAsked(fact) => asked(fact, values)?,
        RunEvent::ChildFinished(fact) => child_finished(fact, values)?,
        RunEvent::ChildStopped(fact) => child_stopped(fact),
        RunEvent::AttemptLost(AttemptLost { id, reason, fallback }) => {
            InputKind::AttemptLost { id, reason, fallback }
        }
        RunEvent::GateEvaluated(fact) => probe_finished(fact, values)?,
        RunEvent::ProbeFailed(fact) => InputKind::ProbeFailed(fact),
        RunEvent::WorkspacePrepared(fact) => workspace_prepared(fact)?,
        RunEvent::WorkspaceShared(fact) => InputKind::WorkspaceShared(fact),
        RunEvent::WorkspaceRemoved(fact) => InputKind::WorkspaceRemoved(fact),
        RunEvent::ProgressReported(fact) => InputKind::Progress(fact),
        RunEvent::SearchSet(fact) => InputKind::SetSearch(fact),
        RunEvent::WorkSpared(fact) => InputKind::Spare(fact),
        RunEvent::UsageRecorded(fact) => InputKind::Usage(fact),
        RunEvent::TimerFired(fact) => InputKind::TimerFired(fact),
        RunEvent::VoteCast(fact) => {
            InputKind::Vote(VoteCast { edited: values.inline_if(fact.edited.as_ref())?, ..fact })
        }
        RunEvent::AnswerSaved(fact) => {
            InputKind::SaveAnswer(AnswerSaved { answer: values.inline(&fact.answer)?, ..fact })
        }
        RunEvent::QuestionAnswered(fact) => {
            InputKind::Answer(QuestionAnswered { answer: values.inline(&fact.answer)?, ..fact })
        }
        RunEvent::SignalReceived(fact) => {
            InputKind::Signal(SignalReceived { payload: values.inline(&fact.payload)?, ..fact })
        }
        RunEvent::RecheckRequested(fact) => InputKind::Recheck(fact),
        RunEvent::StepCancelRequested(fact) => InputKind::CancelStep(fact),
        RunEvent::BreakpointsSet(fact) => InputKind::Breakpoints(fact),
        RunEvent::RunAdmitted(fact) => InputKind::Admitted(fact),
        RunEvent::NoticeSent(fact) => InputKind::NoticeSent(fact),
        RunEvent::NoticeFailed(fact) => InputKind::NoticeFailed(fact),
        RunEvent::CancelRequested(fact) => InputKind::Cancel(fact),
        RunEvent::RunPaused(fact) => InputKind::Pause(fact),
        RunEvent::RunHalted(fact) => InputKind::Halt(fact),
        RunEvent::RunReleased(fact) => InputKind::Release(fact),
        RunEvent::RunResumed(fact) => {
            InputKind::Resume(RunResumed { prompt: values.inline_if(fact.prompt.as_ref())?, ..fact })
        }
        RunEvent::RunUnblocked(fact) => unblock(fact, values)?,
        RunEvent::NoteAdded(fact) => InputKind::Note(fact),
        RunEvent::FundsRequested(fact) => InputKind::FundsWanted(fact),
        RunEvent::FundsAnswered(fact) => InputKind::FundsAnswered(fact),
        RunEvent::SpendReported(fact) => InputKind::SpendReported(fact),
        RunEvent::BudgetRaised(BudgetRaised { budget, add, reason }) => {
            InputKind::RaiseBudget { budget: Some(budget), add, reason }
        }
        RunEvent::RunAbandoned(fact) => InputKind::Abandon(fact),
        RunEvent::Advanced(Advanced {}) => InputKind::Advance,
        RunEvent::ClockRead(fact) => InputKind::ClockRead(fact),
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
    })
}

fn start(fact: RunStarted, values: &Values<'_>) -> Result<InputKind, NoInput> {
    let options = StartOptions {
        input: values.text(&fact.input)?,
        title: fact.title,
        // The pipeline's own are among them: given again, they win over equal ones.
        labels: fact.labels,
        cwd: fact.cwd,
        parent: fact.parent,
        top: fact.top,
        initiator: fact.initiator,
        priority: fact.priority,
    };
    let config = values.text_if(fact.config.as_ref())?;
    let RunStarted { run, entropy, admission, number, .. } = fact;
    Ok(InputKind::Start(Start { run, options, entropy, config, admission, number }))
}

fn fork(fact: RunForked, values: &Values<'_>) -> Result<InputKind, NoInput> {
    Ok(InputKind::Fork(Box::new(Fork {
        input: values.text(&fact.input)?,
        config: values.text_if(fact.config.as_ref())?,
        run: fact.run,
        origin: fact.origin,
        definition: fact.definition,
        from_step: fact.from_step,
        title: fact.title,
        entropy: fact.entropy,
        until_step: fact.until_step,
        initiator: fact.initiator,
        effects: fact.effects,
        keeps_tries: fact.keeps_tries,
        keeps_spans: fact.keeps_spans,
        continued_at: fact.continued_at,
        keeps_items: !fact.keeps_items.is_empty(),
    })))
}

fn succeeded(fact: AttemptSucceeded, values: &Values<'_>) -> Result<InputKind, NoInput> {
    Ok(InputKind::AttemptFinished {
        result: Ok(values.text(&fact.output)?),
        id: fact.id,
        commit: fact.commit,
        artefacts: fact.artefacts,
        ended_at: fact.ended_at,
        notes: fact.notes,
        ask: None,
    })
}

fn failed(fact: AttemptFailed) -> InputKind {
    InputKind::AttemptFinished {
        id: fact.id,
        result: Err(fact.failure),
        commit: fact.commit,
        artefacts: fact.artefacts,
        ended_at: fact.ended_at,
        notes: fact.notes,
        ask: None,
    }
}

fn asked(fact: AttemptAsked, values: &Values<'_>) -> Result<InputKind, NoInput> {
    Ok(InputKind::AttemptFinished {
        ask: Some(values.text(&fact.ask)?),
        id: fact.id,
        result: Ok(JsonText::null()),
        commit: fact.commit,
        artefacts: Vec::new(),
        ended_at: fact.ended_at,
        notes: fact.notes,
    })
}

fn child_finished(fact: ChildFinished, values: &Values<'_>) -> Result<InputKind, NoInput> {
    Ok(InputKind::AttemptFinished {
        result: match fact.failure {
            Some(failure) => Err(failure),
            None => Ok(values.text(&fact.output)?),
        },
        id: fact.id,
        commit: fact.commit,
        artefacts: Vec::new(),
        ended_at: fact.ended_at,
        notes: AttemptNotes::default(),
        ask: None,
    })
}

fn child_stopped(fact: ChildStopped) -> InputKind {
    InputKind::AttemptFinished {
        id: fact.id,
        result: Err(Failure::new(FailureKind::Cancelled, "the run that started it was cancelled")),
        commit: None,
        artefacts: Vec::new(),
        ended_at: fact.ended_at,
        notes: AttemptNotes::default(),
        ask: None,
    }
}

fn probe_finished(fact: GateEvaluated, values: &Values<'_>) -> Result<InputKind, NoInput> {
    let evidence = values.text(&fact.evidence)?;
    let GateEvaluated { id, gate, probe_no, took_ms, .. } = fact;
    Ok(InputKind::ProbeFinished { id, gate, probe_no, evidence, took_ms })
}

fn workspace_prepared(fact: WorkspacePrepared) -> Result<InputKind, NoInput> {
    match (fact.workspace, fact.failure) {
        (Some(workspace), _) => Ok(InputKind::WorkspacePrepared(Ok(workspace))),
        (None, Some(failure)) => Ok(InputKind::WorkspacePrepared(Err(failure))),
        (None, None) => Err(NoInput::NotAFact("WorkspacePrepared")),
    }
}

fn unblock(fact: RunUnblocked, values: &Values<'_>) -> Result<InputKind, NoInput> {
    let RunUnblocked { unblocked, keeps_items, .. } = fact;
    let output = values.text_if(unblocked.output.as_ref())?;
    let Unblocked { path, decision, output: _, reason, policies } = unblocked;
    Ok(InputKind::Unblock { path: Some(path), decision, output, reason, policies, keeps_items })
}
