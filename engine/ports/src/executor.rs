//! The port for the work of steps: attempts, what they are asked and how they end.
//!
//! Law: an executor acts only on what it is asked for and never writes to a run; what it is asked twice it does once, as far
//! as its kind of work can.

use crate::names::{NameFailure, NameRequest, NameWish};
use crate::record_receipt::RecordReceipt;
use crate::secrets::Secrets;
use crate::service::Service;
use crate::workdir::Workdir;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::EffectId;
use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use everfold_core::artefact::{Artefact, Usage};
use everfold_core::event::{AttemptHolder, AttemptNotes};
use everfold_core::progress::WorkProgress;
use everfold_core::state::{Resumption, WorkerHold};
use everfold_language::definition::OnLost;
use futures::future::BoxFuture;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// An attempt to make, everything rendered.
#[derive(Debug, Clone)]
pub struct AttemptRequest {
    /// Which one; its folder, processes and results are found by it.
    pub id: EffectId,
    /// The executor's parameters ([`everfold_language::definition::ExecutorTask`] says their shapes).
    pub spec: Value,
    /// For the process, beside what it inherits.
    pub env: BTreeMap<String, String>,
    /// Its secrets: where they come from and where they go, never their values.
    pub secrets: Secrets,
    /// What the step says of sending it again; `None`: the work's own [`Traits`] count.
    pub idempotent: Option<bool>,
    /// What the step says of its loss; [`AttemptRequest::after_loss`] says what follows.
    pub on_lost: Option<OnLost>,
    /// The time limit of the attempt.
    pub timeout: Option<Duration>,
    /// From SIGTERM to SIGKILL.
    pub grace: Duration,
    /// The input of the work: `{input, config, run, step, round, attempt, with, needs, rework, answers, previous}`;
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
    /// It goes on with work that was interrupted; an agent is told what is said there.
    pub resumption: Option<Resumption>,
    /// The worker that holds it, as it was recorded.
    pub held: Option<WorkerHold>,
    /// Why it is to stop, where it is.
    pub stop: AttemptStop,
}

/// Why an attempt is to stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AttemptStop {
    /// Its step or run ends without it.
    #[default]
    Cancel,
    /// Its time limit passed.
    TimeLimit,
    /// A person interrupted it: the run goes on with it later, so what it did until then counts.
    Interrupt,
}

impl AttemptRequest {
    /// What follows the loss of this work, of whose kind [`LossTraits::on_lost`] is `own`.
    #[must_use]
    pub fn after_loss(&self, own: OnLost) -> OnLost {
        OnLost::of_step(self.on_lost, self.idempotent, own)
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
    pub notes: AttemptNotes,
    /// What it said that its run is found by, by name.
    pub search: BTreeMap<String, Value>,
    /// It ended with a question to people, `{text, options, items}`; the result does not count.
    pub ask: Option<Value>,
    /// What it called upon asks to be left alone for so long (`Retry-After`). Not recorded: work that waits for
    /// the same services is held back meanwhile.
    pub again_after: Option<Duration>,
    /// Is informed when the end is recorded, durably. Not recorded itself.
    pub receipt: Option<RecordReceipt>,
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
            notes: AttemptNotes::default(),
            search: BTreeMap::new(),
            ask: None,
            again_after: None,
            receipt: None,
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
    /// Nothing is decided by that, and what is recorded stays: its run is quarantined with the reason, and it is
    /// asked for again when the run is resumed.
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
    /// The work really began, at a moment that is known of itself: a process, by its supervisor.
    fn started_at(&self, at: Timestamp) {
        let _not_kept = at;
        self.started();
    }
    /// A worker takes the attempt, and is given it only when that is durable: the receipt is informed then. It is dropped
    /// where that is not recorded.
    fn taken(&self, holder: AttemptHolder, receipt: RecordReceipt) {
        let _never_recorded = (holder, receipt);
    }
    /// The newest line of its output.
    fn line(&self, line: &str);
    /// How far it is. The same again says nothing new.
    fn progress(&self, progress: WorkProgress) {
        let _not_shown = progress;
    }
    /// All that it has used up so far, by model. Said while it works, so that budgets can hold it.
    fn used(&self, so_far: &[Usage]) {
        let _uncounted = so_far;
    }
    /// Gives the attempt's step a name that no other step has in its scope: the same one however often it asks.
    /// Resolves when that is durable.
    fn unique_name(&self, request: NameRequest) -> BoxFuture<'static, Result<String, NameFailure>> {
        let _nothing_given = request;
        Box::pin(std::future::ready(Err(NameFailure::NoStep)))
    }
    /// The name that the attempt's step was given for a wish, if it was given one.
    fn held_name(&self, wish: NameWish) -> BoxFuture<'static, Result<Option<String>, NameFailure>> {
        let _nothing_given = wish;
        Box::pin(std::future::ready(Err(NameFailure::NoStep)))
    }
    /// A line as it may be kept: the values of secrets masked.
    fn shown<'a>(&self, line: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(line)
    }
    /// Masks a value as it may be kept: the values of secrets, and the texts of fields whose names say that they are
    /// secret.
    fn mask(&self, value: &mut Value) {
        let _kept = value;
    }
}

