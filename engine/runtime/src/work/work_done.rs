//! The results of a shard's tasks: attempts, probes, workspaces, notices.

use crate::run::attempt::event::AttemptEvent;
use everfold_base::failure::Failure;
use everfold_base::id::{AttemptId, RunId};
use everfold_base::json::JsonText;
use everfold_core::artefact::Workspace;
use everfold_core::event::WorkspaceShared;
use everfold_ports::{NoticeFailure, NoticeReceipt, ProbeFailure};

/// The result of a task.
pub(crate) enum WorkDone {
    /// What happened to an attempt.
    Attempt {
        run: RunId,
        id: AttemptId,
        event: AttemptEvent,
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
        result: Result<NoticeReceipt, NoticeFailure>,
    },
    /// The task panicked where no part of it makes a result of that.
    Panicked {
        run: RunId,
        reason: String,
    },
}

impl WorkDone {
    /// The run that it belongs to.
    pub(crate) fn run(&self) -> RunId {
        match self {
            Self::Attempt { run, .. }
            | Self::Probe { run, .. }
            | Self::Workspace { run, .. }
            | Self::Notice { run, .. }
            | Self::Panicked { run, .. } => *run,
        }
    }
}

/// A workspace that can be worked in.
pub(crate) enum MadeWorkspace {
    /// The run's own.
    Own(Workspace),
    /// That of the run that started it.
    Shared(WorkspaceShared),
}

/// What a probe found.
pub(crate) type ProbeResult = Result<JsonText, ProbeFailure>;
