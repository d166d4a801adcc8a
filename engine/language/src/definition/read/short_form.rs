//! How a construct is written whose value stands there without its keys: `retry: 3`.

use super::super::yaml::YamlNode;

/// A construct, what was written in its place, and how it is written; `VALUE` stands for what was written.
const ROWS: [(&str, &str, &str); 14] = [
    ("`retry`", "a number", "retry: {attempts: VALUE}"),
    ("`poll`", "a text", "poll: {every: VALUE, max: 20}"),
    ("`foreach`", "a list", "foreach: {in: VALUE}"),
    ("`foreach`", "a text", "foreach: {in: VALUE}"),
    ("`approval`", "a text", "approval: {title: VALUE}"),
    ("`question`", "a text", "question: {title: VALUE}"),
    ("`wait`", "a text", "wait: {for: VALUE}"),
    ("`budget`", "a number", "budget: {cost: VALUE}"),
    ("`concurrency`", "a text", "concurrency: {key: VALUE, limit: 1}"),
    ("`signal`", "a text", "signal: {name: VALUE, to: {run: ID}}"),
    ("`api`", "a text", "api: {role: VALUE}"),
    ("a step", "a text", "- {id: build, command: VALUE}"),
    ("a gate", "a text", "- {command: VALUE}"),
    ("a trigger", "a text", "- {hook: VALUE, start: true}"),
];

/// Longer values are not repeated.
const VALUE_MAX: usize = 60;

/// How the construct is written with this value in it; `source` is the text of the whole file.
pub(super) fn written(construct: &str, node: &YamlNode, source: &str) -> Option<String> {
    let (_, _, form) = ROWS.iter().find(|(of, what, _)| *of == construct && *what == node.what())?;
    let value = source.get(node.span.clone()).map(str::trim)?;
    let fits = value.len() <= VALUE_MAX && !value.contains('\n');
    // What is plain behind a key of a block may end early in a map in one line.
    let is_plain = node.text().is_some() && !value.starts_with(['"', '\'']);
    let value = match (fits, is_plain && value.contains([',', '{', '}', '[', ']'])) {
        (false, _) => "…".to_owned(),
        (true, false) => value.to_owned(),
        (true, true) => format!("{value:?}"),
    };
    Some(format!("write {}", form.replace("VALUE", &value)))
}
