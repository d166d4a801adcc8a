//! A local's value as an expression: how it stands inside of a larger one.
//!
//! Law: the expression gives what the value gives in the place of a whole `${…}`.

use std::sync::Arc;

use super::problem::SourceText;
use super::source_map::LocalUse;
use super::written_text::WrittenText;
use super::yaml::{Kind, YamlNode};
use crate::expr::{TextPart, parts};

/// Writes a value as CEL; `false` where a text of it cannot be read, which was reported.
pub(super) fn write_expression(
    node: &YamlNode,
    source: &Arc<SourceText>,
    own: &LocalUse,
    written: &mut WrittenText,
) -> bool {
    match &node.kind {
        Kind::Bad => false,
        Kind::Scalar { .. } => write_scalar(node, source, own, written),
        Kind::List(items) => {
            written.push_made("[", own);
            for (at, item) in items.iter().enumerate() {
                written.push_made(if at == 0 { "" } else { ", " }, own);
                if !write_expression(item, source, own, written) {
                    return false;
                }
            }
            written.push_made("]", own);
            true
        }
        Kind::Map(entries) => {
            written.push_made("{", own);
            for (at, (key, value)) in entries.iter().enumerate() {
                written.push_made(if at == 0 { "" } else { ", " }, own);
                written.push_made(&quoted(key.text().unwrap_or_default()), own);
                written.push_made(": ", own);
                if !write_expression(value, source, own, written) {
                    return false;
                }
            }
            written.push_made("}", own);
            true
        }
    }
}

fn write_scalar(
    node: &YamlNode,
    source: &Arc<SourceText>,
    own: &LocalUse,
    written: &mut WrittenText,
) -> bool {
    let text = match node.value() {
        serde_json::Value::String(text) => text,
        other => {
            written.push_made(&other.to_string(), own);
            return true;
        }
    };
    let Ok(parts) = parts(&text) else { return false };
    let map = node.source_map(source);
    match parts.as_slice() {
        [TextPart::Literal(literal)] => written.push_made(&quoted(literal), own),
        [TextPart::Expr { place, .. }] => {
            written.push_made("(", own);
            written.push_own(&text, &map, place.clone());
            written.push_made(")", own);
        }
        _several => {
            // `join` writes each value as a text with `${…}` does.
            written.push_made("[", own);
            for (at, part) in parts.iter().enumerate() {
                written.push_made(if at == 0 { "" } else { ", " }, own);
                match part {
                    TextPart::Literal(literal) => written.push_made(&quoted(literal), own),
                    TextPart::Expr { place, .. } => written.push_own(&text, &map, place.clone()),
                }
            }
            written.push_made("].join('')", own);
        }
    }
    true
}

/// A text of CEL.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for c in text.chars() {
        match c {
            '\'' => quoted.push_str("\\'"),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}
