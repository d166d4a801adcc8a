//! The edge, seen from the core: what does the work of steps and gates.
//!
//! Law: an executor acts only on what it is asked for and answers with what happened; it never
//! writes to a run. Whatever it is asked twice (after a crash) it does once, as far as its kind of
//! work can.
//!
//! The driver calls these traits; crate `everfold-workflows` implements them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::definition::{Definition, Keep, OnLost, Save, SecretSource};
pub use crate::event::Told;
pub use crate::expr::{Hidden, MASK, Piece};
use crate::failure::{Failure, FailureKind};
use crate::id::{EffectId, Position, RunId, Version};
use crate::json::Value;
use crate::state::RunStatus;
use crate::time::Timestamp;
pub use crate::trace::{Artefact, Usage, Workspace};

/// An attempt to make, everything rendered.
#[derive(Debug, Clone)]
pub struct AttemptRequest {
    /// Which one; its folder, processes and results are found by it.
    pub id: EffectId,
    /// The executor's parameters ([`crate::definition::Task`] says their shapes).
    pub spec: Value,
    /// For the process, beside what it inherits.
    pub env: BTreeMap<String, String>,
    /// What it is given beside: the values stand nowhere here.
    pub secrets: Secrets,
    /// What the step says of sending it again; `None`: the work's own [`Traits`] count.
    pub idempotent: Option<bool>,
    /// The time limit of the attempt.
    pub timeout: Option<Duration>,
    /// From SIGTERM to SIGKILL.
    pub grace: Duration,
    /// What the work is told: `{input, config, run, step, round, attempt, with, needs, rework, answers, previous}`;
    /// null where its [`Traits`] say that it does not read it.
    pub input: Value,
    /// What the step declares that it leaves.
    pub outputs: RequestedOutputs,
    /// The attempt's own folder: log, records of the supervisor. Not yet made.
    pub folder: PathBuf,
    /// Where the work runs.
    pub workdir: Workdir,
    /// The commit to which its worktree is brought back before it begins.
    pub reset_to: Option<String>,
    /// The session of an agent that is continued, as a former attempt reported it ([`Usage::session`]).
    pub session: Option<String>,
}

/// The secrets of a piece of work: where their values come from, and where they go.
///
/// A value is looked up when the work starts, and is in no state, event, or request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// Where each comes from, by name: all that the pipeline declares.
    pub sources: Arc<BTreeMap<String, SecretSource>>,
    /// Those that are variables of the process, under their own names.
    pub vars: Vec<String>,
    /// Texts of the parameters in which they stand masked.
    pub spec: Vec<Hidden>,
    /// Texts of the variables in which they stand masked.
    pub env: Vec<Hidden>,
    /// Where a relative `file` lies and a `command` runs: where the run was started.
    pub folder: Option<PathBuf>,
}

impl Secrets {
    /// Whether there is nothing to be given, nor to be masked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.vars.is_empty() && self.spec.is_empty() && self.env.is_empty()
    }

    /// The variables of the engine's own environment that hold some: no process inherits them, whether
    /// or not it is given any.
    pub fn variables(&self) -> impl Iterator<Item = &String> {
        self.sources.values().filter_map(|source| match source {
            SecretSource::Env(name) => Some(name),
            SecretSource::File(_) | SecretSource::Command(_) => None,
        })
    }

    /// The names of all that are given.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&str> {
        let pieces = self.spec.iter().chain(&self.env).flat_map(|hidden| &hidden.of);
        let inside = pieces.filter_map(|piece| match piece {
            Piece::Secret { secret } => Some(secret.as_str()),
            Piece::Text(_) => None,
        });
        self.vars.iter().map(String::as_str).chain(inside).collect()
    }
}

/// What a step declares that it leaves, rendered.
#[derive(Debug, Clone, Default)]
pub struct RequestedOutputs {
    /// Files to keep, by name.
    pub files: BTreeMap<String, RequestedFile>,
    /// Where the JSON output is read from.
    pub json: Option<RequestedJson>,
    /// Fields read out of standard output by regular expressions.
    pub matches: BTreeMap<String, String>,
}

