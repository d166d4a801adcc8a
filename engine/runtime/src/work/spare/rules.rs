//! Whether an attempt, a probe or a notice of a run is done, or something stands in for it.

use std::sync::Arc;

use crate::error::LoadError;
use crate::run::loaded_run::LoadedRun;
use crate::shard::core::ShardCore;
use crate::shard::job_done::{JobDone, WantedBy};
use crate::work::spare::effect_rules::EffectRules;
use crate::work::spare::executor::SparedWork;
use crate::work::spare::origin_record::GivenNow;
use everfold_base::id::{AttemptId, RunId, Version};
use everfold_base::json::{Hash, Value};
use everfold_base::text::one_line;
use everfold_core::decide::work_inputs;
use everfold_core::event::{SpareReason, WorkSpared};
use everfold_core::state::{JudgedWork, RunState};
use everfold_language::definition::ExecutorTask;
use everfold_language::expr::{EvalError, Loaded};
use everfold_ports::Executor;

/// The longest line that says what work would have done.
const WOULD_CHARS_MAX: usize = 500;

/// What becomes of an attempt.
pub(crate) enum SpareChoice {
    /// It is done.
    Done,
    /// Something stands in for it.
    Spared(WorkSpared, Arc<dyn Executor>),
    /// What decides that is being read.
    Later,
}

impl ShardCore {
    /// Whether an attempt is done.
    pub(crate) fn spare(
        &mut self,
        loaded: &mut LoadedRun,
        id: &AttemptId,
        kind: &str,
        spec: &Value,
        (executor, is_outside): (&Arc<dyn Executor>, bool),
    ) -> SpareChoice {
        let Some(state) = &loaded.state else { return SpareChoice::Done };
        let limits = state.effect_limits();
        let may_be_spared = match limits {
            Some(limits) => limits.replays || (limits.held && is_outside),
            None => is_outside && state.parent().is_some(),
        };
        // What has begun goes on, whatever would stand in for it by now. People are shown what is there.
        if !may_be_spared || state.has_begun(id) || kind == ExecutorTask::LOOK {
            return SpareChoice::Done;
        }
        let Some(rules) = self.effect_rules(loaded, WantedBy::Attempt(id.clone())) else {
            return SpareChoice::Later;
        };
        let reads_input = |of: &str, with: &Value| of == kind && executor.traits(with).reads_input;
        let given =
            |state: &RunState, values: &Loaded| work_inputs::of_attempt(state, id, &reads_input, values);
        let inputs = match rules.record.as_ref().map(|_| self.hash_now(loaded, id, given)) {
            Some(Err(())) => return SpareChoice::Later,
            Some(Ok(inputs)) => inputs,
            None => None,
        };
        let Some(state) = &loaded.state else { return SpareChoice::Done };
        let recorded = rules.record.as_ref().zip(inputs).and_then(|(record, inputs)| {
            let around = work_inputs::surroundings(state, &id.path);
            let wanted = GivenNow { inputs, around, has_own_files: work_inputs::has_own_files(state) };
            record.end_of(&id.path, state.last_taken(&id.path), &wanted)
        });
        let origin = rules.record.as_ref().map_or(loaded.run, |record| record.run);
        let (reason, end, is_held) = match recorded {
            Some(end) if limits.is_some_and(|limits| limits.replays) => {
                let reason = SpareReason::Recorded { run: origin, version: end.version };
                (reason, Some(end.clone()), false)
            }
            recorded if rules.is_held && is_outside => {
                let newest = || rules.record.as_ref().and_then(|record| record.newest_success(&id.path));
                let end = recorded.filter(|end| end.is_success).or_else(newest);
                let version = end.map(|end| end.version);
                (SpareReason::Held { would: would(kind, spec), version }, end.cloned(), true)
            }
            _done => return SpareChoice::Done,
        };
        let executor = SparedWork { shared: Arc::downgrade(&self.shared), origin, end, is_held };
        SpareChoice::Spared(WorkSpared { id: id.clone(), reason }, Arc::new(executor))
    }

