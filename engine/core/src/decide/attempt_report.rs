//! What executors, probers and workspaces report, and timers that fire.

use std::collections::BTreeMap;

use super::draft::{Draft, Interrupt};
use super::gate;
use super::multi_probe::NoVerdict;
use super::start::LABELS_BYTES_MAX;
use crate::artefact::{Artefact, Usage, Workspace};
use crate::event::{
    AttemptFailed, AttemptLost, AttemptNotes, AttemptStarted, AttemptSucceeded, ChildFinished, ChildStarted,
    ChildStopped, ProbeFailed, ProgressReported, SearchSet, SearchValue, StopReason, StopRequested,
    TimerFired, TimerKind, UsageRecorded, WorkSpared, WorkspacePrepared, WorkspaceRemoved, WorkspaceShared,
};
use crate::progress::REPORTED_MAX;
use crate::state::{Key, RunState, Stage};
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{AttemptId, RunId};
use everfold_base::json::{JsonText, Payload};
use everfold_base::time::Timestamp;
use everfold_language::definition::{ExecutorTask, OnLost, Work};
use everfold_language::expr::EvalError;

/// Whether an attempt's end is still awaited: it is the current one of its step, or being stopped.
pub(super) fn is_awaited(state: &RunState, id: &AttemptId) -> bool {
    state.facts.stops.contains_key(id)
        || state
            .current(id)
            .is_some_and(|key| state.unit_at(key).is_some_and(|unit| unit.stage.is_in_flight()))
}

/// Whether what ends is a child that no step waited for: its attempt has ended before.
fn is_child_left_behind(state: &RunState, id: &AttemptId) -> bool {
    state.facts.stops.get(id) == Some(&StopReason::Parent)
}

pub(super) fn started(draft: &mut Draft<'_>, started: &AttemptStarted) {
    let id = &started.id;
    let unit = draft.state.current(id).and_then(|key| draft.state.unit_at(key));
    let is_first = unit.is_some_and(|unit| unit.stage == Stage::Scheduled);
    if is_first || is_taken_anew(draft.state, started) {
        match child_of(draft.state, id) {
            Some(child) => draft.record(ChildStarted { id: id.clone(), child }),
            None => draft.record(started.clone()),
        }
    }
}

/// Whether a worker takes an attempt that began, and that it does not hold: no worker does, or one that was never given it.
fn is_taken_anew(state: &RunState, started: &AttemptStarted) -> bool {
    let unit = state.current(&started.id).and_then(|key| state.unit_at(key));
    let held = state.worker_hold(&started.id).map(|hold| &hold.holder);
    unit.is_some_and(|unit| unit.stage == Stage::Running)
        && started.holder.as_ref().is_some_and(|holder| held != Some(holder))
}

/// The run that an attempt starts, where its work is one.
fn child_of(state: &RunState, id: &AttemptId) -> Option<RunId> {
    match &state.graph.step(state.key(&id.path)?.step).work {
        Some(Work::Task(task)) if task.kind == ExecutorTask::RUN => state.run().map(|run| run.child(id)),
        _other_work => None,
    }
}

/// How work ended.
pub(super) struct ReportedEnd<'a> {
    pub(super) result: &'a Result<JsonText, Failure>,
    pub(super) commit: Option<&'a String>,
    pub(super) artefacts: &'a [Artefact],
    pub(super) ended_at: Timestamp,
    pub(super) notes: &'a AttemptNotes,
}

