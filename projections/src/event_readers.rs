//! Which part of the read side reads which kind of event.
//!
//! Law: this is the one declaration. The match over the kinds is total, so that a new kind does not compile until it is
//! decided which models read it. What a model is shown follows from it ([`is_read_by`]); where a fold has no arm for a kind,
//! [`passed_over`] checks in tests that the declaration says so, too.
//!
//! The status of runs is not in it: `runs::activity` has a total match of its own.

use everfold_core::event::RunEvent;

/// Begins a row of `runs`.
pub(crate) const ROW_START: u16 = 1;
/// Changes what a row shows beside status, steps and awaited actions.
pub(crate) const ROW: u16 = 1 << 1;
/// Opens, changes or closes tasks of `inbox`.
pub(crate) const INBOX: u16 = 1 << 2;
/// Gives `audit` the pipeline of a run, or ends the run.
pub(crate) const PIPELINES: u16 = 1 << 3;
/// Is a decision, or may be one: `audit` and the list of a run's decisions.
pub(crate) const DECISIONS: u16 = 1 << 4;
/// Is counted by `spend`, or says what it counts a report for.
pub(crate) const SPEND: u16 = 1 << 5;
/// Carries the task of an attempt, of which the log reader keeps the agent's role.
pub(crate) const TASKS: u16 = 1 << 6;
/// Is listed by `notices`.
pub(crate) const FAILED_NOTICES: u16 = 1 << 7;
/// Begins or ends a bar of a run's timeline.
pub(crate) const TIMELINE: u16 = 1 << 8;
/// Is counted by the figures of steps: their rounds and attempts, the time of machines and people, the cost.
pub(crate) const STEP_FIGURES: u16 = 1 << 9;
/// Moves a task along its stages, or says who works on it or is waited for: `stages`.
pub(crate) const STAGES: u16 = 1 << 10;
/// A step begins, ends, or is to begin anew: counted in the row of its run.
pub(crate) const STEP_COUNTS: u16 = 1 << 11;
/// Begins, ends, or says something of a round of a step: the comparison of runs.
pub(crate) const ROUNDS: u16 = 1 << 12;
/// Begins, judges or ends a recheck, of which `audit` tells how it came to nothing.
pub(crate) const RECHECKS: u16 = 1 << 13;

