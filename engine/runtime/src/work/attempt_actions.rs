//! Events of attempts, and what follows from them.
//!
//! Law: the [life cycle](crate::run::attempt::lifecycle) decides; its actions are carried out here, in their order.

use crate::limits::Class;
use crate::run::attempt::action::AttemptAction;
use crate::run::attempt::ended_attempt::EndedAttempt;
use crate::run::attempt::event::{AttemptEvent, StateView};
use crate::run::attempt::table::AttemptHandles;
use crate::run::loaded_run::{LoadedRun, RunPhase};
use crate::scheduler::places::Grant;
use crate::shard::core::ShardCore;
use crate::shard::job_done::WantedBy;
use crate::work::report::started_input;
use crate::work::stop::stop_cause;
use everfold_base::id::AttemptId;
use everfold_core::effect::{Effect, Touched};
use everfold_core::state::effects_of;
use everfold_language::words::OnLost;
use everfold_ports::AttemptStop;

impl ShardCore {
    /// Gives an event to an attempt, and does what follows.
    pub(crate) fn attempt_event(&mut self, loaded: &mut LoadedRun, id: &AttemptId, event: AttemptEvent) {
        self.attempt_event_with(loaded, id, event, AttemptHandles::default());
    }

    /// Gives an event to an attempt with the handles that come with it, and does what follows.
    pub(crate) fn attempt_event_with(
        &mut self,
        loaded: &mut LoadedRun,
        id: &AttemptId,
        event: AttemptEvent,
        brought: AttemptHandles,
    ) {
        let (actions, mut over) = loaded.attempts.next(id, event, brought);
        for action in actions {
            match action {
                AttemptAction::Enqueue => self.enqueue_attempt(loaded, id.clone()),
                AttemptAction::Plan => self.plan(loaded, id),
                AttemptAction::PlanWhenDurable => {
                    loaded.dispatching.later.push(WantedBy::Attempt(id.clone()));
                }
                AttemptAction::ListAgain => self.dispatch_part(loaded, &Touched::Path(id.path.clone())),
                AttemptAction::AskForFunds => self.ask_for_funds(loaded, id),
                AttemptAction::AskForPlace => self.ask_for_place(loaded, id),
                AttemptAction::SeizePlace => self.seize_place(loaded, id),
                AttemptAction::RecordStart(begin) => {
                    loaded.push(started_input(loaded.run, id.clone(), begin));
                    self.mark(loaded);
                }
                AttemptAction::Launch { is_reattached } => self.launch(loaded, id, is_reattached),
                AttemptAction::NoteLiving => self.note_living(loaded, id),
                AttemptAction::RecordUsage(so_far) => self.record_usage(loaded, id, so_far),
                AttemptAction::Stop => self.stop(loaded, id),
                AttemptAction::StopSuperseded => self.stop_superseded(loaded, id),
                AttemptAction::AbortTask => over.task.iter().for_each(|work| work.task.abort()),
                AttemptAction::Abandon => self.abandon_attempt(std::mem::take(&mut over)),
                AttemptAction::NoteLeft => drop(loaded.unstarted.may_be_left.insert(id.clone())),
                AttemptAction::RetryLater(reason) => self.retry_later(loaded, id, &reason),
                AttemptAction::Quarantine(reason) => self.quarantine(loaded, reason),
                AttemptAction::Report(ended) => {
                    let ended = with_cause(loaded, id, *ended);
                    self.report_end(loaded, id, ended, std::mem::take(&mut over));
                }
                AttemptAction::ReportStopped(ended) => {
                    let planned = over.planned.as_ref();
                    let is_open = stop_cause(loaded, id) == AttemptStop::Interrupt
                        && planned.is_some_and(|planned| planned.class == Class::Elsewhere);
                    // A process is gone. What a worker did that says nothing any more is not known, and its run goes on.
                    let ended = if is_open { *ended } else { ended.after_stop() };
                    let ended = with_cause(loaded, id, ended);
                    self.report_end(loaded, id, ended, std::mem::take(&mut over));
                }
                AttemptAction::ReportFailure(failure) => {
                    let ended = EndedAttempt::failed(failure, self.shared.now());
                    let ended = with_cause(loaded, id, ended);
                    self.report(loaded, id, ended, OnLost::Block);
                }
            }
        }
    }

    /// The turn of an attempt to be planned has come.
    pub(crate) fn turn_came(&mut self, loaded: &mut LoadedRun, id: &AttemptId) {
        let view = view(loaded, id);
        self.attempt_event(loaded, id, AttemptEvent::TurnCame(view));
    }

    /// An attempt that waited has a place. It is given back where the attempt does not wait any more.
    pub(crate) fn granted(&mut self, loaded: &mut LoadedRun, id: &AttemptId, grant: Grant) {
        let view = view(loaded, id);
        let brought = AttemptHandles::of_grant(grant);
        self.attempt_event_with(loaded, id, AttemptEvent::Granted(view), brought);
    }

    /// What the plan of an attempt waited for is there.
    pub(crate) fn plan_resumed(&mut self, loaded: &mut LoadedRun, id: &AttemptId) {
        let view = view(loaded, id);
        self.attempt_event(loaded, id, AttemptEvent::PlanResumed(view));
    }

    /// The pause of an attempt that was held back is over.
    pub(crate) fn pause_over(&mut self, loaded: &mut LoadedRun, id: &AttemptId) {
        let view = view(loaded, id);
        self.attempt_event(loaded, id, AttemptEvent::PauseOver(view));
    }
}

/// An end with the cause that the state knows: executors hear of a stop, not of its reason.
fn with_cause(loaded: &LoadedRun, id: &AttemptId, ended: EndedAttempt) -> EndedAttempt {
    match loaded.state.as_ref().and_then(|state| state.time_limit_failure(id)) {
        Some(failure) => ended.by_time_limit(failure),
        None => ended,
    }
}

/// What the state of a run says of one of its attempts. Where the state is being read, the load lists it again.
fn view(loaded: &LoadedRun, id: &AttemptId) -> StateView {
    let part = Touched::Path(id.path.clone());
    let is_it = |effect: &Effect| matches!(effect, Effect::Attempt { id: listed, .. } if listed == id);
    let is_listed = loaded.state.as_ref().is_some_and(|state| effects_of(state, &part).iter().any(is_it));
    StateView {
        lists_it: is_listed && !matches!(loaded.phase, RunPhase::Quarantined(_)),
        is_durable: !matches!(loaded.phase, RunPhase::Appending),
    }
}
