//! Reads the requests to people: approvals, questions, and the questions that work may ask.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::codes::Code;
use super::super::yaml::{Kind, YamlNode};
use super::super::{Approval, Ask, Question, Routes, Setting, Shown, Span, Vote};
use super::reader::{Keys, PipelineReader, Shape};
use super::route_cause::RouteCause;
use super::uses::{ExprPlace, Wants};
use crate::expr::Template;

pub(super) const APPROVAL: Shape = Shape {
    what: "`approval`",
    keys: &[
        "title",
        "show",
        "commit",
        "keep",
        "edit",
        "roles",
        "quorum",
        "veto",
        "self_approval",
        "comment",
        "timeout",
        "on_timeout",
        "remind",
        "on_changes",
        "on_reject",
    ],
};

const SHOWN: Shape = Shape { what: "a thing that is shown", keys: &["file"] };

pub(super) const QUESTION: Shape = Shape {
    what: "`question`",
    keys: &[
        "title",
        "text",
        "options",
        "items",
        "schema",
        "accept",
        "roles",
        "timeout",
        "on_timeout",
        "remind",
    ],
};

pub(super) const ASK: Shape =
    Shape { what: "`ask`", keys: &["max", "roles", "timeout", "on_timeout", "remind"] };

const ITEM: Shape = Shape { what: "a part of a question", keys: &["id", "text", "options", "optional"] };

/// What the answer to a question has.
const ANSWER_FIELDS: [&str; 4] = ["choice", "text", "items", "states"];

