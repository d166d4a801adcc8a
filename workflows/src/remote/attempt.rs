//! One attempt that is offered, held, ended.
//!
//! Law: what an attempt is stands behind one lock, which is held until a lease is durable. So of a report, a lease that
//! ends, a time limit and a cancel one is first, and the others see it; that one is the end that its run records.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use everfold_base::duration;
use everfold_base::failure::Failure;
use everfold_base::id::{AttemptId, EffectId};
use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use everfold_ports::{AttemptObserver, AttemptStop, LogSeal, WorkerHold};
use everfold_system::clock;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::end::{End, EndResult};
use super::lease::Lease;
use super::name::WorkerName;
use super::protocol::{AttemptName, Job};
use crate::private_file::make_private;
use crate::shim::log::{LogSource, LogWriter, seal};
use crate::shim::protocol::LOG;

/// The limit of one attempt's log.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// An attempt to offer to workers.
pub(crate) struct WorkOffer {
    pub(crate) id: EffectId,
    /// Of all offers of the table ([`super::lease_table::LeaseTable::next_offer`]).
    pub(crate) nth: u64,
    pub(crate) function: String,
    pub(crate) with: Value,
    pub(crate) context: Value,
    pub(crate) timeout: Option<Duration>,
    pub(crate) grace: Duration,
    pub(crate) folder: std::path::PathBuf,
    /// The worker that holds it already.
    pub(crate) held: Option<WorkerHold>,
    pub(crate) mode: CarryMode,
    pub(crate) observer: Arc<dyn AttemptObserver>,
}

/// What an engine asks the table for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CarryMode {
    /// Workers are to do it.
    Start,
    /// The worker that holds it goes on. Where no worker holds it, the table ends it as lost, and offers it to none.
    Reattach,
}

/// An attempt in the table.
pub(super) struct Attempt {
    pub(super) offer: WorkOffer,
    pub(super) stage: tokio::sync::Mutex<OfferStage>,
    /// Signalled when the stage, or the time it waits for, changed.
    pub(super) changed: Notify,
    /// Its worker is to stop, or it is over. One that the engine lets go of, for the next to take up, is neither.
    pub(super) stopping: CancellationToken,
    /// No worker holds it any more.
    pub(super) ended: CancellationToken,
    log: Mutex<WorkerLog>,
    /// A former engine may have written a log of it.
    is_former: bool,
}

/// The log of what a worker says.
#[derive(Default)]
enum WorkerLog {
    #[default]
    Unopened,
    Open(LogWriter),
    /// The attempt has ended.
    Closed,
}

/// Where an attempt stands.
#[expect(clippy::large_enum_variant, reason = "most are held, and there are few")]
pub(super) enum OfferStage {
    Offered,
    Held(Held),
    Ended(Box<End>),
}

/// A moment that is seen so much too late was one at which this process, or its machine, stood still.
const STOOD_STILL: Duration = Duration::from_secs(1);
/// How long what came before a lease ended may wait to be read, at most.
const UNREAD_MAX: Duration = Duration::from_millis(500);

/// A worker holds the attempt.
pub(super) struct Held {
    pub(super) lease: Lease,
    pub(super) until: Instant,
    /// The same as a time of day.
    pub(super) until_at: Timestamp,
    limit: Option<Instant>,
    pub(super) stopping: Option<Stopping>,
    /// Its time is over, and reports that came before are read until then.
    unread: Option<Instant>,
}

/// A stop was requested.
pub(super) struct Stopping {
    why: Failure,
    cause: AttemptStop,
    by: Instant,
}

impl Stopping {
    /// What the worker is told.
    pub(super) fn reason(&self) -> &str {
        &self.why.message
    }

    /// The end of an attempt that its worker reports after the stop. Only what was interrupted goes on afterwards: there a
    /// result that is there need not be made again.
    pub(super) fn reported(&self, result: EndResult) -> EndResult {
        match result {
            EndResult::Succeeded(_) if self.cause == AttemptStop::Interrupt => result,
            _does_not_count => EndResult::Failed(self.why.clone()),
        }
    }

    /// The end of an attempt whose worker said nothing after the stop.
    pub(super) fn unreported(&self, worker: &WorkerName) -> EndResult {
        match self.cause {
            AttemptStop::Interrupt => EndResult::Lost(format!(
                "{worker} was told to stop and did not say how far it came: it is not known what it did"
            )),
            AttemptStop::Cancel | AttemptStop::TimeLimit => EndResult::Failed(self.why.clone()),
        }
    }
}

impl Held {
    /// Held from now on.
    pub(super) fn new(lease: Lease, span: Duration, timeout: Option<Duration>) -> Self {
        let (now, at) = (Instant::now(), clock::now());
        let limit =
            timeout.and_then(|timeout| now.checked_add(timeout.saturating_sub(at.since(lease.taken_at))));
        Self { lease, until: now + span, until_at: at.plus(span), limit, stopping: None, unread: None }
    }

    /// Held since a former engine, from now on by this one. What the worker finished while no engine was there it can report
    /// yet.
    pub(super) fn taken_over(lease: Lease, span: Duration, timeout: Option<Duration>) -> Self {
        let held = Self::new(lease, span, timeout);
        Self { limit: held.limit.map(|limit| limit.max(held.until)), ..held }
    }

    /// The worker sent a heartbeat.
    pub(super) fn extend(&mut self, span: Duration) {
        (self.until, self.until_at) = (Instant::now() + span, clock::now().plus(span));
        self.unread = None;
    }

    /// Requests a stop within the grace; the first reason counts.
    pub(super) fn stop(&mut self, why: Failure, cause: AttemptStop, grace: Duration) {
        self.stopping.get_or_insert(Stopping { why, cause, by: Instant::now() + grace });
    }