/// A declared file.
#[derive(Debug, Clone)]
pub struct RequestedFile {
    /// Relative to the workdir.
    pub path: String,
    /// Its absence is no failure.
    pub optional: bool,
    /// Unchanged by this attempt counts as missing.
    pub fresh: bool,
}

/// Where a step's JSON output is read from.
#[derive(Debug, Clone)]
pub enum RequestedJson {
    /// Standard output, whole.
    Stdout,
    /// The last JSON value that stands in standard output.
    Lenient,
    /// A file, relative to the workdir.
    File(String),
}

/// Where work runs.
#[derive(Debug, Clone)]
pub struct Workdir {
    /// The folder.
    pub path: PathBuf,
    /// The run's worktree, where `path` is one.
    pub git: Option<GitWorkdir>,
}

/// What an executor must know of a worktree.
#[derive(Debug, Clone)]
pub struct GitWorkdir {
    /// Whether leftovers are committed after the attempt.
    pub save: Save,
    /// The message of that commit.
    pub message: Option<String>,
    /// Its author, `NAME <EMAIL>`.
    pub author: Option<String>,
    /// The commit the run started from.
    pub base_commit: String,
    /// It is a copy that is thrown away: nothing in it is saved.
    pub is_copy: bool,
    /// The repository that it is a worktree of. Where the folder belongs to another one, it is not the run's.
    pub repository: PathBuf,
    /// The run's own branch; `None`: none is known.
    pub branch: Option<String>,
}

/// How an attempt ended.
#[derive(Debug, Clone)]
pub struct AttemptEnd {
    /// What came of it.
    pub result: AttemptResult,
    /// The worktree's head afterwards.
    pub commit: Option<String>,
    /// Kept files.
    pub artefacts: Vec<Artefact>,
    /// What it used up, in order; a repeated report names the same ones again.
    pub usage: Vec<Usage>,
    /// When the work itself ended: by the supervisor's record, not by when it was read.
    pub ended_at: Timestamp,
    /// What it said beside its output.
    pub told: Told,
    /// It ended with a question to people, `{text, options, items}`; the result does not count.
    pub ask: Option<Value>,
    /// What it called upon asks to be left alone for so long (`Retry-After`). Not recorded: who waits for the
    /// same services is held back meanwhile.
    pub again_after: Option<Duration>,
}

impl AttemptEnd {
    /// An end with nothing but its result.
    #[must_use]
    pub fn new(result: AttemptResult, ended_at: Timestamp) -> Self {
        Self {
            result,
            commit: None,
            artefacts: Vec::new(),
            usage: Vec::new(),
            ended_at,
            told: Told::default(),
            ask: None,
            again_after: None,
        }
    }
}

/// What came of an attempt.
#[derive(Debug, Clone)]
pub enum AttemptResult {
    /// Its output.
    Succeeded(Value),
    /// It failed.
    Failed(Failure),
    /// The system has too little at this moment (room on the disk, file handles, processes, memory) for it to
    /// begin, to be looked at, or for what it left to be kept. Nothing is decided by that: whatever has ended is
    /// kept, whatever has not begun begins later, whatever lives lives on. It is asked for again.
    NoRoom {
        /// What could not be done.
        reason: String,
    },
    /// It, or what it left, cannot be seen: damage, or an error of the system that does not pass. It may live.
    /// Nothing is decided by that, and what is recorded stays: its run is set aside with the reason, and it is
    /// asked for again when somebody sees to the run.
    Unreadable {
        /// What cannot be read, and where it lies.
        reason: String,
    },
    /// It vanished without a record.
    Lost {
        /// How that is known.
        reason: String,
    },
}

/// Takes what an attempt says while it runs. Never blocks; what is not taken in time is dropped,
/// because none of it is needed for the result.
pub trait AttemptObserver: Send + Sync {
    /// The work really began.
    fn started(&self);
    /// The newest line of its output.
    fn line(&self, line: &str);
    /// All that it has used up so far, by model. Said while it works, so that budgets can hold it.
    fn used(&self, so_far: &[Usage]) {
        let _nobody_counts = so_far;
    }
    /// A line as it may be kept: the values of secrets masked.
    fn shown<'a>(&self, line: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(line)
    }
}

