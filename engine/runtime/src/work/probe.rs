//! Probes of gates: started, stopped, their results reported.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::oneshot;
use tracing::Instrument as _;

use crate::failures::unknown;
use crate::limits::Class;
use crate::messages::Queued;
use crate::panic::panic_text;
use crate::run::loaded_run::{LoadedRun, ProbeStop, Probing};
use crate::scheduler::breaker::ServiceOutcome;
use crate::scheduler::places::QueueStanding;
use crate::shard::core::ShardCore;
use crate::shard::job_done::{JobDone, WantedBy};
use crate::work::request;
use crate::work::run_span;
use crate::work::spare::read_evidence;
use crate::work::work_done::{ProbeResult, WorkDone};
use everfold_base::failure::bounded_reason;
use everfold_base::id::{AttemptId, EffectId, InputId, RunId, Version};
use everfold_base::json::{DEPTH_MAX, JsonText, Value};
use everfold_core::decide::plan;
use everfold_core::effect::Touched;
use everfold_core::event::ProbeFailed;
use everfold_core::input::InputKind;
use everfold_language::expr::EvalError;
use everfold_ports::ProbeFailure;
use everfold_system::clock::Stopwatch;

impl ShardCore {
    /// The state lists a probe.
    pub(crate) fn probe_listed(
        &mut self,
        loaded: &mut LoadedRun,
        id: AttemptId,
        gate: String,
        probe_no: u32,
        part: &Touched,
    ) {
        if loaded.probes.contains_key(&(id.clone(), gate.clone(), probe_no)) {
            return;
        }
        match self.recorded_evidence(loaded, &id, &gate, WantedBy::Part(part.clone())) {
            Err(()) => return,
            Ok(Some(recorded)) => return self.probe_spared(loaded, id, gate, probe_no, recorded),
            Ok(None) => {}
        }
        let effect = EffectId { run: loaded.run, attempt: id.clone() };
        let refused = |message: String| ProbeFailure::permanent(message);
        let Some(state) = &loaded.state else { return };
        let planned = loop {
            let planned = catch_unwind(AssertUnwindSafe(|| {
                let Some(plan) = plan::probe(state, &id, &gate, &loaded.values.of_plans)? else {
                    return Ok(None);
                };
                let (kind, until) = (plan.kind.clone(), plan.until);
                let standing = plan::standing(state, &id, &loaded.values.of_plans)?;
                let priority = standing.map_or(0, |standing| standing.priority);
                request::probe(
                    state,
                    &self.shared.layout,
                    &effect,
                    &gate,
                    probe_no,
                    plan,
                    &loaded.values.of_plans,
                )
                .map(|request| Some((kind, request, priority, until)))
            }));
            match planned {
                Ok(Err(EvalError::Needs(values))) => {
                    let missing = self.shared.values.at_hand(values, &mut loaded.values.of_plans);
                    if !missing.is_empty() {
                        return self.fetch(loaded, missing, WantedBy::Part(part.clone()));
                    }
                }
                other => break other,
            }
        };
        let (prober, request, priority, until) = match planned {
            Err(panic) => return self.quarantine(loaded, panic_text(panic.as_ref())),
            Ok(Ok(None)) => return,
            Ok(Err(error)) => {
                return self.probed(loaded, id, gate, probe_no, Err(refused(error.to_string())), 0);
            }
            Ok(Ok(Some((kind, request, priority, until)))) => match self.shared.edge.probers.get(&kind) {
                Some(prober) => (Arc::clone(prober), request, priority, until),
                None => {
                    let failure = unknown(&kind, "probe", self.shared.edge.probers.keys());
                    let message = format!("{}; {}", failure.message, failure.hint());
                    return self.probed(loaded, id, gate, probe_no, Err(refused(message)), 0);
                }
            },
        };
        if let Some(what) = request::foreign_worktree(&self.shared.layout, &request.workdir) {
            return self.quarantine(loaded, what);
        }
        let (wait, stopped) = oneshot::channel();
        let stop = Some(ProbeStop { prober: Arc::clone(&prober), request: request.clone(), _wait: wait });
        loaded.probes.insert((id.clone(), gate.clone(), probe_no), Probing { stop });
        let (run, scheduler) = (loaded.run, Arc::clone(&self.shared.scheduler));
        let services = catch_unwind(AssertUnwindSafe(|| prober.services(&request.spec))).unwrap_or_default();
        let needs = scheduler.needs(Class::Probe, &[], &services);
        let turn = Arc::clone(&scheduler).probe(
            effect,
            gate.clone(),
            needs,
            QueueStanding { priority, group: self.group(loaded) },
        );
        let span = run_span::of_probe(run, &id, &gate);
        let left = until.map_or(Duration::MAX, |until| until.since(self.shared.now()));
        self.spawn_work(
            run,
            async move {
                let mut grant = tokio::select! {
                    biased;
                    grant = turn => grant,
                    () = tokio::time::sleep(left) => {
                        let result = Err(ProbeFailure::passing("its turn did not come: what it asks is left alone"));
                        return WorkDone::Probe { run, id, gate, probe_no, result, took_ms: 0 };
                    }
                    _stopped = stopped => {
                        let result = Err(ProbeFailure::passing("stopped before it began"));
                        return WorkDone::Probe { run, id, gate, probe_no, result, took_ms: 0 };
                    }
                };
                grant.begin();
                let watch = Stopwatch::start();
                let probe = AssertUnwindSafe(async move { prober.probe(request).await });
                let result: ProbeResult = match probe.catch_unwind().await {
                    Ok(result) => result.and_then(|evidence| bounded(&evidence)),
                    Err(panic) => {
                        let message = format!("the probe {}", panic_text(panic.as_ref()));
                        Err(ProbeFailure::passing(message))
                    }
                };
                if let Err(ProbeFailure { message, again_after: Some(span), .. }) = &result {
                    scheduler.leave_alone(&services, *span, message);
                }
                grant.end(outcome(&result));
                let took_ms = u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX);
                WorkDone::Probe { run, id, gate, probe_no, result, took_ms }
            }
            .instrument(span),
        );
    }

    /// The evidence that the origin recorded stands in for a probe.
    fn probe_spared(
        &mut self,
        loaded: &mut LoadedRun,
        id: AttemptId,
        gate: String,
        probe_no: u32,
        (origin, version): (RunId, Version),
    ) {
        loaded.probes.insert((id.clone(), gate.clone(), probe_no), Probing { stop: None });
        let (run, shared) = (loaded.run, Arc::clone(&self.shared));
        self.spawn_work(run, async move {
            let evidence = read_evidence(&shared, origin, version).await;
            let result = evidence.map(|evidence| JsonText::new(&evidence)).map_err(|what| {
                let message =
                    format!("the evidence of event {version} of run {origin} cannot be read: {what}");
                ProbeFailure::passing(message)
            });
            WorkDone::Probe { run, id, gate, probe_no, result, took_ms: 0 }
        });
    }

    /// Ends the probes of a part whose answers are not needed any more: the run was cancelled, a
    /// rework went on from the step.
    pub(crate) fn stop_probes(&mut self, loaded: &mut LoadedRun, part: &Touched) {
        let (Some(state), Touched::Path(path)) = (&loaded.state, part) else { return };
        for ((id, gate, probe_no), probing) in
            loaded.probes.iter_mut().filter(|((id, ..), _)| id.path == *path)
        {
            if state.is_probing(id, gate, *probe_no) {
                continue;
            }
            // What it still waits for it gives up with the stop.
            let Some(ProbeStop { prober, request, .. }) = probing.stop.take() else { continue };
            // Called synchronously: the engine may end before the future is polled.
            let Ok(stopped) = catch_unwind(AssertUnwindSafe(|| prober.cancel(request))) else { continue };
            self.jobs.push(Box::pin(async move {
                let _done_or_panicked = AssertUnwindSafe(stopped).catch_unwind().await;
                JobDone::NoResult
            }));
        }
    }

    /// A probe ended.
    pub(crate) fn probed(
        &mut self,
        loaded: &mut LoadedRun,
        id: AttemptId,
        gate: String,
        probe_no: u32,
        result: ProbeResult,
        took_ms: u64,
    ) {
        // Until its end is decided, the state lists it.
        loaded.probes.insert((id.clone(), gate.clone(), probe_no), Probing { stop: None });
        let about = InputId::derive(&format!("{}/{id}/probe/{gate}/{probe_no}", loaded.run));
        loaded.push(Queued::own(
            about,
            match result {
                Ok(evidence) => InputKind::ProbeFinished { id, gate, probe_no, evidence, took_ms },
                Err(ProbeFailure { message, permanent, .. }) => InputKind::ProbeFailed(ProbeFailed {
                    id,
                    gate,
                    probe_no,
                    message: bounded_reason(message),
                    permanent,
                    took_ms,
                    broken: false,
                }),
            },
        ));
        self.mark(loaded);
    }
}

/// The evidence of a probe as it is stored, unless it is nested too deeply.
fn bounded(evidence: &Value) -> ProbeResult {
    let text = JsonText::new(evidence);
    match text.depth() {
        0..=DEPTH_MAX => Ok(text),
        deep => Err(ProbeFailure::permanent(format!(
            "the evidence is nested {deep} levels deep; {DEPTH_MAX} are the most"
        ))),
    }
}

/// What the end of a probe says of the services that it called.
fn outcome(result: &ProbeResult) -> ServiceOutcome {
    match result {
        Err(failure) if failure.is_outage => ServiceOutcome::Outage(failure.message.clone()),
        Err(failure) if !failure.permanent => ServiceOutcome::Unknown,
        Ok(_) | Err(_) => ServiceOutcome::Answered,
    }
}
