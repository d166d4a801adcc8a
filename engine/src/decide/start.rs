//! A run begins.

use super::draft::{Draft, Interrupt};
use super::refusal::Refusal;
use super::scope::RunScope;
use crate::definition::input;
use crate::event::RunStarted;
use crate::input::Start;
use crate::json::JsonText;

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
    if start.input.as_str().len() > INPUT_BYTES_MAX {
        return Err(Refusal::TooLarge { what: "the input", max: INPUT_BYTES_MAX });
    }
    if start.title.as_ref().is_some_and(|title| title.len() > TITLE_BYTES_MAX) {
        return Err(Refusal::TooLarge { what: "the title", max: TITLE_BYTES_MAX });
    }
    let definition = draft.state.definition().clone();
    let checked = match &definition.input {
        None => start.input.value(),
        Some(schema) => input::check(schema, &start.input.value())
            .map_err(|problems| Refusal::InvalidInput(problems.iter().map(ToString::to_string).collect()))?,
    };
    let mut labels = std::collections::BTreeMap::new();
    for (name, template) in &definition.labels {
        let scope = RunScope::run(draft.state, draft.loaded).with("input", checked.clone());
        let text = template
            .render_text(&scope)
            .map_err(|error| Refusal::Start(format!("label “{name}”: {error}")))?;
        labels.insert(name.clone(), text);
    }
    labels.extend(start.labels.clone());
    if labels.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > LABELS_BYTES_MAX {
        return Err(Refusal::TooLarge { what: "the labels", max: LABELS_BYTES_MAX });
    }
    let input = draft.payload(JsonText::new(&checked));
    let config = start.config.clone().map(|config| draft.payload(config));
    draft.record(RunStarted {
        run: start.run,
        pipeline: definition.name.clone(),
        definition: definition.hash(),
        input,
        title: start.title.clone(),
        labels,
        cwd: start.cwd.clone(),
        entropy: start.entropy,
        config,
        parent: start.parent.clone(),
        priority: start.priority,
        admission: start.admission.clone(),
    });
    Ok(Ok(()))
}