/// What an executor says of a piece of work before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    /// Whether it lives on without the engine (a supervised process): its start is idempotent by
    /// its folder, its time limit is kept outside, and shutting the engine down leaves it alone.
    pub supervised: bool,
    /// Whether sending it again does no harm.
    pub idempotent: bool,
    /// What follows its loss where the step does not say.
    pub on_lost: OnLost,
    /// Whether it costs something: it starts only where every budget of its run has room.
    pub paid: bool,
    /// Whether it reads [`AttemptRequest::input`]; else that is null. It holds the run's whole input, so
    /// making it for each of many items that do not read it would cost their number squared.
    pub told: bool,
}

/// Something that work calls upon and that may be limited or fail as a whole: `agent.claude`,
/// `function.git.push`, `http.api.example.org`, `provider.gitea`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service {
    /// What it is: `agent`, `command`, `function`, `http`, `provider`, ….
    pub kind: String,
    /// Which one.
    pub name: String,
}

impl Service {
    /// The name that stands for each name of a kind.
    pub const ANY: &str = "*";

    /// One of a kind.
    #[must_use]
    pub fn new(kind: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), name: name.to_owned() }
    }

    /// Each one of a kind.
    #[must_use]
    pub fn any_of(kind: &str) -> Self {
        Self::new(kind, Self::ANY)
    }
}

impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.kind, self.name)
    }
}

impl std::str::FromStr for Service {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('.') {
            Some((kind, name)) if !kind.is_empty() && !name.is_empty() => Ok(Self::new(kind, name)),
            _no_dot => Err(format!("“{text}” is not KIND.NAME, such as agent.claude")),
        }
    }
}

/// Does one kind of work.
pub trait Executor: Send + Sync + 'static {
    /// What is known of this work beforehand.
    fn traits(&self, spec: &Value) -> Traits;

    /// What the work calls upon, the one who answers last; rates and breakers are kept by it.
    fn services(&self, spec: &Value) -> Vec<Service> {
        let _ = spec;
        Vec::new()
    }

    /// What the work names by its parameters as they are written, and nobody here could ever do: a run whose
    /// pipeline asks for it does not begin.
    fn unknown(&self, spec: &Value) -> Option<Failure> {
        let _ = spec;
        None
    }

    /// Whether somebody else fetches the work and does it, at a place of their own: it takes none of those
    /// that work on this machine shares. Such work is [`Traits::supervised`].
    fn is_elsewhere(&self, spec: &Value) -> bool {
        let _ = spec;
        false
    }

    /// Whether a failure shows that what the work calls upon is not there, rather than that the work went
    /// wrong: breakers count it.
    fn is_outage(&self, failure: &Failure) -> bool {
        matches!(failure.kind, FailureKind::Spawn | FailureKind::Timeout | FailureKind::Lost)
    }

    /// Does the work and resolves with its end. Dropping the future leaves supervised work running.
    fn start(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd>;

    /// Goes on with work that a former engine started, as if nothing had happened; answers
    /// [`AttemptResult::Lost`] where that cannot be.
    fn reattach(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd>;

    /// Asks the work to end (SIGTERM, grace, SIGKILL, whole group) and resolves when nothing of it
    /// is left, also where no `start` of this process is waiting for it. The waiting future resolves
    /// too. Repeating it does no harm.
    fn cancel(&self, request: AttemptRequest) -> BoxFuture<'static, ()>;
}

/// Evidence to collect, everything rendered.
#[derive(Debug, Clone)]
pub struct ProbeRequest {
    /// The attempt that is judged, and by its run and round everything else.
    pub id: EffectId,
    /// The gate.
    pub gate: String,
    /// The number of the probe in this round of the gate, 1-based.
    pub probe_no: u32,
    /// The prober's parameters.
    pub spec: Value,
    /// For processes.
    pub env: BTreeMap<String, String>,
    /// What it is given beside: the values stand nowhere here.
    pub secrets: Secrets,
    /// The time limit of one probe.
    pub timeout: Duration,
    /// The probe's own folder. Not yet made.
    pub folder: PathBuf,
    /// Where the judged work ran.
    pub workdir: Workdir,
    /// Files count only if they changed since then.
    pub fresh: Option<Fresh>,
}

/// When the round of the judged work began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fresh {
    /// The head of its worktree; `None`: it has none, or there was none yet.
    pub commit: Option<String>,
    /// The time.
    pub at: Timestamp,
}

