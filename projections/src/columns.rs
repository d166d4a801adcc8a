//! What lists know of definitions: how many steps each has, and the columns of a board by stage, as it names them.

use everfold_base::id::{Position, StepId};
use everfold_base::json::Hash;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::stages::StageLayout;

/// The place of a column that no pipeline's order gives one.
pub(crate) const NO_PLACE: u16 = u16::MAX;

/// What lists know of a definition, as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionColumns {
    /// Where it stands in the log.
    pub position: Position,
    /// The definition.
    pub definition: Hash,
    /// How many steps it has, those that run at the end among them.
    pub steps: u32,
    /// Its columns and its stages, in their order, where its steps name stages.
    pub stages: Option<(StepColumns, StageLayout)>,
}

/// In which column each step of a definition stands: its stage's; before the first stage its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepColumns {
    /// By step: the place of the column among those of the pipeline, in the order of their use, and its name.
    columns: BTreeMap<String, (u16, String)>,
}

/// What a canonical document says of its steps.
#[derive(Deserialize)]
struct StagesDocument {
    #[serde(default)]
    steps: Vec<DocumentStep>,
    #[serde(default)]
    on_finish: Vec<DocumentStep>,
}

#[derive(Deserialize)]
struct DocumentStep {
    id: String,
    #[serde(default)]
    stage: Option<String>,
}

impl StepColumns {
    /// Those of a definition; `None` where no step names one.
    pub(crate) fn of(document: &str) -> Option<Self> {
        let document: StagesDocument = serde_json::from_str(document).ok()?;
        let steps: Vec<DocumentStep> = document.steps.into_iter().chain(document.on_finish).collect();
        steps.iter().any(|step| step.stage.is_some()).then(|| {
            let mut columns = BTreeMap::new();
            let mut places: BTreeMap<String, u16> = BTreeMap::new();
            for DocumentStep { id, stage } in steps {
                let name = stage.unwrap_or_else(|| id.clone());
                let next = u16::try_from(places.len()).unwrap_or(NO_PLACE);
                let place = *places.entry(name.clone()).or_insert(next);
                columns.insert(id, (place, name));
            }
            Self { columns }
        })
    }

    /// The first column in which one of these steps stands.
    pub(crate) fn first(&self, steps: &[StepId]) -> Option<(u16, &str)> {
        let columns = steps.iter().filter_map(|step| self.columns.get(step.as_str()));
        columns.min().map(|(place, name)| (*place, name.as_str()))
    }
}

/// How many steps a definition has, those that run at the end among them.
pub(crate) fn steps_of(document: &str) -> Option<u32> {
    let document: StagesDocument = serde_json::from_str(document).ok()?;
    u32::try_from(document.steps.len() + document.on_finish.len()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_stand_in_the_order_of_their_use_and_the_first_one_in_progress_counts() {
        let document = r#"{"name": "p", "steps": [
            {"id": "fetch"}, {"id": "write", "stage": "making"}, {"id": "test", "stage": "making"},
            {"id": "ask", "stage": "deciding"}, {"id": "again", "stage": "making"}
        ], "on_finish": [{"id": "tidy"}]}"#;
        let stages = StepColumns::of(document).unwrap();
        let first = |steps: &[&str]| {
            let steps: Vec<StepId> = steps.iter().map(|step| StepId::new(step)).collect();
            stages.first(&steps).map(|(place, name)| (place, name.to_owned()))
        };
        assert_eq!(first(&["fetch"]), Some((0, "fetch".to_owned())));
        assert_eq!(first(&["ask", "test"]), Some((1, "making".to_owned())));
        assert_eq!(first(&["ask"]), Some((2, "deciding".to_owned())));
        assert_eq!(first(&["again", "tidy"]), Some((1, "making".to_owned())));
        assert_eq!((first(&["tidy"]), first(&[])), (Some((3, "tidy".to_owned())), None));
        assert_eq!(StepColumns::of(r#"{"name": "p", "steps": [{"id": "a"}]}"#), None);
    }
}
