//! A worker in Rust: fetches work over the routes, calls functions, reports.
//!
//! Law: what was done is reported until the engine answers; a worker that no longer holds an attempt drops
//! the work.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Value;
use everfold_core::progress::WorkProgress;
use everfold_ports::{AttemptObserver, Usage, Workdir};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::engine_connection::{EngineConnection, NoAnswer};
use super::name::Instance;
use super::outgoing_reports::{OutgoingReport, ReportSender, send_reports};
use super::protocol::{HeartbeatReply, Job, ReportedFailure, ReportedFailureKind};
use crate::function::{Call, CallParts, Function, FunctionError, Functions};
use crate::http::HttpClient;
use crate::in_process::StopHandle;

/// How long one poll waits on the other side.
const WAIT: Duration = Duration::from_secs(30);
/// The pauses between tries.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// How often a report is tried again: for about a day.
const REPORTS_MAX: u32 = 8_640;
/// How long after its beginning work is spoken of first: what ends before costs no heartbeat.
const FIRST_HEARTBEAT: Duration = Duration::from_secs(1);
/// How long one heartbeat waits for a stop, at most.
const STOP_WAIT: Duration = Duration::from_secs(30);
/// How long work that asked for its cancellation may go on.
const GRACE: Duration = Duration::from_secs(10);
/// How many times as many attempts as it works on at once a worker holds, with those whose reports are under way.
const HOLDS_MAX: usize = 2;
/// Lines that wait for the next heartbeat; older ones are dropped.
const LINES_MAX: usize = 1_000;

/// Why a worker cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// One of its functions cannot be registered.
    #[error(transparent)]
    Function(#[from] FunctionError),
    /// The engine does not take it: its token, or a function that the settings do not leave to workers.
    #[error("the engine refuses this worker: {0}")]
    WorkerRefusal(String),
}

/// Does the work of functions for an engine elsewhere.
///
/// The functions are those of [`Function::new`], so that the same code runs within an engine or beside it.
///
/// ```no_run
/// use everfold_workflows::function::{Call, Function, StepError};
/// use everfold_workflows::remote::Worker;
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct Release { version: String }
///
/// async fn canary(call: Call, release: Release) -> Result<String, StepError> {
///     call.log(format!("deploys {}", release.version));
///     Ok("healthy".to_owned())
/// }
///
/// # async fn run() -> Result<(), everfold_workflows::remote::WorkerError> {
/// Worker::at("http://127.0.0.1:7878", "evf_…")
///     .function(Function::new("deploy.canary", canary))?
///     .run(tokio_util::sync::CancellationToken::new())
///     .await
/// # }
/// ```
pub struct Worker {
    url: String,
    token: String,
    instance: Instance,
    functions: Functions,
    capacity: usize,
    client: HttpClient,
    folder: PathBuf,
}

/// What everything of a worker shares.
struct WorkerParts {
    engine: Arc<EngineConnection>,
    functions: Arc<Functions>,
    folder: PathBuf,
}

/// What a function says while it works, for the next heartbeat.
#[derive(Default)]
struct LogForwarder {
    log: Mutex<Vec<String>>,
    progress: Mutex<Option<String>>,
}

impl AttemptObserver for LogForwarder {
    fn started(&self) {}

    fn line(&self, line: &str) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(line.to_owned());
    }

    fn progress(&self, progress: WorkProgress) {
        self.line(&progress.to_string());
    }

    fn shown<'a>(&self, line: &'a str) -> Cow<'a, str> {
        // The engine masks what it keeps.
        Cow::Borrowed(line)
    }
}

