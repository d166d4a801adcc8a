//! The life cycle of an attempt: what an event makes of each phase, and what is to be done then.
//!
//! ```text
//! Absent ─listed─► Queued ─turn─► Planning ─► Waiting ─granted─► Planning ─► Launching ─► Running ─► Reported ─► Absent
//!    └───────────────────────reserved────────────────────────────────┴─► Recording ─┘        ├─► HeldBack ────► Planning
//!                                                                                            └─► Unreadable ──► Planning
//! ```
//!
//! Laws:
//! - Pure: no handle, no IO, no clock. The handles of an attempt stand beside its phase in the
//!   [table](super::table); the actions are carried out by the shard.
//! - Total: each phase answers each event. A pair that changes nothing is listed with its reason; events that are
//!   ignored together in several phases are named once, as patterns.
//! - An attempt is reported once, and nothing of it starts from then on.
//! - A supervised process that was asked to stop is reported when nothing of it is left, and not before.

#[cfg(test)]
mod tests;

use crate::failures::cancelled;
use crate::run::attempt::action::AttemptAction as Action;
use crate::run::attempt::event::{
    AttemptBegin, AttemptEvent as Event, StateView, StopFacts, Superseded, WorkFacts,
};
use crate::run::attempt::phase::{AttemptPhase as Phase, Launching, PlanPurpose as Purpose, Running};
use everfold_base::failure::Failure;

/// Why nothing is withdrawn of an attempt that is not in progress.
const IS_NO_OFFER: &str = "an executor offers only what is in progress";
/// Why a worker takes no attempt that is known here.
const IS_SCHEDULED: &str = "only what is being scheduled is reserved";

/// The phase that follows, and what is to be done.
type Next = (Phase, Vec<Action>);

impl Phase {
    /// The phase after an event, and what is to be done.
    pub(crate) fn next(self, event: Event) -> Next {
        match self {
            Self::Absent => absent(event),
            Self::Queued => queued(event),
            Self::Planning(purpose) => planning(purpose, event),
            Self::Waiting => waiting(event),
            Self::Recording { is_supervised } => recording(is_supervised, event),
            Self::Launching(launching) => launching.next(event),
            Self::Running(running) => running.next(event),
            Self::HeldBack { is_recorded, has_place } => held_back(is_recorded, has_place, event),
            Self::Unreadable { has_place } => unreadable(has_place, event),
            Self::Reported => reported(event),
        }
    }

    /// The event changes nothing, for the reason that stands at the call.
    fn ignored(self, _why: &'static str) -> Next {
        (self, Vec::new())
    }
}

/// The answers to actions of an attempt, as a pattern.
macro_rules! answer_to_action {
    () => {
        Event::Planned { .. }
            | Event::PlanFailed(_)
            | Event::PlanAborted
            | Event::GrantedAtOnce(_)
            | Event::Launched
            | Event::LaunchFailed(_)
    };
}

/// What work that was launched says of itself, as a pattern.
macro_rules! word_of_work {
    () => {
        Event::Began(_)
            | Event::Used(_)
            | Event::Ended(_)
            | Event::HeldBack(_)
            | Event::Unreadable(_)
            | Event::Stopped
    };
}

/// What an attempt that is not in progress waits for, as a pattern.
macro_rules! end_of_waiting {
    () => {
        Event::TurnCame(_)
            | Event::PlanResumed(_)
            | Event::ValuesUnreadable
            | Event::Granted(_)
            | Event::PauseOver(_)
    };
}

/// Nothing is known of the attempt.
fn absent(event: Event) -> Next {
    match event {
        Event::Listed { is_recorded } => listed(is_recorded),
        Event::Reserved => (Phase::Recording { is_supervised: true }, Vec::new()),
        Event::StopListed(facts) if facts.awaits_funds => cancel(),
        Event::StopListed(facts) => stop_unknown(facts),
        end_of_waiting!() => Phase::Absent.ignored("what it waited for comes after it was forgotten"),
        word_of_work!() => Phase::Absent.ignored("its end is decided, or its run was abandoned"),
        answer_to_action!() => Phase::Absent.ignored("answers only an action of a later phase"),
        Event::EndDecided => Phase::Absent.ignored("another engine, or the run itself, reported it"),
        Event::Abandoned => Phase::Absent.ignored("there is nothing to abandon"),
        Event::OfferWithdrawn => Phase::Absent.ignored(IS_NO_OFFER),
    }
}

