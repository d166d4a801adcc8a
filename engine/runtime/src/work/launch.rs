//! Attempts: planned, started, re-attached, stopped.
//!
//! Law (D10): work that may be sent twice, and processes that a supervisor starts at most once, begin
//! as soon as they are scheduled; any other begins when `AttemptStarted` is durable.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Waker};

use futures::FutureExt as _;
use tokio::sync::oneshot;
use tracing::Instrument as _;

use crate::failures::{bug, cancelled, unknown};
use crate::limits::Class;
use crate::panic::panic_text;
use crate::run::loaded_run::{AttemptWork, LoadedRun, PreparedAttempt, RunPhase, RunningAttempt};
use crate::scheduler::places::{Grant, JoinReply, QueueStanding};
use crate::shard::core::ShardCore;
use crate::shard::job_done::WantedBy;
use crate::work::observer::Observer;
use crate::work::request;
use crate::work::results::{attempt_end, started_input};
use crate::work::run_span;
use crate::work::work_done::{EndedAttempt, NoEnd, WorkDone};
use everfold_base::failure::{Failure, FailureKind, NO_ROOM_CODE};
use everfold_base::id::{AttemptId, EffectId};
use everfold_base::json::Value;
use everfold_core::decide::plan;
use everfold_core::effect::{Effect, Touched};
use everfold_core::state::effects_of;
use everfold_language::expr::EvalError;
use everfold_ports::{LossTraits, Traits};
use everfold_system::os_error::is_shortage;

/// How long a stopped attempt's future may still resolve by itself.
const STOPPED_GRACE: std::time::Duration = std::time::Duration::from_secs(1);

/// What came of planning an attempt.
enum Planned {
    Ready(Box<PreparedAttempt>),
    /// Values are being read; it is planned again.
    Later,
    /// It cannot be planned; the reason is reported, or the run is quarantined.
    Never,
}

impl ShardCore {
    /// The state lists an attempt.
    pub(crate) fn attempt_listed(&mut self, loaded: &mut LoadedRun, id: AttemptId, started: bool) {
        match loaded.work.get(&id) {
            None if started => self.reattach(loaded, id),
            None => {
                loaded.work.insert(id.clone(), AttemptWork::Fresh);
                self.enlist(loaded, id);
            }
            Some(AttemptWork::Unseen(_)) => {
                let Some(AttemptWork::Unseen(grant)) = loaded.work.remove(&id) else { return };
                match grant {
                    Some(grant) => self.look_again(loaded, id, grant, started),
                    None => self.attempt_listed(loaded, id, started),
                }
            }
            Some(AttemptWork::Recording(..)) if started => {
                if let Some(AttemptWork::Recording(prepared, grant)) = loaded.work.remove(&id) {
                    self.launch(loaded, id, *prepared, grant, false, true);
                }
            }
            Some(_in_progress) => {}
        }
    }

    /// The turn of an attempt to be planned has come: it asks to start, or starts at once.
    pub(crate) fn take_up(&mut self, loaded: &mut LoadedRun, id: AttemptId) {
        if !matches!(loaded.work.get(&id), Some(AttemptWork::Fresh)) || !self.is_wanted(loaded, &id) {
            return;
        }
        if matches!(loaded.phase, RunPhase::Appending) {
            return self.plan_later(loaded, id, None);
        }
        let prepared = match self.plan(loaded, &id) {
            Planned::Ready(prepared) => *prepared,
            Planned::Later => {
                loaded.work.insert(id, AttemptWork::Planning(None));
                return;
            }
            Planned::Never => return,
        };
        if prepared.traits.paid && self.wants_funds(loaded, &id) {
            return;
        }
        let effect = EffectId { run: loaded.run, attempt: id.clone() };
        let standing = QueueStanding { priority: prepared.priority, group: self.group(loaded) };
        match self.shared.scheduler.ask(self.at, effect, prepared.needs.clone(), standing) {
            JoinReply::Served(grant) => self.start(loaded, id, prepared, grant),
            JoinReply::Waits(ticket) => {
                drop(loaded.work.insert(id, AttemptWork::Waiting { _ticket: ticket }))
            }
        }
    }

