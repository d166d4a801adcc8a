//! A run goes on from a copied history.

use std::collections::BTreeSet;

use super::begin::Beginning;
use super::breakpoint;
use super::draft::{Draft, Interrupt, settled};
use super::fork_check::misfits;
use super::people_timers;
use super::refusal::Refusal;
use super::reminders;
use super::start::INPUT_BYTES_MAX;
use crate::event::{BudgetsOpened, OriginKind, RunForked, RunQueued, SearchSet, SlotKind, WantedSlot};
use crate::input::Fork;
use crate::search::SearchChanges;
use crate::state::{Phase, RunOutcome, RunState};
use everfold_base::id::{StepId, StepPath, Version};
use everfold_base::json::{JsonText, Value};
use everfold_language::definition::{
    Definition, ExecutorTask, Graph, OnTaken, Step, StepWorkspace, Work, WorkspaceSpec,
};
use everfold_language::words::Save;

pub(super) fn fork(draft: &mut Draft<'_>, fork: &Fork) -> Result<Result<(), Interrupt>, Refusal> {
    if draft.state.run() == Some(fork.run) {
        return Ok(Ok(())); // It has forked before.
    }
    if fork.input.as_str().len() > INPUT_BYTES_MAX {
        return Err(Refusal::TooLarge { what: "the input", max: INPUT_BYTES_MAX });
    }
    let state = &*draft.state;
    let next = state.graph_of(fork.definition).cloned();
    let next = next.ok_or_else(|| Refusal::Start("the definition is not at hand".into()))?;
    if next.definition.name != state.definition().name {
        let (is, was) = (next.definition.name.clone(), state.definition().name.clone());
        return Err(Refusal::OtherPipeline { is, was });
    }
    let reset = reset(state, &next, fork)?;
    let misfits = misfits(state, &next, &reset);
    if !misfits.is_empty() {
        return Err(Refusal::Unfit { misfits, first: None });
    }
    if let Some(step) = &fork.until_step {
        breakpoint::check(&next, step)?;
    }
    // As the origin would have set it: by its own definition, input and settings.
    let without_expiry = match settled(people_timers::without_expiry(state, draft.loaded)) {
        Err(interrupt) => return Ok(Err(interrupt)),
        Ok(found) => found.unwrap_or_default(),
    };
    let keeps_items = kept(state, fork, &reset);
    let config = fork.config.as_ref().map_or_else(|| Value::Object(serde_json::Map::new()), JsonText::value);
    let admits = !next.definition.admit.is_empty();
    let new = RunState::new(next.definition);
    let title = fork.title.as_deref().or(state.title());
    let beginning = Beginning::new(new, fork.run, title, &fork.input.value())?
        .rooted(state.root())
        .in_folder(state.cwd())
        .with_config(config)
        .with_labels(state.labels());
    let mut slots: Vec<WantedSlot> = beginning.slots_of(fork)?;
    // A fork beside its origin has no identity; a fork that replaces its origin takes over its identity.
    if fork.origin.how != OriginKind::Fork
        && let Some(mut identity) = beginning.identity()?
    {
        if let SlotKind::Identity { on_taken, .. } = &mut identity.kind {
            *on_taken = OnTaken::Replace;
        }
        slots.insert(0, identity);
    }
    let budgets = beginning.budgets()?;
    // The copied history may end between the start and what the start recorded beside it.
    let search = if state.version() == Version::FIRST { beginning.search()? } else { SearchChanges::new() };
    let waits = !slots.is_empty() || fork.origin.how != OriginKind::Fork || admits;
    let input = draft.payload(JsonText::new(beginning.input()));
    let config = fork.config.clone().map(|config| draft.payload(config));
    draft.record(RunForked {
        run: fork.run,
        origin: fork.origin.clone(),
        definition: fork.definition,
        input,
        config,
        from_step: fork.from_step.clone(),
        keeps_tries: fork.keeps_tries && goes_on_with_work(draft.state, &reset),
        keeps_items,
        keeps_spans: fork.keeps_spans && draft.state.waits_for_spans(),
        continued_at: fork.continued_at.filter(|at| draft.state.last_at() < *at && *at <= draft.meta.at),
        reset,
        title: fork.title.clone(),
        entropy: fork.entropy,
        until_step: fork.until_step.clone(),
        initiator: fork.initiator.clone(),
        effects: fork.effects,
    });
    if let Some(step) = &fork.until_step {
        breakpoint::set(draft, std::slice::from_ref(step))?;
    }
    if !search.is_empty() {
        draft.record(SearchSet { id: None, values: search });
    }
    if !budgets.is_empty() {
        draft.record(BudgetsOpened { budgets });
    }
    people_timers::set_lacking(draft, without_expiry);
    reminders::begin_anew(draft);
    if waits && draft.state.facts.outcome.is_none() {
        draft.record(RunQueued { slots });
    }
    Ok(Ok(()))
}

