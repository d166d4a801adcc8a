//! What work ends with, and the inputs that follow.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::failures::bug;
use crate::messages::Queued;
use crate::run::loaded_run::{AttemptWork, LoadedRun, RunningAttempt};
use crate::runtime::Runtime;
use crate::shard::core::{Shard, ShardCore};
use crate::shard::timers::TimerDue;
use crate::work::work_done::{EndedAttempt, NoEnd, WorkDone};
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{AttemptId, EffectId, InputId, RunId};
use everfold_base::json::{DEPTH_MAX, JsonText, Value};
use everfold_core::artefact::Usage;
use everfold_core::input::InputKind;
use everfold_language::words::OnLost;
use everfold_ports::{AttemptEnd, AttemptResult};

/// How long work that began is listened to before it counts as living on.
const LIVING: Duration = Duration::from_millis(250);

/// The end of an attempt's future, or why there is none yet; a panic in it is the attempt's failure.
pub(crate) async fn attempt_end(
    work: BoxFuture<'static, AttemptEnd>,
    now: everfold_system::clock::Clock,
) -> Result<EndedAttempt, NoEnd> {
    let end = match AssertUnwindSafe(work).catch_unwind().await {
        Ok(end) => end,
        Err(panic) => return Ok(EndedAttempt::failed(bug(panic.as_ref()), now())),
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
    Ok(EndedAttempt { result, commit, artefacts, usage, ended_at, told, ask, again_after })
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

impl Shard {
    pub(crate) fn worked(&mut self, done: WorkDone) {
        let Some(loaded) = self.runs.get_mut(&done.run()) else { return };
        match done {
            WorkDone::Attempt { id, ended, .. } => self.core.ended(loaded, id, *ended),
            WorkDone::HeldBack { id, reason, .. } => self.core.held_back(loaded, id, &reason),
            WorkDone::Unreadable { id, reason, .. } => self.core.unreadable(loaded, id, reason),
            WorkDone::Stopped { id, .. } => self.core.stopped(loaded, id),
            WorkDone::Probe { id, gate, probe_no, result, took_ms, .. } => {
                self.core.probed(loaded, id, gate, probe_no, result, took_ms);
            }
            WorkDone::Workspace { result, .. } => self.core.prepared(loaded, *result),
            WorkDone::Notice { channel, result, .. } => self.core.noticed(loaded, channel, result),
        }
    }
}

impl ShardCore {
    /// An attempt in progress ended. One whose end was reported already has nothing more to say.
    pub(crate) fn ended(&mut self, loaded: &mut LoadedRun, id: AttemptId, mut ended: EndedAttempt) {
        let Some(AttemptWork::Running(running)) = loaded.work.get_mut(&id) else { return };
        if running.stopping && ended.result.is_err() {
            // A stop was requested, so a vanished process counts as cancelled, not lost.
            ended.result = EndedAttempt::cancelled(ended.ended_at).result;
        }
        if let Some((span, why)) = ended.wish() {
            let services = running.executor.services(&running.request.spec);
            self.shared.scheduler.leave_alone(&services, span, why);
        }
        if let Some(grant) = running.grant.take() {
            grant.end(ended.outcome(running.executor.as_ref()));
        }
        let fallback = running.traits.loss.on_lost;
        self.report(loaded, &id, ended, fallback);
    }

    /// What an attempt left is damaged: to decide anything on that would be for ever. It is asked for again when
    /// its run is loaded.
    fn unreadable(&mut self, loaded: &mut LoadedRun, id: AttemptId, reason: String) {
        if !matches!(loaded.work.get(&id), Some(AttemptWork::Running(_))) || self.is_ending(loaded, &id) {
            return;
        }
        let grant = self.grant_of_living(loaded, &id);
        loaded.unstarted.doubtful.insert(id.clone());
        loaded.work.insert(id, AttemptWork::Unseen(grant));
        self.quarantine(loaded, reason);
    }

    /// Whether an attempt that has no end to tell is being stopped. What is left of a supervised one is not
    /// known before who stops it says that nothing is; another one has just ended with its future.
    pub(crate) fn is_ending(&mut self, loaded: &mut LoadedRun, id: &AttemptId) -> bool {
        let Some(AttemptWork::Running(running)) = loaded.work.get(id) else { return false };
        let (stopping, is_supervised) = (running.stopping, running.traits.supervised);
        if stopping && !is_supervised {
            self.ended(loaded, id.clone(), EndedAttempt::cancelled(self.shared.now()));
        }
        stopping
    }

    /// An attempt will not be in progress.
    pub(crate) fn give_up(&mut self, loaded: &mut LoadedRun, id: &AttemptId, failure: Failure) {
        let ended = EndedAttempt::failed(failure, self.shared.now());
        self.report(loaded, id, ended, OnLost::Block);
    }

    /// Usage and result of an attempt become inputs of one batch.
    pub(crate) fn report(
        &mut self,
        loaded: &mut LoadedRun,
        id: &AttemptId,
        ended: EndedAttempt,
        fallback: OnLost,
    ) {
        loaded.work.insert(id.clone(), AttemptWork::Reported);
        self.shared.live.ended(loaded.run, id);
        let ended_at = ended.ended_at;
        let inputs = inputs(&self.shared, loaded.run, id, ended, fallback);
        match &mut loaded.settling {
            Some(settling) => {
                settling.report(id, ended_at, inputs);
                self.settled(loaded, false);
            }
            None => {
                inputs.into_iter().for_each(|queued| loaded.push(queued));
                self.mark(loaded);
            }
        }
    }

    /// An attempt says what it has used up so far.
    pub(crate) fn uses(&mut self, loaded: &mut LoadedRun, id: &AttemptId, so_far: Vec<Usage>) {
        if !matches!(loaded.work.get(id), Some(AttemptWork::Running(_))) {
            return;
        }
        let used = used_so_far(&self.shared, loaded.run, id, so_far);
        used.into_iter().for_each(|queued| loaded.push(queued));
        self.mark(loaded);
    }

    /// An attempt that was stopped is over, with or without a word of its own.
    fn stopped(&mut self, loaded: &mut LoadedRun, id: AttemptId) {
        if let Some(AttemptWork::Running(running)) = loaded.work.get(&id) {
            running.task.abort();
            self.ended(loaded, id, EndedAttempt::cancelled(self.shared.now()));
        }
    }

    /// An attempt says that it began: recorded, but nothing waits for that.
    pub(crate) fn began(&mut self, loaded: &mut LoadedRun, id: &AttemptId) {
        let Some(AttemptWork::Running(running)) = loaded.work.get(id) else { return };
        let RunningAttempt { is_recorded, .. } = **running;
        if let Some(settling) = &mut loaded.settling
            && settling.lives(id)
        {
            self.pauses.remove(settling.until);
            settling.until =
                self.pauses.add(self.shared.steady().plus(LIVING), loaded.run, TimerDue::Settled);
        }
        if !is_recorded {
            loaded.push(started_input(loaded.run, id.clone()));
            self.mark(loaded);
        }
    }
}

/// The fact that an attempt began.
pub(crate) fn started_input(run: RunId, id: AttemptId) -> Queued {
    let about = format!("{run}/{id}/started");
    Queued::own(InputId::derive(&about), InputKind::AttemptStarted { id })
}

/// One input for each model: of each is recorded what is more than before.
fn used_so_far(shared: &Runtime, run: RunId, id: &AttemptId, so_far: Vec<Usage>) -> Vec<Queued> {
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

fn inputs(
    shared: &Runtime,
    run: RunId,
    id: &AttemptId,
    ended: EndedAttempt,
    fallback: OnLost,
) -> Vec<Queued> {
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
