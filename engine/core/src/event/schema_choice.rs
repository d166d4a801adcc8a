//! Which events a former schema says whole: those are written in it, so that older programs read them.
//!
//! Law: stored fields have no names, so each set of fields that is left out is a schema of its own.

use super::kinds::{
    ApprovalDecided, ApprovalRequested, AttemptAsked, AttemptFailed, AttemptStarted, AttemptSucceeded,
    ChildFinished, FundsRequested, NoticeQueued, NoticeSent, ProbeFailed, RunAdmitted, RunFailed, RunForked,
    RunPaused, RunResumed, RunStarted, RunUnblocked, SignalTaken, StepFailed, StepSkipped, StepSucceeded,
    StopRequested, UsageRecorded, VoteCast,
};
use super::parts::StopReason;

impl RunStarted {
    /// The schema before numbers says all of it.
    pub(super) fn has_no_number(&self) -> bool {
        self.number.is_none() && self.has_no_top()
    }

    /// The schema before topmost runs says all of it.
    pub(super) fn has_no_top(&self) -> bool {
        self.top.is_none() && self.initiator.is_none()
    }

    /// The schema without a number says all of it.
    pub(super) fn is_not_counted(&self) -> bool {
        self.number.is_none() && self.initiator.is_none()
    }

    /// The schema before initiators says all of it.
    pub(super) fn has_no_initiator(&self) -> bool {
        self.initiator.is_none()
    }
}

impl ApprovalRequested {
    /// The former schema says all of it.
    pub(super) fn has_no_record(&self) -> bool {
        self.seen.is_none()
    }
}

impl ApprovalDecided {
    /// The former schema says all of it.
    pub(super) fn has_no_record(&self) -> bool {
        self.seen.is_none()
    }
}

impl VoteCast {
    /// The former schema says all of it.
    pub(super) fn names_nothing(&self) -> bool {
        self.seen.is_none()
    }
}

impl RunForked {
    /// The schema before initiators says all of it.
    pub(super) fn is_plain(&self) -> bool {
        self.has_no_initiator() && self.is_unlimited()
    }

    /// The schema before limits says all of it.
    pub(super) fn is_unlimited(&self) -> bool {
        self.effects.is_none() && self.counts_tries()
    }

    /// The schema with limits alone says all of it.
    pub(super) fn has_no_initiator(&self) -> bool {
        self.initiator.is_none() && self.counts_tries()
    }

    /// The schema before tries that are kept says all of it.
    pub(super) fn counts_tries(&self) -> bool {
        !self.keeps_tries && self.keeps_items.is_empty() && !self.keeps_spans && self.continued_at.is_none()
    }
}

impl SignalTaken {
    /// The schema before reasons says all of it.
    pub(super) fn has_no_reason(&self) -> bool {
        self.reason.is_none() && self.decides_nothing()
    }

    /// The schema before decisions says all of it.
    pub(super) fn decides_nothing(&self) -> bool {
        self.decision.is_none()
    }
}

impl RunUnblocked {
    /// The schema before gates that are passed over says all of it.
    pub(super) fn bypasses_nothing(&self) -> bool {
        self.bypassed.is_empty() && self.repeats_items()
    }

    /// The schema before items that are kept says all of it.
    pub(super) fn repeats_items(&self) -> bool {
        !self.keeps_items
    }
}

impl RunPaused {
    /// The former schema says all of it.
    pub(super) fn is_no_interrupt(&self) -> bool {
        !self.interrupt
    }
}

impl RunResumed {
    /// The former schema says all of it.
    pub(super) fn says_nothing(&self) -> bool {
        self.prompt.is_none()
    }
}

impl StopRequested {
    /// The former schema says all of it.
    pub(super) fn is_no_interrupt(&self) -> bool {
        self.reason != StopReason::Interrupt
    }
}

impl StepSucceeded {
    /// The former schema says all of it.
    pub(super) fn has_own_output(&self) -> bool {
        self.output.is_none()
    }
}

