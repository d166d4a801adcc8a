//! What a function knows of the attempt that calls it, and what it can say meanwhile.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use everfold_base::data_folder::Layout;
use everfold_base::id::{EffectId, RunId, StepPath};
use everfold_base::json::Value;
use everfold_core::artefact::Usage;
use everfold_core::progress::WorkProgress;
use everfold_ports::{AttemptObserver, LogSeal, NameFailure, NameRequest, NameWish, Workdir};
use tokio_util::sync::CancellationToken;

use crate::in_process::StopHandle;
use crate::private_file::make_private;
use crate::process::sane;
use crate::shim::log::{LogSource, LogWriter, seal};
use crate::shim::protocol::LOG;

/// The limit of one function's log.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How many reports of usage one attempt may make.
const USAGES_MAX: usize = 1_000;

/// What a function is called with beside its parameters. Cheap to clone.
#[derive(Clone)]
pub struct Call {
    inner: Arc<CallState>,
}

struct CallState {
    id: EffectId,
    idempotency_key: String,
    context: Value,
    workdir: Workdir,
    stop: StopHandle,
    record: Mutex<CallRecord>,
    observer: Option<Arc<dyn AttemptObserver>>,
    /// The attempt's own folder; without one nothing is logged.
    folder: Option<PathBuf>,
    /// Takes what is logged, in place of the folder.
    sink: Option<LogSink>,
}

/// Takes lines of a log.
pub(crate) type LogSink = Arc<dyn Fn(&str) + Send + Sync>;

#[derive(Default)]
struct CallRecord {
    usage: Vec<Usage>,
    log: Log,
    /// The pause that the service asked for.
    later: Option<Duration>,
}

#[derive(Default)]
enum Log {
    #[default]
    Unopened,
    Open(LogWriter),
    /// It cannot be written, or the attempt has ended; the function goes on.
    Closed,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("id", &self.inner.id).finish_non_exhaustive()
    }
}

/// What a call is made of: its attempt, and where its reports go.
pub(crate) struct CallParts {
    pub(crate) id: EffectId,
    pub(crate) idempotency_key: String,
    pub(crate) context: Value,
    pub(crate) workdir: Workdir,
    pub(crate) stop: StopHandle,
    pub(crate) observer: Option<Arc<dyn AttemptObserver>>,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) sink: Option<LogSink>,
}

impl CallParts {
    /// A call without a log that cannot be stopped.
    pub(crate) fn silent(id: EffectId, idempotency_key: String, context: Value, workdir: Workdir) -> Self {
        Self {
            id,
            idempotency_key,
            context,
            workdir,
            stop: StopHandle::default(),
            observer: None,
            folder: None,
            sink: None,
        }
    }
}

impl Call {
    pub(crate) fn new(caller: CallParts) -> Self {
        let CallParts { id, idempotency_key, context, workdir, stop, observer, folder, sink } = caller;
        let record = Mutex::default();
        Self {
            inner: Arc::new(CallState {
                id,
                idempotency_key,
                context,
                workdir,
                stop,
                record,
                observer,
                folder,
                sink,
            }),
        }
    }

    /// The attempt: its run, step, item, round and number.
    #[must_use]
    pub fn id(&self) -> &EffectId {
        &self.inner.id
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.inner.id.run
    }

    /// The step, with the item of a `foreach`.
    #[must_use]
    pub fn step(&self) -> &StepPath {
        &self.inner.id.attempt.path
    }

    /// The visit of the step, from 1: a rework begins the next one.
    #[must_use]
    pub fn round(&self) -> u32 {
        self.inner.id.attempt.round.0
    }