/// The readers of an event, by its kind.
fn readers(event: &RunEvent) -> u16 {
    match event {
        RunEvent::RunStarted(_) => ROW_START | INBOX | PIPELINES | SPEND | STAGES,
        RunEvent::RunForked(_) => {
            ROW_START | INBOX | PIPELINES | SPEND | TIMELINE | STAGES | STEP_COUNTS | ROUNDS
        }
        RunEvent::StepScheduled(_) => {
            SPEND | TASKS | TIMELINE | STEP_FIGURES | STAGES | STEP_COUNTS | ROUNDS | RECHECKS
        }
        RunEvent::AttemptStarted(_) => TIMELINE | STEP_FIGURES | STAGES,
        RunEvent::AttemptLost(_) => TIMELINE | STEP_FIGURES | STAGES | ROUNDS,
        RunEvent::AttemptSucceeded(_) => ROW | INBOX | TIMELINE | STEP_FIGURES | STAGES | ROUNDS,
        RunEvent::AttemptFailed(_) => ROW | TIMELINE | STEP_FIGURES | STAGES | ROUNDS,
        RunEvent::AttemptAsked(_) => ROW | TIMELINE | STEP_FIGURES | STAGES,
        RunEvent::ChildStarted(_) => TIMELINE,
        RunEvent::ChildFinished(_) => TIMELINE | STAGES | ROUNDS,
        RunEvent::ChildStopped(_) => TIMELINE | STAGES,
        RunEvent::NoticeQueued(_) => STAGES,
        RunEvent::TimerSet(_) => INBOX | STAGES,
        RunEvent::AnswerSaved(_) => INBOX | DECISIONS,
        RunEvent::StepSkipped(_) => INBOX | STEP_FIGURES | STAGES | STEP_COUNTS | ROUNDS | RECHECKS,
        RunEvent::StepFailed(_) | RunEvent::StepCancelled(_) => {
            INBOX | TIMELINE | STEP_FIGURES | STAGES | STEP_COUNTS | ROUNDS | RECHECKS
        }
        RunEvent::StepBlocked(_) => INBOX | STEP_FIGURES | STAGES | ROUNDS | RECHECKS,
        RunEvent::StopRequested(_) | RunEvent::ApprovalRequested(_) | RunEvent::QuestionAsked(_) => {
            INBOX | STEP_FIGURES | STAGES | RECHECKS
        }
        RunEvent::SignalTaken(_) => INBOX | DECISIONS | STEP_FIGURES | STAGES | ROUNDS,
        RunEvent::RetryScheduled(_) => INBOX | SPEND | TASKS | TIMELINE | STEP_FIGURES | STAGES | ROUNDS,
        RunEvent::StepSucceeded(_) => ROW | INBOX | STEP_FIGURES | STAGES | STEP_COUNTS | ROUNDS | RECHECKS,
        RunEvent::BudgetExceeded(_) | RunEvent::FundsGranted(_) => ROW | INBOX | STAGES,
        RunEvent::GateEvaluated(_) => DECISIONS | STEP_FIGURES | STAGES | ROUNDS | RECHECKS,
        RunEvent::ProbeScheduled(_) => RECHECKS,
        RunEvent::ProbeFailed(_) => DECISIONS | RECHECKS,
        RunEvent::StepCancelRequested(_) => DECISIONS,
        RunEvent::VoteCast(_) => INBOX | DECISIONS,
        RunEvent::ReworkRequested(_) => {
            INBOX | DECISIONS | TIMELINE | STEP_FIGURES | STAGES | STEP_COUNTS | ROUNDS | RECHECKS
        }
        RunEvent::ApprovalDecided(_) | RunEvent::RunUnblocked(_) | RunEvent::QuestionAnswered(_) => {
            INBOX | DECISIONS | STEP_FIGURES | STAGES | ROUNDS | RECHECKS
        }
        RunEvent::TimerFired(_) => INBOX | DECISIONS | STEP_FIGURES | STAGES | ROUNDS,
        RunEvent::RecheckRequested(_) => INBOX | DECISIONS | STEP_FIGURES | STAGES | RECHECKS,
        RunEvent::WorkSpared(_) => TIMELINE,
        RunEvent::UsageRecorded(_) => ROW | SPEND | STEP_FIGURES | ROUNDS,
        RunEvent::ProgressReported(_) | RunEvent::SearchSet(_) => ROW,
        RunEvent::RunPaused(_)
        | RunEvent::RunResumed(_)
        | RunEvent::BreakpointHit(_)
        | RunEvent::RunHalted(_)
        | RunEvent::RunReleased(_) => ROW,
        RunEvent::CancelRequested(_) | RunEvent::RunAbandoned(_) => {
            ROW | INBOX | DECISIONS | STEP_FIGURES | STAGES | STEP_COUNTS
        }
        RunEvent::RunCancelled(_) | RunEvent::RunSucceeded(_) => {
            INBOX | PIPELINES | SPEND | STEP_FIGURES | STAGES
        }
        RunEvent::RunFailed(_) => ROW | INBOX | PIPELINES | SPEND | STEP_FIGURES | STAGES,
        RunEvent::NoticeFailed(_) => FAILED_NOTICES,
        // Only the status of the run follows from these, if anything does: `runs::activity` reads every kind.
        RunEvent::WorkspacePrepared(_)
        | RunEvent::ItemsExpanded(_)
        | RunEvent::Advanced(_)
        | RunEvent::NoteAdded(_)
        | RunEvent::RunQueued(_)
        | RunEvent::RunAdmitted(_)
        | RunEvent::SignalReceived(_)
        | RunEvent::BreakpointsSet(_)
        | RunEvent::BudgetsOpened(_)
        | RunEvent::BudgetRaised(_)
        | RunEvent::NoticeSent(_)
        | RunEvent::FundsRequested(_)
        | RunEvent::BudgetPeriodBegan(_)
        | RunEvent::FundsAnswered(_)
        | RunEvent::SpendReported(_)
        | RunEvent::WorktreeReset(_)
        | RunEvent::WorkspaceShared(_)
        | RunEvent::ClockRead(_)
        | RunEvent::WorkspaceRemoved(_) => 0,
    }
}

/// Whether one of the readers reads events of this kind.
pub(crate) fn is_read_by(event: &RunEvent, reader: u16) -> bool {
    readers(event) & reader != 0
}

/// The reader has nothing to do with this kind of event.
pub(crate) fn passed_over(event: &RunEvent, reader: u16) {
    debug_assert!(!is_read_by(event, reader), "no arm reads {}, but the declaration names it", event.name());
}