pub(super) fn finished(draft: &mut Draft<'_>, id: &AttemptId, end: ReportedEnd<'_>) {
    if !is_awaited(draft.state, id) {
        return; // A repeated report: the first one is already history.
    }
    if is_child_left_behind(draft.state, id) {
        draft.record(ChildStopped { id: id.clone(), ended_at: end.ended_at });
        return;
    }
    let (id, ended_at) = (id.clone(), end.ended_at);
    if let Some(child) = child_of(draft.state, &id) {
        let (output, failure) = match end.result {
            Ok(output) => (draft.payload(output.clone()), None),
            Err(failure) => (Payload::Inline(JsonText::null()), Some(failure.clone())),
        };
        let commit = end.commit.cloned();
        return draft.record(ChildFinished { id, child, output, failure, ended_at, commit });
    }
    let (commit, artefacts, notes) = (end.commit.cloned(), end.artefacts.to_vec(), end.notes.clone());
    match end.result {
        Ok(_) if labels_too_large(draft.state, &notes.labels) => {
            let message = format!("the labels of the run would be larger than {LABELS_BYTES_MAX} bytes");
            let failure = Failure::new(FailureKind::Validation, message);
            draft.record(AttemptFailed {
                id,
                failure,
                commit,
                artefacts,
                ended_at,
                notes: AttemptNotes { report: notes.report, log: notes.log, ..AttemptNotes::default() },
            });
        }
        Ok(output) => {
            let output = draft.payload(output.clone());
            draft.record(AttemptSucceeded { id, output, commit, artefacts, ended_at, notes });
        }
        Err(failure) => {
            // How it failed is worth more than labels that do not fit.
            let labels =
                if labels_too_large(draft.state, &notes.labels) { BTreeMap::new() } else { notes.labels };
            let was_interrupted = draft.state.facts.stops.get(&id) == Some(&StopReason::Interrupt);
            let failure = match failure.kind {
                FailureKind::Cancelled if was_interrupted => {
                    Failure { message: "interrupted".to_owned(), ..failure.clone() }
                        .with_hint("when the run is resumed, the next attempt goes on with this work")
                }
                _of_its_own => failure.clone(),
            };
            let notes = AttemptNotes { labels, ..notes };
            draft.record(AttemptFailed { id, failure, commit, artefacts, ended_at, notes });
        }
    }
}

/// Whether the run's labels would be too large with these.
pub(super) fn labels_too_large(state: &RunState, added: &BTreeMap<String, String>) -> bool {
    let size = |(name, value): (&String, &String)| name.len() + value.len();
    let kept = state.labels().iter().filter(|(name, _)| !added.contains_key(*name)).map(size);
    !added.is_empty() && kept.chain(added.iter().map(size)).sum::<usize>() > LABELS_BYTES_MAX
}

pub(super) fn lost(draft: &mut Draft<'_>, id: &AttemptId, reason: &str, fallback: OnLost) {
    if is_child_left_behind(draft.state, id) {
        draft.record(ChildStopped { id: id.clone(), ended_at: draft.meta.at });
    } else if is_awaited(draft.state, id) {
        draft.record(AttemptLost { id: id.clone(), reason: reason.to_owned(), fallback });
    }
}

/// How far an attempt is: recorded where it is news, of so many steps and items at once.
pub(super) fn progress(draft: &mut Draft<'_>, reported: &ProgressReported) {
    let known = &draft.state.facts.progress;
    let path = &reported.id.path;
    let is_news = match known.get(path) {
        Some(known) => *known != reported.progress,
        None => known.len() < REPORTED_MAX,
    };
    // A stopped attempt of a former round may still report.
    let is_current = draft.state.current(&reported.id).is_some();
    if is_news && is_current && is_awaited(draft.state, &reported.id) {
        draft.record(reported.clone());
    }
}

/// What work says that its run is found by: recorded as far as it is news.
pub(super) fn search(draft: &mut Draft<'_>, set: &SearchSet) {
    let Some(id) = set.id.as_ref().filter(|id| draft.state.current(id).is_some()) else { return };
    if !is_awaited(draft.state, id) {
        return;
    }
    let (known, declared) = (&draft.state.facts.search, &draft.state.definition().search);
    let is_news = |(name, value): &(&String, &Option<SearchValue>)| {
        declared.contains_key(*name) && known.get(*name) != value.as_ref()
    };
    let news = set.values.iter().filter(is_news);
    let values: BTreeMap<String, Option<SearchValue>> =
        news.map(|(name, value)| (name.clone(), value.clone())).collect();
    if !values.is_empty() {
        draft.record(SearchSet { id: set.id.clone(), values });
    }
}

