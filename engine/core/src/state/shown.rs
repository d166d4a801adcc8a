//! What a step is shown to be doing.
//!
//! Law: a paused run shows only what is certain to follow. An end that a retry, a route or a person may
//! still change is not shown as one.

use super::key::Key;
use super::lifecycle::RunOutcome;
use super::run_state::RunState;
use super::status::StepStatus;
use super::step::{AttemptEnding, Phase, Settling, Stage, StepState};
use everfold_base::id::{Round, StepId};
use everfold_language::definition::{Setting, Work};

impl RunState {
    /// What a step is doing.
    #[must_use]
    pub fn step_status(&self, step: &StepId) -> Option<StepStatus> {
        let at = self.graph.find(step)?;
        Some(self.status_at(at))
    }

    pub(crate) fn status_at(&self, at: usize) -> StepStatus {
        let step = &self.facts.steps[at];
        match &step.phase {
            Phase::Pending => StepStatus::Pending,
            // Interrupted: the next attempt is certain.
            Phase::Settling(Settling::Work)
                if step.unit.stage == Stage::Ended(AttemptEnding::Interrupted) =>
            {
                StepStatus::Scheduled
            }
            // `decide` decides what follows when the run goes on; what is certain to follow is shown already.
            Phase::Settling(settling) if self.facts.paused => match settling {
                Settling::GatesPassed if self.succeeds_for_good(at) => StepStatus::Succeeded,
                Settling::GatesPassed => StepStatus::Gating,
                Settling::Work if step.unit.stage.is_talking() => StepStatus::Waiting,
                Settling::Work | Settling::Items | Settling::Cut | Settling::Unheard => {
                    match self.fails_for_good(at, settling) {
                        true => StepStatus::Failed,
                        false => StepStatus::Running,
                    }
                }
                Settling::GateFailed
                | Settling::GateBroken
                | Settling::GateOpen { .. }
                | Settling::Unblocked(..) => StepStatus::Gating,
            },
            Phase::Working => self.working_status(at, step),
            Phase::Settling(Settling::Work | Settling::Items | Settling::Cut | Settling::Unheard) => {
                StepStatus::Running
            }
            Phase::Judging | Phase::Settling(_) => StepStatus::Gating,
            Phase::Blocked(_) => StepStatus::Blocked,
            Phase::Succeeded => StepStatus::Succeeded,
            Phase::Failed { .. } => StepStatus::Failed,
            Phase::Skipped => StepStatus::Skipped,
            // The run failed elsewhere before the step began: it was not cancelled for its own sake.
            Phase::Cancelled if step.round == Round::ZERO && self.has_failed() => StepStatus::Pending,
            Phase::Cancelled => StepStatus::Cancelled,
        }
    }

    /// Whether nothing but success can follow from gates that passed.
    fn succeeds_for_good(&self, at: usize) -> bool {
        let step = self.graph.step(at);
        step.on_success.is_empty() && step.labels.is_empty()
    }

    /// Whether nothing but failure can follow from an end that is not followed up: no retry, no route, no question to a
    /// person.
    fn fails_for_good(&self, at: usize, settling: &Settling) -> bool {
        let (step, unit) = (self.graph.step(at), &self.facts.steps[at].unit);
        let has_own_routes = match &step.work {
            Some(Work::Wait(wait)) => !wait.on_timeout.is_empty(),
            Some(Work::Approval(_) | Work::Question(_)) => true,
            Some(Work::Task(_)) | None => step.ask.is_some(),
        };
        let interrupted = self.interruptions(&self.attempt_id(Key::step(at)));
        let may_be_tried_again = || {
            // Those that vanished may be no tries at all.
            let is_lost = unit.lost > 0 || matches!(unit.stage, Stage::Ended(AttemptEnding::Lost(_)));
            let is_covered =
                unit.failure.as_ref().is_none_or(|it| step.retry.covers(it.kind, it.code.as_deref()));
            let tries = unit.attempt.0.saturating_sub(interrupted);
            let is_once = matches!(&step.retry.attempts, Setting::Fixed(attempts) if tries >= *attempts);
            is_lost || (is_covered && !is_once)
        };
        let is_of_work = matches!(settling, Settling::Work);
        step.on_fail.is_empty() && !has_own_routes && !(is_of_work && may_be_tried_again())
    }

    /// Whether the run ends because something failed.
    fn has_failed(&self) -> bool {
        matches!(self.facts.outcome, Some(RunOutcome::Failed { .. }))
    }

    /// Whether an item waits for a person to decide on it; one that is to be tried again counts as blocked, too, until
    /// there is a place for it.
    fn has_blocked_item(&self, at: usize) -> bool {
        let items = Key { step: at, item: Some(0) }..=Key { step: at, item: Some(u32::MAX) };
        let mut stages = self.facts.blocked.range(items).filter_map(|key| Some(&self.unit_at(*key)?.stage));
        stages.any(|stage| matches!(stage, Stage::Blocked(_)))
    }

    fn working_status(&self, at: usize, step: &StepState) -> StepStatus {
        if let Some(items) = &step.items {
            let is_standing = items.open > 0 && items.open == items.blocked + items.asking;
            return match is_standing {
                true if self.has_blocked_item(at) => StepStatus::Blocked,
                true => StepStatus::Waiting,
                false => StepStatus::Running,
            };
        }
        match (&step.unit.stage, &self.graph.step(at).work) {
            (Stage::Scheduled, _) if self.waits_for_funds(&self.attempt_id(Key::step(at))) => {
                StepStatus::Waiting
            }
            (Stage::Scheduled, _) => StepStatus::Scheduled,
            (Stage::RetryAt(_) | Stage::Asking, _) => StepStatus::Waiting,
            (_, Some(Work::Approval(_) | Work::Question(_) | Work::Wait(_))) => StepStatus::Waiting,
            (_, Some(Work::Task(_)) | None) => StepStatus::Running,
        }
    }
}