    /// An attempt that waited got what it waited for.
    pub(crate) fn served(&mut self, loaded: &mut LoadedRun, id: AttemptId, grant: Grant) {
        if !matches!(loaded.work.get(&id), Some(AttemptWork::Waiting { .. })) || !self.is_wanted(loaded, &id)
        {
            return;
        }
        if matches!(loaded.phase, RunPhase::Appending) {
            return self.plan_later(loaded, id, Some(grant));
        }
        match self.plan(loaded, &id) {
            Planned::Ready(prepared) => self.start(loaded, id, *prepared, grant),
            // It keeps its turn meanwhile.
            Planned::Later => drop(loaded.work.insert(id, AttemptWork::Planning(Some(grant)))),
            Planned::Never => {}
        }
    }

    /// The state is ahead of the store: what is planned on it could rest on events that are lost (D2).
    fn plan_later(&mut self, loaded: &mut LoadedRun, id: AttemptId, grant: Option<Grant>) {
        loaded.work.insert(id.clone(), AttemptWork::Planning(grant));
        loaded.dispatching.later.push(WantedBy::Attempt(id));
    }

    /// Whether the state still lists an attempt that waited. Where the state is on its way, the load
    /// lists it again.
    fn is_wanted(&self, loaded: &mut LoadedRun, id: &AttemptId) -> bool {
        let part = Touched::Path(id.path.clone());
        let is_listed =
            |effect: &Effect| matches!(effect, Effect::Attempt { id: listed, .. } if listed == id);
        let listed =
            loaded.state.as_ref().is_some_and(|state| effects_of(state, &part).iter().any(is_listed));
        let is_wanted = listed && !matches!(loaded.phase, RunPhase::Quarantined(_));
        if !is_wanted {
            loaded.work.remove(id);
        }
        is_wanted
    }

    /// To whom the work of a run is counted.
    pub(crate) fn group(&self, loaded: &LoadedRun) -> Arc<str> {
        match &loaded.state {
            Some(state) => self.shared.scheduler.config().fair_by.group(loaded.run, state),
            None => "".into(),
        }
    }

    fn start(&mut self, loaded: &mut LoadedRun, id: AttemptId, prepared: PreparedAttempt, grant: Grant) {
        if prepared.traits.supervised || prepared.traits.loss.idempotent {
            self.launch(loaded, id, prepared, grant, false, false);
        } else {
            loaded.push(started_input(loaded.run, id.clone()));
            loaded.work.insert(id, AttemptWork::Recording(Box::new(prepared), grant));
            self.mark(loaded);
        }
    }

    /// The values that a plan asked for are there.
    pub(crate) fn planned(&mut self, loaded: &mut LoadedRun, id: AttemptId) {
        match loaded.work.get_mut(&id) {
            Some(AttemptWork::Planning(grant)) if grant.is_some() => {
                let Some(grant) = grant.take() else { return };
                if !self.is_wanted(loaded, &id) {
                    return;
                }
                match self.plan(loaded, &id) {
                    Planned::Ready(prepared) => self.start(loaded, id, *prepared, grant),
                    Planned::Later => drop(loaded.work.insert(id, AttemptWork::Planning(Some(grant)))),
                    Planned::Never => {}
                }
            }
            Some(AttemptWork::Planning(_)) => {
                loaded.work.remove(&id);
                self.dispatch_part(loaded, &Touched::Path(id.path));
            }
            _not_planned => {}
        }
    }