/// The evidence could not be had. That is no verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProbeFailure {
    /// What happened and what to do, in one line.
    pub message: String,
    /// Asking again cannot help (a path out of the workspace, a malformed parameter).
    pub permanent: bool,
    /// What was asked is not there, or not as it should be: breakers count it.
    pub is_outage: bool,
    /// What was asked wants to be left alone for so long.
    pub again_after: Option<Duration>,
}

impl ProbeFailure {
    /// Asking again may help.
    #[must_use]
    pub fn passing(message: impl Into<String>) -> Self {
        Self { message: message.into(), permanent: false, is_outage: false, again_after: None }
    }

    /// Asking again cannot help.
    #[must_use]
    pub fn permanent(message: impl Into<String>) -> Self {
        Self { permanent: true, ..Self::passing(message) }
    }
}

/// Collects one kind of evidence.
pub trait Prober: Send + Sync + 'static {
    /// Collects the evidence: small JSON with its `source`, and everything of the parameters that
    /// the default policy needs ([`crate::policy`]).
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Value, ProbeFailure>>;

    /// What the probe calls upon, the one who answers last; rates and breakers are kept by it.
    fn services(&self, spec: &Value) -> Vec<Service> {
        let _ = spec;
        Vec::new()
    }

    /// What the probe names and nobody here could ever ask, as [`Executor::unknown`].
    fn unknown(&self, spec: &Value) -> Option<Failure> {
        let _ = spec;
        None
    }

    /// Asks a probe to end that nobody wants to know any more; what it answers is not heard. What must
    /// not be forgotten when the engine ends meanwhile is done before the future is polled.
    fn cancel(&self, request: ProbeRequest) -> BoxFuture<'static, ()> {
        drop(request);
        Box::pin(std::future::ready(()))
    }
}

/// Somebody to tell of an event, everything rendered.
#[derive(Debug, Clone)]
pub struct NoticeRequest {
    /// The run.
    pub run: RunId,
    /// The version of the event.
    pub version: Version,
    /// The notice.
    pub notice: String,
    /// The function that tells.
    pub function: String,
    /// Its parameters.
    pub with: Value,
    /// What stands masked in them.
    pub secrets: Secrets,
    /// In whose name.
    pub sender: Option<String>,
    /// The event: its fields, `type`, `version`, `at`, `actor`.
    pub event: Value,
    /// The run as expressions see it when the notice is sent.
    pub of_run: Value,
    /// The number of this try since the engine began to send it, 1-based.
    pub attempt: u32,
}

impl NoticeRequest {
    /// What a receiver recognises a repeated notice by: `RUN/VERSION/NOTICE`.
    #[must_use]
    pub fn dedup(&self) -> String {
        format!("{}/{}/{}", self.run, self.version, self.notice)
    }
}

/// Nobody was told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NoticeFailure {
    /// What happened and what to do, in one line.
    pub message: String,
    /// Trying again cannot help.
    pub permanent: bool,
    /// The other side asked to be left alone for so long.
    pub after: Option<Duration>,
}

impl NoticeFailure {
    /// Trying again may help.
    #[must_use]
    pub fn passing(message: impl Into<String>) -> Self {
        Self { message: message.into(), permanent: false, after: None }
    }

    /// Trying again cannot help.
    #[must_use]
    pub fn permanent(message: impl Into<String>) -> Self {
        Self { message: message.into(), permanent: true, after: None }
    }
}

