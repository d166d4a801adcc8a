//! The plan of an attempt, and its place among all work.
//!
//! Law: an attempt is planned on durable state (D2), and once more when it has waited for its place.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::failures::{bug, unknown};
use crate::limits::Class;
use crate::panic::panic_text;
use crate::run::attempt::event::AttemptEvent;
use crate::run::attempt::table::{AttemptHandles, PlannedAttempt};
use crate::run::loaded_run::LoadedRun;
use crate::scheduler::places::{JoinReply, QueueStanding};
use crate::shard::core::ShardCore;
use crate::shard::job_done::WantedBy;
use crate::work::request;
use crate::work::spare::{SPARED_TRAITS, SpareChoice};
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{AttemptId, EffectId};
use everfold_core::decide::plan;
use everfold_language::definition::{ExecutorTask, Work};
use everfold_language::expr::EvalError;
use everfold_ports::{AttemptRequest, Executor, LossTraits, Traits};

/// What came of planning an attempt.
enum PlanOutcome {
    Ready(Box<PlannedAttempt>),
    /// Values are being read, or would have to be; it is planned again.
    Later,
    /// It cannot be planned, for this reason.
    Failed(Failure),
    /// The run has no state, or planning panicked and the run was quarantined.
    Aborted,
}

/// When an attempt is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlanMoment {
    /// What schedules it is durable.
    Durable,
    /// What schedules it is not: nothing may follow from the plan, so nothing is read for it either.
    Before,
}

impl ShardCore {
    /// Plans an attempt, and gives it what came of that.
    pub(crate) fn plan(&mut self, loaded: &mut LoadedRun, id: &AttemptId) {
        let event = match self.make_plan(loaded, id, PlanMoment::Durable) {
            PlanOutcome::Ready(planned) => {
                let wants_funds = loaded.state.as_ref().is_some_and(|state| state.wants_funds(id));
                let needs_funds = planned.traits.paid && wants_funds;
                let event = AttemptEvent::Planned { needs_funds, work: planned.facts() };
                return self.attempt_event_with(loaded, id, event, AttemptHandles::of_plan(planned));
            }
            PlanOutcome::Later => return,
            PlanOutcome::Failed(failure) => AttemptEvent::PlanFailed(failure),
            PlanOutcome::Aborted => AttemptEvent::PlanAborted,
        };
        self.attempt_event(loaded, id, event);
    }

    fn make_plan(&mut self, loaded: &mut LoadedRun, id: &AttemptId, moment: PlanMoment) -> PlanOutcome {
        let Some(state) = &loaded.state else { return PlanOutcome::Aborted };
        let effect = EffectId { run: loaded.run, attempt: id.clone() };
        let planned = loop {
            let planned = catch_unwind(AssertUnwindSafe(|| {
                let Some(mut plan) = plan::attempt(state, id, &loaded.values.of_plans)? else {
                    return Ok(None);
                };
                let kind = plan.kind.clone();
                let (approved, outside) = (std::mem::take(&mut plan.approved), plan.outside);
                let mut request =
                    request::attempt(state, &self.shared.layout, &effect, plan, &loaded.values.of_plans)?;
                let approved = approved.into_iter().map(|approved| {
                    request::approved(state, &self.shared.layout, &request, approved, &loaded.values.of_plans)
                });
                let approved = approved.collect::<Result<Vec<_>, EvalError>>()?;
                let executor = self.shared.edge.executors.get(&kind).cloned();
                let known = executor.map(|executor| {
                    let known = catch_unwind(AssertUnwindSafe(|| {
                        let spec = &request.spec;
                        let is_outside = outside.unwrap_or_else(|| executor.is_outside(spec));
                        (
                            executor.traits(spec),
                            executor.services(spec),
                            executor.is_elsewhere(spec),
                            is_outside,
                        )
                    }));
                    (executor, known)
                });
                if matches!(&known, Some((_, Ok((traits, ..)))) if traits.reads_input) {
                    request.input = plan::work_context(state, id, &request.spec, &loaded.values.of_plans)?;
                }
                let standing = plan::standing(state, id, &loaded.values.of_plans)?;
                let standing = standing.map(|standing| (standing.resources.to_vec(), standing.priority));
                Ok(Some((kind, (request, approved), known, standing.unwrap_or_default())))
            }));
            match planned {
                Ok(Err(EvalError::Needs(wanted))) => {
                    let missing = self.shared.values.at_hand(wanted, &mut loaded.values.of_plans);
                    if !missing.is_empty() && moment == PlanMoment::Before {
                        return PlanOutcome::Later;
                    }
                    if !missing.is_empty() {
                        self.fetch(loaded, missing, WantedBy::Attempt(id.clone()));
                        return PlanOutcome::Later;
                    }
                }
                other => break other,
            }
        };
        PlanOutcome::Failed(match planned {
            // It panics again when the plan counts.
            Err(_panic) if moment == PlanMoment::Before => return PlanOutcome::Aborted,
            Err(panic) => {
                self.quarantine(loaded, panic_text(panic.as_ref()));
                return PlanOutcome::Aborted;
            }
            Ok(Ok(Some((
                kind,
                (request, approved),
                Some((executor, Ok((traits, services, elsewhere, is_outside)))),
                standing,
            )))) => {
                let elsewhere_made = || request::foreign_worktree(&self.shared.layout, &request.workdir);
                if let Some(what) =
                    unknown_here(loaded, id, &request, executor.as_ref()).or_else(elsewhere_made)
                {
                    if moment == PlanMoment::Durable {
                        self.quarantine(loaded, what);
                    }
                    return PlanOutcome::Aborted;
                }
                match self.spare(loaded, id, &kind, &request.spec, (&executor, is_outside)) {
                    SpareChoice::Done => {}
                    SpareChoice::Later => return PlanOutcome::Later,
                    SpareChoice::Spared(spared, executor) => {
                        let class = Class::of(&kind, &SPARED_TRAITS, false);
                        return PlanOutcome::Ready(Box::new(PlannedAttempt {
                            executor,
                            request,
                            traits: SPARED_TRAITS,
                            class,
                            needs: self.shared.scheduler.needs(class, &[], &[]),
                            priority: standing.1,
                            approved: Vec::new(),
                            spared: Some(spared),
                            reservation: None,
                        }));
                    }
                }
                let traits = as_the_step_says(traits, request.idempotent);
                let class = Class::of(&kind, &traits, elsewhere);
                let (resources, priority) = standing;
                let needs = self.shared.scheduler.needs(class, &resources, &services);
                return PlanOutcome::Ready(Box::new(PlannedAttempt {
                    executor,
                    request,
                    traits,
                    class,
                    needs,
                    priority,
                    approved,
                    spared: None,
                    reservation: None,
                }));
            }
            Ok(Ok(Some((_, _, Some((_, Err(panic))), _)))) => bug(panic.as_ref()),
            Ok(Ok(Some((kind, _, None, _)))) => unknown(&kind, "work", self.shared.edge.executors.keys()),
            Ok(Ok(None)) => Failure::new(FailureKind::Spawn, "the attempt is not known to its run"),
            Ok(Err(error)) => Failure::new(FailureKind::Validation, error.to_string()),
        })
    }