/// It waits for its turn to be planned.
fn queued(event: Event) -> Next {
    match event {
        Event::TurnCame(view) => plan_at(Purpose::Place, view),
        Event::StopListed(facts) => stop_before_launch(facts),
        Event::Abandoned => (Phase::Absent, Vec::new()),
        Event::Listed { .. } => Phase::Queued.ignored("it is in the queue already"),
        Event::Reserved => Phase::Queued.ignored(IS_SCHEDULED),
        Event::OfferWithdrawn => Phase::Queued.ignored(IS_NO_OFFER),
        Event::PlanResumed(_) | Event::ValuesUnreadable | Event::Granted(_) | Event::PauseOver(_) => {
            Phase::Queued.ignored("belongs to an earlier try; its turn will come")
        }
        answer_to_action!() => Phase::Queued.ignored("answers only an action of a later phase"),
        word_of_work!() => Phase::Queued.ignored("comes late from an earlier try"),
        Event::EndDecided => Phase::Queued.ignored("this try has no end yet"),
    }
}

/// Its plan is being made.
fn planning(purpose: Purpose, event: Event) -> Next {
    let phase = Phase::Planning(purpose);
    match event {
        Event::Planned { needs_funds, work } => planned(purpose, needs_funds, work),
        Event::PlanFailed(failure) => report_failure(failure),
        // The next load lists it again; what may live is re-attached then.
        Event::PlanAborted | Event::ValuesUnreadable | Event::Abandoned => (Phase::Absent, Vec::new()),
        Event::PlanResumed(view) => match purpose {
            Purpose::Place | Purpose::Reattach | Purpose::Stop => (Phase::Absent, vec![Action::ListAgain]),
            // `start` finds a process that is there already, so what is rechecked may be started as well.
            Purpose::Start | Purpose::Recheck { .. } => plan_at(Purpose::Start, view),
        },
        Event::StopListed(facts) => match purpose {
            Purpose::Place | Purpose::Start | Purpose::Recheck { .. } => stop_before_launch(facts),
            // A process of it may live; it is listed to be stopped once more when the values are there.
            Purpose::Reattach | Purpose::Stop => (Phase::Planning(Purpose::Stop), Vec::new()),
        },
        Event::Listed { .. } => phase.ignored("its plan is being made already"),
        Event::Reserved => phase.ignored(IS_SCHEDULED),
        Event::OfferWithdrawn => phase.ignored(IS_NO_OFFER),
        Event::TurnCame(_) | Event::Granted(_) | Event::PauseOver(_) => {
            phase.ignored("belongs to an earlier try")
        }
        Event::GrantedAtOnce(_) | Event::Launched | Event::LaunchFailed(_) => {
            phase.ignored("answers only an action of a later phase")
        }
        word_of_work!() => phase.ignored("comes late from an earlier try"),
        Event::EndDecided => phase.ignored("this try has no end yet"),
    }
}

/// Its plan is made: what it was planned for is done.
fn planned(purpose: Purpose, needs_funds: bool, work: WorkFacts) -> Next {
    let is_supervised = work.is_supervised;
    let launching =
        |is_recorded, is_to_stop| Phase::Launching(Launching { is_supervised, is_recorded, is_to_stop });
    match purpose {
        Purpose::Place if needs_funds => (Phase::Absent, vec![Action::AskForFunds]),
        Purpose::Place => (Phase::Waiting, vec![Action::AskForPlace]),
        Purpose::Start => start(work),
        Purpose::Recheck { is_recorded } => {
            (launching(is_recorded, false), vec![Action::Launch { is_reattached: is_recorded }])
        }
        Purpose::Reattach => {
            (launching(true, false), vec![Action::SeizePlace, Action::Launch { is_reattached: true }])
        }
        Purpose::Stop if is_supervised => {
            (launching(true, true), vec![Action::SeizePlace, Action::Launch { is_reattached: true }])
        }
        // Work inside a former engine's process ended with that.
        Purpose::Stop => cancel(),
    }
}