/// Whether an attempt was in progress of a step that does not begin anew.
fn goes_on_with_work(state: &RunState, reset: &[StepId]) -> bool {
    let facts = &state.facts;
    let attempts = facts.attempts.iter().map(|key| state.step_id(key.step));
    let stopped = facts.stops.keys().map(|id| id.path.step.clone());
    attempts.chain(stopped).any(|step| !reset.contains(&step))
}

/// The steps whose items that are done are kept: those that a retry repeats because they did not end well, and not because
/// of what they need.
fn kept(state: &RunState, fork: &Fork, reset: &[StepId]) -> Vec<StepId> {
    let is_same = state.definition_hash() == Some(fork.definition);
    if !fork.keeps_items || !is_same || fork.origin.how != OriginKind::Retry {
        return Vec::new();
    }
    let graph = &state.graph;
    let definition = state.definition();
    let needs_none = |at: usize| graph.needs(at).iter().all(|need| !reset.contains(&graph.step(*need).id));
    let is_kept =
        |at: usize| state.is_done_in_part(at) && needs_none(at) && !leaves_files(definition, graph.step(at));
    reset.iter().filter(|step| graph.find(step).is_some_and(is_kept)).cloned().collect()
}

/// Whether items of the step may leave files in a worktree of git that nothing commits: the new run has a worktree of its
/// own, without them.
fn leaves_files(definition: &Definition, step: &Step) -> bool {
    let is_uncommitted =
        matches!(&definition.workspace, Some(WorkspaceSpec::Git(git)) if git.save == Save::None);
    let works_there = match &step.work {
        Some(Work::Task(task)) => task.kind != ExecutorTask::HTTP && task.kind != ExecutorTask::SIGNAL,
        Some(Work::Approval(_) | Work::Question(_) | Work::Wait(_)) | None => false,
    };
    is_uncommitted && works_there && step.workspace == StepWorkspace::Run
}

/// The steps that begin anew: the named one, what depends on it, and what an end of the origin left undone.
/// Where another definition is gone on by, what depends on it by either of the two.
fn reset(state: &RunState, next: &Graph, fork: &Fork) -> Result<Vec<StepId>, Refusal> {
    let Some(from) = &fork.from_step else {
        return match state.is_ended() {
            _ if fork.origin.how != OriginKind::Fork => {
                Err(Refusal::Start("it does not name the step that begins anew".into()))
            }
            true => Err(Refusal::Ended(state.status())),
            false => Ok(Vec::new()),
        };
    };
    let step = || StepPath::step(from);
    match next.find(from) {
        None => return Err(Refusal::UnknownStep(step())),
        Some(at) if next.is_finish(at) => return Err(Refusal::FinishStep(step())),
        Some(_) => {}
    }
    let graph = &state.graph;
    let mut anew = BTreeSet::new();
    let mark = |step: &StepId, anew: &mut BTreeSet<StepId>| {
        for graph in [graph, next] {
            let downstream = graph.find(step).map(|at| graph.downstream(at)).unwrap_or_default();
            anew.extend(downstream.into_iter().map(|at| graph.step(at).id.clone()));
        }
    };
    mark(from, &mut anew);
    let is_ending = state.facts.outcome.is_some();
    let is_bypassing = matches!(state.facts.outcome, Some(RunOutcome::Finished { .. }));
    for at in 0..graph.main_len() {
        let id = &graph.step(at).id;
        let is_undone = match &state.facts.steps[at].phase {
            Phase::Failed { tolerated: false } | Phase::Cancelled => {
                mark(id, &mut anew);
                false
            }
            // The end may have passed it over; otherwise its condition is evaluated once more.
            Phase::Skipped => is_bypassing,
            Phase::Succeeded | Phase::Failed { tolerated: true } => false,
            Phase::Pending | Phase::Working | Phase::Judging | Phase::Settling(_) | Phase::Blocked(_) => {
                is_ending
            }
        };
        if is_undone {
            anew.insert(id.clone());
        }
    }
    let all = |graph: &Graph| -> Vec<(bool, StepId)> {
        (0..graph.len()).map(|at| (graph.is_finish(at), graph.step(at).id.clone())).collect()
    };
    let mut steps = all(next);
    steps.extend(all(graph).into_iter().filter(|(_, step)| next.find(step).is_none()));
    Ok(steps
        .into_iter()
        .filter(|(is_finish, step)| *is_finish || anew.contains(step))
        .map(|(_, step)| step)
        .collect())
}