    /// The plan of an attempt that is being scheduled, as it would be when that is durable. `None`: not by what is at hand.
    pub(crate) fn plan_before(
        &mut self,
        loaded: &mut LoadedRun,
        id: &AttemptId,
    ) -> Option<Box<PlannedAttempt>> {
        // What may be spared is read first, and what is paid for has its funds first.
        let state = loaded.state.as_ref()?;
        if state.effect_limits().is_some() || state.parent().is_some() {
            return None;
        }
        match self.make_plan(loaded, id, PlanMoment::Before) {
            PlanOutcome::Ready(planned) if !planned.traits.paid && planned.approved.is_empty() => {
                Some(planned)
            }
            _another_way => None,
        }
    }

    /// Asks the scheduler for a place. Where there is none now, the shard's inbox gets the grant.
    pub(crate) fn ask_for_place(&mut self, loaded: &mut LoadedRun, id: &AttemptId) {
        let (effect, group) = (EffectId { run: loaded.run, attempt: id.clone() }, self.group(loaded));
        let planned = loaded.attempts.planned(id);
        let standing = QueueStanding { priority: planned.priority, group };
        let work = planned.facts();
        match self.shared.scheduler.ask(self.at, effect, planned.needs.clone(), standing) {
            JoinReply::Served(grant) => {
                let brought = AttemptHandles::of_grant(grant);
                self.attempt_event_with(loaded, id, AttemptEvent::GrantedAtOnce(work), brought);
            }
            JoinReply::Waits(ticket) => {
                let held = loaded.attempts.handles(id);
                // It is planned anew when it has a place.
                held.planned = None;
                held.ticket = Some(ticket);
            }
        }
    }

    /// Takes a place without asking for it: the work may live, and has what it needs already.
    pub(crate) fn seize_place(&mut self, loaded: &mut LoadedRun, id: &AttemptId) {
        let (effect, group) = (EffectId { run: loaded.run, attempt: id.clone() }, self.group(loaded));
        let needs = loaded.attempts.planned(id).needs.clone();
        let grant = self.shared.scheduler.seize(effect, needs, group);
        loaded.attempts.handles(id).grant = Some(grant);
    }

    /// The group that the work of a run is counted to.
    pub(crate) fn group(&self, loaded: &LoadedRun) -> Arc<str> {
        match &loaded.state {
            Some(state) => self.shared.scheduler.config().fair_by.group(loaded.run, state),
            None => "".into(),
        }
    }
}

/// The step's `idempotent` overrides that of its kind for work inside the engine's process. A supervisor starts a
/// process at most once, so it is ignored there.
fn as_the_step_says(traits: Traits, idempotent: Option<bool>) -> Traits {
    match idempotent {
        Some(idempotent) if !traits.supervised => {
            Traits { loss: LossTraits { idempotent, ..traits.loss }, ..traits }
        }
        Some(_) | None => traits,
    }
}

/// What a step names as it is written and this program does not have: a function of the program that began the run. That is
/// no failure of the work, and the program that has it goes on with the run. A name that is computed is one.
fn unknown_here(
    loaded: &LoadedRun,
    id: &AttemptId,
    request: &AttemptRequest,
    executor: &dyn Executor,
) -> Option<String> {
    let failure = executor.unknown(&request.spec)?;
    let definition = loaded.state.as_ref()?.definition();
    let mut steps = definition.steps.iter().chain(&definition.on_finish);
    let step = steps.find(|step| step.id == id.path.step)?;
    let Some(Work::Task(task)) = &step.work else { return None };
    if task.kind != ExecutorTask::FUNCTION || executor.unknown(task.spec.source()).is_none() {
        return None;
    }
    Some(format!(
        "{} for the step {}; the program that has it goes on with the run when it opens the folder",
        failure.message, id.path.step
    ))
}
