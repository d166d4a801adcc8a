//! One attempt per item of a list.

use super::super::Foreach;
use super::super::codes::Code;
use super::super::locals::ROOT;
use super::super::yaml::{Kind, YamlNode};
use super::reader::{PipelineReader, Shape};
use super::uses::{ExprPlace, Wants};
use crate::expr::Template;
use everfold_base::json::Value;

/// The keys from `steps` on are gone before the reader sees the tree.
pub(super) const FOREACH: Shape = Shape {
    what: "`foreach`",
    keys: &[
        "in",
        "as",
        "max_in_flight",
        "fail_fast",
        "steps",
        "input",
        "labels",
        "workspace",
        "budget",
        "output",
    ],
};

/// Names that an expression has already, so that `as` cannot take them.
const TAKEN: [&str; 21] = [
    "input",
    "config",
    "run",
    "steps",
    "step",
    "workspace",
    "attempt",
    "item",
    "index",
    "rework",
    "answers",
    "secrets",
    "output",
    "evidence",
    "gate",
    "failure",
    "signal",
    "event",
    "actor",
    "answer",
    "optional",
];

impl PipelineReader<'_> {
    /// The list, the item's name, and how many at once.
    pub(super) fn foreach(&mut self, node: &YamlNode) -> Option<Foreach> {
        let keys = self.keys(node, &FOREACH)?;
        // Work that names the item is no second mistake where the list is the first.
        let items = match keys.get("in") {
            Some(node) => self.foreach_items(node),
            None => {
                let example = "in: \"${input.platforms}\", or a list";
                self.missing(node, "`foreach`", "in", example);
                None
            }
        };
        let items = items.or_else(|| Template::parse(&Value::Array(Vec::new())).ok());
        let name = keys.get("as").and_then(|node| self.item_name(node));
        let max_in_flight = keys
            .get("max_in_flight")
            .and_then(|node| self.number_setting(node, "`max_in_flight`", 1, ExprPlace::Step));
        let fail_fast = keys.get("fail_fast").and_then(|node| self.bool(node, "`fail_fast`")).unwrap_or(true);
        Some(Foreach { items: items?, name, max_in_flight, fail_fast })
    }

    /// What gives the list.
    fn foreach_items(&mut self, items: &YamlNode) -> Option<Template> {
        let whole = items.text().is_some_and(|text| {
            matches!(crate::expr::parts(text).as_deref(), Ok([crate::expr::TextPart::Expr { .. }]) | Err(_))
        });
        if !matches!(items.kind, Kind::List(_) | Kind::Bad) && !whole {
            let bare = items.text().filter(|text| crate::expr::Expr::parse(text).is_ok()).map(str::to_owned);
            let message = format!("`foreach` goes over a list, this is {}", items.what());
            self.report(Code::ForeachList, items.span.clone(), message).hint = Some(match bare {
                Some(text) if items.what() == "a text" => format!("write in: \"${{{text}}}\""),
                _ => "write a list, or one whole `${…}` that gives a list".to_owned(),
            });
            return None;
        }
        let uses = self.uses.len();
        let template = self.template(items, ExprPlace::Step);
        if whole && let Some(last) = self.uses.get_mut(uses) {
            last.wants = Wants::List;
        }
        template
    }

    fn item_name(&mut self, node: &YamlNode) -> Option<String> {
        let name = self.text(node, "`as`")?;
        let word = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !word {
            self.report(Code::Value, node.span.clone(), format!("“{name}” is no name for an item")).hint =
                Some("a lower-case letter, then letters, digits and `_`".to_owned());
            return None;
        }
        if TAKEN.contains(&name.as_str()) || name == ROOT && self.has_locals() {
            self.report(
                Code::Value,
                node.span.clone(),
                format!("`{name}` has a meaning in expressions already"),
            )
            .hint = Some("choose another name, such as `part`".to_owned());
            return None;
        }
        if crate::expr::is_type(&name) {
            // What was recorded with such a name goes on as it did: its expressions had the type.
            let message = format!("`{name}` in an expression is the type of that name, not the item");
            self.report(Code::TypeName, node.span.clone(), message).hint =
                Some("choose another name, such as `part`; `item` is there as well".to_owned());
        }
        Some(name)
    }
}