/// What an executor says of a piece of work before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    /// Whether it lives on without the engine (a supervised process): its start is idempotent by
    /// its folder, its time limit is kept outside, and shutting the engine down leaves it alone.
    pub supervised: bool,
    /// What may be done where its end is not known.
    pub loss: LossTraits,
    /// Whether it costs something: it starts only where every budget of its run has room.
    pub paid: bool,
    /// Whether it reads [`AttemptRequest::input`]; else that is null. It holds the run's whole input, so
    /// making it for each of many items that do not read it would cost their number squared.
    pub reads_input: bool,
}

/// What an executor says of work whose end is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LossTraits {
    /// Whether sending it again does no harm.
    pub idempotent: bool,
    /// What follows its loss where the step does not say.
    pub on_lost: OnLost,
}

/// A worker that waits for an attempt until it is recorded that it takes it. Dropped before that, it gets other work.
pub struct WorkerReservation {
    /// Who takes the attempt.
    pub holder: AttemptHolder,
    /// Lets the worker go when it is dropped.
    pub release: Box<dyn Send>,
}

/// Does one kind of work.
pub trait Executor: Send + Sync + 'static {
    /// What is known of this work beforehand.
    fn traits(&self, spec: &Value) -> Traits;

    /// What the work calls upon, in order: the last service is the one that answers. Rates and breakers are kept by
    /// service.
    fn services(&self, spec: &Value) -> Vec<Service> {
        let _ = spec;
        Vec::new()
    }

    /// What the work names by its parameters as they are written, and this engine could never do: a run whose
    /// pipeline asks for it does not begin.
    fn unknown(&self, spec: &Value) -> Option<Failure> {
        let _ = spec;
        None
    }

    /// Whether a remote worker fetches the work and does it: it takes none of the resources that work on this
    /// machine shares. Such work is [`Traits::supervised`].
    fn is_elsewhere(&self, spec: &Value) -> bool {
        let _ = spec;
        false
    }

    /// Whether the work acts on what lies outside of its run: it writes to a service, sends to people, signals other runs.
    /// A fork may not, unless it is asked for; what a step says of itself counts more.
    fn is_outside(&self, spec: &Value) -> bool {
        let _ = spec;
        false
    }

    /// Whether a failure shows that what the work calls upon is not there, rather than that the work went
    /// wrong: breakers count it.
    fn is_outage(&self, failure: &Failure) -> bool {
        matches!(failure.kind, FailureKind::Spawn | FailureKind::Timeout | FailureKind::Lost)
    }

    /// Whether a worker waits for work at this moment; of such work as a step has it written, or of any. Costs nothing to ask.
    fn has_waiting_workers(&self, spec: Option<&Value>) -> bool {
        let _ = spec;
        false
    }

    /// Has a worker that waits for such work take it, so that this is recorded with what schedules the attempt. It gets it
    /// when [`Executor::start`] is called, which is when that is durable.
    fn reserve(&self, request: &AttemptRequest) -> Option<WorkerReservation> {
        let _none_waits = request;
        None
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