    /// The pause of an attempt that was held back is over.
    pub(crate) fn take_up_again(&mut self, loaded: &mut LoadedRun, id: AttemptId) {
        let Some(AttemptWork::HeldBack { is_recorded, grant }) = loaded.work.get_mut(&id) else { return };
        let (is_recorded, grant) = (*is_recorded, grant.take());
        if matches!(loaded.phase, RunPhase::Appending) {
            return self.plan_later(loaded, id, grant);
        }
        if let Some(grant) = grant {
            if self.is_wanted(loaded, &id) {
                self.look_again(loaded, id, grant, is_recorded);
            }
            return;
        }
        if is_recorded {
            loaded.work.remove(&id);
            // Where the state is on its way, the load lists it again.
            return self.reattach(loaded, id);
        }
        loaded.work.insert(id.clone(), AttemptWork::Fresh);
        self.enlist(loaded, id);
    }

    /// Looks again at an attempt that may have begun, and has kept its place.
    fn look_again(&mut self, loaded: &mut LoadedRun, id: AttemptId, grant: Grant, is_recorded: bool) {
        match self.plan(loaded, &id) {
            Planned::Ready(prepared) => self.launch(loaded, id, *prepared, grant, is_recorded, is_recorded),
            Planned::Later => drop(loaded.work.insert(id, AttemptWork::Planning(Some(grant)))),
            Planned::Never => {}
        }
    }

    /// Goes on with an attempt that a former engine started; it has its place already.
    fn reattach(&mut self, loaded: &mut LoadedRun, id: AttemptId) {
        match self.plan(loaded, &id) {
            Planned::Ready(prepared) => {
                let (effect, group) = (EffectId { run: loaded.run, attempt: id.clone() }, self.group(loaded));
                let grant = self.shared.scheduler.seize(effect, prepared.needs.clone(), group);
                self.launch(loaded, id, *prepared, grant, true, true);
            }
            Planned::Later => drop(loaded.work.insert(id, AttemptWork::Planning(None))),
            Planned::Never => {}
        }
    }

    fn plan(&mut self, loaded: &mut LoadedRun, id: &AttemptId) -> Planned {
        let Some(state) = &loaded.state else { return Planned::Never };
        let effect = EffectId { run: loaded.run, attempt: id.clone() };
        let planned = loop {
            let planned = catch_unwind(AssertUnwindSafe(|| {
                let Some(plan) = plan::attempt(state, id, &loaded.values.of_plans)? else { return Ok(None) };
                let kind = plan.kind.clone();
                let mut request =
                    request::attempt(state, &self.shared.layout, &effect, plan, &loaded.values.of_plans)?;
                let executor = self.shared.edge.executors.get(&kind).cloned();
                let known = executor.map(|executor| {
                    let known = catch_unwind(AssertUnwindSafe(|| {
                        let spec = &request.spec;
                        (executor.traits(spec), executor.services(spec), executor.is_elsewhere(spec))
                    }));
                    (executor, known)
                });
                if matches!(&known, Some((_, Ok((traits, ..)))) if traits.told) {
                    request.input = plan::told(state, id, &request.spec, &loaded.values.of_plans)?;
                }
                let standing = plan::standing(state, id, &loaded.values.of_plans)?;
                let standing = standing.map(|standing| (standing.resources.to_vec(), standing.priority));
                Ok(Some((kind, request, known, standing.unwrap_or_default())))
            }));
            match planned {
                Ok(Err(EvalError::Needs(wanted))) => {
                    let missing = self.shared.values.at_hand(wanted, &mut loaded.values.of_plans);
                    if !missing.is_empty() {
                        self.fetch(loaded, missing, WantedBy::Attempt(id.clone()));
                        return Planned::Later;
                    }
                }
                other => break other,
            }
        };
        let failure = match planned {
            Err(panic) => {
                self.quarantine(loaded, panic_text(panic.as_ref()));
                return Planned::Never;
            }
            Ok(Ok(Some((kind, request, Some((executor, Ok((traits, services, elsewhere)))), standing)))) => {
                let traits = as_the_step_says(traits, request.idempotent);
                let class = Class::of(&kind, &traits, elsewhere);
                let (resources, priority) = standing;
                let needs = self.shared.scheduler.needs(class, &resources, &services);
                let prepared = PreparedAttempt { executor, request, traits, class, needs, priority };
                return Planned::Ready(Box::new(prepared));
            }
            Ok(Ok(Some((_, _, Some((_, Err(panic))), _)))) => bug(panic.as_ref()),
            Ok(Ok(Some((kind, _, None, _)))) => unknown(&kind, "work", self.shared.edge.executors.keys()),
            Ok(Ok(None)) => Failure::new(FailureKind::Spawn, "the attempt is not known to its run"),
            Ok(Err(error)) => Failure::new(FailureKind::Validation, error.to_string()),
        };
        self.give_up(loaded, id, failure);
        Planned::Never
    }