/// Tells people and other systems of events.
pub trait Notifier: Send + Sync + 'static {
    /// Calls the function of the request. It may be called again for the same
    /// [`NoticeRequest::dedup`]: after a failure, and after a crash.
    ///
    /// # Errors
    /// [`NoticeFailure`]; one that may pass is tried again for 24 hours.
    fn notify(&self, request: NoticeRequest) -> BoxFuture<'static, Result<(), NoticeFailure>>;

    /// What of a function's parameters says whom it tells. Notices of one function with the same have the same
    /// receiver: where that does not answer one of them, it is left alone by all for a while.
    ///
    /// Where nothing is known of the function, all of them.
    fn receiver(&self, function: &str, with: &Value) -> Value {
        let _any = function;
        with.clone()
    }
}

/// A workspace to make, everything rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkspaceRequest {
    /// A worktree of a git repository.
    Git {
        /// The repository; absolute.
        repository: PathBuf,
        /// The branch to start from; `None`: the repository's default.
        base: Option<String>,
        /// The commit to start from; `None`: the head of the base.
        from: Option<String>,
        /// The run's branch.
        branch: String,
        /// Whether the worktree stays when the run has ended.
        keep: Keep,
        /// Whether the branch stays then.
        keep_branch: bool,
    },
    /// A folder that is there; absolute.
    Dir(PathBuf),
}

/// Makes and removes workspaces.
pub trait Workspaces: Send + Sync + 'static {
    /// Makes the run's workspace, or finds the one it made before a crash.
    ///
    /// # Errors
    /// A failure of kind `spawn` or `conflict` with a hint: no repository, no such branch, … One with the
    /// code [`NO_ROOM_CODE`](crate::failure::NO_ROOM_CODE) is no failure of the run: it is asked for again.
    fn prepare(
        &self,
        run: RunId,
        request: WorkspaceRequest,
    ) -> BoxFuture<'static, Result<Workspace, Failure>>;

    /// Removes the run's workspace after its end unless `keep` says otherwise; `succeeded` is how it
    /// ended. Repeating it does no harm.
    fn release(
        &self,
        run: RunId,
        workspace: Workspace,
        keep: Keep,
        keep_branch: bool,
        succeeded: bool,
    ) -> BoxFuture<'static, Released>;

    /// Makes a detached copy of a run's worktree at a commit for one attempt, or finds the one it made
    /// before a crash.
    ///
    /// # Errors
    /// As [`Workspaces::prepare`].
    fn copy(
        &self,
        run: RunId,
        workspace: Workspace,
        commit: String,
        path: PathBuf,
    ) -> BoxFuture<'static, Result<(), Failure>> {
        drop((run, workspace, commit, path));
        let failure = Failure::new(FailureKind::Spawn, "no copy of a workspace can be made here");
        Box::pin(std::future::ready(Err(failure)))
    }

    /// Removes copies that were made of a run's worktree. Repeating it does no harm.
    fn discard(&self, run: RunId, workspace: Workspace, copies: HashSet<PathBuf>) -> BoxFuture<'static, ()> {
        drop((run, workspace, copies));
        Box::pin(std::future::ready(()))
    }

    /// The runs of which something lies there that [`Workspaces::release`] was not asked for yet.
    fn left(&self) -> BoxFuture<'static, HashSet<RunId>>;

    /// Removes what these runs left behind, as far as it is not to be kept. A run that is not named is left
    /// alone: nobody knows what became of it.
    /// Gives where the workspaces were that are gone.
    fn sweep(&self, fates: BTreeMap<RunId, Fate>) -> BoxFuture<'static, BTreeMap<RunId, String>>;
}

/// What became of a run that left something behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It has ended.
    Ended {
        /// How.
        succeeded: bool,
        /// Whether it ever had its workspace: one that was made for it after it had ended holds no work.
        began: bool,
    },
    /// The store does not know it.
    Unknown,
}

/// What became of a run's workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// It is gone.
    Removed,
    /// It stays on purpose, or was never the engine's to remove.
    Kept,
    /// It could not be removed; the next sweep tries again.
    Failed,
}

