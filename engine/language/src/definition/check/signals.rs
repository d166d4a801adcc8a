//! Routes that signals take: is there what they decide?

use super::super::codes::Code;
use super::super::read::PipelineReader;
use super::super::{ExecutorTask, RouteTo, Work};
use crate::definition::read::StepDraft;
use crate::words::UnblockDecision;

/// Checks every route of `on_signal` against its step.
pub(in super::super) fn signals(reader: &mut PipelineReader<'_>, drafts: &[StepDraft]) {
    for used in std::mem::take(&mut reader.signals) {
        let problem = match used.step {
            None => of_run(&used.to),
            Some(step) => match drafts.get(step) {
                Some(draft) => of_step(&used.to, draft),
                None => None,
            },
        };
        if let Some((message, hint)) = problem {
            reader.report(Code::SignalRoute, used.span, message).hint = Some(hint.to_owned());
        }
    }
}

type Found = Option<(String, &'static str)>;

fn of_run(to: &RouteTo) -> Found {
    let name = match to {
        RouteTo::Approve => "approve",
        RouteTo::Reject => "reject",
        RouteTo::Changes => "changes",
        RouteTo::Answer(_) => "answer",
        RouteTo::Recheck => "recheck",
        RouteTo::Unblock(_) => "unblock",
        RouteTo::Block => "block",
        RouteTo::Rework(_)
        | RouteTo::Fail { .. }
        | RouteTo::Finish(_)
        | RouteTo::Resume
        | RouteTo::Raise(_)
        | RouteTo::Ignore
        | RouteTo::Refuse(_)
        | RouteTo::Late(_)
        | RouteTo::Continue
        | RouteTo::Next => return None,
    };
    Some((format!("`{name}` is about a step: here stands none"), "put it into the `on_signal` of the step"))
}

fn of_step(to: &RouteTo, draft: &StepDraft) -> Found {
    let id = &draft.step.id;
    let approval = match &draft.step.work {
        Some(Work::Approval(approval)) => Some(approval),
        _ => None,
    };
    match to {
        RouteTo::Approve | RouteTo::Reject | RouteTo::Changes | RouteTo::Answer(_)
            if draft.step.foreach.is_some() =>
        {
            Some((
                format!("each item of “{id}” stands for itself: a signal does not say which one it means"),
                "let the step start a child run per item (`run`), and give that the `on_signal`",
            ))
        }
        RouteTo::Approve | RouteTo::Reject if approval.is_none() => {
            let hint = if matches!(draft.step.work, Some(Work::Question(_))) {
                "a question is answered: {answer: …}"
            } else {
                "it decides an `approval`"
            };
            Some((format!("“{id}” asks nobody to approve"), hint))
        }
        RouteTo::Changes if approval.is_none_or(|approval| approval.on_changes.is_empty()) => Some((
            format!("nobody can ask for changes at “{id}”"),
            "it is a decision of an `approval` with `on_changes`",
        )),
        RouteTo::Resume => Some((
            "`resume` is about the run, and stands at a step here".to_owned(),
            "put it into the pipeline's own `on_signal`, without `steps`",
        )),
        RouteTo::Raise(_) => Some((
            "`raise` is about a budget of the run, and stands at a step here".to_owned(),
            "put it into the pipeline's own `on_signal`, without `steps`",
        )),
        RouteTo::Late(_) => Some((
            "`late` is about a run that has ended, and stands at a step here".to_owned(),
            "put it into the pipeline's own `on_signal`, without `steps`",
        )),
        RouteTo::Answer(_) if !asks(draft) => Some((
            format!("“{id}” asks no question"),
            "it answers a `question`, or what a `command` or an `agent` asked",
        )),
        RouteTo::Recheck | RouteTo::Unblock(UnblockDecision::Recheck) if draft.step.gates.is_empty() => {
            Some((format!("“{id}” has no gates"), "`recheck` judges the gates of the step again"))
        }
        _ => None,
    }
}

/// Whether a step, or its work, may ask a question.
fn asks(draft: &StepDraft) -> bool {
    match &draft.step.work {
        Some(Work::Question(_)) => true,
        Some(Work::Task(task)) => {
            !matches!(task.kind.as_str(), ExecutorTask::HTTP | ExecutorTask::RUN | ExecutorTask::SIGNAL)
        }
        Some(Work::Approval(_) | Work::Wait(_)) | None => false,
    }
}