    /// Starts an attempt. In-process work that is ready at once never becomes a task.
    fn launch(
        &mut self,
        loaded: &mut LoadedRun,
        id: AttemptId,
        prepared: PreparedAttempt,
        mut grant: Grant,
        again: bool,
        is_recorded: bool,
    ) {
        let PreparedAttempt { executor, request, traits, class, .. } = prepared;
        grant.begin();
        loaded.unstarted.doubtful.remove(&id);
        let observer = Arc::new(Observer {
            id: request.id.clone(),
            observed: Arc::clone(&self.observed),
            shared: Arc::clone(&self.shared),
            has_begun: AtomicBool::new(!traits.supervised),
        });
        let folder = request::folder_to_make(&request, class == Class::Supervised, &self.shared.layout);
        let copying = match self.copying(loaded, &id, &request) {
            Ok(copying) => copying,
            Err(failure) => return self.give_up(loaded, &id, failure),
        };
        let begun = catch_unwind(AssertUnwindSafe(|| match again {
            true => executor.reattach(request.clone(), observer),
            false => executor.start(request.clone(), observer),
        }));
        let work = match begun {
            Ok(work) => work,
            Err(panic) => {
                let failure =
                    Failure::new(FailureKind::Error, format!("the executor {}", panic_text(panic.as_ref())));
                return self.give_up(loaded, &id, failure);
            }
        };
        let mut work = Box::pin(attempt_end(work, self.shared.config.clock.clone()));
        let mut at_once = None;
        if !traits.supervised
            && copying.is_none()
            && let Poll::Ready(ended) = work.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        {
            match ended {
                Ok(ended) => {
                    grant.end(ended.outcome(executor.as_ref()));
                    return self.report(loaded, &id, ended, traits.loss.on_lost);
                }
                Err(no_end) => at_once = Some(no_end),
            }
        }
        let (run, attempt, blocking) = (loaded.run, id.clone(), self.shared.config.blocking);
        let now = self.shared.config.clock.clone();
        let (kept, gone) = oneshot::channel::<()>();
        let span = run_span::of_attempt(run, &attempt);
        let task = self.works.spawn(
            async move {
                let _at_work = kept;
                if let Some(copying) = copying
                    && let Err(failure) = copying.await
                {
                    return match failure.code.as_deref() {
                        Some(NO_ROOM_CODE) => {
                            WorkDone::HeldBack { run, id: attempt, reason: failure.message }
                        }
                        _ => WorkDone::Attempt {
                            run,
                            id: attempt,
                            ended: Box::new(EndedAttempt::failed(failure, now())),
                        },
                    };
                }
                let ended = match (at_once, folder) {
                    (Some(no_end), _) => Err(no_end),
                    (None, None) => work.await,
                    (None, Some(folder)) => match blocking.run(move || std::fs::create_dir_all(folder)).await
                    {
                        Ok(Err(error)) if is_shortage(&error) => Err(NoEnd::NoRoom(error.to_string())),
                        // The executor reports a folder that is still missing.
                        _made_or_missing => work.await,
                    },
                };
                match ended {
                    Ok(ended) => WorkDone::Attempt { run, id: attempt, ended: Box::new(ended) },
                    Err(no_end) => no_end.of(run, attempt),
                }
            }
            .instrument(span),
        );
        let running = RunningAttempt {
            executor,
            request,
            traits,
            task,
            gone: Some(gone),
            stopping: false,
            is_recorded,
            grant: Some(grant),
        };
        loaded.work.insert(id, AttemptWork::Running(Box::new(running)));
    }