    /// The try within the round, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.inner.id.attempt.attempt.0
    }

    /// Equal for every attempt of a round, also after a crash: give it to outside systems, so that what
    /// was done already is not done twice.
    #[must_use]
    pub fn idempotency_key(&self) -> &str {
        &self.inner.idempotency_key
    }

    /// The context that any work gets: `{input, config, run, step, round, attempt, with, needs, rework, answers,
    /// previous}`; null for a function that does not declare that it reads it
    /// ([`super::Function::reads_context`]), and where a gate calls.
    #[must_use]
    pub fn context(&self) -> &Value {
        &self.inner.context
    }

    /// The folder to work in: the run's workspace, where the step has one; else a folder of the run's own, which is made when
    /// it is asked for.
    #[must_use]
    pub fn folder(&self) -> &Path {
        let path = &self.inner.workdir.path;
        let around = path.parent().filter(|_| Layout::is_scratch(path));
        // A data folder in memory is none.
        if around.and_then(Path::parent).is_some_and(Path::is_dir) {
            // Where it cannot be made, whoever writes there says so.
            let _there = std::fs::create_dir_all(path);
        }
        path
    }

    /// The folder, with what is known of the worktree that it is.
    #[must_use]
    pub fn workdir(&self) -> &Workdir {
        &self.inner.workdir
    }

    /// The attempt's own folder, in which its log lies; none where a gate asks.
    pub(crate) fn attempt_folder(&self) -> Option<&Path> {
        self.inner.folder.as_deref()
    }

    /// Resolves when the attempt is to end: it was cancelled, or its time limit passed. A function that
    /// asks for it gets the step's `grace` to end in good order; any other is dropped at its next
    /// `.await`. What it gives then does not count.
    pub async fn cancelled(&self) {
        self.cancellation().cancelled().await;
    }

    /// The same as a token, for select loops and tasks of the function's own.
    #[must_use]
    pub fn cancellation(&self) -> CancellationToken {
        self.inner.stop.listens.store(true, Ordering::Release);
        self.inner.stop.token.clone()
    }

    /// Whether the attempt is to end.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.inner.stop.token.is_cancelled()
    }

    /// Says how far it is: shown as the attempt's newest line, kept nowhere.
    pub fn progress(&self, line: impl AsRef<str>) {
        if let Some(observer) = &self.inner.observer {
            observer.line(line.as_ref());
        }
    }

    /// Says how far it is in numbers: recorded where it changed, at most every 2 seconds, and shown with the step and in
    /// lists.
    pub fn report(&self, progress: WorkProgress) {
        if let Some(observer) = &self.inner.observer {
            observer.progress(progress);
        }
    }

    /// Gives the step a name that no other step has in the scope, or that which it was given before.
    pub(crate) async fn unique_name(&self, request: NameRequest) -> Result<String, NameFailure> {
        match &self.inner.observer {
            Some(observer) => observer.unique_name(request).await,
            None => Err(NameFailure::NoStep),
        }
    }

    /// The name that the step was given for a wish, if it was given one.
    pub(crate) async fn held_name(&self, wish: NameWish) -> Result<Option<String>, NameFailure> {
        match &self.inner.observer {
            Some(observer) => observer.held_name(wish).await,
            None => Err(NameFailure::NoStep),
        }
    }

    /// Whether a text holds the value of a secret.
    pub(crate) fn holds_secret(&self, text: &str) -> bool {
        self.inner.observer.as_ref().is_some_and(|observer| observer.shown(text) != text)
    }

    /// Writes a line into the attempt's log, and shows it as its newest one. A log that cannot be
    /// written loses lines; the function goes on.
    pub fn log(&self, line: impl AsRef<str>) {
        let line = line.as_ref();
        let line = self.inner.observer.as_ref().map_or(Cow::Borrowed(line), |observer| observer.shown(line));
        self.progress(&line);
        if let Some(sink) = &self.inner.sink {
            sink(&line);
        }
        let Some(folder) = &self.inner.folder else { return };
        let mut record = self.record();
        if matches!(record.log, Log::Unopened) {
            let opened =
                make_private(folder).and_then(|()| LogWriter::open(&folder.join(LOG), LOG_BYTES_MAX));
            record.log = opened.map_or(Log::Closed, Log::Open);
        }
        if let Log::Open(log) = &mut record.log {
            log.take(LogSource::Stdout, format!("{line}\n").as_bytes());
        }
    }

    /// Closes the log; `None` where nothing was logged, or what was cannot be read. What is logged afterwards is lost.
    pub(crate) async fn close_log(&self) -> Option<LogSeal> {
        let path = self.inner.folder.as_ref()?.join(LOG);
        let log = match std::mem::replace(&mut self.record().log, Log::Closed) {
            Log::Open(log) => Some(log),
            Log::Closed => return None,
            // A former engine may have written one. To ask for it here costs less than to hand it to another thread.
            Log::Unopened if is_absent(&path) => return None,
            Log::Unopened => None,
        };
        let sealing = tokio::task::spawn_blocking(move || {
            let lost_bytes = log.map_or(0, |mut log| {
                log.finish();
                log.lost_bytes
            });
            seal(&path, lost_bytes)
        });
        let sealed = sealing.await.map_err(std::io::Error::from).and_then(|sealed| sealed);
        sealed
            .inspect_err(
                |error| tracing::warn!(attempt = %self.inner.id, %error, "a log could not be sealed"),
            )
            .ok()
            .flatten()
    }

    /// Reports what it used up; added to the run's spend with its end, however that is. Reports beyond
    /// a thousand are added up in the last one. Numbers out of range (more than 10^12 tokens or 1,000,000 USD in one
    /// report) are not counted.
    pub fn usage(&self, usage: Usage) {
        let usage = sane(usage);
        let usages = &mut self.record().usage;
        let is_full = usages.len() >= USAGES_MAX;
        match usages.last_mut().filter(|_| is_full) {
            None => usages.push(usage),
            Some(last) => {
                last.input_tokens = last.input_tokens.saturating_add(usage.input_tokens);
                last.cached_tokens = last.cached_tokens.saturating_add(usage.cached_tokens);
                last.output_tokens = last.output_tokens.saturating_add(usage.output_tokens);
                last.cost_micros = last.cost_micros.saturating_add(usage.cost_micros);
            }
        }
    }

    /// The service asked for this pause before the next try.
    pub(crate) fn ask_later(&self, pause: Duration) {
        self.record().later = Some(pause);
    }

    /// The pause that the service asked for.
    pub(crate) fn asked_later(&self) -> Option<Duration> {
        self.record().later
    }

    /// What it used up so far.
    pub(crate) fn used(&self) -> Vec<Usage> {
        self.record().usage.clone()
    }

    fn record(&self) -> MutexGuard<'_, CallRecord> {
        self.inner.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_absent(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}
