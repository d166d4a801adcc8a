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

use super::World;
use super::cell::{Cell, Phase, Prepared, Running, Work};
use super::outcome::WantedBy;
use super::span;
use super::told::Observer;
use super::work::{Ended, NoEnd, WorkDone, attempt_end, bug, cancelled, started_input};
use crate::decide::plan;
use crate::driver::limits::Class;
use crate::driver::line::{Asked, Grant, Standing};
use crate::driver::load::panic_text;
use crate::driver::request;
use crate::effect::{Effect, Touched, effects_of};
use crate::execution::Traits;
use crate::expr::EvalError;
use crate::failure::{Failure, FailureKind, NO_ROOM_CODE};
use crate::id::{AttemptId, EffectId};
use crate::json::Value;
use crate::store::is_shortage;

/// How long a stopped attempt's future may still resolve by itself.
const STOPPED_GRACE: std::time::Duration = std::time::Duration::from_secs(1);

/// What came of planning an attempt.
enum Planned {
    Ready(Box<Prepared>),
    /// Values are being read; it is planned again.
    Later,
    /// It cannot be planned; the reason is reported, or the run is set aside.
    Never,
}

impl World {
    /// The state lists an attempt.
    pub(super) fn attempt_listed(&mut self, cell: &mut Cell, id: AttemptId, started: bool) {
        match cell.work.get(&id) {
            None if started => self.reattach(cell, id),
            None => {
                cell.work.insert(id.clone(), Work::Fresh);
                self.enlist(cell, id);
            }
            Some(Work::Unseen(_)) => {
                let Some(Work::Unseen(grant)) = cell.work.remove(&id) else { return };
                match grant {
                    Some(grant) => self.look_again(cell, id, grant, started),
                    None => self.attempt_listed(cell, id, started),
                }
            }
            Some(Work::Recording(..)) if started => {
                if let Some(Work::Recording(prepared, grant)) = cell.work.remove(&id) {
                    self.launch(cell, id, *prepared, grant, false, true);
                }
            }
            Some(_in_progress) => {}
        }
    }

    /// The turn of an attempt to be planned has come: it asks to start, or starts at once.
    pub(super) fn take_up(&mut self, cell: &mut Cell, id: AttemptId) {
        if !matches!(cell.work.get(&id), Some(Work::Fresh)) || !self.is_wanted(cell, &id) {
            return;
        }
        if matches!(cell.phase, Phase::Appending) {
            return self.plan_later(cell, id, None);
        }
        let prepared = match self.plan(cell, &id) {
            Planned::Ready(prepared) => *prepared,
            Planned::Later => {
                cell.work.insert(id, Work::Planning(None));
                return;
            }
            Planned::Never => return,
        };
        if prepared.traits.paid && self.wants_funds(cell, &id) {
            return;
        }
        let effect = EffectId { run: cell.run, attempt: id.clone() };
        let standing = Standing { priority: prepared.priority, group: self.group(cell) };
        match self.shared.line.ask(self.at, effect, prepared.needs.clone(), standing) {
            Asked::Served(grant) => self.start(cell, id, prepared, grant),
            Asked::Waits(ticket) => drop(cell.work.insert(id, Work::Waiting { _ticket: ticket })),
        }
    }

    /// An attempt that waited got what it waited for.
    pub(super) fn served(&mut self, cell: &mut Cell, id: AttemptId, grant: Grant) {
        if !matches!(cell.work.get(&id), Some(Work::Waiting { .. })) || !self.is_wanted(cell, &id) {
            return;
        }
        if matches!(cell.phase, Phase::Appending) {
            return self.plan_later(cell, id, Some(grant));
        }
        match self.plan(cell, &id) {
            Planned::Ready(prepared) => self.start(cell, id, *prepared, grant),
            // It keeps its turn meanwhile.
            Planned::Later => drop(cell.work.insert(id, Work::Planning(Some(grant)))),
            Planned::Never => {}
        }
    }

    /// The state is ahead of the store: what is planned on it could rest on events that are lost (D2).
    fn plan_later(&mut self, cell: &mut Cell, id: AttemptId, grant: Option<Grant>) {
        cell.work.insert(id.clone(), Work::Planning(grant));
        cell.later.push(WantedBy::Attempt(id));
    }

    /// Whether the state still lists an attempt that waited. Where the state is on its way, the load
    /// lists it again.
    fn is_wanted(&self, cell: &mut Cell, id: &AttemptId) -> bool {
        let part = Touched::Path(id.path.clone());
        let is_listed =
            |effect: &Effect| matches!(effect, Effect::Attempt { id: listed, .. } if listed == id);
        let listed = cell.state.as_ref().is_some_and(|state| effects_of(state, &part).iter().any(is_listed));
        let is_wanted = listed && !matches!(cell.phase, Phase::Aside(_));
        if !is_wanted {
            cell.work.remove(id);
        }
        is_wanted
    }