/// It waits for a place of the scheduler.
fn waiting(event: Event) -> Next {
    match event {
        Event::Granted(view) => plan_at(Purpose::Start, view),
        Event::GrantedAtOnce(work) => start(work),
        Event::StopListed(facts) => stop_before_launch(facts),
        Event::Abandoned => (Phase::Absent, Vec::new()),
        Event::Listed { .. } => Phase::Waiting.ignored("it is in the scheduler's queue already"),
        Event::Reserved => Phase::Waiting.ignored(IS_SCHEDULED),
        Event::OfferWithdrawn => Phase::Waiting.ignored(IS_NO_OFFER),
        Event::TurnCame(_) | Event::PlanResumed(_) | Event::ValuesUnreadable | Event::PauseOver(_) => {
            Phase::Waiting.ignored("belongs to an earlier try")
        }
        Event::Planned { .. }
        | Event::PlanFailed(_)
        | Event::PlanAborted
        | Event::Launched
        | Event::LaunchFailed(_) => Phase::Waiting.ignored("answers only an action of another phase"),
        word_of_work!() => Phase::Waiting.ignored("comes late from an earlier try"),
        Event::EndDecided => Phase::Waiting.ignored("this try has no end yet"),
    }
}

/// The input that records its start is on its way into the store.
fn recording(is_supervised: bool, event: Event) -> Next {
    let phase = Phase::Recording { is_supervised };
    match event {
        Event::Listed { is_recorded: true } => {
            let launching = Launching { is_supervised, is_recorded: true, is_to_stop: false };
            (Phase::Launching(launching), vec![Action::Launch { is_reattached: false }])
        }
        Event::StopListed(facts) => stop_before_launch(facts),
        Event::Abandoned => (Phase::Absent, Vec::new()),
        Event::Listed { is_recorded: false } => phase.ignored("its start is not durable yet"),
        Event::Reserved => phase.ignored(IS_SCHEDULED),
        Event::OfferWithdrawn => phase.ignored(IS_NO_OFFER),
        end_of_waiting!() => phase.ignored("belongs to an earlier try"),
        answer_to_action!() => phase.ignored("answers only an action of another phase"),
        word_of_work!() => phase.ignored("comes late from an earlier try"),
        Event::EndDecided => phase.ignored("this try has no end yet"),
    }
}

impl Launching {
    fn next(self, event: Event) -> Next {
        let Self { is_supervised, is_recorded, is_to_stop } = self;
        match event {
            Event::Launched => {
                let running = Running { is_supervised, is_recorded, is_stopping: is_to_stop };
                let stop = is_to_stop.then_some(Action::Stop);
                (Phase::Running(running), stop.into_iter().collect())
            }
            Event::Ended(ended) => (Phase::Reported, vec![Action::Report(ended)]),
            Event::LaunchFailed(failure) => report_failure(failure),
            Event::Abandoned => (Phase::Absent, Vec::new()),
            Event::Listed { .. }
            | Event::Reserved
            | Event::StopListed(_)
            | Event::TurnCame(_)
            | Event::PlanResumed(_)
            | Event::ValuesUnreadable
            | Event::Planned { .. }
            | Event::PlanFailed(_)
            | Event::PlanAborted
            | Event::GrantedAtOnce(_)
            | Event::Granted(_)
            | Event::Began(_)
            | Event::Used(_)
            | Event::HeldBack(_)
            | Event::Unreadable(_)
            | Event::Stopped
            | Event::OfferWithdrawn
            | Event::PauseOver(_)
            | Event::EndDecided => {
                Phase::Launching(self).ignored("a launch is one call: the shard takes in nothing meanwhile")
            }
        }
    }
}