    /// The next moment at which time alone ends or stops it.
    pub(super) fn next(&self) -> Instant {
        let limit = self.limit.filter(|_| self.stopping.is_none());
        limit.into_iter().fold(self.unread.unwrap_or_else(|| self.over()), Instant::min)
    }

    /// The moment at which it ends where nothing is heard.
    fn over(&self) -> Instant {
        self.stopping.as_ref().map_or(self.until, |stopping| stopping.by.min(self.until))
    }

    /// The end that time has brought, if it has.
    pub(super) fn due(&mut self, now: Instant, offer: &WorkOffer, span: Duration) -> Option<End> {
        if let Some(limit) = self.limit.filter(|limit| *limit <= now && self.stopping.is_none()) {
            match now - limit > STOOD_STILL {
                true => self.limit = Some(now + span),
                false => {
                    let why = Failure::time_limit(offer.timeout.unwrap_or_default());
                    self.stop(why, AttemptStop::TimeLimit, offer.grace);
                }
            }
        }
        let over = self.over();
        if now < over {
            return None;
        }
        // What its worker said meanwhile lies in the sockets, and is read only now: behind a standstill the lease begins anew.
        let unread = if now - over > STOOD_STILL { span } else { UNREAD_MAX.min(span / 10) };
        if now < *self.unread.get_or_insert(now + unread) {
            return None;
        }
        let result = match &self.stopping {
            Some(stopping) => stopping.unreported(&self.lease.worker),
            None => EndResult::Lost(format!(
                "{} was not heard of for {} and holds it no longer",
                self.lease.worker,
                duration::format(span)
            )),
        };
        Some(End::own(result, clock::now()))
    }
}

impl Job {
    pub(super) fn new(offer: &WorkOffer, held: &Held, lease: String, span: Duration) -> Self {
        let AttemptId { path, round, attempt } = &offer.id.attempt;
        Self {
            id: AttemptName(offer.id.clone()),
            lease,
            lease_until: held.until_at,
            lease_seconds: span.as_secs_f64(),
            function: offer.function.clone(),
            with: offer.with.clone(),
            run: offer.id.run.to_string(),
            step: path.to_string(),
            round: round.0,
            attempt: attempt.0,
            idempotency_key: offer.id.idempotency_key(),
            timeout_seconds: offer.timeout.map(|timeout| timeout.as_secs_f64()),
            context: offer.context.clone(),
        }
    }
}

/// Seals the log in the folder of an attempt that has ended; `None` where there is none, or it cannot be read.
fn seal_log(folder: &Path, lost_bytes: u64) -> Option<LogSeal> {
    let sealed = seal(&folder.join(LOG), lost_bytes);
    sealed.inspect_err(|error| tracing::warn!(%error, "a worker's log could not be sealed")).ok().flatten()
}

impl Attempt {
    pub(super) fn new(offer: WorkOffer, stage: OfferStage, is_former: bool) -> Self {
        Self {
            offer,
            stage: tokio::sync::Mutex::new(stage),
            changed: Notify::new(),
            stopping: CancellationToken::new(),
            ended: CancellationToken::new(),
            log: Mutex::default(),
            is_former,
        }
    }

    /// The log of an attempt that has ended is closed from now on. Whether there is nothing to seal: it has none.
    pub(super) fn has_no_log(&self) -> bool {
        // Who writes a line holds the lock, so there is a log then.
        let Ok(mut log) = self.log.try_lock() else { return false };
        let is_unopened = matches!(*log, WorkerLog::Unopened) && !self.is_former;
        if is_unopened {
            *log = WorkerLog::Closed;
        }
        is_unopened
    }

    /// Keeps lines of the worker, secrets masked; a log that cannot be written loses them.
    pub(super) fn keep_lines(&self, lines: &[String]) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        // All at once: what is masked may have several lines.
        let text = lines.join("\n");
        for line in self.offer.observer.shown(&text).lines() {
            self.offer.observer.line(line);
            if matches!(*log, WorkerLog::Unopened) {
                let folder = &self.offer.folder;
                let opened = make_private(folder)
                    .and_then(|()| LogWriter::open(&folder.join(LOG), LOG_BYTES_MAX))
                    .inspect_err(|error| tracing::warn!(%error, "a worker's line could not be kept"));
                *log = opened.map_or(WorkerLog::Unopened, WorkerLog::Open);
            }
            if let WorkerLog::Open(log) = &mut *log {
                log.take(LogSource::Stdout, format!("{line}\n").as_bytes());
            }
        }
    }

    /// Closes and seals the log of an attempt that has ended. A worker's lines are lost from then on.
    pub(super) fn close_log(&self) -> Option<LogSeal> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let lost_bytes = match std::mem::replace(&mut *log, WorkerLog::Closed) {
            WorkerLog::Open(mut log) => {
                log.finish();
                log.lost_bytes
            }
            // A former engine may have written one.
            WorkerLog::Unopened | WorkerLog::Closed => 0,
        };
        seal_log(&self.offer.folder, lost_bytes)
    }

    /// What a worker says, with the values of secrets masked.
    pub(super) fn masked(&self, result: EndResult) -> EndResult {
        let shown = |text: String| self.offer.observer.shown(&text).into_owned();
        match result {
            EndResult::Succeeded(mut output) => {
                self.offer.observer.mask(&mut output);
                EndResult::Succeeded(output)
            }
            EndResult::Failed(failure) => EndResult::Failed(Failure {
                message: shown(failure.message),
                code: failure.code.map(shown),
                detail: failure.detail.map(shown),
                hint: failure.hint.map(shown),
                ..failure
            }),
            EndResult::Lost(reason) => EndResult::Lost(shown(reason)),
        }
    }
}
