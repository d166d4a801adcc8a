//! What work ends with, and the inputs that follow.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::cell::{Cell, Running, Work};
use super::timers::Due;
use super::{Shard, World};
use crate::definition::OnLost;
use crate::driver::line::Outcome;
use crate::driver::load::panic_text;
use crate::driver::message::Queued;
use crate::driver::shared::Shared;
use crate::execution::{AttemptEnd, AttemptResult, Executor, NoticeFailure, ProbeFailure, Told};
use crate::failure::{Failure, FailureKind};
use crate::id::{AttemptId, EffectId, InputId, RunId};
use crate::input::{InputKind, SharedFrom};
use crate::json::{DEPTH_MAX, JsonText, Value};
use crate::time::Timestamp;
use crate::trace::{Artefact, Usage, Workspace};

/// How long work that began is listened to before it counts as living on.
const LIVING: Duration = Duration::from_millis(250);

/// The end of a piece of work.
pub(super) enum WorkDone {
    Attempt {
        run: RunId,
        id: AttemptId,
        ended: Box<Ended>,
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
        result: Probed,
        took_ms: u64,
    },
    Workspace {
        run: RunId,
        result: Box<Result<Made, Failure>>,
    },
    Notice {
        run: RunId,
        channel: String,
        result: Result<(), NoticeFailure>,
    },
}