impl Running {
    fn next(self, event: Event) -> Next {
        let Self { is_supervised, is_recorded, is_stopping } = self;
        let phase = Phase::Running(self);
        match event {
            // A worker takes what a former engine began for none, or for one that was never given it.
            Event::Began(AttemptBegin { taken: None, .. }) if is_recorded => {
                (phase, vec![Action::NoteLiving])
            }
            Event::Began(begin) => (phase, vec![Action::NoteLiving, Action::RecordStart(begin)]),
            Event::Used(so_far) => (phase, vec![Action::RecordUsage(so_far)]),
            Event::Ended(ended) if is_stopping => (Phase::Reported, vec![Action::ReportStopped(ended)]),
            Event::Ended(ended) => (Phase::Reported, vec![Action::Report(ended)]),
            Event::Stopped => (Phase::Reported, vec![Action::AbortTask, Action::ReportFailure(cancelled())]),
            Event::StopListed(_) if !is_stopping => {
                (Phase::Running(Self { is_stopping: true, ..self }), vec![Action::Stop])
            }
            Event::HeldBack(_) | Event::Unreadable(_) if is_stopping && is_supervised => {
                phase.ignored("what is left of it is known when its executor has stopped it")
            }
            // Work inside the engine's process has ended with its future.
            Event::HeldBack(_) | Event::Unreadable(_) if is_stopping => cancel(),
            Event::HeldBack(reason) if is_supervised => {
                let phase = Phase::HeldBack { is_recorded, has_place: true };
                (phase, vec![Action::NoteLeft, Action::RetryLater(reason)])
            }
            Event::HeldBack(reason) => {
                (Phase::HeldBack { is_recorded, has_place: false }, vec![Action::RetryLater(reason)])
            }
            Event::Unreadable(reason) => {
                let phase = Phase::Unreadable { has_place: is_supervised };
                (phase, vec![Action::NoteLeft, Action::Quarantine(reason)])
            }
            // The state lists it again when it may start.
            Event::OfferWithdrawn if is_supervised && !is_recorded && !is_stopping => {
                (Phase::Absent, vec![Action::AbortTask])
            }
            Event::Abandoned => (Phase::Absent, vec![Action::Abandon]),
            Event::OfferWithdrawn => phase.ignored("it has begun, or its end is waited for"),
            Event::StopListed(_) => phase.ignored("its executor was asked to stop it already"),
            Event::Listed { is_recorded: true } if !is_recorded => {
                (Phase::Running(Self { is_recorded: true, ..self }), Vec::new())
            }
            Event::Listed { .. } => phase.ignored("it is in progress already"),
            Event::Reserved => phase.ignored(IS_SCHEDULED),
            end_of_waiting!() => phase.ignored("belongs to an earlier try"),
            answer_to_action!() => phase.ignored("answers only an action of an earlier phase"),
            Event::EndDecided => phase.ignored("this try has no end yet"),
        }
    }
}

/// It waits until there may be room.
fn held_back(is_recorded: bool, has_place: bool, event: Event) -> Next {
    let phase = Phase::HeldBack { is_recorded, has_place };
    match event {
        Event::PauseOver(view) if has_place && view.is_durable => {
            plan_at(Purpose::Recheck { is_recorded }, view)
        }
        Event::PauseOver(_) if has_place => (Phase::Planning(Purpose::Start), vec![Action::PlanWhenDurable]),
        Event::PauseOver(view) if !view.is_durable => {
            let purpose = if is_recorded { Purpose::Reattach } else { Purpose::Place };
            (Phase::Planning(purpose), vec![Action::PlanWhenDurable])
        }
        // Also where the state does not list it: what was recorded has to be reported.
        Event::PauseOver(_) => listed(is_recorded),
        Event::StopListed(facts) => stop_before_launch(facts),
        Event::Abandoned => (Phase::Absent, Vec::new()),
        Event::Listed { .. } => phase.ignored("it is tried again when its pause is over"),
        Event::Reserved => phase.ignored(IS_SCHEDULED),
        Event::OfferWithdrawn => phase.ignored(IS_NO_OFFER),
        Event::TurnCame(_) | Event::PlanResumed(_) | Event::ValuesUnreadable | Event::Granted(_) => {
            phase.ignored("belongs to an earlier try")
        }
        answer_to_action!() => phase.ignored("answers only an action of another phase"),
        word_of_work!() => phase.ignored("comes late from the try that was held back"),
        Event::EndDecided => phase.ignored("this try has no end yet"),
    }
}