    /// The event whose evidence stands in for a probe; `Err`: what decides that is being read.
    pub(crate) fn recorded_evidence(
        &mut self,
        loaded: &mut LoadedRun,
        id: &AttemptId,
        gate: &str,
        wanted_by: WantedBy,
    ) -> Result<Option<(RunId, Version)>, ()> {
        let Some(state) = &loaded.state else { return Ok(None) };
        let judged = state.judged_work(id);
        let replays = state.effect_limits().is_some_and(|limits| limits.replays);
        if !replays || matches!(judged, JudgedWork::Made | JudgedWork::Spared(None)) {
            return Ok(None);
        }
        let Some(rules) = self.effect_rules(loaded, wanted_by) else { return Err(()) };
        let Some(record) = &rules.record else { return Ok(None) };
        let given = |state: &RunState, values: &Loaded| work_inputs::of_probe(state, id, gate, values);
        let Some(inputs) = self.hash_now(loaded, id, given)? else { return Ok(None) };
        let Some(state) = &loaded.state else { return Ok(None) };
        let of_origin = match judged {
            JudgedWork::Copied => Some(id),
            JudgedWork::Spared(version) => version.and_then(|version| record.ended_by(&id.path, version)),
            JudgedWork::Made => None,
        };
        let around = work_inputs::surroundings_of_probe(state, &id.path);
        let wanted = GivenNow { inputs, around, has_own_files: work_inputs::has_own_files(state) };
        let version = of_origin.and_then(|of_origin| record.evidence_of(of_origin, gate, &wanted));
        Ok(version.map(|version| (record.run, version)))
    }

    /// Whether notices of the run are held back; `None`: what decides that is being read.
    pub(crate) fn holds_notices(&mut self, loaded: &mut LoadedRun, wanted_by: WantedBy) -> Option<bool> {
        let Some(state) = &loaded.state else { return Some(false) };
        match state.effect_limits() {
            Some(limits) => Some(limits.held),
            None if state.parent().is_none() => Some(false),
            None => self.effect_rules(loaded, wanted_by).map(|rules| rules.is_held),
        }
    }

    /// What is known of the run; `None`: it is being read.
    fn effect_rules(&mut self, loaded: &mut LoadedRun, wanted_by: WantedBy) -> Option<Arc<EffectRules>> {
        if let Some(rules) = &loaded.values.effect_rules {
            return Some(Arc::clone(rules));
        }
        let state = loaded.state.as_ref()?;
        let (limits, parent, span) = (state.effect_limits(), state.parent().cloned(), state.recorded_span());
        loaded.values.fetching += 1;
        let (run, shared) = (loaded.run, Arc::clone(&self.shared));
        self.jobs.push(Box::pin(async move {
            let result = EffectRules::read(&shared, limits, parent, span).await;
            JobDone::EffectRules { run, wanted_by, result }
        }));
        None
    }

    /// What the run must know of its effects was read.
    pub(crate) fn effect_rules_read(
        &mut self,
        loaded: &mut LoadedRun,
        wanted_by: WantedBy,
        result: Result<EffectRules, LoadError>,
    ) {
        let result = result.map(|rules| {
            loaded.values.effect_rules.get_or_insert_with(|| Arc::new(rules));
        });
        self.fetch_ended(loaded, wanted_by, result);
    }

    /// A hash of what is given, on the state of now; `Err`: values of it are being read.
    fn hash_now(
        &mut self,
        loaded: &mut LoadedRun,
        id: &AttemptId,
        of: impl Fn(&RunState, &Loaded) -> Result<Option<Hash>, EvalError>,
    ) -> Result<Option<Hash>, ()> {
        loop {
            let Some(state) = &loaded.state else { return Ok(None) };
            match of(state, &loaded.values.of_plans) {
                Ok(hash) => return Ok(hash),
                Err(EvalError::Needs(wanted)) => {
                    let missing = self.shared.values.at_hand(wanted, &mut loaded.values.of_plans);
                    if !missing.is_empty() {
                        self.fetch(loaded, missing, WantedBy::Attempt(id.clone()));
                        return Err(());
                    }
                }
                Err(_) => return Ok(None),
            }
        }
    }
}

/// What work would have done, in one line. Secrets are not in it: parameters hold their names.
fn would(kind: &str, spec: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let line = match kind {
        ExecutorTask::HTTP => {
            let method = spec["method"].as_str().unwrap_or("POST");
            let url = if spec.is_string() { text(spec) } else { text(&spec["url"]) };
            format!("{method} {url}")
        }
        ExecutorTask::FUNCTION => match &spec["with"] {
            Value::Null => text(&spec["name"]),
            with => format!("{} {with}", text(&spec["name"])),
        },
        ExecutorTask::COMMAND => match spec["argv"].as_array() {
            Some(words) => words.iter().map(text).collect::<Vec<_>>().join(" "),
            None => text(&spec["shell"]),
        },
        ExecutorTask::AGENT => format!("agent {}", text(&spec["profile"])),
        other => format!("{other} {spec}"),
    };
    one_line(&line).chars().take(WOULD_CHARS_MAX).collect()
}
