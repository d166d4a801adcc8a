//! The reports of attempts as inputs of their run: that one began, what it uses up, how it ended.
//!
//! Law (D6): while a loaded run waits for the reports of re-attached attempts, ends are kept back and recorded in
//! the order in which the work ended.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::messages::Queued;
use crate::run::attempt::ended_attempt::EndedAttempt;
use crate::run::attempt::event::AttemptBegin;
use crate::run::attempt::table::AttemptHandles;
use crate::run::loaded_run::LoadedRun;
use crate::runtime::Runtime;
use crate::scheduler::breaker::ServiceOutcome;
use crate::shard::core::ShardCore;
use crate::shard::timers::TimerDue;
use everfold_base::failure::{Failure, FailureKind, bounded_reason};
use everfold_base::id::{AttemptId, EffectId, InputId, RunId, Version};
use everfold_core::artefact::Usage;
use everfold_core::event::{AttemptStarted, ProgressReported, SearchSet, WorkSpared};
use everfold_core::input::InputKind;
use everfold_core::progress::WorkProgress;
use everfold_core::search;
use everfold_language::words::OnLost;
use everfold_ports::Executor;

/// How long a run waits for the reports of re-attached attempts after all of them began again.
const LIVING: Duration = Duration::from_millis(250);

impl ShardCore {
    /// Work ended: its end becomes an input, and its services and its place are informed. The input comes first, so a
    /// panic of the executor does not lose it.
    pub(crate) fn report_end(
        &mut self,
        loaded: &mut LoadedRun,
        id: &AttemptId,
        mut ended: EndedAttempt,
        over: AttemptHandles,
    ) {
        let planned = over.planned.expect("work that was launched has a plan");
        let executor = planned.executor.as_ref();
        ended.spared.clone_from(&planned.spared);
        let outcome = outcome(&ended, executor);
        let pause = ended.requested_pause().map(|(span, message)| (span, message.to_owned()));
        self.report(loaded, id, ended, planned.traits.loss.on_lost);
        if let Some((span, message)) = pause {
            let services = executor.services(&planned.request.spec);
            self.shared.scheduler.leave_alone(&services, span, &message);
        }
        if let Some(grant) = over.grant {
            grant.end(outcome);
        }
    }

    /// Usage and result of an attempt become inputs of one batch.
    pub(crate) fn report(
        &mut self,
        loaded: &mut LoadedRun,
        id: &AttemptId,
        ended: EndedAttempt,
        fallback: OnLost,
    ) {
        self.shared.live.ended(loaded.run, id);
        let ended_at = ended.ended_at;
        let effect = EffectId { run: loaded.run, attempt: id.clone() };
        let last = self.observed.last_progress(&effect);
        let mut ended = ended;
        let spared = ended.spared.take().map(|spared| spared_input(loaded.run, spared));
        let search = search_input(loaded, id, &mut ended);
        let mut inputs = inputs(&self.shared, loaded.run, id, ended, fallback);
        inputs.splice(0..0, spared.into_iter().chain(search));
        if let Some(progress) = last {
            loaded.drop_progress(id);
            inputs.insert(0, progress_input(loaded.run, loaded.version, id, progress));
        }
        match &mut loaded.reattachment {
            Some(reattachment) => {
                reattachment.report(id, ended_at, inputs);
                self.end_reattachment(loaded, false);
            }
            None => {
                inputs.into_iter().for_each(|queued| loaded.push(queued));
                self.mark(loaded);
            }
        }
    }

    /// What an attempt has used up so far becomes an input.
    pub(crate) fn record_usage(&mut self, loaded: &mut LoadedRun, id: &AttemptId, so_far: Vec<Usage>) {
        let used = used_so_far(&self.shared, loaded.run, id, so_far, false);
        used.into_iter().for_each(|queued| loaded.push(queued));
        self.mark(loaded);
    }

    /// How far an attempt is becomes an input.
    pub(crate) fn record_progress(&mut self, loaded: &mut LoadedRun, id: &AttemptId, progress: WorkProgress) {
        loaded.drop_progress(id);
        loaded.push(progress_input(loaded.run, loaded.version, id, progress));
        self.mark(loaded);
    }