impl PipelineReader<'_> {
    pub(super) fn approval(&mut self, node: &YamlNode) -> Option<Approval> {
        let keys = self.keys(node, &APPROVAL)?;
        let title = match keys.get("title") {
            Some(title) => self.text_template(title, "`title`", ExprPlace::Work),
            None => {
                self.missing(node, "`approval`", "title", "title: what is asked, in one line");
                None
            }
        };
        let show = keys.get("show").map_or_else(Vec::new, |node| self.shown(node));
        let commit = keys.get("commit").and_then(|node| self.bool(node, "`commit`")).unwrap_or_default();
        let keep = keys.get("keep").and_then(|node| self.word(node, "`keep`", &[("unchanged", true)]));
        let roles = keys.get("roles").map_or_else(Vec::new, |node| self.texts(node, "`roles`"));
        let quorum = keys
            .get("quorum")
            .and_then(|node| self.number_setting(node, "`quorum`", 1, ExprPlace::Work))
            .unwrap_or(Setting::Fixed(1));
        let mut flag =
            |key: &str| keys.get(key).and_then(|node| self.bool(node, &format!("`{key}`"))).unwrap_or(true);
        let (veto, self_approval) = (flag("veto"), flag("self_approval"));
        let comment = keys.get("comment").map_or_else(Vec::new, |node| self.votes(node));
        let on_reject =
            keys.get("on_reject").map_or_else(Routes::default, |node| self.routes(node, RouteCause::Person));
        let on_changes =
            keys.get("on_changes").map_or_else(Routes::default, |node| self.routes(node, RouteCause::Person));
        if comment.contains(&Vote::Changes)
            && on_changes.is_empty()
            && let Some(node) = keys.get("comment")
        {
            self.report(Code::Combination, node.span.clone(), "nobody can ask for changes here").hint =
                Some("add `on_changes`, the route that follows".to_owned());
        }
        let edit = keys.get("edit").and_then(|node| self.template(node, ExprPlace::Work));
        let (timeout, on_timeout) = self.time_limit(keys);
        let remind = keys.get("remind").and_then(|node| self.reminders(node));
        Some(Approval {
            title: title?,
            show,
            commit,
            keep_unchanged: keep.unwrap_or_default(),
            roles,
            quorum,
            veto,
            self_approval,
            comment,
            edit,
            timeout,
            on_timeout,
            remind,
            on_changes,
            on_reject,
        })
    }

    /// What is shown: texts, paths, and `{file: PATH}`.
    fn shown(&mut self, node: &YamlNode) -> Vec<Shown> {
        let items: Vec<&YamlNode> = match &node.kind {
            Kind::List(items) => items.iter().collect(),
            _ => vec![node],
        };
        let mut shown = Vec::new();
        for item in items {
            if !matches!(item.kind, Kind::Map(_)) {
                shown.extend(self.text_template(item, "`show`", ExprPlace::Work).map(Shown::Text));
                continue;
            }
            let Some(keys) = self.keys(item, &SHOWN) else { continue };
            match keys.get("file") {
                Some(file) => {
                    let path = self.text_template(file, "`file`", ExprPlace::Work);
                    shown.extend(path.map(|file| Shown::File { file }));
                }
                None => self.missing(item, SHOWN.what, "file", "file: plan.md"),
            }
        }
        shown
    }

    fn votes(&mut self, node: &YamlNode) -> Vec<Vote> {
        let words = [("approve", Vote::Approve), ("reject", Vote::Reject), ("changes", Vote::Changes)];
        let items: Vec<&YamlNode> = match &node.kind {
            Kind::List(items) => items.iter().collect(),
            _ => vec![node],
        };
        items.into_iter().filter_map(|item| self.word(item, "a decision of `comment`", &words)).collect()
    }

    /// The time limit of a request to people, and the routes after it.
    fn time_limit(&mut self, keys: Keys<'_>) -> (Option<Setting<Span>>, Routes) {
        let timeout = keys.get("timeout").and_then(|node| self.pause(node, "`timeout`"));
        let on_timeout =
            keys.get("on_timeout").map_or_else(Routes::default, |node| self.routes(node, RouteCause::Over));
        self.timeout_of(keys, "2d");
        (timeout, on_timeout)
    }

    /// A duration above zero.
    pub(super) fn pause(&mut self, node: &YamlNode, what: &str) -> Option<Setting<Span>> {
        self.some_span(node, what, ExprPlace::Work)
    }

    /// A duration above zero, or a text with `${…}`.
    pub(super) fn some_span(
        &mut self,
        node: &YamlNode,
        what: &str,
        place: ExprPlace,
    ) -> Option<Setting<Span>> {
        let setting = self.span_setting(node, what, place)?;
        if matches!(setting, Setting::Fixed(span) if span.0.is_zero()) {
            self.report(Code::TooSmall, node.span.clone(), format!("{what} is more than nothing")).hint =
                Some("write a span: 30m, 2h or 7d".to_owned());
        }
        Some(setting)
    }

    pub(super) fn question(&mut self, node: &YamlNode) -> Option<Question> {
        let keys = self.keys(node, &QUESTION)?;
        let title = match keys.get("title") {
            Some(title) => self.text_template(title, "`title`", ExprPlace::Work),
            None => {
                self.missing(node, "`question`", "title", "title: what is asked, in one line");
                None
            }
        };
        let text = keys.get("text").and_then(|node| self.text_template(node, "`text`", ExprPlace::Work));
        let options = keys.get("options").and_then(|node| self.options(node));
        let items = keys.get("items").and_then(|node| self.items(node));
        let schema = keys.get("schema").and_then(|node| self.answer_schema(node));
        let accept = keys
            .get("accept")
            .and_then(|node| self.expression(node, "`accept`", ExprPlace::Answer, Wants::Bool));
        let roles = keys.get("roles").map_or_else(Vec::new, |node| self.texts(node, "`roles`"));
        let (timeout, on_timeout) = self.time_limit(keys);
        let remind = keys.get("remind").and_then(|node| self.reminders(node));
        Some(Question {
            title: title?,
            text,
            options,
            items,
            schema,
            accept,
            roles,
            timeout,
            on_timeout,
            remind,
        })
    }

    /// The schema of the whole answer, which is an object.
    fn answer_schema(&mut self, node: &YamlNode) -> Option<Value> {
        let schema = self.schema(node, "`schema`")?;
        let takes_objects = match &schema["type"] {
            Value::Null => schema != Value::Bool(false),
            Value::Array(types) => types.iter().any(|each| each == "object"),
            one => one == "object",
        };
        if !takes_objects {
            let span = self.first_line(node.at_pointer("/type").span.clone());
            let message = "`schema`: an answer is an object, so none would fit";
            self.report(Code::Schema, span, message).hint = Some(
                "write schema: { type: object, properties: { text: … } }: of `choice`, `text` and `items`"
                    .to_owned(),
            );
        }
        let required = schema["required"].as_array().into_iter().flatten().enumerate();
        for (at, name) in required.filter_map(|(at, name)| Some((at, name.as_str()?))) {
            if !ANSWER_FIELDS.contains(&name) {
                let span = self.first_line(node.at_pointer(&format!("/required/{at}")).span.clone());
                let message = format!("`schema`: no answer has “{name}”, so none would fit");
                self.report(Code::Schema, span, message).hint = Some(
                    "an answer has `choice`, `text`, `items` and `states`; require one of these".to_owned(),
                );
            }
        }
        Some(schema)
    }

    /// The options of a choice: texts, or one whole `${…}` that gives a list.
    fn options(&mut self, node: &YamlNode) -> Option<Template> {
        match &node.kind {
            Kind::List(items) => {
                if items.is_empty() {
                    self.report(Code::Value, node.span.clone(), "`options` has at least one").hint =
                        Some("write options: [yes, no], or take it out for a free answer".to_owned());
                }
                self.written_options(items, |item| item.text().map(str::to_owned));
                self.templates(node, "an option", ExprPlace::Work)?;
                Template::parse(&super::probe::text_value(node)).ok()
            }
            _ if super::scalar::is_whole(node) => self.template(node, ExprPlace::Work),
            _ => {
                self.wrong_type(node, "`options`", "a list of texts, or one whole `${…}`");
                None
            }
        }
    }

    /// Reports options of the file that are empty or stand there twice; `shown` is what people choose by.
    fn written_options(&mut self, items: &[YamlNode], shown: impl Fn(&YamlNode) -> Option<String>) {
        let mut seen = BTreeSet::new();
        for item in items.iter().filter(|item| !item.is_null()) {
            let Some(text) = shown(item).filter(|text| !text.contains("${")) else { continue };
            if text.trim().is_empty() {
                self.report(Code::Value, item.span.clone(), "an option is empty").hint =
                    Some("write what may be chosen, or take it out".to_owned());
            } else if seen.contains(&text) {
                let message = format!("“{text}” stands there twice");
                self.report(Code::Value, item.span.clone(), message).hint =
                    Some("take one of the two out".to_owned());
            }
            seen.insert(text);
        }
    }

    /// Parts that are answered one by one: texts or maps, or one whole `${…}` that gives a list.
    fn items(&mut self, node: &YamlNode) -> Option<Template> {
        let Kind::List(items) = &node.kind else {
            if super::scalar::is_whole(node) {
                return self.template(node, ExprPlace::Work);
            }
            self.wrong_type(node, "`items`", "a list, or one whole `${…}`");
            return None;
        };
        let mut ids = BTreeSet::new();
        for (at, item) in items.iter().enumerate() {
            if !matches!(item.kind, Kind::Map(_)) {
                self.text(item, "a part of a question")?;
                self.plain_text(item, "a part of a question");
                // What a whole `${…}` gives may have an id of its own.
                if !super::scalar::is_whole(item) && !ids.insert((at + 1).to_string()) {
                    let message = format!("there is a part “{}” already", at + 1);
                    self.report(Code::DuplicateId, item.span.clone(), message).hint = Some(
                        "a part without an `id` has its number as one: write {id: …, text: …}".to_owned(),
                    );
                }
                continue;
            }
            let keys = self.keys(item, &ITEM)?;
            for (key, example) in [("id", "id: scope"), ("text", "text: what is asked")] {
                if keys.get(key).is_none() {
                    self.missing(item, ITEM.what, key, example);
                }
            }
            if let Some(id) = keys.get("id")
                && self.id(id, "id of a part", true).is_some()
                && let Some(name) = shown(id)
                && !ids.insert(name.clone())
            {
                let message = format!("there is a part “{name}” already");
                self.report(Code::DuplicateId, id.span.clone(), message);
            }
            if let Some(text) = keys.get("text") {
                self.plain_text(text, "`text` of a part");
            }
            if let Some(options) = keys.get("options") {
                self.options_of_part(options);
            }
            if let Some(optional) = keys.get("optional").filter(|node| !super::scalar::is_whole(node)) {
                self.bool(optional, "`optional`");
            }
        }
        self.template(node, ExprPlace::Work)
    }

    /// Reports a value that YAML does not read as a text: its type would be kept.
    fn plain_text(&mut self, node: &YamlNode, what: &str) {
        if !node.is_bad() && !node.value().is_string() {
            self.wrong_type(node, what, "a text");
            if let (Some(text), Some(last)) = (node.text(), self.problems.last_mut()) {
                last.hint = Some(format!("put it in quotes: \"{text}\""));
            }
        }
    }

    fn options_of_part(&mut self, node: &YamlNode) {
        let Kind::List(items) = &node.kind else {
            if !super::scalar::is_whole(node) {
                self.wrong_type(node, "`options` of a part", "a list of texts, or one whole `${…}`");
            }
            return;
        };
        for item in items.iter().filter(|item| item.text().is_none() || item.is_null()) {
            self.wrong_type(item, "an option", "a text");
        }
        self.written_options(items, shown);
    }

    /// What the work itself may ask.
    pub(super) fn ask(&mut self, node: &YamlNode) -> Option<Ask> {
        let keys = self.keys(node, &ASK)?;
        let max =
            keys.get("max").and_then(|node| self.number_setting(node, "`max` of `ask`", 0, ExprPlace::Step));
        let roles = keys.get("roles").map_or_else(Vec::new, |node| self.texts(node, "`roles`"));
        let (timeout, on_timeout) = self.time_limit(keys);
        let remind = keys.get("remind").and_then(|node| self.reminders(node));
        let mut ask = Ask { roles, timeout, on_timeout, remind, ..Ask::default() };
        if let Some(max) = max {
            ask.max = max;
        }
        Some(ask)
    }
}

/// What a value of the file is called where texts, numbers and bools count as texts.
fn shown(node: &YamlNode) -> Option<String> {
    match node.value() {
        Value::String(text) => Some(text),
        value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
