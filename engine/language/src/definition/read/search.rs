//! Reads search attributes.

use std::collections::BTreeMap;

use super::super::codes::Code;
use super::super::yaml::{Kind, YamlNode};
use super::super::{SEARCH_MAX, SearchAttribute, SearchType};
use super::reader::{PipelineReader, Shape};
use super::uses::{ExprPlace, Wants};
use crate::expr::{Template, TextPart, parts};
use everfold_base::json::Value;
use everfold_base::time::Timestamp;

pub(super) const SEARCH: Shape = Shape { what: "a search attribute", keys: &["type", "value"] };

impl PipelineReader<'_> {
    /// Search attributes by name: a value, or a map of type and value.
    pub(super) fn search(&mut self, node: &YamlNode) -> BTreeMap<String, SearchAttribute> {
        let Kind::Map(entries) = &node.kind else {
            self.wrong_type(node, "`search`", "a map from names to values");
            return BTreeMap::new();
        };
        if entries.len() > SEARCH_MAX {
            let message = format!("a pipeline has at most {SEARCH_MAX} search attributes");
            self.report(Code::Limit, self.first_line(node.span.clone()), message).hint =
                Some("what runs are not found by belongs into `labels` or `output`".to_owned());
        }
        let mut attributes = BTreeMap::new();
        for (key, value) in entries {
            let name = self.attribute_name(key);
            let attribute = self.search_attribute(value);
            if let (Some(name), Some(attribute)) = (name, attribute) {
                attributes.insert(name, attribute);
            }
        }
        attributes
    }

    /// A name that filters can follow with a dot: `search.NAME`.
    fn attribute_name(&mut self, node: &YamlNode) -> Option<String> {
        let text = self.text(node, "the name of a search attribute")?;
        let fine = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.len() <= 64
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !fine {
            let message = format!("“{text}” is no name of a search attribute");
            self.report(Code::Value, node.span.clone(), message).hint = Some(
                "letters, digits and `_`, at most 64, a letter first: filters name it `search.NAME`"
                    .to_owned(),
            );
        }
        fine.then_some(text)
    }

    fn search_attribute(&mut self, node: &YamlNode) -> Option<SearchAttribute> {
        if !matches!(node.kind, Kind::Map(_)) {
            return Some(SearchAttribute { kind: None, value: Some(self.search_value(node, None)?) });
        }
        let keys = self.keys(node, &SEARCH)?;
        let kind = keys.get("type").map(|node| self.word(node, "`type`", &SearchType::WORDS));
        let kind = match kind {
            Some(None) => return None,
            known => known.flatten(),
        };
        let value = match keys.get("value") {
            Some(node) => Some(self.search_value(node, kind)?),
            None => None,
        };
        if kind.is_none() && value.is_none() {
            self.missing(node, "a search attribute", "type", "type: number, or value: \"${input.amount}\"");
            return None;
        }
        Some(SearchAttribute { kind, value })
    }

    /// The value of an attribute; a constant one, and the type of an expression, are checked.
    fn search_value(&mut self, node: &YamlNode, kind: Option<SearchType>) -> Option<Template> {
        let template = self.template(node, ExprPlace::Start)?;
        let is_whole = node.text().is_some_and(|text| {
            parts(text).is_ok_and(|parts| matches!(parts.as_slice(), [TextPart::Expr { .. }]))
        });
        if is_whole && let Some(used) = self.uses.last_mut() {
            used.wants = Wants::Attribute(kind);
            return Some(template);
        }
        let problem = match template.source() {
            value if template.is_constant() => constant_misfit(kind, value),
            Value::String(_)
                if matches!(kind, Some(SearchType::Number | SearchType::Bool | SearchType::List)) =>
            {
                Some("a text".to_owned())
            }
            Value::Object(_) => Some("a map".to_owned()),
            _computed => None,
        };
        if let Some(found) = problem {
            let wanted = kind.map_or("a text, a number, a bool or a list of texts", SearchType::words);
            let message = format!("a search attribute is {wanted}, this is {found}");
            self.report(Code::Type, self.first_line(node.span.clone()), message);
            return None;
        }
        Some(template)
    }
}

/// What a constant is, where an attribute of this type cannot be it.
fn constant_misfit(kind: Option<SearchType>, value: &Value) -> Option<String> {
    let (is_fit, found) = match value {
        Value::String(text) if kind == Some(SearchType::Time) => {
            (text.parse::<Timestamp>().is_ok(), "a text that is no time in RFC 3339")
        }
        Value::String(_) => (matches!(kind, None | Some(SearchType::Text)), "a text"),
        Value::Number(_) => (matches!(kind, None | Some(SearchType::Number | SearchType::Text)), "a number"),
        Value::Bool(_) => (matches!(kind, None | Some(SearchType::Bool | SearchType::Text)), "a bool"),
        Value::Array(items) => (
            matches!(kind, None | Some(SearchType::List)) && items.iter().all(Value::is_string),
            "a list of other values than texts",
        ),
        Value::Object(_) => (false, "a map"),
        Value::Null => (true, "null"),
    };
    (!is_fit).then(|| found.to_owned())
}
