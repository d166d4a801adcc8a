//! From an event of a run to what it tells of the task.

use everfold_base::failure::Failure;
use everfold_base::id::{AttemptId, StepId, StepPath};
use everfold_core::event::{
    OriginKind, ReworkRequested, RunEvent, ScheduledWork, SignalTaker, StopReason, TimerKind,
};
use everfold_core::policy::Verdict;
use everfold_language::definition::Vote;

use super::layout::StageLayout;
use super::parts::{StageWaitKind, WorkKind};
use super::stage_fact::{ReworkFact, StageFact};
use super::text::{findings, remark, short};
use crate::event_readers::{STAGES, passed_over};
use crate::projection::Fact;

/// How the function is called that keeps one message up to date.
const LIVE: &str = ".live";

/// What an event tells of its task; most tell nothing.
pub(super) fn stage_fact(fact: &Fact<'_>, layout: &StageLayout) -> Option<StageFact> {
    let stage = |step: &StepId| layout.stage_of(step).map(str::to_owned);
    Some(match fact.event {
        RunEvent::StepScheduled(event) => StageFact::Round {
            id: event.id.clone(),
            work: match &event.work {
                ScheduledWork::Task(task) if task.kind == "agent" => Some(WorkKind::Agent),
                ScheduledWork::Task(_) => Some(WorkKind::Other),
                _nothing_executes => None,
            },
            stage: stage(&event.id.path.step),
        },
        RunEvent::RetryScheduled(event) => StageFact::Retry { id: event.id.clone(), at: event.at },
        RunEvent::TimerSet(event) => match event.timer.kind {
            TimerKind::Poll | TimerKind::Wait | TimerKind::Signal => {
                StageFact::TimerSet { timer: event.timer.clone(), at: event.at }
            }
            _bounds_something_else => return None,
        },
        RunEvent::TimerFired(event) => match event.timer.kind {
            TimerKind::Poll | TimerKind::Wait | TimerKind::Signal | TimerKind::Retry | TimerKind::Expiry => {
                StageFact::TimerFired(event.timer.clone())
            }
            _bounds_something_else => return None,
        },
        RunEvent::AttemptStarted(event) => StageFact::Began(event.id.clone()),
        RunEvent::AttemptSucceeded(event) => {
            StageFact::Over { id: event.id.clone(), failed: None, remark: remark(&event.output) }
        }
        RunEvent::AttemptFailed(event) => over(&event.id, Some(&event.failure)),
        RunEvent::ChildFinished(event) => over(&event.id, event.failure.as_ref()),
        RunEvent::AttemptAsked(event) => over(&event.id, None),
        RunEvent::AttemptLost(event) => over(&event.id, None),
        RunEvent::ChildStopped(event) => over(&event.id, None),
        RunEvent::StepSucceeded(event) => {
            let ends_run = event.finish.is_some();
            StageFact::Closed { path: event.path.clone(), passed: true, ends_run }
        }
        RunEvent::StepFailed(event) => {
            // What an item's failure means is said when all have ended.
            let ends_run = event.path.item.is_none() && (event.finish.is_some() || !event.tolerated);
            StageFact::Closed { path: event.path.clone(), passed: false, ends_run }
        }
        RunEvent::StepSkipped(event) => closed(&event.path),
        RunEvent::StepCancelled(event) => closed(&event.path),
        RunEvent::ApprovalRequested(event) => asked(&event.id.path, StageWaitKind::Approval),
        RunEvent::QuestionAsked(event) => asked(&event.id.path, StageWaitKind::Question),
        RunEvent::StepBlocked(event) => StageFact::Asked {
            path: event.path.clone(),
            kind: StageWaitKind::Unblock,
            why: Some(short(&event.message)),
            stage: stage(&event.path.step),
        },
        RunEvent::BudgetExceeded(event) => asked(&event.id.as_ref()?.path, StageWaitKind::Budget),
        RunEvent::FundsGranted(event) => answered(&event.id.path, StageWaitKind::Budget),
        RunEvent::ApprovalDecided(event) => StageFact::Decided {
            path: event.id.path.clone(),
            approved: event.decision == Vote::Approve,
            words: event.comment.as_deref().map(short),
        },
        RunEvent::QuestionAnswered(event) => answered(&event.id.path, StageWaitKind::Question),
        RunEvent::RunUnblocked(event) => answered(&event.unblocked.path, StageWaitKind::Unblock),
        RunEvent::RecheckRequested(event) => answered(&event.path, StageWaitKind::Unblock),
        RunEvent::SignalTaken(event) => match &event.by {
            _any if event.ends.is_some() => StageFact::Withdrawn,
            SignalTaker::Gate { id, .. } => answered(&id.path, StageWaitKind::Unblock),
            _nothing_is_withdrawn => return None,
        },
        RunEvent::GateEvaluated(event) => match event.verdict {
            Verdict::Pass | Verdict::Fail => StageFact::Judged {
                step: event.id.path.step.clone(),
                gate: event.gate.clone(),
                round: event.id.round,
                passed: event.verdict == Verdict::Pass,
                reason: short(&event.reason),
            },
            Verdict::Pending | Verdict::Skipped => return None,
        },
        RunEvent::ReworkRequested(event) => StageFact::Reworked(rework(event, layout)),
        RunEvent::StopRequested(event) => match event.reason {
            StopReason::Cancel | StopReason::RunEnded => StageFact::Withdrawn,
            _run_goes_on => return None,
        },
        RunEvent::CancelRequested(_) | RunEvent::RunAbandoned(_) => StageFact::Withdrawn,
        RunEvent::RunSucceeded(_) | RunEvent::RunFailed(_) | RunEvent::RunCancelled(_) => StageFact::Ended,
        RunEvent::RunForked(event) => StageFact::Forked {
            reset: event.reset.clone(),
            stage: layout.first_stage(&event.reset).map(str::to_owned),
            counts_on: event.origin.how == OriginKind::Handover,
        },
        RunEvent::NoticeQueued(event) if event.function.ends_with(LIVE) => {
            StageFact::Live { notice: event.notice.clone(), version: fact.context.version }
        }
        RunEvent::RunStarted(_) | RunEvent::NoticeQueued(_) => return None,
        other => {
            passed_over(other, STAGES);
            return None;
        }
    })
}

fn over(id: &AttemptId, failure: Option<&Failure>) -> StageFact {
    let failed = failure.map(|it| it.code.clone().unwrap_or_else(|| it.kind.as_str().to_owned()));
    StageFact::Over { id: id.clone(), failed, remark: None }
}

fn closed(path: &StepPath) -> StageFact {
    StageFact::Closed { path: path.clone(), passed: false, ends_run: false }
}

fn asked(path: &StepPath, kind: StageWaitKind) -> StageFact {
    StageFact::Asked { path: path.clone(), kind, why: None, stage: None }
}

fn answered(path: &StepPath, kind: StageWaitKind) -> StageFact {
    StageFact::Answered { path: path.clone(), kind }
}

fn rework(event: &ReworkRequested, layout: &StageLayout) -> ReworkFact {
    ReworkFact {
        target: event.target.clone(),
        source: event.source.id.path.clone(),
        gate: event.source.gate.clone(),
        by: event.source.by.clone(),
        cause: event.cause(),
        findings: findings(&event.findings),
        reset: event.reset.clone(),
        capped: event.reset.iter().filter(|step| layout.is_capped(step)).cloned().collect(),
    }
}
