//! Texts in short, as rows keep them.

use everfold_base::json::{Payload, Value};
use everfold_base::text::one_line;

/// The longest reason.
const CHARS_MAX: usize = 300;
/// The names under which findings have their text, where they are an object.
const NAMES: [&str; 6] = ["reason", "text", "comment", "message", "note", "findings"];

/// A text in one line, cut.
pub(super) fn short(text: &str) -> String {
    one_line(text).trim().chars().take(CHARS_MAX).collect()
}

/// What findings say, where they are not kept outside of their event.
pub(super) fn findings(findings: &Payload) -> Option<String> {
    let Payload::Inline(text) = findings else { return None };
    let text = match text.value() {
        Value::String(text) => text.clone(),
        Value::Object(parts) => {
            NAMES.iter().find_map(|name| parts.get(*name)?.as_str().map(str::to_owned))?
        }
        _no_text => return None,
    };
    Some(short(&text)).filter(|text| !text.is_empty())
}

/// The newest of the remarks that work brought: `{newest: {text}}`.
pub(super) fn remark(output: &Payload) -> Option<String> {
    let Payload::Inline(text) = output else { return None };
    // Most outputs bring none, and some are long.
    if !text.as_str().contains("\"newest\"") {
        return None;
    }
    let value = text.value();
    let remark = value.get("newest")?.get("text")?.as_str().map(short);
    remark.filter(|text| !text.is_empty())
}