    /// A re-attached attempt began again. Where that holds for all of them, the run waits only for reports that are
    /// on their way.
    pub(crate) fn note_living(&mut self, loaded: &mut LoadedRun, id: &AttemptId) {
        if let Some(reattachment) = &mut loaded.reattachment
            && reattachment.lives(id)
        {
            self.pauses.remove(reattachment.until);
            let until = self.shared.steady().plus(LIVING);
            reattachment.until = self.pauses.add(until, loaded.run, TimerDue::ReattachmentOver);
        }
    }
}

/// What the end of an attempt says of the services that it called.
fn outcome(ended: &EndedAttempt, executor: &dyn Executor) -> ServiceOutcome {
    match &ended.result {
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

/// The fact that an attempt began, or that a worker took it.
pub(crate) fn started_input(run: RunId, id: AttemptId, begin: AttemptBegin) -> Queued {
    let AttemptBegin { at: began_at, taken } = begin;
    let (holder, receipt) = taken.unzip();
    let about = match &holder {
        None => format!("{run}/{id}/started"),
        Some(holder) => format!("{run}/{id}/started/{}", holder.lease),
    };
    let kind = InputKind::AttemptStarted(AttemptStarted { id, began_at, holder });
    Queued { receipt, ..Queued::own(InputId::derive(&about), kind) }
}

/// How far an attempt is. Work may come to where it was before, which is another report then.
fn progress_input(run: RunId, version: Version, id: &AttemptId, progress: WorkProgress) -> Queued {
    let about = InputId::derive(&format!("{run}/{id}/progress/{version}/{progress:?}"));
    Queued::own(about, InputKind::Progress(ProgressReported { id: id.clone(), progress }))
}

/// Why the work of an attempt was not done.
fn spared_input(run: RunId, spared: WorkSpared) -> Queued {
    let about = InputId::derive(&format!("{run}/{}/spared", spared.id));
    Queued::own(about, InputKind::Spare(spared))
}

/// What work says that its run is found by. What does not fit the declared attributes fails work that ended well.
fn search_input(loaded: &LoadedRun, id: &AttemptId, ended: &mut EndedAttempt) -> Option<Queued> {
    let given = std::mem::take(&mut ended.search);
    let state = loaded.state.as_ref().filter(|_| !given.is_empty())?;
    match search::fit(&state.definition().search, state.search(), given.iter()) {
        Ok(values) => {
            let about = InputId::derive(&format!("{}/{id}/search", loaded.run));
            Some(Queued::own(about, InputKind::SetSearch(SearchSet { id: Some(id.clone()), values })))
        }
        Err(why) => {
            if let Ok(result @ Ok(_)) = &mut ended.result {
                ended.ask = None;
                *result = Err(Failure::new(FailureKind::Validation, format!("`everfold.search`: {why}")));
            }
            None
        }
    }
}

/// One input for each model, with the sum so far; the decision records what exceeds the former sum. `is_all`: the
/// attempt has ended, and uses no more.
fn used_so_far(
    shared: &Runtime,
    run: RunId,
    id: &AttemptId,
    so_far: Vec<Usage>,
    is_all: bool,
) -> Vec<Queued> {
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
        let is_billed = shared.price(run, &mut usage, is_all) && is_all && usage.cost_micros > 0;
        let Usage { model, input_tokens, cached_tokens, output_tokens, cost_micros, .. } = &usage;
        let so_far = format!("{model:?}/{input_tokens}/{cached_tokens}/{output_tokens}/{cost_micros}");
        let about = InputId::derive(&format!("{effect}/usage/{so_far}"));
        Queued::own(about, InputKind::UsageSoFar { id: id.clone(), usage, is_billed })
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
    let mut inputs = used_so_far(shared, run, id, ended.usage, true);
    let receipt = ended.receipt;
    let (about, kind) = match ended.result {
        Ok(result) => {
            let (commit, artefacts, ended_at) = (ended.commit, ended.artefacts, ended.ended_at);
            let (id, notes, ask) = (id.clone(), ended.notes, ended.ask);
            let result = result.map_err(Failure::bounded);
            let kind = InputKind::AttemptFinished { id, result, commit, artefacts, ended_at, notes, ask };
            ("finished", kind)
        }
        Err(reason) => {
            let reason = bounded_reason(reason);
            ("lost", InputKind::AttemptLost { id: id.clone(), reason, fallback })
        }
    };
    inputs.push(Queued { receipt, ..Queued::own(InputId::derive(&format!("{effect}/{about}")), kind) });
    inputs
}