/// Work of a fork is not done; its end follows as another input.
pub(super) fn spared(draft: &mut Draft<'_>, spared: &WorkSpared) {
    let is_known = draft.state.facts.effects.is_spared(&spared.id);
    if !is_known && draft.state.current(&spared.id).is_some() && is_awaited(draft.state, &spared.id) {
        draft.record(spared.clone());
    }
}

pub(super) fn usage(draft: &mut Draft<'_>, usage: &UsageRecorded) {
    let id = &usage.id;
    let known = draft.state.current(id).and_then(|key| draft.state.unit_at(key)).map(|unit| unit.usage_seq);
    // What a stopped attempt of a former round used up is recorded once, with its end.
    let is_new = match known {
        Some(known) => usage.seq > known && is_awaited(draft.state, id),
        None => draft.state.facts.stops.contains_key(id),
    };
    if is_new {
        draft.record(usage.clone());
    }
}

/// What an attempt has used up so far, while it works or at its end: recorded as far as it is more than before, and where
/// it `is_billed`, as far as it cost less. Its fact says what is new, and replays as [`usage`].
pub(super) fn usage_so_far(draft: &mut Draft<'_>, id: &AttemptId, so_far: &Usage, is_billed: bool) {
    if !is_awaited(draft.state, id) {
        return;
    }
    let known = draft.state.facts.edge.used_by(id, so_far.model.as_deref());
    let more = match known {
        None => so_far.clone(),
        Some(known) => Usage {
            model: so_far.model.clone(),
            input_tokens: so_far.input_tokens.saturating_sub(known.input_tokens),
            cached_tokens: so_far.cached_tokens.saturating_sub(known.cached_tokens),
            output_tokens: so_far.output_tokens.saturating_sub(known.output_tokens),
            cost_micros: so_far.cost_micros.saturating_sub(known.cost_micros),
            session: so_far.session.clone(),
        },
    };
    let less_micros = match known.filter(|_| is_billed) {
        Some(known) => known.cost_micros.saturating_sub(so_far.cost_micros),
        None => 0,
    };
    let is_nothing = less_micros == 0
        && more.input_tokens == 0
        && more.cached_tokens == 0
        && more.output_tokens == 0
        && more.cost_micros == 0
        && known.is_some_and(|known| known.session == more.session || more.session.is_none());
    if is_nothing {
        return;
    }
    let unit = draft.state.current(id).and_then(|key| draft.state.unit_at(key));
    let seq = unit.map_or(0, |unit| unit.usage_seq) + 1;
    draft.record(UsageRecorded { id: id.clone(), seq, usage: more, less_micros });
}

pub(super) fn workspace(draft: &mut Draft<'_>, prepared: &Result<Workspace, Failure>) {
    if !draft.state.wants_workspace() {
        return;
    }
    let waiting: Vec<Key> = {
        let facts = &draft.state.facts;
        let keys = facts.attempts.iter().copied().chain(facts.probing.iter().map(|at| Key::step(*at)));
        keys.filter(|key| draft.state.graph.uses_workspace(key.step)).collect()
    };
    match prepared {
        Ok(workspace) => {
            draft.record(WorkspacePrepared { workspace: Some(workspace.clone()), failure: None })
        }
        Err(failure) => {
            draft.record(WorkspacePrepared { workspace: None, failure: Some(failure.clone()) });
            let at = draft.meta.at;
            for key in waiting {
                fail_waiting(draft, key, failure, at);
            }
        }
    }
}

/// The workspace is that of the run that started this one.
pub(super) fn workspace_shared(draft: &mut Draft<'_>, shared: &WorkspaceShared) {
    if draft.state.wants_workspace() {
        draft.record(shared.clone());
    }
}

/// The workspace of a run that has ended is gone. Recorded once: the input is known by its id.
pub(super) fn workspace_removed(draft: &mut Draft<'_>, removed: &WorkspaceRemoved) {
    if draft.state.is_ended() {
        draft.record(removed.clone());
    }
}

