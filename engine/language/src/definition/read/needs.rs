//! Reads the steps that a step needs, and the approvals that it has: names of steps with their places.

use std::ops::Range;

use super::super::Join;
use super::super::codes::Code;
use super::super::yaml::{Kind, YamlNode};
use super::reader::{PipelineReader, Shape};

/// How needs must end, where that is not [`Join::Done`] for short.
pub(super) const NEEDS: Shape = Shape { what: "`needs`", keys: &["done", "succeeded", "any"] };

/// The ids of `needs` with their places.
pub(in super::super) type NeededSteps = Vec<(String, Range<usize>)>;

impl PipelineReader<'_> {
    /// A list of steps, or a map that says how they must end.
    pub(super) fn needs(&mut self, node: &YamlNode) -> (Join, Option<NeededSteps>) {
        if !matches!(node.kind, Kind::Map(_)) {
            return (Join::Done, Some(self.needed_steps(node)));
        }
        let Some(keys) = self.keys(node, &NEEDS) else { return (Join::Done, None) };
        let ways = [("done", Join::Done), ("succeeded", Join::Succeeded), ("any", Join::Any)];
        let given: Vec<_> =
            ways.into_iter().filter_map(|(way, join)| Some((way, join, keys.get(way)?))).collect();
        match given.as_slice() {
            [(way, join, node)] => {
                let needs = self.needed_steps(node);
                if *join != Join::Done && matches!(&node.kind, Kind::List(items) if items.is_empty()) {
                    let message = format!("`{way}` of `needs` has at least one step");
                    self.report(Code::Value, node.span.clone(), message).hint =
                        Some("write needs: [] for a step that begins at once".to_owned());
                }
                (*join, Some(needs))
            }
            [] => {
                // An unknown key was reported.
                if matches!(&node.kind, Kind::Map(entries) if entries.is_empty()) {
                    let message = "this `needs` names no step";
                    self.report(Code::MissingKey, node.span.clone(), message).hint =
                        Some("write needs: [ONE, TWO], or needs: [] to begin at once".to_owned());
                }
                (Join::Done, None)
            }
            [(first, ..), (second, ..), ..] => {
                let span = keys.key_span(second);
                let message = format!("`needs` says one thing of its steps, not `{first}` and `{second}`");
                self.report(Code::Combination, span, message).hint = Some(
                    "put a step with gates alone before this one, which needs the others its own way"
                        .to_owned(),
                );
                (Join::Done, None)
            }
        }
    }

    /// The approvals that `approved` names: one, or a list.
    pub(super) fn approved(&mut self, node: &YamlNode) -> NeededSteps {
        let items: Vec<&YamlNode> = match &node.kind {
            Kind::List(items) => items.iter().collect(),
            _ => vec![node],
        };
        let mut named: NeededSteps = Vec::new();
        for item in items {
            let Some(name) = self.text(item, "`approved`") else { continue };
            if !named.iter().any(|(other, _)| *other == name) {
                named.push((name, item.span.clone()));
            }
        }
        named
    }

    fn needed_steps(&mut self, node: &YamlNode) -> Vec<(String, Range<usize>)> {
        let mut needs: Vec<(String, Range<usize>)> = Vec::new();
        for item in self.list(node, "`needs`") {
            let Some(name) = self.text(item, "a need") else { continue };
            if needs.iter().any(|(other, _)| *other == name) {
                self.report(Code::Value, item.span.clone(), format!("“{name}” is needed twice")).hint =
                    Some("take one of the two out".to_owned());
                continue;
            }
            needs.push((name, item.span.clone()));
        }
        needs
    }
}