    /// The state lists an attempt that is to end.
    pub(crate) fn stop_listed(&mut self, loaded: &mut LoadedRun, id: AttemptId) {
        let never_began = loaded.state.as_ref().is_some_and(|state| state.waits_for_funds(&id));
        if never_began && !loaded.work.contains_key(&id) {
            return self.give_up(loaded, &id, cancelled());
        }
        if loaded.unstarted.doubtful.remove(&id)
            && matches!(
                loaded.work.get(&id),
                Some(
                    AttemptWork::Fresh
                        | AttemptWork::Waiting { .. }
                        | AttemptWork::Planning(_)
                        | AttemptWork::Recording(..)
                        | AttemptWork::HeldBack { .. }
                        | AttemptWork::Unseen(_)
                )
            )
        {
            // It may live since a former engine, or since it was looked at last, though it has no place now.
            loaded.work.remove(&id);
        }
        let is_superseded = loaded.state.as_ref().is_some_and(|state| state.current(&id).is_none());
        if is_superseded && !loaded.work.contains_key(&id) {
            return self.stop_superseded(loaded, id);
        }
        match loaded.work.get_mut(&id) {
            Some(AttemptWork::Running(running)) if running.stopping => {}
            Some(AttemptWork::Reported) => {}
            Some(AttemptWork::Running(_)) => self.stop(loaded, &id),
            Some(
                AttemptWork::Fresh
                | AttemptWork::Waiting { .. }
                | AttemptWork::Planning(_)
                | AttemptWork::Recording(..)
                | AttemptWork::HeldBack { .. }
                | AttemptWork::Unseen(_),
            ) => self.give_up(loaded, &id, cancelled()),
            None => match self.plan(loaded, &id) {
                // It may have ended, or live on, since a former engine started it: ask, and stop it.
                Planned::Ready(prepared) if prepared.traits.supervised => {
                    let (effect, group) =
                        (EffectId { run: loaded.run, attempt: id.clone() }, self.group(loaded));
                    let grant = self.shared.scheduler.seize(effect, prepared.needs.clone(), group);
                    self.launch(loaded, id.clone(), *prepared, grant, true, true);
                    self.stop(loaded, &id);
                }
                Planned::Ready(..) => self.give_up(loaded, &id, cancelled()),
                Planned::Later => drop(loaded.work.insert(id, AttemptWork::Planning(None))),
                Planned::Never => {}
            },
        }
    }

    /// Ends what a former engine may have left of an attempt that a rework superseded, so that its
    /// plan is not known any more. Its folder is all that is needed; whatever came of it routes nothing.
    fn stop_superseded(&mut self, loaded: &mut LoadedRun, id: AttemptId) {
        let kind = loaded.state.as_ref().and_then(|state| plan::executor(state, &id));
        let Some(executor) = kind.and_then(|kind| self.shared.edge.executors.get(kind)).map(Arc::clone)
        else {
            return self.give_up(loaded, &id, cancelled());
        };
        let Ok(traits) = catch_unwind(AssertUnwindSafe(|| executor.traits(&Value::Null))) else {
            return self.give_up(loaded, &id, cancelled());
        };
        if !traits.supervised {
            return self.give_up(loaded, &id, cancelled());
        }
        let request = request::stop(&self.shared.layout, EffectId { run: loaded.run, attempt: id.clone() });
        let (run, attempt) = (loaded.run, id.clone());
        let (ending, asked) = (Arc::clone(&executor), request.clone());
        let stopped = AssertUnwindSafe(async move { ending.cancel(asked).await }).catch_unwind();
        let span = run_span::of_attempt(run, &attempt);
        let task = self.works.spawn(
            async move {
                let _done_or_panicked = stopped.await;
                WorkDone::Stopped { run, id: attempt }
            }
            .instrument(span),
        );
        let running = RunningAttempt {
            executor,
            request,
            traits,
            task,
            gone: None,
            stopping: true,
            is_recorded: true,
            grant: None,
        };
        loaded.work.insert(id, AttemptWork::Running(Box::new(running)));
    }

