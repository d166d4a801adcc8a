//! A run begins.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::admission;
use super::begin::{self, Admission, Beginning};
use super::draft::{Draft, Interrupt};
use super::refusal::Refusal;
use crate::event::{BudgetTerms, BudgetsOpened, RunQueued, RunStarted, SearchSet, WantedSlot};
use crate::input::{Start, StartOptions};
use crate::search::SearchChanges;
use crate::state::RunState;
use everfold_base::id::RunId;
use everfold_base::json::{JsonText, Value};
use everfold_language::definition::Definition;

/// Inputs are kept whole in the run's history.
pub const INPUT_BYTES_MAX: usize = 1024 * 1024;

/// Titles and labels stand in every list, so they are short.
pub const TITLE_BYTES_MAX: usize = 1024;
/// Names and values of all labels together.
pub const LABELS_BYTES_MAX: usize = 16 * 1024;

pub(super) fn start(draft: &mut Draft<'_>, start: &Start) -> Result<Result<(), Interrupt>, Refusal> {
    if draft.state.run().is_some() {
        return Err(Refusal::AlreadyStarted);
    }
    let options = &start.options;
    check_sizes(options, &BTreeMap::new())?;
    let definition = draft.state.definition().clone();
    let StartFindings { input, labels, search, slots, budgets, admission } = find(start, &definition)?;
    check_sizes(options, &labels)?;
    let input = draft.payload(JsonText::new(&input));
    let config = start.config.clone().map(|config| draft.payload(config));
    draft.record(RunStarted {
        run: start.run,
        pipeline: definition.name.clone(),
        definition: definition.hash(),
        input,
        title: options.title.clone(),
        labels,
        cwd: options.cwd.clone(),
        entropy: start.entropy,
        config,
        parent: options.parent.clone(),
        priority: options.priority,
        admission: start.admission.clone(),
        number: start.number.clone(),
        top: top_above(options),
        initiator: options.initiator.clone(),
    });
    if !search.is_empty() {
        draft.record(SearchSet { id: None, values: search });
    }
    if !budgets.is_empty() {
        draft.record(BudgetsOpened { budgets });
    }
    if admission::record(draft, &admission, admission::AT_START) && !slots.is_empty() {
        draft.record(RunQueued { slots });
    }
    Ok(Ok(()))
}

/// The topmost run above, where its parent does not say it.
fn top_above(options: &StartOptions) -> Option<RunId> {
    let parent = options.parent.as_ref()?;
    options.top.filter(|top| *top != parent.run)
}

/// Checks what a caller says of a start, and the labels that the run would have.
///
/// # Errors
/// [`Refusal::TooLarge`]
pub fn check_sizes(options: &StartOptions, labels: &BTreeMap<String, String>) -> Result<(), Refusal> {
    if options.input.as_str().len() > INPUT_BYTES_MAX {
        return Err(Refusal::TooLarge { what: "the input", max: INPUT_BYTES_MAX });
    }
    if options.title.as_ref().is_some_and(|title| title.len() > TITLE_BYTES_MAX) {
        return Err(Refusal::TooLarge { what: "the title", max: TITLE_BYTES_MAX });
    }
    if labels.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > LABELS_BYTES_MAX {
        return Err(Refusal::TooLarge { what: "the size of all labels", max: LABELS_BYTES_MAX });
    }
    Ok(())
}

/// What a start finds out from its pipeline, its input and what was read for it.
struct StartFindings {
    input: Value,
    labels: BTreeMap<String, String>,
    search: SearchChanges,
    slots: Vec<WantedSlot>,
    budgets: Vec<BudgetTerms>,
    admission: Admission,
}

fn find(start: &Start, definition: &Arc<Definition>) -> Result<StartFindings, Refusal> {
    let options = &start.options;
    let asks_nothing = definition.labels.is_empty()
        && definition.search.is_empty()
        && definition.key.is_none()
        && definition.concurrency.is_empty()
        && definition.budgets.is_empty()
        && definition.admit.is_empty();
    if asks_nothing {
        // Most pipelines: nothing is rendered, so no scope is made.
        let (input, labels) = (begin::checked(definition, &options.input.value())?, options.labels.clone());
        let (slots, budgets, admission) = (Vec::new(), Vec::new(), Admission::Admitted(Vec::new()));
        let search = SearchChanges::new();
        return Ok(StartFindings { input, labels, search, slots, budgets, admission });
    }
    let config = start.config.as_ref().map_or_else(|| Value::Object(serde_json::Map::new()), JsonText::value);
    let new = RunState::new(Arc::clone(definition));
    let beginning = Beginning::new(new, start.run, options.title.as_deref(), &options.input.value())?
        .below(options)
        .in_folder(options.cwd.as_deref())
        .with_config(config);
    let mut labels = beginning.labels()?;
    labels.extend(options.labels.clone());
    let beginning = beginning.with_labels(&labels);
    let search = beginning.search()?;
    let identity = beginning.identity()?;
    if let Some(refusal) = beginning.refusal(&start.admission) {
        return Err(refusal);
    }
    let slots = identity.into_iter().chain(beginning.slots()?).collect();
    let admission = beginning.admission(&start.admission);
    let budgets = beginning.budgets()?;
    Ok(StartFindings { input: beginning.input().clone(), labels, search, slots, budgets, admission })
}
