//! Attempts that are to end: asked to stop, waited for, or abandoned with their run.
//!
//! Law: a supervised process is reported as stopped when its executor says that nothing of it is left; work inside
//! the engine's process is given its grace, and is reported when its task is gone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tracing::Instrument as _;

use crate::limits::Class;
use crate::run::attempt::event::{AttemptEvent, StopFacts, Superseded};
use crate::run::attempt::table::{AttemptHandles, AttemptTask, PlannedAttempt};
use crate::run::loaded_run::{LoadedRun, ProbeStop};
use crate::scheduler::queue::WorkNeeds;
use crate::shard::core::ShardCore;
use crate::shard::job_done::JobDone;
use crate::work::request;
use crate::work::run_span;
use crate::work::work_done::WorkDone;
use everfold_base::id::{AttemptId, EffectId};
use everfold_base::json::Value;
use everfold_core::decide::plan;
use everfold_core::event::StopReason;
use everfold_ports::AttemptStop;

/// How long a stopped attempt's future may still resolve by itself.
const STOPPED_GRACE: Duration = Duration::from_secs(1);

impl ShardCore {
    /// The state lists an attempt that is to end.
    pub(crate) fn stop_listed(&mut self, loaded: &mut LoadedRun, id: &AttemptId) {
        let state = loaded.state.as_ref();
        let awaits_funds = state.is_some_and(|state| state.waits_for_funds(id));
        let is_superseded = state.is_some_and(|state| state.current(id).is_none());
        let planned = if is_superseded { self.superseded(loaded, id) } else { None };
        let superseded = match (is_superseded, &planned) {
            (false, _) => Superseded::No,
            (true, None) => Superseded::InProcess,
            (true, Some(_)) => Superseded::Supervised,
        };
        let may_be_left = loaded.unstarted.may_be_left.remove(id);
        let event = AttemptEvent::StopListed(StopFacts { awaits_funds, may_be_left, superseded });
        let brought = AttemptHandles { planned, ..AttemptHandles::default() };
        self.attempt_event_with(loaded, id, event, brought);
    }

    /// What is needed to stop a supervised attempt that a rework superseded, so that its plan is not known any more:
    /// its folder.
    fn superseded(&self, loaded: &LoadedRun, id: &AttemptId) -> Option<Box<PlannedAttempt>> {
        let kind = plan::executor(loaded.state.as_ref()?, id)?;
        let executor = Arc::clone(self.shared.edge.executors.get(kind)?);
        let traits = catch_unwind(AssertUnwindSafe(|| executor.traits(&Value::Null))).ok()?;
        let request = request::stop(&self.shared.layout, EffectId { run: loaded.run, attempt: id.clone() });
        let (class, needs, priority) = (Class::Supervised, WorkNeeds::resources(&[]), 0);
        let (approved, spared) = (Vec::new(), None);
        let reservation = None;
        let planned = PlannedAttempt {
            executor,
            request,
            traits,
            class,
            needs,
            priority,
            approved,
            spared,
            reservation,
        };
        traits.supervised.then(|| Box::new(planned))
    }

    /// Ends what a former engine may have left of a superseded attempt. No route follows from its result.
    pub(crate) fn stop_superseded(&mut self, loaded: &mut LoadedRun, id: &AttemptId) {
        let planned = loaded.attempts.planned(id);
        let (executor, request) = (Arc::clone(&planned.executor), planned.request.clone());
        let stopped = AssertUnwindSafe(async move { executor.cancel(request).await }).catch_unwind();
        let (run, attempt) = (loaded.run, id.clone());
        let span = run_span::of_attempt(run, id);
        let task = self.spawn_work(
            run,
            async move {
                let _done_or_panicked = stopped.await;
                WorkDone::Attempt { run, id: attempt, event: AttemptEvent::Stopped }
            }
            .instrument(span),
        );
        loaded.attempts.handles(id).task = Some(AttemptTask { task, gone: None });
    }