/// Finds and ends work that lives on without an engine.
pub trait Survivors: Send + Sync + 'static {
    /// The folders of attempts and probes below `attempts` in which something is at work. One that
    /// has come to its end by itself is not among them.
    fn living(&self, attempts: PathBuf) -> BoxFuture<'static, Vec<PathBuf>>;

    /// Ends what is at work in a folder (SIGTERM, grace, SIGKILL, whole group) and resolves when nothing
    /// of it is left. Repeating it does no harm.
    fn end(&self, folder: PathBuf) -> BoxFuture<'static, ()>;
}

/// After so many ends in a row it is believed that what was in hand brought them about.
pub const ENDS_MAX: u32 = 3;

/// Counts how often the engine ended by itself, in a row, with the same work in hand.
pub trait Witness: Send + Sync + 'static {
    /// An attempt or a probe that a former engine left is about to be taken up again: how many engines in a row,
    /// up to the last one, aborted while it was outstanding. It is noted that it is in hand again. Must be quick.
    fn ends_with(&self, folder: &Path) -> u32;
}

/// Which runs are meant; all conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunQuery {
    /// Labels with these values; empty: any.
    pub labels: BTreeMap<String, String>,
    /// One of these; empty: any.
    pub status: Vec<RunStatus>,
    /// The pipeline's name.
    pub pipeline: Option<String>,
    /// At most so many are named; all are counted.
    pub limit: usize,
}

impl RunQuery {
    /// Whether a run is one of those that are meant.
    #[must_use]
    pub fn fits(&self, run: &FoundRun) -> bool {
        self.labels.iter().all(|(name, value)| run.labels.get(name) == Some(value))
            && (self.status.is_empty() || self.status.contains(&run.status))
            && self.pipeline.as_ref().is_none_or(|pipeline| *pipeline == run.pipeline)
    }
}

/// A run that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRun {
    /// The run.
    pub run: RunId,
    /// The pipeline's name.
    pub pipeline: String,
    /// For readers.
    pub title: Option<String>,
    /// Addresses and filters.
    pub labels: BTreeMap<String, String>,
    /// What it is doing.
    pub status: RunStatus,
}

/// The answer to a [`RunQuery`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundRuns {
    /// How many there are.
    pub total: u64,
    /// The newest of them, newest first.
    pub runs: Vec<FoundRun>,
    /// The store's position up to which this is true.
    pub position: Position,
}

/// The store's runs could not be asked about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the list of runs cannot be read now: {0}")]
pub struct DirectoryError(pub String);

/// Finds runs by what is known of them: their labels and what they are doing.
///
/// An answer holds everything that was durable when it was asked for.
pub trait Directory: Send + Sync + 'static {
    /// The runs that fit.
    fn runs(&self, query: RunQuery) -> BoxFuture<'static, Result<FoundRuns, DirectoryError>>;

    /// One run; `None`: there is none of that id.
    fn run(&self, run: RunId) -> BoxFuture<'static, Result<Option<FoundRun>, DirectoryError>> {
        let error = DirectoryError(format!("the run {run} cannot be asked for by its id here"));
        Box::pin(std::future::ready(Err(error)))
    }
}

/// The pipelines that come with the program.
pub trait BuiltIns: Send + Sync + 'static {
    /// The one of this name.
    fn find(&self, name: &str) -> Option<Arc<Definition>>;
}

/// Everything the driver can act with.
#[derive(Clone, Default)]
pub struct Edge {
    /// By kind of work.
    pub executors: BTreeMap<String, Arc<dyn Executor>>,
    /// By kind of probe.
    pub probers: BTreeMap<String, Arc<dyn Prober>>,
    /// `None`: pipelines with a workspace fail with `spawn`.
    pub workspaces: Option<Arc<dyn Workspaces>>,
    /// `None`: nothing lives on without an engine.
    pub survivors: Option<Arc<dyn Survivors>>,
    /// `None`: other runs cannot be asked about.
    pub directory: Option<Arc<dyn Directory>>,
    /// `None`: no notice can be sent.
    pub notifier: Option<Arc<dyn Notifier>>,
    /// Pipelines that `run` steps may name without their being saved.
    pub built_ins: Option<Arc<dyn BuiltIns>>,
    /// `None`: nobody counts what brings engines down.
    pub witness: Option<Arc<dyn Witness>>,
}