impl WorkDone {
    /// The run that it is about.
    pub(super) fn run(&self) -> RunId {
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
pub(super) enum Made {
    /// The run's own.
    Own(Workspace),
    /// That of the run that started it.
    Shared(SharedFrom),
}

/// What a probe found.
pub(super) type Probed = Result<JsonText, ProbeFailure>;

/// How an attempt ended, ready for an input.
pub(super) struct Ended {
    result: Result<Result<JsonText, Failure>, String>,
    commit: Option<String>,
    artefacts: Vec<Artefact>,
    usage: Vec<Usage>,
    ended_at: Timestamp,
    told: Told,
    ask: Option<JsonText>,
    again_after: Option<Duration>,
}

impl Ended {
    /// A failure that is not the work's own.
    pub(super) fn failed(failure: Failure, ended_at: Timestamp) -> Self {
        let (result, commit, artefacts, usage) = (Ok(Err(failure)), None, Vec::new(), Vec::new());
        let (told, ask, again_after) = (Told::default(), None, None);
        Self { result, commit, artefacts, usage, ended_at, told, ask, again_after }
    }

    pub(super) fn cancelled(ended_at: Timestamp) -> Self {
        Self::failed(cancelled(), ended_at)
    }

    /// How long what the work called upon wants to be left alone, and its words.
    fn wish(&self) -> Option<(Duration, &str)> {
        match &self.result {
            Ok(Err(failure)) => self.again_after.map(|span| (span, failure.message.as_str())),
            _not_failed => None,
        }
    }

    /// What the end says of what the work called upon.
    pub(super) fn outcome(&self, executor: &dyn Executor) -> Outcome {
        match &self.result {
            Ok(Ok(_)) => Outcome::Answered,
            Ok(Err(failure)) if matches!(failure.kind, FailureKind::Cancelled | FailureKind::Budget) => {
                Outcome::Unknown
            }
            Ok(Err(failure)) => match catch_unwind(AssertUnwindSafe(|| executor.is_outage(failure))) {
                Ok(true) => Outcome::Outage(format!("{}: {}", failure.kind, failure.message)),
                Ok(false) => Outcome::Answered,
                Err(_panic) => Outcome::Unknown,
            },
            Err(reason) => Outcome::Outage(format!("{}: {reason}", FailureKind::Lost)),
        }
    }
}

/// The failure of work that was to end.
pub(in crate::driver) fn cancelled() -> Failure {
    Failure::new(FailureKind::Cancelled, "stopped before its end")
}

/// Why an attempt that is over for its executor has no end.
pub(super) enum NoEnd {
    /// There is no room on the disk.
    NoRoom(String),
    /// What it left is damaged.
    Unreadable(String),
}

impl NoEnd {
    pub(super) fn of(self, run: RunId, id: AttemptId) -> WorkDone {
        match self {
            Self::NoRoom(reason) => WorkDone::HeldBack { run, id, reason },
            Self::Unreadable(reason) => WorkDone::Unreadable { run, id, reason },
        }
    }
}

/// The end of an attempt's future, or why there is none yet; a panic in it is the attempt's failure.
pub(super) async fn attempt_end(
    work: BoxFuture<'static, AttemptEnd>,
    now: crate::clock::Clock,
) -> Result<Ended, NoEnd> {
    let end = match AssertUnwindSafe(work).catch_unwind().await {
        Ok(end) => end,
        Err(panic) => return Ok(Ended::failed(bug(panic.as_ref()), now())),
    };
    let AttemptEnd { result, commit, artefacts, usage, ended_at, told, ask, again_after } = end;
    let result = match result {
        AttemptResult::Succeeded(output) => Ok(kept("output", &output)),
        AttemptResult::Failed(failure) => Ok(Err(failure)),
        AttemptResult::Lost { reason } => Err(reason),
        AttemptResult::NoRoom { reason } => return Err(NoEnd::NoRoom(reason)),
        AttemptResult::Unreadable { reason } => return Err(NoEnd::Unreadable(reason)),
    };
    // A question that is nested too deeply is the failure of the work that asked it.
    let (result, ask) = match ask.as_ref().map(|ask| kept("question", ask)) {
        None => (result, None),
        Some(Ok(ask)) => (result, Some(ask)),
        Some(Err(failure)) => (Ok(Err(failure)), None),
    };
    Ok(Ended { result, commit, artefacts, usage, ended_at, told, ask, again_after })
}

/// What work gave, as it is kept.
fn kept(what: &str, value: &Value) -> Result<JsonText, Failure> {
    let text = JsonText::new(value);
    if text.depth() <= DEPTH_MAX {
        return Ok(text);
    }
    let message = format!("the {what} is nested {} levels deep; {DEPTH_MAX} are the most", text.depth());
    Err(Failure::new(FailureKind::Validation, message)
        .with_hint("write it to a file and give its path, or give it as text"))
}

/// The failure of work whose executor panicked.
pub(super) fn bug(panic: &(dyn std::any::Any + Send)) -> Failure {
    Failure::new(FailureKind::Error, format!("the executor {}", panic_text(panic))).with_hint(
        "this is a bug of the step's kind or function; `retry` in the step makes the engine try again",
    )
}

impl Shard {
    pub(super) fn worked(&mut self, done: WorkDone) {
        let Some(cell) = self.cells.get_mut(&done.run()) else { return };
        match done {
            WorkDone::Attempt { id, ended, .. } => self.world.ended(cell, id, *ended),
            WorkDone::HeldBack { id, reason, .. } => self.world.held_back(cell, id, &reason),
            WorkDone::Unreadable { id, reason, .. } => self.world.unreadable(cell, id, reason),
            WorkDone::Stopped { id, .. } => self.world.stopped(cell, id),
            WorkDone::Probe { id, gate, probe_no, result, took_ms, .. } => {
                self.world.probed(cell, id, gate, probe_no, result, took_ms);
            }
            WorkDone::Workspace { result, .. } => self.world.prepared(cell, *result),
            WorkDone::Notice { channel, result, .. } => self.world.noticed(cell, channel, result),
        }
    }
}

impl World {
    /// An attempt in progress ended. One whose end was reported already has nothing more to say.
    pub(super) fn ended(&mut self, cell: &mut Cell, id: AttemptId, mut ended: Ended) {
        let Some(Work::Running(running)) = cell.work.get_mut(&id) else { return };
        if running.stopping && ended.result.is_err() {
            // It was to end, and nothing of it is left: that is no loss.
            ended.result = Ended::cancelled(ended.ended_at).result;
        }
        if let Some((span, why)) = ended.wish() {
            let services = running.executor.services(&running.request.spec);
            self.shared.line.leave_alone(&services, span, why);
        }
        if let Some(grant) = running.grant.take() {
            grant.end(ended.outcome(running.executor.as_ref()));
        }
        let fallback = running.traits.on_lost;
        self.report(cell, &id, ended, fallback);
    }

    /// What an attempt left is damaged: to decide anything on that would be for ever. It is asked for again when
    /// its run is loaded.
    fn unreadable(&mut self, cell: &mut Cell, id: AttemptId, reason: String) {
        if !matches!(cell.work.get(&id), Some(Work::Running(_))) || self.is_ending(cell, &id) {
            return;
        }
        let grant = self.grant_of_living(cell, &id);
        cell.doubtful.insert(id.clone());
        cell.work.insert(id, Work::Unseen(grant));
        self.set_aside(cell, reason);
    }

    /// Whether an attempt that has no end to tell is being stopped. What is left of a supervised one is not
    /// known before who stops it says that nothing is; another one has just ended with its future.
    pub(super) fn is_ending(&mut self, cell: &mut Cell, id: &AttemptId) -> bool {
        let Some(Work::Running(running)) = cell.work.get(id) else { return false };
        let (stopping, is_supervised) = (running.stopping, running.traits.supervised);
        if stopping && !is_supervised {
            self.ended(cell, id.clone(), Ended::cancelled(self.shared.now()));
        }
        stopping
    }

    /// An attempt will not be in progress.
    pub(super) fn give_up(&mut self, cell: &mut Cell, id: &AttemptId, failure: Failure) {
        let ended = Ended::failed(failure, self.shared.now());
        self.report(cell, id, ended, OnLost::Block);
    }

    /// Usage and result of an attempt become inputs of one batch.
    pub(super) fn report(&mut self, cell: &mut Cell, id: &AttemptId, ended: Ended, fallback: OnLost) {
        cell.work.insert(id.clone(), Work::Reported);
        self.shared.live.ended(cell.run, id);
        let ended_at = ended.ended_at;
        let inputs = inputs(&self.shared, cell.run, id, ended, fallback);
        match &mut cell.settling {
            Some(settling) => {
                settling.report(id, ended_at, inputs);
                self.settled(cell, false);
            }
            None => {
                inputs.into_iter().for_each(|queued| cell.push(queued));
                self.mark(cell);
            }
        }
    }

    /// An attempt says what it has used up so far.
    pub(super) fn uses(&mut self, cell: &mut Cell, id: &AttemptId, so_far: Vec<Usage>) {
        if !matches!(cell.work.get(id), Some(Work::Running(_))) {
            return;
        }
        let used = used_so_far(&self.shared, cell.run, id, so_far);
        used.into_iter().for_each(|queued| cell.push(queued));
        self.mark(cell);
    }

    /// An attempt that was stopped is over, with or without a word of its own.
    fn stopped(&mut self, cell: &mut Cell, id: AttemptId) {
        if let Some(Work::Running(running)) = cell.work.get(&id) {
            running.task.abort();
            self.ended(cell, id, Ended::cancelled(self.shared.now()));
        }
    }

    /// An attempt says that it began: recorded, but nobody waits for that.
    pub(super) fn began(&mut self, cell: &mut Cell, id: &AttemptId) {
        let Some(Work::Running(running)) = cell.work.get(id) else { return };
        let Running { is_recorded, .. } = **running;
        if let Some(settling) = &mut cell.settling
            && settling.lives(id)
        {
            self.pauses.remove(settling.until);
            settling.until = self.pauses.add(self.shared.steady().plus(LIVING), cell.run, Due::Settled);
        }
        if !is_recorded {
            cell.push(started_input(cell.run, id.clone()));
            self.mark(cell);
        }
    }
}

/// The fact that an attempt began.
pub(super) fn started_input(run: RunId, id: AttemptId) -> Queued {
    let about = format!("{run}/{id}/started");
    Queued::own(InputId::derive(&about), InputKind::AttemptStarted { id })
}

/// One input for each model: of each is recorded what is more than before.
fn used_so_far(shared: &Shared, run: RunId, id: &AttemptId, so_far: Vec<Usage>) -> Vec<Queued> {
    let effect = EffectId { run, attempt: id.clone() };
    let mut models: Vec<Usage> = Vec::with_capacity(so_far.len());
    for usage in so_far {
        match models.iter_mut().find(|known| known.model == usage.model) {
            None => models.push(usage),
            Some(known) => {
                known.input_tokens = known.input_tokens.saturating_add(usage.input_tokens);
                known.cached_tokens = known.cached_tokens.saturating_add(usage.cached_tokens);
                known.output_tokens = known.output_tokens.saturating_add(usage.output_tokens);
                known.cost_micros = known.cost_micros.saturating_add(usage.cost_micros);
                known.session = usage.session.or(known.session.take());
            }
        }
    }
    let input = |mut usage: Usage| {
        shared.price(run, &mut usage);
        let Usage { model, input_tokens, cached_tokens, output_tokens, cost_micros, .. } = &usage;
        let so_far = format!("{model:?}/{input_tokens}/{cached_tokens}/{output_tokens}/{cost_micros}");
        let about = InputId::derive(&format!("{effect}/usage/{so_far}"));
        Queued::own(about, InputKind::UsageSoFar { id: id.clone(), usage })
    };
    models.into_iter().map(input).collect()
}

fn inputs(shared: &Shared, run: RunId, id: &AttemptId, ended: Ended, fallback: OnLost) -> Vec<Queued> {
    let effect = EffectId { run, attempt: id.clone() };
    let mut inputs = used_so_far(shared, run, id, ended.usage);
    let (about, kind) = match ended.result {
        Ok(result) => {
            let (commit, artefacts, ended_at) = (ended.commit, ended.artefacts, ended.ended_at);
            let (id, told, ask) = (id.clone(), ended.told, ended.ask);
            let kind = InputKind::AttemptFinished { id, result, commit, artefacts, ended_at, told, ask };
            ("finished", kind)
        }
        Err(reason) => ("lost", InputKind::AttemptLost { id: id.clone(), reason, fallback }),
    };
    inputs.push(Queued::own(InputId::derive(&format!("{effect}/{about}")), kind));
    inputs
}
