//! Where the steps and gates of a pipeline stand in its text.
//!
//! For readers of a text beside a run: an editor that shows which step an event is about. Nothing is checked here; what
//! cannot be read has no places.

use super::problem::SourceText;
use super::yaml::{self, Kind, YamlNode};

/// Where a step stands in a text; lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepLines {
    /// The step's id.
    pub id: String,
    /// The line with which it begins.
    pub line: usize,
    /// Its last line.
    pub last: usize,
    /// Its gates, in order.
    pub gates: Vec<GateLines>,
}

/// Where a gate of a step stands in a text; lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateLines {
    /// The gate's id; of one that has none the kind of its probe.
    pub id: String,
    /// The line with which it begins.
    pub line: usize,
    /// Its last line.
    pub last: usize,
}

/// The steps of a pipeline's text in their order, those of `on_finish` behind them; empty where the text is no YAML. Steps
/// of included files are not among them: they stand in other texts.
#[must_use]
pub fn outline(text: &str) -> Vec<StepLines> {
    let source = SourceText::new("", text);
    let Some(root) = yaml::read(&source, &mut Vec::new()) else { return Vec::new() };
    let lines = |node: &YamlNode| {
        let start = node.span.start.min(text.len());
        // A block of text ends behind the indentation of what follows.
        let end = text.get(..end_of(node)).map_or(start, |text| text.trim_end().len());
        (source.line(start), source.line(end.max(start + 1) - 1))
    };
    let gate_of = |node: &YamlNode| {
        let id = node.get("id").and_then(YamlNode::text).or_else(|| kind_of(node))?;
        let (line, last) = lines(node);
        Some(GateLines { id: id.to_owned(), line, last })
    };
    let step_of = |node: &YamlNode| {
        let id = node.get("id").and_then(YamlNode::text)?.to_owned();
        let gates = items(node.get("gates")).iter().filter_map(gate_of).collect();
        let (line, last) = lines(node);
        Some(StepLines { id, line, last, gates })
    };
    ["steps", "on_finish"].iter().flat_map(|key| items(root.get(key))).filter_map(step_of).collect()
}

fn items(node: Option<&YamlNode>) -> &[YamlNode] {
    match node.map(|node| &node.kind) {
        Some(Kind::List(items)) => items,
        _none => &[],
    }
}

/// What stands first in a gate without `id`: the kind of its probe, as a rule.
fn kind_of(gate: &YamlNode) -> Option<&str> {
    match &gate.kind {
        Kind::Map(entries) => entries.iter().find_map(|(key, _)| {
            key.text().filter(|key| !matches!(*key, "when" | "otherwise" | "policy" | "code"))
        }),
        _none => None,
    }
}

/// Where the last value of a node ends: the reader's own end of a block is where the next one begins.
fn end_of(node: &YamlNode) -> usize {
    let below = match &node.kind {
        Kind::List(items) => items.last().map(end_of),
        Kind::Map(entries) => entries.last().map(|(key, value)| end_of(key).max(end_of(value))),
        Kind::Scalar { .. } | Kind::Bad => None,
    };
    below.unwrap_or(node.span.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
name: ship
steps:
  - id: build
    command: |
      make
      make check
    gates:
      - tests: { path: report.xml }
      - id: size
        file: { path: out, max_bytes: 100 }

  # Behind the gap.
  - { id: send, command: 'echo sent' }
on_finish:
  - id: clean
    command: rm -rf out
";

    #[test]
    fn steps_and_gates_are_found_in_their_lines() {
        let places = outline(TEXT);
        let steps: Vec<_> = places.iter().map(|step| (step.id.as_str(), step.line, step.last)).collect();
        assert_eq!(steps, [("build", 3, 10), ("send", 13, 13), ("clean", 15, 16)]);
        let gates: Vec<_> =
            places[0].gates.iter().map(|gate| (gate.id.as_str(), gate.line, gate.last)).collect();
        assert_eq!(gates, [("tests", 8, 8), ("size", 9, 10)]);
    }

    #[test]
    fn a_block_of_text_at_the_end_of_a_step_ends_with_its_last_line() {
        let places =
            outline("steps:\n  - id: a\n    command: |\n      one\n      two\n  - id: b\n    command: x\n");
        assert_eq!((places[0].line, places[0].last, places[1].line), (2, 5, 6));
    }

    #[test]
    fn what_is_no_pipeline_has_no_places() {
        for text in ["", "a: [", "steps: 7", "- 1", "steps: [{ command: x }]"] {
            assert_eq!(outline(text), [], "{text}");
        }
    }

    #[test]
    fn a_canonical_document_has_places_as_well() {
        let places = outline("{\n \"name\": \"x\",\n \"steps\": [\n  {\n   \"id\": \"a\"\n  }\n ]\n}\n");
        assert_eq!((places[0].id.as_str(), places[0].line), ("a", 4));
    }
}
