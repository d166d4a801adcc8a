//! A run goes on from a copied history.

use super::begin::Beginning;
use super::breakpoint;
use super::draft::{Draft, Interrupt};
use super::refusal::Refusal;
use super::start::INPUT_BYTES_MAX;
use crate::definition::OnTaken;
use crate::event::{BudgetsOpened, OriginKind, RunForked, RunQueued, SlotKind, WantedSlot};
use crate::id::StepId;
use crate::input::Fork;
use crate::json::{JsonText, Value};
use crate::state::{Outcome, Phase, RunState};

pub(super) fn fork(draft: &mut Draft<'_>, fork: &Fork) -> Result<Result<(), Interrupt>, Refusal> {
    if draft.state.run() == Some(fork.run) {
        return Ok(Ok(())); // It has forked before.
    }
    if fork.input.as_str().len() > INPUT_BYTES_MAX {
        return Err(Refusal::TooLarge { what: "the input", max: INPUT_BYTES_MAX });
    }
    let state = &*draft.state;
    let reset = reset(state, fork)?;
    if let Some(step) = &fork.until_step {
        breakpoint::check(state, step)?;
    }
    let config = fork.config.as_ref().map_or_else(|| Value::Object(serde_json::Map::new()), JsonText::value);
    let new = RunState::new(state.definition().clone());
    let title = fork.title.as_deref().or(state.title());
    let beginning = Beginning::new(new, fork.run, title, &fork.input.value())?
        .in_folder(state.cwd())
        .with_config(config)
        .with_labels(state.labels());
    let mut slots: Vec<WantedSlot> = beginning.slots()?;
    // What is gone on with beside its origin has no identity; what takes its place takes that, too.
    if fork.origin.how != OriginKind::Fork
        && let Some(mut identity) = beginning.identity()?
    {
        if let SlotKind::Identity { on_taken, .. } = &mut identity.kind {
            *on_taken = OnTaken::Replace;
        }
        slots.insert(0, identity);
    }
    let budgets = beginning.budgets()?;
    let waits = !slots.is_empty()
        || fork.origin.how != OriginKind::Fork
        || !draft.state.definition().admit.is_empty();
    let input = draft.payload(JsonText::new(beginning.input()));
    let config = fork.config.clone().map(|config| draft.payload(config));
    draft.record(RunForked {
        run: fork.run,
        origin: fork.origin.clone(),
        definition: fork.definition,
        input,
        config,
        from_step: fork.from_step.clone(),
        reset,
        title: fork.title.clone(),
        entropy: fork.entropy,
        until_step: fork.until_step.clone(),
    });
    if let Some(step) = &fork.until_step {
        breakpoint::set(draft, std::slice::from_ref(step))?;
    }
    if !budgets.is_empty() {
        draft.record(BudgetsOpened { budgets });
    }
    if waits && draft.state.facts.outcome.is_none() {
        draft.record(RunQueued { slots });
    }
    Ok(Ok(()))
}

/// The steps that begin anew: the named one, what depends on it, and what an end of the origin left undone.
fn reset(state: &RunState, fork: &Fork) -> Result<Vec<StepId>, Refusal> {
    let Some(from) = &fork.from_step else {
        return match state.is_ended() {
            _ if fork.origin.how != OriginKind::Fork => {
                Err(Refusal::Start("it does not name the step that begins anew".into()))
            }
            true => Err(Refusal::Ended(state.status())),
            false => Ok(Vec::new()),
        };
    };
    let unknown = || Refusal::UnknownStep(crate::id::StepPath::step(from));
    let from = state.graph.find(from).filter(|at| !state.graph.is_finish(*at)).ok_or_else(unknown)?;
    let mut anew = vec![false; state.graph.len()];
    let mark = |at: usize, anew: &mut Vec<bool>| {
        for at in state.graph.downstream(at) {
            anew[at] = true;
        }
    };
    mark(from, &mut anew);
    let is_ending = state.facts.outcome.is_some();
    let is_bypassing = matches!(state.facts.outcome, Some(Outcome::Finished { .. }));
    for at in 0..state.graph.main_len() {
        match &state.facts.steps[at].phase {
            Phase::Failed { tolerated: false } | Phase::Cancelled => mark(at, &mut anew),
            // It may have been passed over by the end; else its condition is looked at once more.
            Phase::Skipped => anew[at] |= is_bypassing,
            Phase::Succeeded | Phase::Failed { tolerated: true } => {}
            Phase::Pending | Phase::Working | Phase::Judging | Phase::Settling(_) | Phase::Blocked(_) => {
                anew[at] |= is_ending;
            }
        }
    }
    anew[state.graph.main_len()..].fill(true);
    Ok(anew.iter().enumerate().filter(|(_, anew)| **anew).map(|(at, _)| state.step_id(at)).collect())
}
