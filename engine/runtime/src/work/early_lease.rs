//! Workers that wait take an attempt in the append that schedules it: one append and one wait for the disk less for each step
//! of a worker.
//!
//! Law: the shard hands out what it plans when the schedule is durable, and not before (D2). The worker gets the attempt when the append
//! that names it as the holder is durable, by the call of its executor; where the append comes to nothing, it is let go.

use std::collections::HashSet;

use crate::run::attempt::event::{AttemptBegin, AttemptEvent};
use crate::run::attempt::phase::AttemptPhase;
use crate::run::attempt::table::AttemptHandles;
use crate::run::decide_queue::QueueOutcome;
use crate::run::loaded_run::LoadedRun;
use crate::scheduler::places::{JoinReply, QueueStanding};
use crate::shard::core::ShardCore;
use crate::work::report::started_input;
use everfold_base::id::{AttemptId, EffectId, Position};
use everfold_core::effect::{Effect, Touched};
use everfold_core::state::effects_of;
use everfold_language::definition::Work;
use everfold_ports::RecordReceipt;

impl ShardCore {
    /// Has workers that wait take the attempts that the batch schedules, in the same batch.
    ///
    /// # Errors
    /// The run cannot be decided any further, for this reason.
    pub(crate) fn lease_early(&mut self, loaded: &mut LoadedRun) -> Result<(), String> {
        if !self.may_lease_early(loaded) {
            return Ok(());
        }
        let Some(state) = &loaded.state else { return Ok(()) };
        let mut parts: Vec<&Touched> = state.touched().iter().collect();
        parts.sort_unstable();
        parts.dedup();
        let new = |effect| match effect {
            Effect::Attempt { id, started: false } if !loaded.attempts.contains(&id) => Some(id),
            _other => None,
        };
        let scheduled: Vec<AttemptId> =
            parts.into_iter().flat_map(|part| effects_of(state, part)).filter_map(new).collect();
        let mut is_any_leased = false;
        for id in scheduled {
            is_any_leased |= self.lease_one_early(loaded, &id);
        }
        if is_any_leased && let QueueOutcome::Quarantine(reason) = loaded.decide_queue(&self.shared) {
            return Err(reason);
        }
        Ok(())
    }

    /// Whether attempts of the run would start as soon as the batch is durable, and facts of them fit into it.
    fn may_lease_early(&self, loaded: &LoadedRun) -> bool {
        let mut executors = self.shared.edge.executors.values();
        let is_new = loaded.position == Position::ZERO;
        let dispatching = &loaded.dispatching;
        executors.any(|executor| executor.has_waiting_workers(None))
            && dispatching.driven
            && (is_new || !dispatching.unlisted)
            && loaded.queue.is_empty()
            && matches!(&loaded.batches, batches if batches.len() == 1 && batches[0].dedup.is_none())
            && loaded.reattachment.is_none()
            && !loaded.is_copy()
            && !self.shared.is_stopping()
            && !self.shared.is_holding()
            && self.shared.halts.last_known().is_empty()
            && loaded.state.as_ref().is_some_and(|state| state.halts().next().is_none())
    }

    /// Has a worker that waits take an attempt; whether one does.
    fn lease_one_early(&mut self, loaded: &mut LoadedRun, id: &AttemptId) -> bool {
        // What no worker waits for is planned once, when its schedule is durable.
        if !self.is_awaited_by_workers(loaded, id) {
            return false;
        }
        let Some(mut planned) = self.plan_before(loaded, id) else { return false };
        let Some(reservation) = planned.executor.reserve(&planned.request) else { return false };
        let (effect, group) = (EffectId { run: loaded.run, attempt: id.clone() }, self.group(loaded));
        let standing = QueueStanding { priority: planned.priority, group };
        let asked = self.shared.scheduler.ask(self.at, effect, planned.needs.clone(), standing);
        // Where others wait for a place, it does so when it is durable.
        let JoinReply::Served(grant) = asked else { return false };
        let taken = (reservation.holder.clone(), RecordReceipt::new().0);
        planned.reservation = Some(reservation);
        let brought = AttemptHandles { planned: Some(planned), ..AttemptHandles::of_grant(grant) };
        self.attempt_event_with(loaded, id, AttemptEvent::Reserved, brought);
        let begin = AttemptBegin { at: None, taken: Some(taken) };
        loaded.push(started_input(loaded.run, id.clone(), begin));
        true
    }

    /// Whether a worker waits for what the step says; a name that is computed is known with the plan alone.
    fn is_awaited_by_workers(&self, loaded: &LoadedRun, id: &AttemptId) -> bool {
        let step = loaded.state.as_ref().and_then(|state| state.step(&id.path.step));
        let Some(Work::Task(task)) = step.and_then(|(step, _)| step.work.as_ref()) else { return false };
        let executor = self.shared.edge.executors.get(&task.kind);
        executor.is_some_and(|executor| executor.has_waiting_workers(Some(task.spec.source())))
    }

    /// Forgets attempts that workers were to take with their schedule, where the schedule came to nothing.
    pub(crate) fn forget_unscheduled(&mut self, loaded: &mut LoadedRun) {
        let Some(state) = &loaded.state else { return };
        let is_recording = |phase| matches!(phase, AttemptPhase::Recording { .. });
        let is_listed = |id: &AttemptId| {
            let part = Touched::Path(id.path.clone());
            let is_it = |effect: &Effect| matches!(effect, Effect::Attempt { id: of, .. } | Effect::Stop { id: of } if of == id);
            effects_of(state, &part).iter().any(is_it)
        };
        let gone: HashSet<AttemptId> =
            loaded.attempts.in_phase(is_recording).filter(|id| !is_listed(id)).cloned().collect();
        for id in gone {
            self.attempt_event(loaded, &id, AttemptEvent::Abandoned);
        }
    }
}