/// What waited for the workspace fails with it.
fn fail_waiting(draft: &mut Draft<'_>, key: Key, failure: &Failure, ended_at: Timestamp) {
    let id = draft.state.attempt_id(key);
    if draft.state.facts.attempts.contains(&key) {
        let failure = failure.clone();
        let notes = AttemptNotes::default();
        draft.record(AttemptFailed { id, failure, commit: None, artefacts: Vec::new(), ended_at, notes });
    } else if let Some(gate) = gate::current(draft.state, key.step) {
        let (gate, probe_no) = (gate.id.clone(), draft.state.facts.steps[key.step].judging.probe_no);
        let message = failure.message.clone();
        draft.record(ProbeFailed { id, gate, probe_no, message, permanent: true, took_ms: 0, broken: false });
    }
}

/// The step whose current gate waits for exactly this probe.
fn probing(state: &RunState, id: &AttemptId, gate: &str, probe_no: u32) -> Option<usize> {
    let key = state.current(id)?;
    let judging = &state.facts.steps[key.step].judging;
    let is_current = gate::current(state, key.step).is_some_and(|current| current.id == gate);
    (state.facts.probing.contains(&key.step) && is_current && judging.probe_no == probe_no)
        .then_some(key.step)
}

pub(super) fn probe_finished(
    draft: &mut Draft<'_>,
    id: &AttemptId,
    gate: &str,
    probe_no: u32,
    evidence: &JsonText,
    took_ms: u64,
) -> Result<(), Interrupt> {
    let current = probing(draft.state, id, gate, probe_no);
    // A verdict of a reset round is recorded, and changes nothing.
    let late = || draft.state.facts.late.find(id, gate, probe_no);
    let is_late = current.is_none() && !draft.state.is_ended() && late();
    let at = current.or_else(|| draft.state.graph.find(&id.path.step).filter(|_| is_late));
    let graph = draft.state.graph.clone();
    let Some(at) = at else { return Ok(()) };
    let Some(gate) = graph.step(at).gates.iter().find(|known| known.id == gate) else { return Ok(()) };
    let case = gate::Case { at, gate, id, probe_no, now: draft.now() };
    let judged = gate::evaluate(draft.state, draft.loaded, case, &evidence.value());
    let (message, broken) = match judged {
        Ok(evaluated) => {
            gate::record(draft, case, evidence.clone(), took_ms, evaluated);
            return Ok(());
        }
        Err(NoVerdict::Eval(EvalError::Needs(values))) => return Err(Interrupt::Needs(values)),
        Err(NoVerdict::Eval(failed)) => (failed.to_string(), true),
        Err(NoVerdict::Hopeless(never)) => (never.to_string(), false),
    };
    if !is_late {
        let (id, gate) = (id.clone(), gate.id.clone());
        // What the judging asked for is not in this fact: decided by it alone, the rest would wait.
        draft.go_on_alone();
        draft.record(ProbeFailed { id, gate, probe_no, message, permanent: true, took_ms, broken });
    }
    Ok(())
}

pub(super) fn probe_failed(draft: &mut Draft<'_>, failed: &ProbeFailed) {
    if probing(draft.state, &failed.id, &failed.gate, failed.probe_no).is_some() {
        draft.record(failed.clone());
    }
}

pub(super) fn timer_fired(draft: &mut Draft<'_>, fired: &TimerFired) {
    let timer = &fired.timer;
    if draft.state.facts.timers.get(timer) != Some(&fired.due) {
        return;
    }
    draft.record(fired.clone());
    if timer.kind == TimerKind::Deadline {
        super::cancel_step::deadline(draft, timer);
    }
    if timer.kind == TimerKind::Timeout {
        draft.record(StopRequested { ids: vec![timer.id.clone()], reason: StopReason::Timeout });
    }
    if timer.kind == TimerKind::Reminder {
        super::reminders::go_on(draft, timer);
    }
}