    /// To whom the work of a run is counted.
    pub(super) fn group(&self, cell: &Cell) -> Arc<str> {
        match &cell.state {
            Some(state) => self.shared.line.config().fair_by.group(cell.run, state),
            None => "".into(),
        }
    }

    fn start(&mut self, cell: &mut Cell, id: AttemptId, prepared: Prepared, grant: Grant) {
        if prepared.traits.supervised || prepared.traits.idempotent {
            self.launch(cell, id, prepared, grant, false, false);
        } else {
            cell.push(started_input(cell.run, id.clone()));
            cell.work.insert(id, Work::Recording(Box::new(prepared), grant));
            self.mark(cell);
        }
    }

    /// The values that a plan asked for are there.
    pub(super) fn planned(&mut self, cell: &mut Cell, id: AttemptId) {
        match cell.work.get_mut(&id) {
            Some(Work::Planning(grant)) if grant.is_some() => {
                let Some(grant) = grant.take() else { return };
                if !self.is_wanted(cell, &id) {
                    return;
                }
                match self.plan(cell, &id) {
                    Planned::Ready(prepared) => self.start(cell, id, *prepared, grant),
                    Planned::Later => drop(cell.work.insert(id, Work::Planning(Some(grant)))),
                    Planned::Never => {}
                }
            }
            Some(Work::Planning(_)) => {
                cell.work.remove(&id);
                self.dispatch_part(cell, &Touched::Path(id.path));
            }
            _not_planned => {}
        }
    }

    /// The pause of an attempt that was held back is over.
    pub(super) fn take_up_again(&mut self, cell: &mut Cell, id: AttemptId) {
        let Some(Work::HeldBack { is_recorded, grant }) = cell.work.get_mut(&id) else { return };
        let (is_recorded, grant) = (*is_recorded, grant.take());
        if matches!(cell.phase, Phase::Appending) {
            return self.plan_later(cell, id, grant);
        }
        if let Some(grant) = grant {
            if self.is_wanted(cell, &id) {
                self.look_again(cell, id, grant, is_recorded);
            }
            return;
        }
        if is_recorded {
            cell.work.remove(&id);
            // Where the state is on its way, the load lists it again.
            return self.reattach(cell, id);
        }
        cell.work.insert(id.clone(), Work::Fresh);
        self.enlist(cell, id);
    }

    /// Looks again at an attempt that may have begun, and has kept its place.
    fn look_again(&mut self, cell: &mut Cell, id: AttemptId, grant: Grant, is_recorded: bool) {
        match self.plan(cell, &id) {
            Planned::Ready(prepared) => self.launch(cell, id, *prepared, grant, is_recorded, is_recorded),
            Planned::Later => drop(cell.work.insert(id, Work::Planning(Some(grant)))),
            Planned::Never => {}
        }
    }

    /// Goes on with an attempt that a former engine started; it has its place already.
    fn reattach(&mut self, cell: &mut Cell, id: AttemptId) {
        match self.plan(cell, &id) {
            Planned::Ready(prepared) => {
                let (effect, group) = (EffectId { run: cell.run, attempt: id.clone() }, self.group(cell));
                let grant = self.shared.line.seize(effect, prepared.needs.clone(), group);
                self.launch(cell, id, *prepared, grant, true, true);
            }
            Planned::Later => drop(cell.work.insert(id, Work::Planning(None))),
            Planned::Never => {}
        }
    }

