//! What a definition says of stages: their order, the stage of each step, and how many rounds steps have at most.
//!
//! Called by the log reader, which reads definitions where they are saved.

use std::collections::BTreeMap;

use everfold_base::id::StepId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The stages of a definition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageLayout {
    /// The stages in the order of their use.
    pub stages: Vec<String>,
    /// The stage of each step that names one, by its place in `stages`.
    steps: BTreeMap<String, u16>,
    /// Steps whose rounds are limited by a number that stands in the file.
    rounds_max: BTreeMap<String, u32>,
}

/// What a canonical document says of it.
#[derive(Deserialize)]
struct LayoutDocument {
    #[serde(default)]
    steps: Vec<LayoutStep>,
    #[serde(default)]
    on_finish: Vec<LayoutStep>,
}

#[derive(Deserialize)]
struct LayoutStep {
    id: String,
    #[serde(default)]
    stage: Option<String>,
    #[serde(default)]
    max_rounds: Option<Value>,
}

impl StageLayout {
    /// That of a definition; empty where no step names a stage.
    pub(crate) fn of(document: &str) -> Self {
        let Ok(document) = serde_json::from_str::<LayoutDocument>(document) else { return Self::default() };
        let mut layout = Self::default();
        for step in document.steps.into_iter().chain(document.on_finish) {
            let limit =
                step.max_rounds.as_ref().and_then(Value::as_u64).and_then(|max| u32::try_from(max).ok());
            layout.rounds_max.extend(limit.map(|max| (step.id.clone(), max)));
            let Some(stage) = step.stage else { continue };
            let known = layout.stages.iter().position(|known| *known == stage);
            let place = known.unwrap_or_else(|| {
                layout.stages.push(stage);
                layout.stages.len() - 1
            });
            layout.steps.insert(step.id, u16::try_from(place).unwrap_or(u16::MAX));
        }
        layout
    }

    /// The stage of a step.
    pub(super) fn stage_of(&self, step: &StepId) -> Option<&str> {
        let place = *self.steps.get(step.as_str())?;
        self.stages.get(usize::from(place)).map(String::as_str)
    }

    /// The stage that is entered first with these steps.
    pub(super) fn first_stage(&self, steps: &[StepId]) -> Option<&str> {
        let place = steps.iter().filter_map(|step| self.steps.get(step.as_str())).min()?;
        self.stages.get(usize::from(*place)).map(String::as_str)
    }

    /// Whether the rounds of a step are limited.
    pub(super) fn is_capped(&self, step: &StepId) -> bool {
        self.rounds_max.contains_key(step.as_str())
    }

    /// How many rounds a step has at most, where the file says a number.
    #[must_use]
    pub fn rounds_max(&self, step: &StepId) -> Option<u32> {
        self.rounds_max.get(step.as_str()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_begin_together_are_in_the_first_of_their_stages() {
        let layout = StageLayout::of(
            r#"{"steps": [{"id": "a", "stage": "one"}, {"id": "b"}, {"id": "c", "stage": "two"}, {"id": "d", "stage": "three"}]}"#,
        );
        let first = |steps: &[&str]| {
            let steps: Vec<StepId> = steps.iter().map(|step| StepId::new(step)).collect();
            layout.first_stage(&steps).map(str::to_owned)
        };
        assert_eq!(first(&["b", "d", "c"]).as_deref(), Some("two"));
        assert_eq!((first(&["b"]), first(&[])), (None, None));
    }

    #[test]
    fn stages_stand_in_the_order_of_their_use_and_limits_are_numbers_of_the_file() {
        let layout = StageLayout::of(
            r#"{"steps": [{"id": "fetch"}, {"id": "write", "stage": "making", "max_rounds": 3},
                {"id": "ask", "stage": "deciding", "max_rounds": "${input.times}"}, {"id": "again", "stage": "making"}]}"#,
        );
        assert_eq!(layout.stages, ["making", "deciding"]);
        let stage = |step: &str| layout.stage_of(&StepId::new(step)).map(str::to_owned);
        assert_eq!((stage("fetch"), stage("again")), (None, Some("making".to_owned())));
        let max = |step: &str| layout.rounds_max(&StepId::new(step));
        assert_eq!((max("write"), max("ask"), max("fetch")), (Some(3), None, None));
    }
}
