//! Reads `notify`: notices of what happens to a run.

use std::ops::Range;

use super::super::codes::Code;
use super::super::similar::similar;
use super::super::yaml::{Kind, YamlNode};
use super::super::{NOTICES_OF_A_PIPELINE_MAX, Notice, WILDCARD};
use super::reader::{Keys, PipelineReader, Shape};
use super::uses::{ExprPlace, Wants};
use crate::words::EVENT_NAMES;

pub(super) const NOTICE: Shape = Shape {
    what: "a notice",
    keys: &[
        "id",
        "like",
        "events",
        "when",
        "function",
        "with",
        "fallback",
        "as",
        "channel",
        "collapse",
        "supersedes",
        "changes_only",
    ],
};

impl PipelineReader<'_> {
    pub(super) fn notices(&mut self, node: &YamlNode) -> Vec<Notice> {
        let mut notices: Vec<Notice> = Vec::new();
        for item in self.list(node, "`notify`") {
            let Some((notice, span)) = self.notice(item) else { continue };
            if notices.iter().any(|other| other.id == notice.id) {
                let message = format!("there is a notice “{}” already", notice.id);
                self.report(Code::DuplicateId, span.clone(), message).hint =
                    Some("each is sent once per event under its id".to_owned());
            }
            if notices.len() == NOTICES_OF_A_PIPELINE_MAX {
                let message = format!("a pipeline has at most {NOTICES_OF_A_PIPELINE_MAX} notices");
                self.report(Code::Value, span, message).hint =
                    Some("one notice may listen to several types of events".to_owned());
                break;
            }
            notices.push(notice);
        }
        notices
    }

    fn notice(&mut self, node: &YamlNode) -> Option<(Notice, Range<usize>)> {
        let keys = self.keys(node, &NOTICE)?;
        let place = ExprPlace::Notice;
        for (key, example) in
            [("id", "id: failures"), ("events", "events: [RunFailed]"), ("function", "function: notify.log")]
        {
            if keys.get(key).is_none() {
                self.missing(node, "a notice", key, example);
            }
        }
        let id = keys.get("id").and_then(|id| self.id(id, "notice id", true));
        let events = keys.get("events").map(|node| self.event_types(node));
        let when = keys.get("when").and_then(|node| self.expression(node, "`when`", place, Wants::Bool));
        let function = keys.get("function").and_then(|node| self.function_name(node));
        let (with, fallback, sender, channel) = self.where_holds(when.as_ref(), |reader| {
            let [with, fallback] = ["with", "fallback"].map(|key| {
                let node = keys.get(key)?;
                reader.in_name_of(keys.get("as"), |reader| reader.parameters(node, place))
            });
            let sender = keys.get("as").and_then(|node| reader.text_template(node, "`as`", place));
            let channel = keys.get("channel").and_then(|node| reader.text_template(node, "`channel`", place));
            (with, fallback, sender, channel)
        });
        self.check_fallback(keys);
        let flag = |reader: &mut Self, keys: Keys<'_>, key: &str| {
            keys.get(key).and_then(|node| reader.bool(node, &format!("`{key}`"))).unwrap_or_default()
        };
        let (collapse, supersedes) = (flag(self, keys, "collapse"), flag(self, keys, "supersedes"));
        let changes_only = flag(self, keys, "changes_only");
        let span = keys.get("id").map_or_else(|| node.span.clone(), |id| id.span.clone());
        let (id, events, function) = (id?, events?, function?);
        let notice = Notice {
            id,
            events,
            when,
            function,
            with,
            fallback,
            sender,
            channel,
            collapse,
            supersedes,
            changes_only,
        };
        Some((notice, span))
    }

    /// Reports parameters of a fallback that the notice does not have.
    fn check_fallback(&mut self, keys: Keys<'_>) {
        let Some(Kind::Map(entries)) = keys.get("fallback").map(|node| &node.kind) else { return };
        for (key, _) in entries {
            let Some(name) = key.text() else { continue };
            if keys.get("with").is_none_or(|with| with.get(name).is_none()) {
                let message = format!("`fallback` gives “{name}”, which `with` does not have");
                self.report(Code::Combination, key.span.clone(), message).hint =
                    Some("it stands in for a parameter of `with` that cannot be computed".to_owned());
            }
        }
    }

    fn event_types(&mut self, node: &YamlNode) -> Vec<String> {
        let items = match &node.kind {
            Kind::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        if items.is_empty() {
            self.report(Code::Value, node.span.clone(), "a notice has at least one type of event").hint =
                Some("write events: [RunFailed], or events: \"*\"".to_owned());
        }
        let mut types: Vec<String> = Vec::new();
        for item in items {
            let Some(name) = self.text(item, "a type of event") else { continue };
            let known = || EVENT_NAMES.iter().copied().filter(|name| !is_of_notices(name));
            if is_of_notices(&name) {
                let message = format!("no notice tells of notices: “{name}”");
                self.report(Code::Value, item.span.clone(), message).hint =
                    Some("one that fails would call for another without end".to_owned());
                continue;
            }
            if name != WILDCARD && !known().any(|known| known == name) {
                let hint = match similar(&name, known()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "such as RunStarted, StepSucceeded, RunFailed; `*` stands for all".to_owned(),
                };
                self.report(Code::Value, item.span.clone(), format!("there is no event “{name}”")).hint =
                    Some(hint);
                continue;
            }
            if !types.contains(&name) {
                types.push(name);
            }
        }
        types
    }
}

fn is_of_notices(name: &str) -> bool {
    matches!(name, "NoticeQueued" | "NoticeSent" | "NoticeFailed")
}
