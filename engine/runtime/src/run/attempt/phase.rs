//! The phases of an attempt.

/// How far an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttemptPhase {
    /// Nothing is known of it here; the table has no entry.
    Absent,
    /// It is in its run's queue of attempts to plan.
    Queued,
    /// Its plan is being made: values for it are being read, or the state is not durable yet.
    Planning(PlanPurpose),
    /// It is in the queue of the scheduler.
    Waiting,
    /// It has a place, and starts when `AttemptStarted` is durable.
    Recording { is_supervised: bool },
    /// Its executor is being called.
    Launching(Launching),
    /// It is in progress.
    Running(Running),
    /// The system had too little room for it, or to check it; it is tried again after a pause.
    HeldBack { is_recorded: bool, has_place: bool },
    /// What it left is damaged, and it may live: it is checked again when its quarantined run is loaded.
    Unreadable { has_place: bool },
    /// Its end is an input of its run that is not decided yet.
    Reported,
}

/// What an attempt is planned for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlanPurpose {
    /// To ask the scheduler for a place.
    Place,
    /// To start: it has a place.
    Start,
    /// To check it again: it has kept its place and may live.
    Recheck { is_recorded: bool },
    /// To re-attach it: a former engine started it.
    Reattach,
    /// To stop it: a former engine may have started it.
    Stop,
}

/// An attempt whose executor is being called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Launching {
    pub(super) is_supervised: bool,
    /// `AttemptStarted` is in the history.
    pub(super) is_recorded: bool,
    /// It is only re-attached to be stopped.
    pub(super) is_to_stop: bool,
}

/// An attempt in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Running {
    pub(super) is_supervised: bool,
    /// `AttemptStarted` is in the history.
    pub(super) is_recorded: bool,
    /// Its executor was asked to stop it.
    pub(super) is_stopping: bool,
}

impl AttemptPhase {
    /// Whether it is in progress, or may be.
    pub(crate) fn may_live(self) -> bool {
        match self {
            Self::Launching(_) | Self::Running(_) | Self::HeldBack { .. } | Self::Unreadable { .. } => true,
            Self::Absent
            | Self::Queued
            | Self::Planning(_)
            | Self::Waiting
            | Self::Recording { .. }
            | Self::Reported => false,
        }
    }

    /// Whether its executor was called, and nothing has come of that yet.
    pub(crate) fn is_at_work(self) -> bool {
        matches!(self, Self::Launching(_) | Self::Running(_))
    }

    /// Whether it is in progress as work of its own, and nothing recorded says that it began.
    pub(crate) fn is_unrecorded(self) -> bool {
        matches!(self, Self::Running(Running { is_supervised: true, is_recorded: false, .. }))
    }

    /// Whether it is in progress inside the engine's process.
    pub(crate) fn is_in_process(self) -> bool {
        matches!(self, Self::Running(Running { is_supervised: false, .. }))
    }

    /// Whether it holds a place of the scheduler.
    pub(crate) fn holds_place(self) -> bool {
        match self {
            Self::Planning(PlanPurpose::Start | PlanPurpose::Recheck { .. })
            | Self::Recording { .. }
            | Self::Launching(_)
            | Self::Running(_) => true,
            Self::HeldBack { has_place, .. } | Self::Unreadable { has_place } => has_place,
            Self::Absent
            | Self::Queued
            | Self::Planning(PlanPurpose::Place | PlanPurpose::Reattach | PlanPurpose::Stop)
            | Self::Waiting
            | Self::Reported => false,
        }
    }

    /// Whether its plan is made and needed further on.
    pub(crate) fn holds_plan(self) -> bool {
        match self {
            Self::Waiting | Self::Recording { .. } | Self::Launching(_) | Self::Running(_) => true,
            Self::Absent
            | Self::Queued
            | Self::Planning(_)
            | Self::HeldBack { .. }
            | Self::Unreadable { .. }
            | Self::Reported => false,
        }
    }
}
