//! What the work of a shard ends with: attempts, probes, workspaces, notices.

use crate::failures::cancelled;
use crate::scheduler::breaker::ServiceOutcome;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{AttemptId, RunId};
use everfold_base::json::JsonText;
use everfold_base::time::Timestamp;
use everfold_core::artefact::{Artefact, Usage, Workspace};
use everfold_core::event::Told;
use everfold_core::input::SharedFrom;
use everfold_ports::{Executor, NoticeFailure, ProbeFailure};
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::time::Duration;

/// The end of a piece of work.
pub(crate) enum WorkDone {
    Attempt {
        run: RunId,
        id: AttemptId,
        ended: Box<EndedAttempt>,
    },
    /// There was no room on the disk for it.
    HeldBack {
        run: RunId,
        id: AttemptId,
        reason: String,
    },
    /// What it left is damaged.
    Unreadable {
        run: RunId,
        id: AttemptId,
        reason: String,
    },
    /// Everything was done to end the attempt, and its future has had its time.
    Stopped {
        run: RunId,
        id: AttemptId,
    },
    Probe {
        run: RunId,
        id: AttemptId,
        gate: String,
        probe_no: u32,
        result: ProbeResult,
        took_ms: u64,
    },
    Workspace {
        run: RunId,
        result: Box<Result<MadeWorkspace, Failure>>,
    },
    Notice {
        run: RunId,
        channel: String,
        result: Result<(), NoticeFailure>,
    },
}

impl WorkDone {
    /// The run that it is about.
    pub(crate) fn run(&self) -> RunId {
        match self {
            Self::Attempt { run, .. }
            | Self::HeldBack { run, .. }
            | Self::Unreadable { run, .. }
            | Self::Stopped { run, .. }
            | Self::Probe { run, .. }
            | Self::Workspace { run, .. }
            | Self::Notice { run, .. } => *run,
        }
    }
}

/// A workspace that can be worked in.
pub(crate) enum MadeWorkspace {
    /// The run's own.
    Own(Workspace),
    /// That of the run that started it.
    Shared(SharedFrom),
}

/// What a probe found.
pub(crate) type ProbeResult = Result<JsonText, ProbeFailure>;

/// How an attempt ended, ready for an input.
pub(crate) struct EndedAttempt {
    pub(crate) result: Result<Result<JsonText, Failure>, String>,
    pub(crate) commit: Option<String>,
    pub(crate) artefacts: Vec<Artefact>,
    pub(crate) usage: Vec<Usage>,
    pub(crate) ended_at: Timestamp,
    pub(crate) told: Told,
    pub(crate) ask: Option<JsonText>,
    pub(crate) again_after: Option<Duration>,
}

impl EndedAttempt {
    /// A failure that is not the work's own.
    pub(crate) fn failed(failure: Failure, ended_at: Timestamp) -> Self {
        let (result, commit, artefacts, usage) = (Ok(Err(failure)), None, Vec::new(), Vec::new());
        let (told, ask, again_after) = (Told::default(), None, None);
        Self { result, commit, artefacts, usage, ended_at, told, ask, again_after }
    }

    pub(crate) fn cancelled(ended_at: Timestamp) -> Self {
        Self::failed(cancelled(), ended_at)
    }

    /// How long what the work called upon wants to be left alone, and its words.
    pub(crate) fn wish(&self) -> Option<(Duration, &str)> {
        match &self.result {
            Ok(Err(failure)) => self.again_after.map(|span| (span, failure.message.as_str())),
            _not_failed => None,
        }
    }

    /// What the end says of what the work called upon.
    pub(crate) fn outcome(&self, executor: &dyn Executor) -> ServiceOutcome {
        match &self.result {
            Ok(Ok(_)) => ServiceOutcome::Answered,
            Ok(Err(failure)) if matches!(failure.kind, FailureKind::Cancelled | FailureKind::Budget) => {
                ServiceOutcome::Unknown
            }
            Ok(Err(failure)) => match catch_unwind(AssertUnwindSafe(|| executor.is_outage(failure))) {
                Ok(true) => ServiceOutcome::Outage(format!("{}: {}", failure.kind, failure.message)),
                Ok(false) => ServiceOutcome::Answered,
                Err(_panic) => ServiceOutcome::Unknown,
            },
            Err(reason) => ServiceOutcome::Outage(format!("{}: {reason}", FailureKind::Lost)),
        }
    }
}

/// Why an attempt that is over for its executor has no end.
pub(crate) enum NoEnd {
    /// There is no room on the disk.
    NoRoom(String),
    /// What it left is damaged.
    Unreadable(String),
}

impl NoEnd {
    pub(crate) fn of(self, run: RunId, id: AttemptId) -> WorkDone {
        match self {
            Self::NoRoom(reason) => WorkDone::HeldBack { run, id, reason },
            Self::Unreadable(reason) => WorkDone::Unreadable { run, id, reason },
        }
    }
}
