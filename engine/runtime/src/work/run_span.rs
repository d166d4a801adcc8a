//! Spans that name the run, the attempt, the probe or the notice in log lines.
//!
//! Their level is that of errors, so that every filter lets them through: a span by itself writes nothing.

use tracing::{Span, error_span};

use everfold_base::id::{AttemptId, RunId, Version};

pub(crate) fn of_run(run: RunId) -> Span {
    error_span!("run", run = run.short())
}

pub(crate) fn of_attempt(run: RunId, id: &AttemptId) -> Span {
    error_span!("attempt", run = run.short(), step = %id.path, round = id.round.0, attempt = id.attempt.0)
}

pub(crate) fn of_probe(run: RunId, id: &AttemptId, gate: &str) -> Span {
    error_span!("probe", run = run.short(), step = %id.path, round = id.round.0, gate)
}

pub(crate) fn of_notice(run: RunId, version: Version, notice: &str) -> Span {
    error_span!("notice", run = run.short(), notice, version = version.0)
}
