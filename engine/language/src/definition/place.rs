//! The place of a problem as a path of ids, for pipelines that no person wrote as a file.

use std::ops::Range;

use super::problem::SourceText;
use super::yaml::{self, Kind, YamlNode};

/// What stands at a place of a pipeline's text: `steps.build.gates.tests.on_fail`. An item of a list
/// is named by its `id`, else by its number; an empty path is the pipeline itself.
pub(crate) fn place_of(text: &str, span: Range<usize>) -> String {
    let mut problems = Vec::new();
    let mut path = NodePath(String::new());
    if let Some(root) = yaml::read(&SourceText::new("", text), &mut problems) {
        path.follow(&root, &span);
    }
    if path.0.is_empty() { "the pipeline".to_owned() } else { path.0 }
}

struct NodePath(String);

impl NodePath {
    /// Goes down as long as the place lies within one part.
    fn follow(&mut self, node: &YamlNode, span: &Range<usize>) {
        let within =
            |part: &Range<usize>| part.start <= span.start && span.start < part.end.max(part.start + 1);
        match &node.kind {
            Kind::Map(entries) => {
                let found = entries.iter().find(|(key, value)| {
                    within(&key.span) || (within(&value.span) && value.span.start >= key.span.start)
                });
                let Some((key, value)) = found else { return };
                let is_id = key.text() == Some("id") && !self.0.is_empty();
                // An item is named by its id already.
                if !is_id {
                    self.join(key.text().unwrap_or_default());
                }
                if !within(&key.span) {
                    self.follow(value, span);
                }
            }
            Kind::List(items) => {
                let Some((at, item)) = items.iter().enumerate().find(|(_, item)| within(&item.span)) else {
                    return;
                };
                match item.get("id").and_then(YamlNode::text) {
                    Some(id) => self.join(id),
                    None => self.0.push_str(&format!("[{at}]")),
                }
                // A problem of a whole item is marked from where the item begins.
                if item.span.start < span.start {
                    self.follow(item, span);
                }
            }
            Kind::Scalar { .. } | Kind::Bad => {}
        }
    }

    fn join(&mut self, part: &str) {
        if !self.0.is_empty() {
            self.0.push('.');
        }
        self.0.push_str(part);
    }
}
