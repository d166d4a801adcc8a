//! What of an event may be large, and what it names that is kept outside of it.

use super::kinds::StepScheduled;
use super::parts::ScheduledWork;
use super::run_event::RunEvent;
use everfold_base::json::{BlobRef, Payload};

impl RunEvent {
    /// The values in it that may be large, and may be kept outside of it.
    #[must_use]
    pub fn payloads(&self) -> Vec<&Payload> {
        match self {
            Self::RunStarted(event) => std::iter::once(&event.input).chain(&event.config).collect(),
            Self::StepScheduled(StepScheduled { work: ScheduledWork::Task(task), .. }) => vec![&task.task],
            Self::ItemsExpanded(event) => event.items.iter().collect(),
            Self::AttemptSucceeded(event) => vec![&event.output],
            Self::RetryScheduled(event) => event.task.iter().map(|task| &task.task).collect(),
            Self::ProbeScheduled(event) => vec![&event.task],
            Self::GateEvaluated(event) => std::iter::once(&event.evidence).chain(&event.findings).collect(),
            Self::ReworkRequested(event) => vec![&event.findings],
            Self::ApprovalRequested(event) => std::iter::once(&event.show).chain(&event.edit).collect(),
            Self::VoteCast(event) => event.edited.iter().collect(),
            Self::ChildFinished(event) => vec![&event.output],
            Self::QuestionAsked(event) => event.text.iter().collect(),
            Self::AnswerSaved(event) => vec![&event.answer],
            Self::QuestionAnswered(event) => vec![&event.answer],
            Self::AttemptAsked(event) => vec![&event.ask],
            Self::SignalReceived(event) => vec![&event.payload],
            Self::RunForked(event) => std::iter::once(&event.input).chain(&event.config).collect(),
            Self::NoticeQueued(event) => vec![&event.with],
            Self::RunUnblocked(event) => event.unblocked.output.iter().collect(),
            Self::RunSucceeded(event) => vec![&event.output],
            Self::RunFailed(event) => event.result.iter().map(|result| &result.output).collect(),
            Self::StepSucceeded(event) => event.output.iter().collect(),
            Self::StepSkipped(event) => event.output.iter().collect(),
            Self::StepFailed(event) => event.output.iter().collect(),
            Self::RunResumed(event) => event.prompt.iter().collect(),
            Self::StepScheduled(_)
            | Self::WorkspacePrepared(_)
            | Self::AttemptStarted(_)
            | Self::AttemptFailed(_)
            | Self::AttemptLost(_)
            | Self::StopRequested(_)
            | Self::StepBlocked(_)
            | Self::StepCancelled(_)
            | Self::ProbeFailed(_)
            | Self::ApprovalDecided(_)
            | Self::TimerSet(_)
            | Self::TimerFired(_)
            | Self::UsageRecorded(_)
            | Self::ProgressReported(_)
            | Self::SearchSet(_)
            | Self::WorkSpared(_)
            | Self::RunPaused(_)
            | Self::CancelRequested(_)
            | Self::RunCancelled(_)
            | Self::RunAbandoned(_)
            | Self::Advanced(_)
            | Self::NoteAdded(_)
            | Self::RunQueued(_)
            | Self::RunAdmitted(_)
            | Self::ChildStarted(_)
            | Self::SignalTaken(_)
            | Self::RecheckRequested(_)
            | Self::StepCancelRequested(_)
            | Self::BreakpointsSet(_)
            | Self::BreakpointHit(_)
            | Self::NoticeSent(_)
            | Self::NoticeFailed(_)
            | Self::ChildStopped(_)
            | Self::RunHalted(_)
            | Self::RunReleased(_)
            | Self::BudgetsOpened(_)
            | Self::BudgetExceeded(_)
            | Self::BudgetRaised(_)
            | Self::FundsRequested(_)
            | Self::FundsGranted(_)
            | Self::BudgetPeriodBegan(_)
            | Self::FundsAnswered(_)
            | Self::SpendReported(_)
            | Self::WorktreeReset(_)
            | Self::ClockRead(_)
            | Self::WorkspaceShared(_)
            | Self::WorkspaceRemoved(_) => Vec::new(),
        }
    }

    /// Every blob that the event names, kept files included.
    #[must_use]
    pub fn blobs(&self) -> Vec<BlobRef> {
        let artefacts = match self {
            Self::AttemptSucceeded(event) => event.artefacts.as_slice(),
            Self::AttemptFailed(event) => event.artefacts.as_slice(),
            _other => &[],
        };
        let large = self.payloads().into_iter().filter_map(|payload| match payload {
            Payload::Blob(blob) => Some(*blob),
            Payload::Inline(_) => None,
        });
        large.chain(artefacts.iter().map(|artefact| artefact.blob)).collect()
    }
}
