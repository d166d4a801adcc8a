//! Kinds of work: command, function, approval, wait.

use serde_json::{Value, json};

use super::super::codes::Code;
use super::super::shell;
use super::super::yaml::{Kind, Node};
use super::super::{Approval, Routes, Setting, Task, Vote, Wait, Work};
use super::gate::text_value;
use super::route::Cause;
use super::{Keys, Place, Reader, Shape};
use crate::expr::Template;

const KINDS: [&str; 5] = ["command", "agent", "function", "approval", "wait"];
const LATER: [&str; 3] = ["http", "run", "question"];

pub(super) const APPROVAL: Shape = Shape {
    what: "`approval`",
    keys: &["title", "show", "roles", "quorum", "veto", "self_approval", "comment", "on_reject"],
    later: &["edit", "expires", "on_expire", "remind", "on_changes"],
};

pub(super) const WAIT: Shape = Shape {
    what: "`wait`",
    keys: &["for"],
    later: &["until", "zone", "signal", "match", "timeout", "on_timeout"],
};

impl Reader<'_> {
    /// The work of a step; reports two works, and neither work nor gate.
    pub(super) fn work(&mut self, keys: Keys<'_>, finish: bool) -> Option<Work> {
        let given: Vec<&str> = KINDS.into_iter().filter(|kind| keys.entry(kind).is_some()).collect();
        if let [first, second, ..] = given.as_slice() {
            let span = keys.key_span(second);
            self.report(
                Code::TwoWorks,
                span,
                format!("a step has one kind of work, not `{first}` and `{second}`"),
            )
            .hint = Some("make two steps of it".to_owned());
        }
        let later = LATER.iter().any(|kind| keys.entry(kind).is_some());
        if keys.get("with").is_some() && !given.contains(&"function") && !later {
            let span = keys.key_span("with");
            self.report(Code::Combination, span, "`with` belongs to `function`").hint = given
                .contains(&"agent")
                .then(|| "an agent has it inside: agent: { …, with: {…} }".to_owned());
        }
        let Some(kind) = given.first() else {
            if keys.get("gates").is_none() && !later {
                let span = self.first_line(keys.node.span.clone());
                self.report(Code::Empty, span, "this step has neither work nor gate").hint =
                    Some(format!("it has one of {}, or `gates`", KINDS.join(", ")));
            }
            return None;
        };
        let node = keys.entry(kind)?;
        if node.is_null() {
            self.report(Code::Type, keys.key_span(kind), format!("`{kind}` has no value"));
            return None;
        }
        match *kind {
            "command" => self.command(node, Place::Work).map(Work::Task),
            "agent" => self.agent(node).map(Work::Task),
            "function" => self.function(node, keys).map(Work::Task),
            "approval" => {
                if finish {
                    self.no_person(keys.key_span("approval"), "`approval`");
                }
                self.approval(node).map(Work::Approval)
            }
            _ => self.wait(node).map(Work::Wait),
        }
    }

    /// A shell string, or the words of a command.
    pub(super) fn command(&mut self, node: &Node, place: Place) -> Option<Task> {
        let spec = match &node.kind {
            Kind::List(items) => {
                if items.is_empty() {
                    self.report(Code::Value, node.span.clone(), "a command has at least the program's name");
                    return None;
                }
                self.templates(node, "a word of a command", place)?;
                Template::parse(&json!({ "argv": items.iter().map(text_value).collect::<Vec<Value>>() }))
                    .ok()?
            }
            Kind::Scalar { .. } => self.shell(node, place)?,
            Kind::Map(_) | Kind::Bad => {
                self.wrong_type(node, "`command`", "a shell string or a list of words");
                return None;
            }
        };
        Some(Task { kind: "command".to_owned(), spec })
    }

    fn shell(&mut self, node: &Node, place: Place) -> Option<Template> {
        let text = self.text(node, "`command`")?;
        if text.trim().is_empty() {
            self.report(Code::Value, node.span.clone(), "the command is empty");
            return None;
        }
        if !self.remember_parts(node, &text, place, true) {
            return None;
        }
        let script = match shell::compile(&text) {
            Ok(script) => script,
            Err(errors) => {
                let origin = self.origin(node);
                for error in errors {
                    let span = origin.at(error.place.start)..origin.at(error.place.end);
                    self.report(error.code, span, error.message).hint = Some(error.hint);
                }
                return None;
            }
        };
        Template::parse(&json!({ "shell": script.text, "vars": script.vars })).ok()
    }

    fn function(&mut self, node: &Node, keys: Keys<'_>) -> Option<Task> {
        let name = self.text(node, "`function`")?;
        let word = |part: &str| super::scalar::is_id(part, false);
        if !name.split('.').all(word) {
            self.report(Code::Value, node.span.clone(), format!("“{name}” is no name of a function")).hint =
                Some("lower-case words joined by dots: git.merge".to_owned());
            return None;
        }
        let with = match keys.get("with") {
            Some(with) => {
                if !matches!(with.kind, Kind::Map(_)) {
                    self.wrong_type(with, "`with`", "a map");
                }
                self.template(with, Place::Work)?.source().clone()
            }
            None => json!({}),
        };
        let spec = Template::parse(&json!({ "name": name, "with": with })).ok()?;
        Some(Task { kind: "function".to_owned(), spec })
    }

    fn approval(&mut self, node: &Node) -> Option<Approval> {
        if let Some(title) = node.text() {
            let hint = format!("write approval: {{ title: {title} }}");
            self.report(Code::Type, node.span.clone(), "`approval` is a map, this is a text").hint =
                Some(hint);
            return None;
        }
        let keys = self.keys(node, &APPROVAL)?;
        let title = match keys.get("title") {
            Some(title) => self.text_template(title, "`title`", Place::Work),
            None => {
                self.missing(node.span.clone(), "`approval`", "title", "title: what is asked, in one line");
                None
            }
        };
        let show = keys
            .get("show")
            .map_or_else(Vec::new, |node| self.templates(node, "`show`", Place::Work).unwrap_or_default());
        let roles = keys.get("roles").map_or_else(Vec::new, |node| self.texts(node, "`roles`"));
        let quorum = keys
            .get("quorum")
            .and_then(|node| self.number_setting(node, "`quorum`", 1, Place::Work))
            .unwrap_or(Setting::Fixed(1));
        let mut flag =
            |key: &str| keys.get(key).and_then(|node| self.bool(node, &format!("`{key}`"))).unwrap_or(true);
        let (veto, self_approval) = (flag("veto"), flag("self_approval"));
        let comment = keys.get("comment").map_or_else(Vec::new, |node| self.votes(node));
        let on_reject =
            keys.get("on_reject").map_or_else(Routes::default, |node| self.routes(node, Cause::Person));
        Some(Approval {
            title: title?,
            show,
            roles,
            quorum,
            veto,
            self_approval,
            comment,
            edit: None,
            expires: None,
            on_expire: Routes::default(),
            remind: None,
            on_changes: Routes::default(),
            on_reject,
        })
    }

    fn votes(&mut self, node: &Node) -> Vec<Vote> {
        let words = [("approve", Vote::Approve), ("reject", Vote::Reject)];
        let items: Vec<&Node> = match &node.kind {
            Kind::List(items) => items.iter().collect(),
            _ => vec![node],
        };
        items
            .into_iter()
            .filter_map(|item| self.word(item, "a decision of `comment`", &words, &["changes"]))
            .collect()
    }

    fn wait(&mut self, node: &Node) -> Option<Wait> {
        if let Some(text) = node.text() {
            let hint = format!("write wait: {{ for: {text} }}");
            self.report(Code::Type, node.span.clone(), "`wait` is a map, this is a text").hint = Some(hint);
            return None;
        }
        let keys = self.keys(node, &WAIT)?;
        let Some(span) = keys.get("for") else {
            if WAIT.later.iter().all(|key| keys.get(key).is_none()) {
                self.missing(node.span.clone(), "`wait`", "for", "for: 10m");
            }
            return None;
        };
        self.span_setting(span, "`for`", Place::Work).map(|span| Wait { span: Some(span), ..Wait::default() })
    }
}
