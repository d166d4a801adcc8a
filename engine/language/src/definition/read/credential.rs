//! Credentials that come with a request: where a secret names one, and the gate that asks for some.
//!
//! Law: only the gates of `admit` ask for credentials: later there is no request that could be sent again.

use std::ops::Range;

use serde_json::{Value, json};

use super::super::codes::Code;
use super::super::yaml::{Kind, YamlNode};
use super::super::{CREDENTIALS_MAX, is_credential_name};
use super::probe::text_value;
use super::reader::PipelineReader;
use super::scalar::is_whole;
use super::uses::{ExprPlace, Wants};
use crate::expr::Template;

impl PipelineReader<'_> {
    /// The name of a credential.
    pub(super) fn credential_name(&mut self, node: &YamlNode, what: &str) -> Option<String> {
        let name = self.text(node, what)?;
        if is_credential_name(&name) {
            return Some(name);
        }
        self.report(Code::Value, node.span.clone(), format!("“{name}” is no name of a credential")).hint =
            Some("1 to 64 lower-case letters, digits and `-`, as headers have them: claude-token".to_owned());
        None
    }

    /// The credentials that a gate asks for: names, or one whole `${…}` that gives a list of names.
    pub(super) fn credentials_probe(&mut self, node: &YamlNode, key: Range<usize>) -> Option<Template> {
        if self.step.is_some() {
            self.report(Code::Combination, key, "`credentials` belongs to the gates of `admit`").hint = Some(
                "a request brings credentials when it starts the run; a step that lacks one fails with the code SECRET"
                    .to_owned(),
            );
            return None;
        }
        if is_whole(node) {
            let uses = self.uses.len();
            self.template(node, ExprPlace::Gate)?;
            if let Some(last) = self.uses.get_mut(uses) {
                last.wants = Wants::List;
            }
            return Template::parse(&json!({ "names": text_value(node) })).ok();
        }
        let Kind::List(items) = &node.kind else {
            self.wrong_type(node, "`credentials`", "a list of names, or one whole `${…}` that gives one");
            return None;
        };
        if items.len() > CREDENTIALS_MAX {
            let message =
                format!("a run has at most {CREDENTIALS_MAX} credentials, these are {}", items.len());
            self.report(Code::Value, node.span.clone(), message).hint =
                Some("put several values into one, as JSON".to_owned());
            return None;
        }
        let before = self.problems.len();
        for item in items {
            match item.text().is_some_and(|text| text.contains("${")) {
                true => drop(self.text_template(item, "a name of `credentials`", ExprPlace::Gate)),
                false => drop(self.credential_name(item, "a name of `credentials`")),
            }
        }
        let names: Vec<Value> = items.iter().map(text_value).collect();
        if self.problems.len() > before { None } else { Template::parse(&json!({ "names": names })).ok() }
    }
}
