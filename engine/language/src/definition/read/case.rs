//! Test cases: the file, and each case of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::Definition;
use super::super::case::{CaseStubs, PipelineCase};
use super::super::codes::Code;
use super::super::similar::similar;
use super::super::yaml::{Kind, YamlNode};
use super::reader::{Keys, PipelineReader, Shape};
use everfold_base::json::Value;
use everfold_base::time::Timestamp;

/// Cases of one file.
const CASES_MAX: usize = 1_000;
/// The user who starts the runs of cases that name none.
const STARTER: &str = "tester";

/// The keys of a file of cases that is a map.
pub(super) const FILE: Shape = Shape { what: "a file of cases", keys: &["cases"] };
/// The keys of a case.
pub(super) const CASE: Shape = Shape {
    what: "a case",
    keys: &[
        "name", "input", "title", "labels", "by", "at", "config", "until", "steps", "gates", "admit",
        "decide", "signals", "expect",
    ],
};

/// What the stubs and expectations of a case may name.
#[derive(Clone, Copy)]
pub(in crate::definition) struct CaseScope<'a> {
    /// The pipeline.
    pub(in crate::definition) definition: &'a Definition,
    /// Finds the pipeline that a step of another one runs.
    pub(in crate::definition) find: &'a dyn Fn(&Definition, &str) -> Option<Definition>,
}

impl PipelineReader<'_> {
    /// The cases of a file: a list, or a map with `cases`.
    pub(in crate::definition) fn cases(
        &mut self,
        root: &YamlNode,
        scope: &CaseScope<'_>,
    ) -> Vec<PipelineCase> {
        let list = match &root.kind {
            Kind::Map(_) => {
                let Some(keys) = self.keys(root, &FILE) else { return Vec::new() };
                let Some(list) = keys.get("cases") else {
                    self.missing(root, FILE.what, "cases", "cases: and below it one `- name: …` per case");
                    return Vec::new();
                };
                list
            }
            _list => root,
        };
        let items = self.list(list, "`cases`");
        if items.len() > CASES_MAX {
            self.report(Code::Limit, list.span.start..list.span.start, "a file has at most 1,000 cases")
                .hint = Some("move some into a file of their own, and name it with --cases".to_owned());
            return Vec::new();
        }
        let mut names = BTreeSet::new();
        let mut cases = Vec::new();
        for item in items {
            let Some(case) = self.case(item, scope) else { continue };
            if !names.insert(case.name.clone()) {
                let span = self.first_line(item.span.clone());
                self.report(Code::DuplicateId, span, format!("two cases are named “{}”", case.name)).hint =
                    Some("name each by what it shows".to_owned());
            }
            cases.push(case);
        }
        cases
    }

    fn case(&mut self, node: &YamlNode, scope: &CaseScope<'_>) -> Option<PipelineCase> {
        let keys = self.keys(node, &CASE)?;
        let name = match keys.get("name") {
            Some(name) => self.text(name, "`name`"),
            None => {
                self.missing(node, CASE.what, "name", "name: what the case shows");
                None
            }
        };
        let (decide, signals) = (self.decisions(keys, scope), self.case_signals(keys, scope));
        let stubs = CaseStubs { decide, ..self.case_stubs(keys, scope) };
        Some(PipelineCase {
            name: name?,
            line: self.source.line(node.span.start),
            input: keys.get("input").map_or_else(|| Value::Object(serde_json::Map::new()), YamlNode::value),
            title: keys.get("title").and_then(|title| self.text(title, "`title`")),
            labels: keys.get("labels").map(|labels| self.plain_texts(labels, "`labels`")).unwrap_or_default(),
            by: self.user(keys, STARTER),
            at: keys.get("at").and_then(|at| self.case_start(at)),
            config: self.case_config(keys, scope),
            until: keys.get("until").and_then(|until| self.span(until, "`until`")).map(|span| span.0),
            stubs,
            signals,
            expect: keys.get("expect").map(|expect| self.expectation(expect, scope)).unwrap_or_default(),
        })
    }

    /// The name of a user.
    pub(super) fn user(&mut self, keys: Keys<'_>, default: &str) -> String {
        let by = keys.get("by").and_then(|by| self.text(by, "`by`"));
        by.unwrap_or_else(|| default.to_owned())
    }

    /// A duration that may be left out.
    pub(super) fn span_or_none(&mut self, keys: Keys<'_>, key: &str) -> Duration {
        let span = keys.get(key).and_then(|node| self.span(node, &format!("`{key}`")));
        span.map(|span| span.0).unwrap_or_default()
    }

    /// Texts by name, as they are written.
    pub(super) fn plain_texts(&mut self, node: &YamlNode, what: &str) -> BTreeMap<String, String> {
        let Kind::Map(entries) = &node.kind else {
            self.wrong_type(node, what, "a map");
            return BTreeMap::new();
        };
        let text = |(key, value): &(YamlNode, YamlNode)| {
            Some((key.text()?.to_owned(), self.text(value, &format!("a value of {what}"))?))
        };
        entries.iter().filter_map(text).collect()
    }

    fn case_start(&mut self, node: &YamlNode) -> Option<Timestamp> {
        let text = self.text(node, "`at`")?;
        let at = text.parse().ok();
        if at.is_none() {
            self.report(Code::Value, node.span.clone(), format!("“{text}” is no time")).hint =
                Some("write it by RFC 3339: \"2026-03-01T09:00:00Z\"".to_owned());
        }
        at
    }

    fn case_config(&mut self, keys: Keys<'_>, scope: &CaseScope<'_>) -> BTreeMap<String, Value> {
        let Some(node) = keys.get("config") else { return BTreeMap::new() };
        let names: Vec<&str> = scope.definition.config.keys().map(String::as_str).collect();
        let known = self.known(node, "`config`", "settings document", &names);
        known.into_iter().map(|(name, value)| (name, value.value())).collect()
    }

    /// The entries of a map whose keys are names of something that the pipeline has.
    pub(super) fn known<'n>(
        &mut self,
        node: &'n YamlNode,
        what: &str,
        thing: &str,
        names: &[&str],
    ) -> Vec<(String, &'n YamlNode)> {
        let Kind::Map(entries) = &node.kind else {
            self.wrong_type(node, what, "a map");
            return Vec::new();
        };
        let mut known = Vec::new();
        for (key, value) in entries {
            let Some(name) = key.text() else { continue };
            if names.contains(&name) {
                known.push((name.to_owned(), value));
            } else {
                self.unknown_thing(key, name, thing, names);
            }
        }
        known
    }

    /// Reports a name that the pipeline does not have.
    pub(super) fn unknown_thing(&mut self, node: &YamlNode, name: &str, thing: &str, names: &[&str]) {
        let code = if thing == "step" { Code::UnknownStep } else { Code::Value };
        let hint = match similar(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => "there is none at this place".to_owned(),
            None => format!("there are: {}", names.join(", ")),
        };
        self.report(code, node.span.clone(), format!("there is no {thing} “{name}”")).hint = Some(hint);
    }
}