    /// Asks running work to stop. Its end is reported even where its future never resolves.
    pub(crate) fn stop(&mut self, loaded: &mut LoadedRun, id: &AttemptId) {
        let planned = loaded.attempts.planned(id);
        let (executor, mut request) = (Arc::clone(&planned.executor), planned.request.clone());
        request.stop = stop_cause(loaded, id);
        let (grace, is_supervised) = (request.grace, planned.traits.supervised);
        let work = loaded.attempts.handles(id).task.as_mut();
        let (task, gone) = work.map(|work| (work.task.clone(), work.gone.take())).unzip();
        // Asked before its place is given to others; a panic there is no reason not to wait for its end.
        let asked = catch_unwind(AssertUnwindSafe(|| executor.cancel(request)));
        let cancelled = async move {
            if let Ok(asked) = asked {
                let _done_or_panicked = AssertUnwindSafe(asked).catch_unwind().await;
            }
        };
        let (run, id) = (loaded.run, id.clone());
        let span = run_span::of_attempt(run, &id);
        self.spawn_work(
            run,
            async move {
                if is_supervised {
                    // Nothing may start in its place while anything of it is left.
                    cancelled.await;
                } else {
                    let _too_late = tokio::time::timeout(grace, cancelled).await;
                }
                tokio::time::sleep(STOPPED_GRACE).await;
                if let (Some(task), Some(gone)) = (task, gone.flatten()) {
                    // Its end is reported when its task is gone, or when the task has not ended in time.
                    task.abort();
                    let _gone_or_stubborn = tokio::time::timeout(STOPPED_GRACE, gone).await;
                }
                WorkDone::Attempt { run, id, event: AttemptEvent::Stopped }
            }
            .instrument(span),
        );
    }

    /// Ends all work in progress of an abandoned run. How it ended is ignored.
    pub(crate) fn abandon_work(&mut self, loaded: &mut LoadedRun) {
        let mut attempts: Vec<AttemptId> = loaded.attempts.in_phase(|_| true).cloned().collect();
        attempts.sort_unstable();
        for id in attempts {
            self.attempt_event(loaded, &id, AttemptEvent::Abandoned);
        }
        for probing in std::mem::take(&mut loaded.probes).into_values() {
            let Some(ProbeStop { prober, request, .. }) = probing.stop else { continue };
            let Ok(stopped) = catch_unwind(AssertUnwindSafe(|| prober.cancel(request))) else { continue };
            self.jobs.push(Box::pin(async move {
                let _done_or_panicked = AssertUnwindSafe(stopped).catch_unwind().await;
                JobDone::NoResult
            }));
        }
        let timers = std::mem::take(&mut loaded.timers);
        timers.into_values().flatten().for_each(|(_, _, key)| self.timers.remove(key));
        loaded.unstarted.queue.clear();
        loaded.dispatching.later.clear();
        loaded.unstarted.may_be_left.clear();
        loaded.reattachment = None;
    }

    /// Ends an attempt of an abandoned run.
    pub(crate) fn abandon_attempt(&mut self, over: AttemptHandles) {
        let AttemptHandles { planned, task, .. } = over;
        self.jobs.push(Box::pin(async move {
            if let Some(planned) = planned {
                let PlannedAttempt { executor, request, .. } = *planned;
                let cancelled = AssertUnwindSafe(async move { executor.cancel(request).await });
                let _done_or_panicked = cancelled.catch_unwind().await;
            }
            task.iter().for_each(|work| work.task.abort());
            JobDone::NoResult
        }));
    }
}

/// Why the state wants an attempt to stop.
pub(crate) fn stop_cause(loaded: &LoadedRun, id: &AttemptId) -> AttemptStop {
    match loaded.state.as_ref().and_then(|state| state.stopping(id)) {
        Some(StopReason::Timeout) => AttemptStop::TimeLimit,
        Some(StopReason::Interrupt) => AttemptStop::Interrupt,
        _other => AttemptStop::Cancel,
    }
}