    fn plan(&mut self, cell: &mut Cell, id: &AttemptId) -> Planned {
        let Some(state) = &cell.state else { return Planned::Never };
        let effect = EffectId { run: cell.run, attempt: id.clone() };
        let planned = loop {
            let planned = catch_unwind(AssertUnwindSafe(|| {
                let Some(plan) = plan::attempt(state, id, &cell.loaded)? else { return Ok(None) };
                let kind = plan.kind.clone();
                let mut request = request::attempt(state, &self.shared.layout, &effect, plan, &cell.loaded)?;
                let executor = self.shared.edge.executors.get(&kind).cloned();
                let known = executor.map(|executor| {
                    let known = catch_unwind(AssertUnwindSafe(|| {
                        let spec = &request.spec;
                        (executor.traits(spec), executor.services(spec), executor.is_elsewhere(spec))
                    }));
                    (executor, known)
                });
                if matches!(&known, Some((_, Ok((traits, ..)))) if traits.told) {
                    request.input = plan::told(state, id, &request.spec, &cell.loaded)?;
                }
                let standing = plan::standing(state, id, &cell.loaded)?;
                let standing = standing.map(|standing| (standing.resources.to_vec(), standing.priority));
                Ok(Some((kind, request, known, standing.unwrap_or_default())))
            }));
            match planned {
                Ok(Err(EvalError::Needs(wanted))) => {
                    let missing = self.shared.values.at_hand(wanted, &mut cell.loaded);
                    if !missing.is_empty() {
                        self.fetch(cell, missing, WantedBy::Attempt(id.clone()));
                        return Planned::Later;
                    }
                }
                other => break other,
            }
        };
        let failure = match planned {
            Err(panic) => {
                self.set_aside(cell, panic_text(panic.as_ref()));
                return Planned::Never;
            }
            Ok(Ok(Some((kind, request, Some((executor, Ok((traits, services, elsewhere)))), standing)))) => {
                let traits = as_the_step_says(traits, request.idempotent);
                let class = Class::of(&kind, &traits, elsewhere);
                let (resources, priority) = standing;
                let needs = self.shared.line.needs(class, &resources, &services);
                let prepared = Prepared { executor, request, traits, class, needs, priority };
                return Planned::Ready(Box::new(prepared));
            }
            Ok(Ok(Some((_, _, Some((_, Err(panic))), _)))) => bug(panic.as_ref()),
            Ok(Ok(Some((kind, _, None, _)))) => unknown(&kind, "work", self.shared.edge.executors.keys()),
            Ok(Ok(None)) => Failure::new(FailureKind::Spawn, "the attempt is not known to its run"),
            Ok(Err(error)) => Failure::new(FailureKind::Validation, error.to_string()),
        };
        self.give_up(cell, id, failure);
        Planned::Never
    }

