//! What is to be done about an attempt.

use crate::run::attempt::ended_attempt::EndedAttempt;
use crate::run::attempt::event::AttemptBegin;
use everfold_base::failure::Failure;
use everfold_core::artefact::Usage;

/// What is to be done about an attempt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AttemptAction {
    /// Put it in its run's queue of attempts to plan.
    Enqueue,
    /// Make its plan.
    Plan,
    /// Resume its plan when the state is durable.
    PlanWhenDurable,
    /// List once more what the state wants of its part of the run.
    ListAgain,
    /// Ask for funds; the state lists it again when it may start.
    AskForFunds,
    /// Ask the scheduler for a place.
    AskForPlace,
    /// Take a place without asking: it may live, and has what it needs.
    SeizePlace,
    /// Record that it started, as far as its executor says how.
    RecordStart(AttemptBegin),
    /// Call its executor.
    Launch { is_reattached: bool },
    /// Count it as living where its run waits for the reports of re-attached attempts.
    NoteLiving,
    /// Record what it has used up.
    RecordUsage(Vec<Usage>),
    /// Ask its executor to stop it, and wait for that.
    Stop,
    /// Ask the executor to stop whatever is left of it; its folder is all that is known.
    StopSuperseded,
    /// Drop its task.
    AbortTask,
    /// Ask its executor to stop it, and ignore how it ends.
    Abandon,
    /// Remember that a process of it may live.
    NoteLeft,
    /// Try it again after a pause.
    RetryLater(String),
    /// Quarantine its run.
    Quarantine(String),
    /// Report how it ended.
    Report(Box<EndedAttempt>),
    /// Report how it ended after a request to stop.
    ReportStopped(Box<EndedAttempt>),
    /// Report a failure that does not come from its work.
    ReportFailure(Failure),
}