impl StepSkipped {
    /// The former schema says all of it.
    pub(super) fn has_no_output(&self) -> bool {
        self.output.is_none()
    }
}

impl StepFailed {
    /// The former schema says all of it.
    pub(super) fn has_no_output(&self) -> bool {
        self.output.is_none()
    }
}

impl RunFailed {
    /// The former schema says all of it.
    pub(super) fn has_no_result(&self) -> bool {
        self.result.is_none()
    }
}

impl NoticeQueued {
    /// The former schema says all of it.
    pub(super) fn replaces_none(&self) -> bool {
        !self.replaces && self.has_no_fallback()
    }

    /// The schema without a fallback says all of it.
    pub(super) fn has_no_fallback(&self) -> bool {
        self.fallback.is_none()
    }

    /// The schema with a fallback alone says all of it.
    pub(super) fn takes_no_place(&self) -> bool {
        !self.replaces
    }
}

impl NoticeSent {
    /// The former schema says all of it.
    pub(super) fn gives_no_reason(&self) -> bool {
        self.reason.is_none()
    }
}

impl AttemptFailed {
    /// The former schema, in which such events were released, says all of it.
    pub(super) fn is_silent(&self) -> bool {
        self.notes.is_empty()
    }

    /// The schema before logs were sealed says all of it.
    pub(super) fn has_neither(&self) -> bool {
        self.has_no_log() && self.has_no_report()
    }

    /// The schema before reports says all of it.
    pub(super) fn has_no_report(&self) -> bool {
        self.notes.report.is_none()
    }

    /// The schema without a log says all of it.
    pub(super) fn has_no_log(&self) -> bool {
        self.notes.log.is_none()
    }
}

impl AttemptStarted {
    /// The former schema says all of it.
    pub(super) fn is_plain(&self) -> bool {
        self.began_at.is_none() && self.holder.is_none()
    }

    /// The schema before workers says all of it.
    pub(super) fn has_no_holder(&self) -> bool {
        self.holder.is_none()
    }

    /// The schema without a time says all of it.
    pub(super) fn has_no_time(&self) -> bool {
        self.began_at.is_none()
    }
}

impl AttemptSucceeded {
    /// The schema before logs were sealed says all of it.
    pub(super) fn has_neither(&self) -> bool {
        self.has_no_log() && self.has_no_report()
    }

    /// The schema before reports says all of it.
    pub(super) fn has_no_report(&self) -> bool {
        self.notes.report.is_none()
    }

    /// The schema without a log says all of it.
    pub(super) fn has_no_log(&self) -> bool {
        self.notes.log.is_none()
    }
}

impl AttemptAsked {
    /// The schema before logs were sealed says all of it.
    pub(super) fn has_neither(&self) -> bool {
        self.has_no_log() && self.has_no_report()
    }

    /// The schema before reports says all of it.
    pub(super) fn has_no_report(&self) -> bool {
        self.notes.report.is_none()
    }

    /// The schema without a log says all of it.
    pub(super) fn has_no_log(&self) -> bool {
        self.notes.log.is_none()
    }
}

impl RunAdmitted {
    /// The former schema says all of it.
    pub(super) fn has_waited(&self) -> bool {
        !self.at_once
    }
}

impl ProbeFailed {
    /// The former schema says all of it.
    pub(super) fn is_sound(&self) -> bool {
        !self.broken
    }
}

impl FundsRequested {
    /// The former schema says all of it.
    pub(super) fn asks_at_once(&self) -> bool {
        !self.waits
    }
}

impl UsageRecorded {
    /// The former schema says all of it.
    pub(super) fn adds_alone(&self) -> bool {
        self.less_micros == 0
    }
}

impl ChildFinished {
    /// The former schema says all of it.
    pub(super) fn has_no_commit(&self) -> bool {
        self.commit.is_none()
    }
}