    /// Starts an attempt. In-process work that is ready at once never becomes a task.
    fn launch(
        &mut self,
        cell: &mut Cell,
        id: AttemptId,
        prepared: Prepared,
        mut grant: Grant,
        again: bool,
        is_recorded: bool,
    ) {
        let Prepared { executor, request, traits, class, .. } = prepared;
        grant.begin();
        cell.doubtful.remove(&id);
        let observer = Arc::new(Observer {
            id: request.id.clone(),
            told: Arc::clone(&self.told),
            shared: Arc::clone(&self.shared),
            has_begun: AtomicBool::new(!traits.supervised),
        });
        let folder = request::folder_to_make(&request, class == Class::Supervised, &self.shared.layout);
        let copying = match self.copying(cell, &id, &request) {
            Ok(copying) => copying,
            Err(failure) => return self.give_up(cell, &id, failure),
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
                return self.give_up(cell, &id, failure);
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
                    return self.report(cell, &id, ended, traits.on_lost);
                }
                Err(no_end) => at_once = Some(no_end),
            }
        }
        let (run, attempt, blocking) = (cell.run, id.clone(), self.shared.config.blocking);
        let now = self.shared.config.clock.clone();
        let (kept, gone) = oneshot::channel::<()>();
        let span = span::of_attempt(run, &attempt);
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
                            ended: Box::new(Ended::failed(failure, now())),
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
        let running = Running {
            executor,
            request,
            traits,
            task,
            gone: Some(gone),
            stopping: false,
            is_recorded,
            grant: Some(grant),
        };
        cell.work.insert(id, Work::Running(Box::new(running)));
    }

    /// The state lists an attempt that is to end.
    pub(super) fn stop_listed(&mut self, cell: &mut Cell, id: AttemptId) {
        let never_began = cell.state.as_ref().is_some_and(|state| state.waits_for_funds(&id));
        if never_began && !cell.work.contains_key(&id) {
            return self.give_up(cell, &id, cancelled());
        }
        if cell.doubtful.remove(&id)
            && matches!(
                cell.work.get(&id),
                Some(
                    Work::Fresh
                        | Work::Waiting { .. }
                        | Work::Planning(_)
                        | Work::Recording(..)
                        | Work::HeldBack { .. }
                        | Work::Unseen(_)
                )
            )
        {
            // It may live since a former engine, or since it was looked at last, though it has no place now.
            cell.work.remove(&id);
        }
        let is_superseded = cell.state.as_ref().is_some_and(|state| state.current(&id).is_none());
        if is_superseded && !cell.work.contains_key(&id) {
            return self.stop_superseded(cell, id);
        }
        match cell.work.get_mut(&id) {
            Some(Work::Running(running)) if running.stopping => {}
            Some(Work::Reported) => {}
            Some(Work::Running(_)) => self.stop(cell, &id),
            Some(
                Work::Fresh
                | Work::Waiting { .. }
                | Work::Planning(_)
                | Work::Recording(..)
                | Work::HeldBack { .. }
                | Work::Unseen(_),
            ) => self.give_up(cell, &id, cancelled()),
            None => match self.plan(cell, &id) {
                // It may have ended, or live on, since a former engine started it: ask, and stop it.
                Planned::Ready(prepared) if prepared.traits.supervised => {
                    let (effect, group) = (EffectId { run: cell.run, attempt: id.clone() }, self.group(cell));
                    let grant = self.shared.line.seize(effect, prepared.needs.clone(), group);
                    self.launch(cell, id.clone(), *prepared, grant, true, true);
                    self.stop(cell, &id);
                }
                Planned::Ready(..) => self.give_up(cell, &id, cancelled()),
                Planned::Later => drop(cell.work.insert(id, Work::Planning(None))),
                Planned::Never => {}
            },
        }
    }

    /// Ends what a former engine may have left of an attempt that a rework superseded, so that its
    /// plan is not known any more. Its folder is all that is needed; whatever came of it routes nothing.
    fn stop_superseded(&mut self, cell: &mut Cell, id: AttemptId) {
        let kind = cell.state.as_ref().and_then(|state| plan::executor(state, &id));
        let Some(executor) = kind.and_then(|kind| self.shared.edge.executors.get(kind)).map(Arc::clone)
        else {
            return self.give_up(cell, &id, cancelled());
        };
        let Ok(traits) = catch_unwind(AssertUnwindSafe(|| executor.traits(&Value::Null))) else {
            return self.give_up(cell, &id, cancelled());
        };
        if !traits.supervised {
            return self.give_up(cell, &id, cancelled());
        }
        let request = request::stop(&self.shared.layout, EffectId { run: cell.run, attempt: id.clone() });
        let (run, attempt) = (cell.run, id.clone());
        let (ending, asked) = (Arc::clone(&executor), request.clone());
        let stopped = AssertUnwindSafe(async move { ending.cancel(asked).await }).catch_unwind();
        let span = span::of_attempt(run, &attempt);
        let task = self.works.spawn(
            async move {
                let _done_or_panicked = stopped.await;
                WorkDone::Stopped { run, id: attempt }
            }
            .instrument(span),
        );
        let running = Running {
            executor,
            request,
            traits,
            task,
            gone: None,
            stopping: true,
            is_recorded: true,
            grant: None,
        };
        cell.work.insert(id, Work::Running(Box::new(running)));
    }

    /// Ends whatever is in progress of a run that was given up. How it ended nobody asks.
    pub(super) fn leave_work(&mut self, cell: &mut Cell) {
        for (_, work) in cell.work.drain() {
            let Work::Running(running) = work else { continue };
            let Running { executor, request, task, .. } = *running;
            let cancelled = AssertUnwindSafe(async move { executor.cancel(request).await }).catch_unwind();
            self.jobs.push(Box::pin(async move {
                let _done_or_panicked = cancelled.await;
                task.abort();
                super::outcome::Done::Kept
            }));
        }
        for probing in std::mem::take(&mut cell.probes).into_values() {
            let Some((prober, request)) = probing.stop else { continue };
            let Ok(stopped) = catch_unwind(AssertUnwindSafe(|| prober.cancel(request))) else { continue };
            self.jobs.push(Box::pin(async move {
                let _done_or_panicked = AssertUnwindSafe(stopped).catch_unwind().await;
                super::outcome::Done::Kept
            }));
        }
        let timers = std::mem::take(&mut cell.timers);
        timers.into_values().flatten().for_each(|(_, _, key)| self.timers.remove(key));
        cell.fresh.clear();
        cell.later.clear();
        cell.doubtful.clear();
        cell.settling = None;
    }

    /// Asks running work to end, and sees that its end is reported even where it says nothing.
    fn stop(&mut self, cell: &mut Cell, id: &AttemptId) {
        let Some(Work::Running(running)) = cell.work.get_mut(id) else { return };
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
        let (run, id) = (cell.run, id.clone());
        let span = span::of_attempt(run, &id);
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
                    // Its end is not told while it still does something, unless it never lets go.
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
        Some(idempotent) if !traits.supervised => Traits { idempotent, ..traits },
        _as_its_kind => traits,
    }
}

/// The failure of a kind that nobody here knows.
pub(super) fn unknown<'a>(kind: &str, what: &str, known: impl Iterator<Item = &'a String>) -> Failure {
    let known: Vec<&str> = known.map(String::as_str).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Failure::new(FailureKind::Spawn, format!("no {what} of kind “{kind}” can be done here")).with_hint(
        format!("this engine knows: {known}; run an everfold that has “{kind}”, or change the step"),
    )
}
