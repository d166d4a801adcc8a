//! Names of failures: kinds in lower case, codes in upper case, so that neither is taken for the other.

use super::super::codes::Code;
use super::super::similar::similar;
use super::super::yaml::{Kind, YamlNode};
use super::reader::PipelineReader;
use everfold_base::failure::{FailureKind, is_code};

impl PipelineReader<'_> {
    /// The kinds and codes of `retry.only` and `retry.except`.
    pub(super) fn failure_names(&mut self, node: &YamlNode, what: &str) -> Vec<String> {
        let items: Vec<&YamlNode> = match &node.kind {
            Kind::List(items) => items.iter().collect(),
            _ => vec![node],
        };
        let mut names = Vec::new();
        for item in items {
            let Some(name) = self.text(item, what) else { continue };
            if name.parse::<FailureKind>().is_err() && !is_code(&name) {
                self.neither_kind_nor_code(&name, item);
                continue;
            }
            let kind = name.to_ascii_lowercase();
            if kind != name && kind.parse::<FailureKind>().is_ok() {
                let message = format!("“{name}” is a code; the kind of failure is `{kind}`");
                self.report(Code::UnusedKind, item.span.clone(), message).hint =
                    Some(format!("write {kind} if you mean the kind"));
            }
            names.push(name);
        }
        names
    }

    fn neither_kind_nor_code(&mut self, name: &str, node: &YamlNode) {
        let kinds = || FailureKind::ALL.into_iter().map(FailureKind::as_str);
        let hint = match (similar(name, kinds()), as_code(name)) {
            (Some(kind), _) => format!("did you mean `{kind}`?"),
            (None, Some(code)) => {
                format!("as a code write {code}; kinds: {}", kinds().collect::<Vec<_>>().join(", "))
            }
            (None, None) => {
                format!("kinds: {}; codes are UPPER_CASE", kinds().collect::<Vec<_>>().join(", "))
            }
        };
        let message = format!("“{name}” is neither a kind nor a code of failures");
        self.report(Code::Value, node.span.clone(), message).hint = Some(hint);
    }

    /// A code of the pipeline's own: UPPER_CASE, so that it is never taken for a kind of failure.
    pub(super) fn failure_code(&mut self, node: &YamlNode) -> Option<String> {
        let text = self.text(node, "`code`")?;
        if is_code(&text) {
            return Some(text);
        }
        let message = format!("“{text}” is no code: codes have A-Z, 0-9 and `_`, a letter first");
        self.report(Code::Value, node.span.clone(), message).hint =
            Some(as_code(&text).map_or_else(|| "write NOT_READY".to_owned(), |code| format!("write {code}")));
        None
    }
}

/// A text as a code, where that can be one: `not-ready` is `NOT_READY`.
fn as_code(text: &str) -> Option<String> {
    let mut code = String::new();
    let mut was_lower = false;
    for c in text.chars() {
        if c.is_ascii_uppercase() && was_lower {
            code.push('_');
        }
        was_lower = c.is_ascii_lowercase();
        code.push(if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    }
    Some(code).filter(|code| is_code(code))
}
