//! Reads the settings of an attempt: retries, the process's variables and secrets, its folder, slots.

use std::collections::BTreeMap;

use super::super::codes::Code;
use super::super::yaml::{Kind, YamlNode};
use super::super::{
    ATTEMPTS_MAX, Condition, LOST_MAX, OnLost, Retry, Setting, Span, StepApi, StepRole, StepWorkspace,
};
use super::reader::{PipelineReader, Shape};
use super::uses::{ExprPlace, SecretUse, Wants};
use crate::expr::Template;

pub(super) const RETRY: Shape =
    Shape { what: "`retry`", keys: &["attempts", "backoff", "only", "except", "lost"] };

pub(super) const API: Shape = Shape { what: "`api`", keys: &["role"] };

impl PipelineReader<'_> {
    /// The access to the engine's API that the step's process gets.
    pub(super) fn api(&mut self, node: &YamlNode) -> Option<StepApi> {
        let keys = self.keys(node, &API)?;
        let Some(role) = keys.get("role") else {
            self.missing(node, "`api`", "role", "role: operator (or viewer, approver)");
            return None;
        };
        let words = [
            ("viewer", StepRole::Viewer),
            ("approver", StepRole::Approver),
            ("operator", StepRole::Operator),
        ];
        Some(StepApi { role: self.word(role, "`role`", &words)? })
    }

    pub(super) fn retry(&mut self, node: &YamlNode) -> Option<Retry> {
        let keys = self.keys(node, &RETRY)?;
        let Some(attempts) = keys.get("attempts") else {
            self.missing(node, "`retry`", "attempts", "attempts: 3 (the first one included)");
            return None;
        };
        let place = attempts.span.clone();
        let attempts = self.number_setting(attempts, "`attempts`", 1, ExprPlace::Step)?;
        if let Setting::Fixed(number) = attempts
            && number > ATTEMPTS_MAX
        {
            let message = format!("`attempts` is at most {ATTEMPTS_MAX}, not {number}");
            self.report(Code::TooLarge, place, message).hint =
                Some("longer pauses let fewer attempts cover more time: backoff: 1m..1h".to_owned());
        }
        let mut retry = Retry { attempts, ..Retry::default() };
        if let Some(backoff) = keys.get("backoff") {
            (retry.backoff_min, retry.backoff_max) = self.backoff(backoff)?;
        }
        if let Some(only) = keys.get("only") {
            retry.only = self.failure_names(only, "`only`");
        }
        if let Some(except) = keys.get("except") {
            retry.except = self.failure_names(except, "`except`");
        }
        if let Some(lost) = keys.get("lost") {
            retry.lost = self.lost(lost);
        }
        Some(retry)
    }

    fn lost(&mut self, node: &YamlNode) -> Option<u32> {
        let lost: u32 = self.number(node, "`lost`", 0)?;
        if lost > LOST_MAX {
            let message = format!("`lost` is at most {LOST_MAX}, not {lost}");
            self.report(Code::TooLarge, node.span.clone(), message).hint =
                Some("what vanishes so often vanishes again: a person looks at it".to_owned());
        }
        Some(lost)
    }

    fn backoff(&mut self, node: &YamlNode) -> Option<(Span, Span)> {
        let text = self.text(node, "`backoff`")?;
        let (min, max) = text.split_once("..").unwrap_or((&text, &text));
        let read = |text: &str| everfold_base::duration::parse(text.trim()).ok().map(Span);
        match (read(min), read(max)) {
            (Some(min), Some(max)) if min <= max => Some((min, max)),
            (Some(_), Some(_)) => {
                self.report(
                    Code::Value,
                    node.span.clone(),
                    "`backoff` goes from the shorter pause to the longer one",
                )
                .hint = Some("write the shorter one first: backoff: 1s..60s".to_owned());
                None
            }
            _ => {
                self.report(Code::Value, node.span.clone(), format!("“{text}” is no range of pauses")).hint =
                    Some("write 1s..60s, or one duration".to_owned());
                None
            }
        }
    }

    pub(super) fn on_lost(&mut self, node: &YamlNode) -> Option<OnLost> {
        let words = [("retry", OnLost::Retry), ("block", OnLost::Block), ("fail", OnLost::Fail)];
        self.word(node, "`on_lost`", &words)
    }

    pub(super) fn env(&mut self, node: &YamlNode) -> BTreeMap<String, Template> {
        let Kind::Map(entries) = &node.kind else {
            self.wrong_type(node, "`env`", "a map");
            return BTreeMap::new();
        };
        let mut env = BTreeMap::new();
        for (key, value) in entries {
            let Some(name) = key.text() else { continue };
            if !self.is_variable(name, key) {
                continue;
            }
            let read = self
                .with_secrets(|reader| reader.text_template(value, &format!("`{name}`"), ExprPlace::Work));
            if let Some(template) = read {
                env.insert(name.to_owned(), template);
            }
        }
        env
    }

    pub(super) fn step_workspace(&mut self, node: &YamlNode) -> Option<StepWorkspace> {
        const DIR: Shape = Shape { what: "`workspace` of a step", keys: &["dir"] };
        if matches!(node.kind, Kind::Map(_)) {
            let keys = self.keys(node, &DIR)?;
            let Some(dir) = keys.get("dir") else {
                self.missing(node, "`workspace` of a step", "dir", "dir: PATH, or run, own or none");
                return None;
            };
            return self.text_template(dir, "`dir`", ExprPlace::Work).map(StepWorkspace::Dir);
        }
        let words = [("run", 0), ("own", 1), ("none", 2)];
        Some(match self.word(node, "`workspace` of a step", &words)? {
            0 => StepWorkspace::Run,
            1 => StepWorkspace::Own,
            _ => StepWorkspace::None,
        })
    }

    /// Whether a process can have a variable of this name; reports one that it cannot.
    pub(super) fn is_variable(&mut self, name: &str, node: &YamlNode) -> bool {
        let letters = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !letters || name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() {
            self.report(
                Code::Value,
                node.span.clone(),
                format!("“{name}” is no name of an environment variable"),
            )
            .hint = Some("letters, digits and `_`, no digit first".to_owned());
            return false;
        }
        if name.starts_with("EVERFOLD_") {
            self.report(
                Code::Value,
                node.span.clone(),
                format!("`{name}` is Everfold's own: names with EVERFOLD_ are reserved"),
            )
            .hint =
                Some("choose another name; docs/reference/processes.md lists what Everfold sets".to_owned());
            return false;
        }
        true
    }

    /// The secrets that a process gets, by their names.
    pub(super) fn secret_names(&mut self, node: &YamlNode) -> Vec<String> {
        let items = match &node.kind {
            Kind::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut names = Vec::new();
        for item in items {
            let Some(name) = self.text(item, "the name of a secret") else { continue };
            if names.contains(&name) {
                self.report(Code::Value, item.span.clone(), format!("“{name}” stands there twice")).hint =
                    Some("take one of the two out".to_owned());
                continue;
            }
            let role = self.role.clone();
            self.secrets.push(SecretUse { name: name.clone(), span: item.span.clone(), role });
            names.push(name);
        }
        names
    }

    /// The slots of the engine that an attempt holds.
    pub(super) fn resources(&mut self, node: &YamlNode) -> Vec<String> {
        let items = match &node.kind {
            Kind::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut names: Vec<String> = Vec::new();
        for item in items {
            let Some(name) = self.id(item, "resource", true) else { continue };
            if names.contains(&name) {
                self.report(Code::Value, item.span.clone(), format!("“{name}” stands there twice")).hint =
                    Some("take one of the two out".to_owned());
                continue;
            }
            names.push(name);
        }
        names
    }

    /// `budget_exempt`: a bool or an expression.
    pub(super) fn condition(&mut self, node: &YamlNode, what: &str) -> Option<Condition> {
        if matches!(&node.kind, Kind::Scalar { plain: true, .. })
            && let serde_json::Value::Bool(flag) = node.value()
        {
            return Some(Condition::Fixed(flag));
        }
        self.expression(node, what, ExprPlace::Step, Wants::Bool).map(Condition::Computed)
    }
}