    /// Ends whatever is in progress of a run that was given up. How it ended is ignored.
    pub(crate) fn leave_work(&mut self, loaded: &mut LoadedRun) {
        for (_, work) in loaded.work.drain() {
            let AttemptWork::Running(running) = work else { continue };
            let RunningAttempt { executor, request, task, .. } = *running;
            let cancelled = AssertUnwindSafe(async move { executor.cancel(request).await }).catch_unwind();
            self.jobs.push(Box::pin(async move {
                let _done_or_panicked = cancelled.await;
                task.abort();
                crate::shard::job_done::JobDone::Kept
            }));
        }
        for probing in std::mem::take(&mut loaded.probes).into_values() {
            let Some((prober, request)) = probing.stop else { continue };
            let Ok(stopped) = catch_unwind(AssertUnwindSafe(|| prober.cancel(request))) else { continue };
            self.jobs.push(Box::pin(async move {
                let _done_or_panicked = AssertUnwindSafe(stopped).catch_unwind().await;
                crate::shard::job_done::JobDone::Kept
            }));
        }
        let timers = std::mem::take(&mut loaded.timers);
        timers.into_values().flatten().for_each(|(_, _, key)| self.timers.remove(key));
        loaded.unstarted.queue.clear();
        loaded.dispatching.later.clear();
        loaded.unstarted.doubtful.clear();
        loaded.settling = None;
    }

    /// Asks running work to end, and sees that its end is reported even where it says nothing.
    fn stop(&mut self, loaded: &mut LoadedRun, id: &AttemptId) {
        let Some(AttemptWork::Running(running)) = loaded.work.get_mut(id) else { return };
        running.stopping = true;
        let grace = running.request.grace;
        let is_supervised = running.traits.supervised;
        let (task, gone) = (running.task.clone(), running.gone.take());
        let (executor, request) = (Arc::clone(&running.executor), running.request.clone());
        // Asked before its place is given to others; a panic there is no reason not to wait for its end.
        let asked = catch_unwind(AssertUnwindSafe(|| executor.cancel(request)));
        let cancelled = async move {
            if let Ok(asked) = asked {
                let _done_or_panicked = AssertUnwindSafe(asked).catch_unwind().await;
            }
        };
        let (run, id) = (loaded.run, id.clone());
        let span = run_span::of_attempt(run, &id);
        self.works.spawn(
            async move {
                if is_supervised {
                    // Nothing may start in its place while anything of it is left.
                    cancelled.await;
                } else {
                    let _too_late = tokio::time::timeout(grace, cancelled).await;
                }
                tokio::time::sleep(STOPPED_GRACE).await;
                if let Some(gone) = gone {
                    // Its end is not reported while it still does something, unless it never lets go.
                    task.abort();
                    let _gone_or_stubborn = tokio::time::timeout(STOPPED_GRACE, gone).await;
                }
                WorkDone::Stopped { run, id }
            }
            .instrument(span),
        );
    }
}

/// Work inside the engine's process may be sent again where the step says so, whatever its kind. What
/// a supervisor starts at most once needs no such word.
fn as_the_step_says(traits: Traits, idempotent: Option<bool>) -> Traits {
    match idempotent {
        Some(idempotent) if !traits.supervised => {
            Traits { loss: LossTraits { idempotent, ..traits.loss }, ..traits }
        }
        _as_its_kind => traits,
    }
}
