//! What the view of a run gets from beside its state: the queue, the tries of notices, counters that runs share.

use everfold_engine::driver::{NoticeStand, Waiting};
use everfold_engine::id::{Attempt, AttemptId, Round, StepId, StepPath};
use everfold_workflows::process::Suspended;

use super::awaits::AwaitView;
use super::budget::budget_view;
use super::notice::OutstandingNotice;
use super::run::RunView;
use super::step::{StepPhase, StepView};

impl RunView {
    /// Adds the run's queued attempts, and to each step what its first attempt waits for.
    pub fn stands_in_line(&mut self, (waiting, total): (Vec<Waiting>, usize)) {
        for step in &mut self.steps {
            let first = waiting.iter().find(|waiting| waiting.attempt.path.step.as_str() == step.id);
            if first.is_some_and(|waiting| waiting.gate.is_none()) && step.phase == Some(StepPhase::Starting)
            {
                step.phase = Some(StepPhase::InLine);
            }
            // Beyond those that are named it is not known.
            if first.is_none() && total > waiting.len() && step.phase == Some(StepPhase::Starting) {
                step.phase = None;
            }
            // Only the supervisor of a process says that it began.
            if step.phase == Some(StepPhase::Starting) && matches!(step.kind.as_str(), "function" | "http") {
                step.phase = Some(StepPhase::Running);
            }
            if let Some(reason) = first.and_then(|waiting| waiting.reasons.first()) {
                step.line = Some(format!("waits for {reason}"));
            }
        }
        (self.in_line, self.in_line_total) = (waiting, total);
    }

    /// The attempts whose processes may be stopped by a signal.
    pub(crate) fn processes(&self) -> Vec<AttemptId> {
        let at_work = |step: &&StepView| {
            let is_process = matches!(step.kind.as_str(), "command" | "agent");
            is_process && !matches!(step.phase, None | Some(StepPhase::InLine | StepPhase::Suspended))
        };
        let id = |step: &StepView| AttemptId {
            path: StepPath::step(&StepId::new(&step.id)),
            round: Round(step.round),
            attempt: Attempt(step.attempt),
        };
        self.steps.iter().filter(at_work).map(id).collect()
    }

    /// Shows which of them are.
    pub(crate) fn stands_still(&mut self, suspended: Vec<(AttemptId, Suspended)>) {
        for (id, what) in suspended {
            let Some(step) = self.steps.iter_mut().find(|step| step.id == id.path.step.as_str()) else {
                continue;
            };
            let (whose, pid) = match what {
                Suspended::Supervisor(pid) => ("its supervisor", pid),
                Suspended::Command(pid) => ("its process", pid),
            };
            step.phase = Some(StepPhase::Suspended);
            step.line = Some(format!("a signal stopped {whose} ({pid}); `kill -CONT {pid}` lets it go on"));
        }
    }

    /// Shows a shared budget as its counter is now, also in what the run waits for since an earlier moment. `asks`: work of
    /// the run waits for room; where only what is reserved for work that runs is in the way, the run may not have heard of it.
    pub(crate) fn shares(&mut self, now: &everfold_engine::state::BudgetView<'_>, asks: bool) {
        let Some(shown) = self.budget.iter_mut().find(|shown| shown.id == now.terms.id) else { return };
        let over = now.over.filter(|_| shown.over.is_some() || (asks && now.is_reserved()));
        *shown = budget_view(&everfold_engine::state::BudgetView { over, ..now.clone() });
        for awaited in &mut self.awaits {
            if let AwaitView::Budget { budget, message, until, .. } = awaited
                && *budget == shown.id
            {
                message.clone_from(&shown.summary);
                *until = shown.until;
            }
        }
    }

    /// Adds the tries of its outstanding notices.
    pub(crate) fn tells(&mut self, stands: Vec<NoticeStand>) {
        for stand in stands {
            let is_it =
                |one: &&mut OutstandingNotice| one.version == stand.version && one.notice == stand.notice;
            if let Some(one) = self.notices.iter_mut().find(is_it) {
                (one.tries, one.waits) = (stand.tries, stand.waits);
                (one.failing, one.next_try_at) = (stand.failing, stand.next);
            }
        }
    }
}
