//! What a run tells of itself is noted from its events ([`crate::state::account`]).

use crate::event::{GateEvaluated, ReworkRequested, RunEvent};
use crate::state::account::VerdictNote;
use crate::state::{EventMeta, RunState};
use everfold_base::time::Timestamp;

impl RunState {
    /// Notes what an event says of the run, before the event changes anything else.
    pub(super) fn note_account(&mut self, event: &RunEvent, meta: &EventMeta) {
        self.note_worked(event, meta.at);
        match event {
            RunEvent::UsageRecorded(event) => {
                self.facts.account.use_up(event);
            }
            RunEvent::StepScheduled(event) if event.id.path.item.is_none() => {
                self.facts.account.begin_round(&event.id.path.step);
            }
            RunEvent::GateEvaluated(event) => self.note_verdict(event, meta.at),
            RunEvent::ReworkRequested(event) => {
                let cause = self.cause(event);
                self.facts.account.rework(&event.route, cause);
            }
            RunEvent::SignalReceived(event) => {
                let is_known = self.listens_to(&event.name);
                self.facts.account.hear(&event.name, is_known);
            }
            RunEvent::StepBlocked(event) => {
                self.facts.account.blocked.insert(event.path.clone(), meta.at);
            }
            RunEvent::RunFailed(event) => {
                let problems = event.result.as_ref().map(|result| result.problems.clone());
                self.facts.account.problems = problems.unwrap_or_default();
            }
            _of_other_things => {}
        }
    }

    fn note_worked(&mut self, event: &RunEvent, at: Timestamp) {
        let worked = &mut self.facts.account.worked;
        match event {
            RunEvent::AttemptStarted(event) => worked.begin(&event.id, event.began_at.unwrap_or(at)),
            RunEvent::ChildStarted(event) => worked.begin(&event.id, at),
            RunEvent::AttemptSucceeded(event) => worked.end(&event.id, event.ended_at),
            RunEvent::AttemptFailed(event) => worked.end(&event.id, event.ended_at),
            RunEvent::AttemptAsked(event) => worked.end(&event.id, event.ended_at),
            RunEvent::AttemptLost(event) => worked.end(&event.id, at),
            RunEvent::ChildStopped(event) => worked.end(&event.id, at),
            RunEvent::ApprovalRequested(event) => worked.ask(&event.id, at),
            RunEvent::QuestionAsked(event) => worked.ask(&event.id, at),
            RunEvent::ApprovalDecided(event) => worked.end(&event.id, at),
            RunEvent::QuestionAnswered(event) => worked.end(&event.id, at),
            RunEvent::StepSucceeded(event) => worked.end_path(&event.path, at),
            RunEvent::StepFailed(event) => worked.end_path(&event.path, at),
            RunEvent::StepCancelled(event) => worked.end_path(&event.path, at),
            RunEvent::ReworkRequested(event) => worked.withdraw(&event.reset, at),
            _of_other_things => {}
        }
    }

    fn note_verdict(&mut self, event: &GateEvaluated, at: Timestamp) {
        self.facts.account.judge(VerdictNote {
            step: event.id.path.step.clone(),
            gate: event.gate.clone(),
            round: event.id.round,
            verdict: event.verdict,
            reason: event.reason.clone(),
            code: event.code.clone(),
            tolerated: event.tolerated,
            at,
        });
    }

    /// What a rework is counted under: the gate that failed, what people or a signal said, else how the work failed.
    fn cause(&self, event: &ReworkRequested) -> String {
        event.cause().unwrap_or_else(|| {
            let step = self.key(&event.source.id.path).map(|key| &self.facts.steps[key.step]);
            let failure = step.and_then(|step| step.unit.failure.as_ref().or(step.failure.as_ref()));
            let named = |failure: &everfold_base::failure::Failure| {
                failure.code.clone().unwrap_or_else(|| failure.kind.as_str().to_owned())
            };
            failure.map_or_else(|| event.place().to_owned(), named)
        })
    }
}
