//! The pipelines that a pipeline has with it: those within its steps, and those that its steps name by path.

use std::collections::BTreeSet;

use super::children::{beside, child_path, folder};
use super::inline::is_inline;
use super::model::Definition;
use super::parse::child;

/// A pipeline that another one has with it.
#[derive(Debug, Clone)]
pub struct NestedPipeline {
    /// What stands behind the id of one of its steps, so that it is not taken for one of the outer pipeline:
    /// ` within the step fan`, ` of ./child.yaml`.
    pub suffix: String,
    /// The pipeline.
    pub definition: Definition,
}

/// All pipelines that a definition has with it, at any depth, each once. Where one is named by a value that a run
/// computes, or by the name of a saved pipeline, only its start tells which it is.
#[must_use]
pub fn nested(definition: &Definition) -> Vec<NestedPipeline> {
    let mut found: Vec<NestedPipeline> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut places = below(definition, "", "");
    while let Some((place, suffix)) = places.pop() {
        if !seen.insert(place.clone()) {
            continue;
        }
        // What a former version stored and this one cannot read is refused where it starts.
        let Ok(read) = child(definition, &place) else { continue };
        places.extend(below(&read.definition, &folder(&place), &suffix));
        found.push(NestedPipeline { suffix, definition: read.definition });
    }
    found
}

/// A resource that a step needs.
#[derive(Debug)]
pub struct NeededResource<'a> {
    /// The step: `build`, `build within the step fan`.
    pub step: String,
    /// The resource.
    pub name: &'a str,
}

/// The resources that the steps of a pipeline and of those nested in it need, in the order of the file.
pub fn resources<'a>(
    definition: &'a Definition,
    nested: &'a [NestedPipeline],
) -> impl Iterator<Item = NeededResource<'a>> {
    with_nested(definition, nested).flat_map(|(suffix, definition)| {
        let steps = definition.steps.iter().chain(&definition.on_finish);
        steps.flat_map(move |step| {
            let needed = move |name| NeededResource { step: format!("{}{suffix}", step.id), name };
            step.resources.iter().map(String::as_str).map(needed)
        })
    })
}

/// A pipeline and those nested in it, each with what stands behind the id of one of its steps.
pub fn with_nested<'a>(
    definition: &'a Definition,
    nested: &'a [NestedPipeline],
) -> impl Iterator<Item = (&'a str, &'a Definition)> {
    let inner = nested.iter().map(|inner| (inner.suffix.as_str(), &inner.definition));
    std::iter::once(("", definition)).chain(inner)
}

/// The pipelines that the steps of one name, the last first: the place of each among the files of the outermost one, and
/// its suffix.
fn below(definition: &Definition, folder: &str, suffix: &str) -> Vec<(String, String)> {
    let steps = definition.steps.iter().chain(&definition.on_finish).rev();
    let places = steps.filter_map(|step| {
        let path = child_path(step)?;
        let place = beside(folder, &path)?;
        let suffix = match is_inline(&path) {
            true => format!(" within the step {}{suffix}", step.id),
            false => format!(" of {path}"),
        };
        Some((place, suffix))
    });
    places.collect()
}