impl LogForwarder {
    fn log(&self, line: &str) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() >= LINES_MAX {
            log.remove(0);
        }
        log.push(line.to_owned());
    }

    fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts lines back that were not taken by the engine, before those that came meanwhile.
    fn put_back(&self, mut lines: Vec<String>) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        lines.append(&mut log);
        let excess = lines.len().saturating_sub(LINES_MAX);
        lines.drain(..excess);
        *log = lines;
    }

    fn take_progress(&self) -> Option<String> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Worker {
    /// A worker of the engine at this URL, by a token of the role `worker`.
    pub fn at(url: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            url: url.into().trim_end_matches('/').to_owned(),
            token: token.into(),
            instance: Instance::draw(),
            functions: Functions::default(),
            capacity: 1,
            client: HttpClient::new().keeping(),
            folder: std::env::temp_dir(),
        }
    }

    /// Adds a function; the settings of the engine leave it to workers by its name.
    ///
    /// # Errors
    /// It is none, or there is one of its name.
    pub fn function(mut self, function: Function) -> Result<Self, FunctionError> {
        self.functions.register(function)?;
        Ok(self)
    }

    /// What it calls itself, where other processes use the same token; a drawn name with the host's and the process's
    /// in it unless this says another. No two that work at the same time may have one name. One that keeps its name over its
    /// restarts frees what its former process held with its first poll; under a drawn name that waits for the lease's end.
    #[must_use]
    pub fn instance(mut self, instance: Instance) -> Self {
        self.instance = instance;
        self
    }

    /// How many attempts it works on at once; 1 unless this says more.
    #[must_use]
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity.clamp(1, 100);
        self
    }

    /// What its functions get as [`Call::folder`]; the system's temporary folder unless this says another.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = folder.into();
        self
    }

    /// Sends with this client, for engines whose certificates only it trusts.
    #[must_use]
    pub fn client(mut self, client: HttpClient) -> Self {
        self.client = client.keeping();
        self
    }

    /// Works until `stop` is cancelled; what it holds then is done and reported first. While the engine is
    /// away it waits for it.
    ///
    /// # Errors
    /// [`WorkerError::WorkerRefusal`]: the engine does not take it.
    pub async fn run(self, stop: CancellationToken) -> Result<(), WorkerError> {
        let Self { url, token, instance, functions, capacity, client, folder } = self;
        let names: Vec<String> = functions.names().into_iter().map(str::to_owned).collect();
        let engine = Arc::new(EngineConnection { url, token, instance, client });
        let shared =
            Arc::new(WorkerParts { engine: Arc::clone(&engine), functions: Arc::new(functions), folder });
        let (mut at_work, mut pause) = (JoinSet::new(), PAUSE_MIN);
        let places = Arc::new(Semaphore::new(capacity));
        let (reports, outgoing) = ReportSender::new();
        let reporting = tokio::spawn(send_reports(Arc::clone(&engine), outgoing));
        let (mut holds, mut says_holds) = (BTreeSet::new(), true);
        let ended = loop {
            while let Some(ended) = at_work.try_join_next() {
                let _one_that_panicked_is_held_until_its_lease_ends = ended.map(|id| holds.remove(&id));
            }
            let room = capacity.saturating_mul(HOLDS_MAX).saturating_sub(at_work.len());
            let free = places.available_permits().min(room);
            if free == 0 {
                tokio::select! {
                    () = stop.cancelled() => break Ok(()),
                    Some(ended) = at_work.join_next() => drop(ended.map(|id| holds.remove(&id))),
                    Ok(_place) = places.acquire(), if room > 0 => {}
                }
                continue;
            }
            let mut body = json!({
                "kinds": names, "capacity": free, "wait": WAIT.as_secs(), "instance": engine.instance,
            });
            if says_holds {
                body["holds"] = json!(holds);
            }
            let polled = tokio::select! {
                () = stop.cancelled() => break Ok(()),
                polled = engine.post::<Value>("poll", &body) => polled,
            };
            let jobs = polled.and_then(|answer| {
                serde_json::from_value::<Vec<Job>>(answer["attempts"].clone())
                    .map_err(|error| NoAnswer::WorkerRefusal(format!("its answer cannot be read: {error}")))
            });
            match jobs {
                Ok(jobs) => {
                    pause = PAUSE_MIN;
                    for job in jobs {
                        holds.insert(job.id.to_string());
                        // No more come than were asked for, and nothing else takes places.
                        let place = Arc::clone(&places).try_acquire_owned().ok();
                        at_work.spawn(work(Arc::clone(&shared), reports.clone(), job, place));
                    }
                }
                // An engine of a former version: what a worker does not name there is held until its lease ends.
                Err(NoAnswer::WorkerRefusal(why)) if says_holds && why.contains("unknown field `holds`") => {
                    says_holds = false;
                }
                Err(NoAnswer::WorkerRefusal(why)) => break Err(WorkerError::WorkerRefusal(why)),
                Err(NoAnswer::Passing(why)) => {
                    tracing::warn!(%why, "no work could be fetched; trying again");
                    tokio::select! {
                        () = stop.cancelled() => break Ok(()),
                        () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
                    }
                }
            }
        };
        while at_work.join_next().await.is_some() {}
        reporting.abort();
        ended
    }
}

/// Does one attempt in its place, and reports; gives its name.
async fn work(
    shared: Arc<WorkerParts>,
    reports: ReportSender,
    job: Job,
    place: Option<OwnedSemaphorePermit>,
) -> String {
    let (forwarder, stop) =
        (Arc::new(LogForwarder::default()), StopHandle { grace: GRACE, ..StopHandle::default() });
    let logged = Arc::clone(&forwarder);
    let call = Call::new(CallParts {
        id: job.id.0.clone(),
        idempotency_key: job.idempotency_key.clone(),
        context: job.context.clone(),
        workdir: Workdir { path: shared.folder.clone(), git: None },
        stop: stop.clone(),
        observer: Some(Arc::clone(&forwarder) as Arc<dyn AttemptObserver>),
        folder: None,
        sink: Some(Arc::new(move |line| logged.log(line))),
    });
    let result = match shared.functions.call(&job.function, job.with.clone(), || call.clone()) {
        Err(failure) => Some(Err(failure)),
        Ok(called) => {
            // A task of its own, so that a panic is its own failure.
            let mut called = tokio::spawn(called);
            let mut result = tokio::select! {
                ended = &mut called => Some(ended),
                () = send_heartbeats(&shared, &job, &forwarder) => None,
            };
            if result.is_none() {
                stop.token.cancel();
                if stop.listens.load(std::sync::atomic::Ordering::Acquire) {
                    result = tokio::time::timeout(GRACE, &mut called).await.ok();
                }
                called.abort();
            }
            result.map(|ended| {
                ended.unwrap_or_else(|error| {
                    Err(Failure::new(FailureKind::Error, format!("the function did not end: {error}")))
                })
            })
        }
    };
    stop.token.cancel();
    // What is reported is work no longer: the next may come while the engine records the end.
    drop(place);
    let cancelled = || Failure::new(FailureKind::Error, "the worker dropped it, as it was told");
    report(&reports, &job, &forwarder, result.unwrap_or_else(|| Err(cancelled())), call.used()).await;
    job.id.to_string()
}

