//! What happens to an attempt, with the facts by which its life cycle decides.

use crate::run::attempt::ended_attempt::EndedAttempt;
use everfold_base::failure::Failure;
use everfold_base::time::Timestamp;
use everfold_core::artefact::Usage;
use everfold_core::event::AttemptHolder;
use everfold_ports::RecordReceipt;

/// What the run's state says of an attempt that is to be planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StateView {
    /// The state lists it as to be in progress, and the run is not quarantined.
    pub(crate) lists_it: bool,
    /// Nothing of the state is on its way into the store (D2).
    pub(crate) is_durable: bool,
}

/// What is known of an attempt that the state lists as to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StopFacts {
    /// It waits for funds, so that it never began.
    pub(crate) awaits_funds: bool,
    /// A process of it may live though it has not begun here.
    pub(crate) may_be_left: bool,
    /// Whether a rework took its place, so that it cannot be planned any more.
    pub(crate) superseded: Superseded,
}

/// Whether a rework took the place of an attempt, and of what kind its work was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Superseded {
    No,
    /// Its work was inside an engine's process, or is not known.
    InProcess,
    Supervised,
}

/// What a plan says of how its work may be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WorkFacts {
    pub(crate) is_supervised: bool,
    /// It may be sent twice.
    pub(crate) is_idempotent: bool,
}

/// What an executor says of the begin of an attempt.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct AttemptBegin {
    /// When, where that is known of the work itself.
    pub(crate) at: Option<Timestamp>,
    /// The worker that takes it, and what is informed when that is recorded.
    pub(crate) taken: Option<(AttemptHolder, RecordReceipt)>,
}

/// What happens to an attempt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AttemptEvent {
    /// The durable state lists it as to be in progress; `is_recorded`: `AttemptStarted` is in the history.
    Listed { is_recorded: bool },
    /// A worker that waits takes it; that is on its way into the store together with what schedules it.
    Reserved,
    /// The durable state lists it as to be stopped.
    StopListed(StopFacts),
    /// Its turn in the run's queue of attempts to plan has come.
    TurnCame(StateView),
    /// What its plan waited for is there: values, or the durable state.
    PlanResumed(StateView),
    /// Values for its plan cannot be read now.
    ValuesUnreadable,
    /// Its plan is made.
    Planned { needs_funds: bool, work: WorkFacts },
    /// It cannot be planned.
    PlanFailed(Failure),
    /// Nothing can be planned: the run has no state at this moment, or was quarantined.
    PlanAborted,
    /// The scheduler had a place when it was asked.
    GrantedAtOnce(WorkFacts),
    /// The scheduler has a place for it, after it waited.
    Granted(StateView),
    /// Its executor was called, and its work is a task now.
    Launched,
    /// Its executor could not be called.
    LaunchFailed(Failure),
    /// Its executor says that the work began.
    Began(AttemptBegin),
    /// What it has used up so far.
    Used(Vec<Usage>),
    /// Its work ended.
    Ended(Box<EndedAttempt>),
    /// There is too little room on the disk, of handles or of memory for its work, or to check it.
    HeldBack(String),
    /// What it left is damaged.
    Unreadable(String),
    /// The executor has done everything to stop it.
    Stopped,
    /// It is offered to workers, none of which has taken it, and nothing of its run may start now.
    OfferWithdrawn,
    /// The pause of a held back attempt is over.
    PauseOver(StateView),
    /// Its end is decided, durably.
    EndDecided,
    /// Its run was abandoned.
    Abandoned,
}