/// It is checked again when its run is loaded.
fn unreadable(has_place: bool, event: Event) -> Next {
    let phase = Phase::Unreadable { has_place };
    match event {
        Event::Listed { is_recorded } if has_place => {
            (Phase::Planning(Purpose::Recheck { is_recorded }), vec![Action::Plan])
        }
        Event::Listed { is_recorded } => listed(is_recorded),
        Event::StopListed(facts) => stop_before_launch(facts),
        Event::Abandoned => (Phase::Absent, Vec::new()),
        Event::Reserved => phase.ignored(IS_SCHEDULED),
        Event::OfferWithdrawn => phase.ignored(IS_NO_OFFER),
        end_of_waiting!() => phase.ignored("belongs to an earlier try; the next load of its run lists it"),
        answer_to_action!() => phase.ignored("answers only an action of another phase"),
        word_of_work!() => phase.ignored("comes late from the try whose record is damaged"),
        Event::EndDecided => phase.ignored("this try has no end yet"),
    }
}

/// Its end is on its way into the store.
fn reported(event: Event) -> Next {
    match event {
        Event::EndDecided | Event::Abandoned => (Phase::Absent, Vec::new()),
        Event::Reserved => Phase::Reported.ignored(IS_SCHEDULED),
        Event::OfferWithdrawn => Phase::Reported.ignored(IS_NO_OFFER),
        Event::Listed { .. } | Event::StopListed(_) => {
            Phase::Reported.ignored("its end is not decided yet, so the state goes on listing it")
        }
        word_of_work!() => Phase::Reported.ignored("an attempt has one end"),
        end_of_waiting!() => Phase::Reported.ignored("nothing of it starts after its report"),
        answer_to_action!() => Phase::Reported.ignored("answers only an action of an earlier phase"),
    }
}

/// The state lists an attempt of which nothing is known here.
fn listed(is_recorded: bool) -> Next {
    if is_recorded {
        (Phase::Planning(Purpose::Reattach), vec![Action::Plan])
    } else {
        (Phase::Queued, vec![Action::Enqueue])
    }
}

/// Plans an attempt that the state still lists. What is planned on a state that is ahead of the store could rest on
/// events that are lost (D2), so that waits.
fn plan_at(purpose: Purpose, view: StateView) -> Next {
    match view {
        StateView { lists_it: false, .. } => (Phase::Absent, Vec::new()),
        StateView { is_durable: false, .. } => (Phase::Planning(purpose), vec![Action::PlanWhenDurable]),
        StateView { is_durable: true, .. } => (Phase::Planning(purpose), vec![Action::Plan]),
    }
}

/// Starts an attempt that has a place (D10): work that may be sent twice, and processes that a supervisor starts at
/// most once, begin now; any other begins when its start is durable.
fn start(WorkFacts { is_supervised, is_idempotent }: WorkFacts) -> Next {
    if is_supervised || is_idempotent {
        let launching = Launching { is_supervised, is_recorded: false, is_to_stop: false };
        (Phase::Launching(launching), vec![Action::Launch { is_reattached: false }])
    } else {
        (Phase::Recording { is_supervised: false }, vec![Action::RecordStart(AttemptBegin::default())])
    }
}

/// Stops an attempt that has not begun here.
fn stop_before_launch(facts: StopFacts) -> Next {
    if facts.may_be_left { stop_unknown(facts) } else { cancel() }
}

/// Stops an attempt of which a former engine may have left a process.
fn stop_unknown(facts: StopFacts) -> Next {
    match facts.superseded {
        Superseded::No => (Phase::Planning(Purpose::Stop), vec![Action::Plan]),
        Superseded::InProcess => cancel(),
        Superseded::Supervised => {
            let running = Running { is_supervised: true, is_recorded: true, is_stopping: true };
            (Phase::Running(running), vec![Action::StopSuperseded])
        }
    }
}

fn cancel() -> Next {
    report_failure(cancelled())
}

fn report_failure(failure: Failure) -> Next {
    (Phase::Reported, vec![Action::ReportFailure(failure)])
}