/// Lines on their way to the engine: those that it does not take go back to the forwarder, also where the heartbeat is
/// dropped in the middle, so that the report has them.
struct LinesUnderWay<'a> {
    forwarder: &'a LogForwarder,
    lines: Vec<String>,
}

impl Drop for LinesUnderWay<'_> {
    fn drop(&mut self) {
        self.forwarder.put_back(std::mem::take(&mut self.lines));
    }
}

/// Sends heartbeats, each of which waits for a stop, until the engine answers that the work must stop.
async fn send_heartbeats(shared: &WorkerParts, job: &Job, forwarder: &LogForwarder) {
    let span = Duration::try_from_secs_f64(job.lease_seconds / 3.0).unwrap_or(PAUSE_MAX);
    let span = span.min(STOP_WAIT);
    let path = format!("attempts/{}/heartbeat?wait={}ms", job.id, span.as_millis());
    let mut pause = span.min(FIRST_HEARTBEAT);
    loop {
        tokio::time::sleep(pause).await;
        let sent = Instant::now();
        let mut log = LinesUnderWay { forwarder, lines: forwarder.take_log() };
        let body = json!({
            "lease": job.lease, "instance": shared.engine.instance, "log": log.lines, "progress": forwarder.take_progress(),
        });
        match shared.engine.post::<HeartbeatReply>(&path, &body).await {
            Ok(reply) => {
                log.lines.clear();
                if reply.cancel {
                    return;
                }
                // An engine of a former version answers at once, and one that does not know the attempt yet.
                pause = span.saturating_sub(sent.elapsed());
            }
            Err(NoAnswer::WorkerRefusal(why)) => {
                tracing::warn!(attempt = %job.id, %why, "the attempt is this worker's no longer");
                return;
            }
            Err(NoAnswer::Passing(why)) => {
                tracing::warn!(attempt = %job.id, %why, "not heard");
                pause = span;
            }
        }
    }
}

async fn report(
    reports: &ReportSender,
    job: &Job,
    forwarder: &LogForwarder,
    result: Result<Value, Failure>,
    usage: Vec<Usage>,
) {
    let log = forwarder.take_log();
    let report = Arc::new(OutgoingReport::new(job, result.map_err(reported), usage, log));
    let mut pause = PAUSE_MIN;
    for _ in 0..REPORTS_MAX {
        match reports.send(&report).await {
            Ok(()) => return,
            Err(NoAnswer::WorkerRefusal(why)) => {
                tracing::warn!(attempt = %job.id, %why, "the report was refused");
                return;
            }
            Err(NoAnswer::Passing(why)) => {
                tracing::warn!(attempt = %job.id, %why, "not reported yet");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

fn reported(failure: Failure) -> ReportedFailure {
    let kind = match failure.kind {
        FailureKind::Validation | FailureKind::Spawn => ReportedFailureKind::Validation,
        FailureKind::Conflict => ReportedFailureKind::Conflict,
        _other => ReportedFailureKind::Error,
    };
    let Failure { code, message, detail, hint, .. } = failure;
    ReportedFailure { message, kind, code, hint, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_the_engine_did_not_take_are_in_the_next_report_in_their_order() {
        let forwarder = LogForwarder::default();
        forwarder.log("one");
        let refused = LinesUnderWay { forwarder: &forwarder, lines: forwarder.take_log() };
        forwarder.log("two");
        drop(refused);
        assert_eq!(forwarder.take_log(), ["one", "two"]);

        forwarder.log("taken");
        let mut taken = LinesUnderWay { forwarder: &forwarder, lines: forwarder.take_log() };
        taken.lines.clear();
        drop(taken);
        assert_eq!(forwarder.take_log(), [""; 0]);

        forwarder.put_back((0..LINES_MAX + 5).map(|line| line.to_string()).collect());
        let kept = forwarder.take_log();
        assert_eq!((kept.len(), kept[0].as_str()), (LINES_MAX, "5"), "the oldest are dropped");
    }
}
