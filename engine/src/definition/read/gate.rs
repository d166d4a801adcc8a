//! Gates: one probe, a policy, a route.

use serde_json::{Map, Value, json};

use super::super::codes::Code;
use super::super::yaml::{Kind, Node};
use super::super::{Gate, Poll, Probe, Routes, Task};
use super::route::Cause;
use super::{Keys, Place, Reader, Shape, Wants};
use crate::expr::Template;

pub(super) const SHAPE: Shape = Shape {
    what: "a gate",
    keys: &[
        "id",
        "when",
        "otherwise",
        "policy",
        "poll",
        "code",
        "on_fail",
        "expression",
        "command",
        "file",
        "frontmatter",
        "diff",
    ],
    later: &[
        "wake",
        "fresh",
        "tests",
        "http",
        "ci",
        "mergeable",
        "runs",
        "config",
        "function",
        "all",
        "any",
        "not",
        "at_least",
        "with",
    ],
};

const PROBES: [&str; 5] = ["expression", "command", "file", "frontmatter", "diff"];
const LATER_PROBES: [&str; 11] =
    ["tests", "http", "ci", "mergeable", "runs", "config", "function", "all", "any", "not", "at_least"];

pub(super) const POLL: Shape =
    Shape { what: "`poll`", keys: &["every", "max", "for", "on_timeout"], later: &[] };

pub(super) const FILE: Shape = Shape {
    what: "the probe `file`",
    keys: &["exists", "all", "glob", "min", "in", "json", "yaml", "matches"],
    later: &[],
};

pub(super) const FRONTMATTER: Shape = Shape {
    what: "the probe `frontmatter`",
    keys: &["file", "fields", "pass", "fail", "match", "from"],
    later: &[],
};

pub(super) const DIFF: Shape = Shape {
    what: "the probe `diff`",
    keys: &["min_files", "max_files", "max_lines", "allow", "deny"],
    later: &[],
};

impl Reader<'_> {
    /// The gates of a step.
    pub(super) fn gates(&mut self, node: &Node) -> Vec<Gate> {
        let mut gates: Vec<Gate> = Vec::new();
        for item in self.list(node, "`gates`") {
            let Some(gate) = self.gate(item) else { continue };
            if gates.iter().any(|other| other.id == gate.id) {
                let span = match item.get("id") {
                    Some(id) => id.span.clone(),
                    None => self.first_line(item.span.clone()),
                };
                self.report(
                    Code::DuplicateGate,
                    span,
                    format!("this step has a gate “{}” already", gate.id),
                )
                .hint = Some("give each an `id` of its own".to_owned());
            }
            gates.push(gate);
        }
        gates
    }

    fn gate(&mut self, node: &Node) -> Option<Gate> {
        let keys = self.keys(node, &SHAPE)?;
        let probe_name = self.one_probe(keys);
        let id = match keys.get("id") {
            Some(id) => self.id(id, "gate id", true),
            None => probe_name.map(str::to_owned),
        };
        let when =
            keys.get("when").and_then(|when| self.expression(when, "`when`", Place::Gate, Wants::Bool));
        let otherwise =
            keys.get("otherwise").and_then(|text| self.text_template(text, "`otherwise`", Place::Gate));
        if keys.get("otherwise").is_some() && keys.get("when").is_none() {
            let span = keys.key_span("otherwise");
            self.report(
                Code::Combination,
                span,
                "`otherwise` is the reason given where `when` is false; there is no `when`",
            );
        }
        let policy = keys.get("policy").and_then(|policy| {
            self.expression(policy, "`policy`", Place::Policy(probe_name.unwrap_or("any")), Wants::Any)
        });
        let poll = keys.get("poll").and_then(|poll| self.poll(poll));
        let code = keys.get("code").and_then(|code| self.text(code, "`code`"));
        let on_fail =
            keys.get("on_fail").map_or_else(Routes::default, |node| self.routes(node, Cause::Engine));
        let probe = self.probe(keys, probe_name?)?;
        Some(Gate {
            id: id?,
            when,
            otherwise,
            probe,
            policy,
            poll,
            wake: Vec::new(),
            fresh: false,
            code,
            on_fail,
        })
    }

    fn one_probe(&mut self, keys: Keys<'_>) -> Option<&'static str> {
        let given: Vec<&str> = PROBES.into_iter().filter(|name| keys.entry(name).is_some()).collect();
        match given.as_slice() {
            [one] => PROBES.into_iter().find(|name| name == one),
            [] => {
                // A probe of a later version was reported as such.
                if !LATER_PROBES.iter().any(|name| keys.entry(name).is_some()) {
                    let span = self.first_line(keys.node.span.clone());
                    self.report(Code::Probes, span, "this gate has no probe").hint =
                        Some(format!("it has one of: {}", PROBES.join(", ")));
                }
                None
            }
            [first, second, ..] => {
                let span = keys.key_span(second);
                self.report(
                    Code::Probes,
                    span,
                    format!("a gate has one probe, not `{first}` and `{second}`"),
                )
                .hint = Some("make two gates of it; they run in order".to_owned());
                PROBES.into_iter().find(|name| name == first)
            }
        }
    }

    fn probe(&mut self, keys: Keys<'_>, name: &'static str) -> Option<Probe> {
        let node = keys.entry(name)?;
        let spec = match name {
            "expression" => {
                // With a policy of its own the evidence may have any type.
                let wants = if keys.get("policy").is_some() { Wants::Any } else { Wants::Bool };
                return self.expression(node, "`expression`", Place::Gate, wants).map(Probe::Expression);
            }
            "command" => return self.command(node, Place::Gate).map(Probe::Task),
            "file" => self.file_probe(node)?,
            "frontmatter" => self.frontmatter_probe(node)?,
            _ => self.diff_probe(node)?,
        };
        Some(Probe::Task(Task { kind: name.to_owned(), spec }))
    }

    fn file_probe(&mut self, node: &Node) -> Option<Template> {
        let keys = self.keys(node, &FILE)?;
        let mut spec = Map::new();
        let ways: Vec<&str> =
            ["exists", "all", "glob"].into_iter().filter(|way| keys.get(way).is_some()).collect();
        let [way] = ways.as_slice() else {
            let span = self.first_line(node.span.clone());
            self.report(Code::Combination, span, "the probe `file` has one of `exists`, `all` and `glob`")
                .hint = Some("write { exists: PATH }, { all: [PATH, …] } or { glob: PATTERN }".to_owned());
            return None;
        };
        let paths = keys.get(way)?;
        let mut fine = true;
        if *way == "all" {
            self.list(paths, "`all`");
            fine &= self.templates(paths, "`all`", Place::Gate).is_some();
        } else {
            fine &= self.text_template(paths, &format!("`{way}`"), Place::Gate).is_some();
        }
        spec.insert((*way).to_owned(), text_value(paths));
        if let Some(min) = keys.get("min") {
            if *way == "exists" {
                let span = keys.key_span("min");
                self.report(Code::Combination, span, "`min` counts the matches of `glob`");
            }
            spec.insert("min".into(), json!(self.number(min, "`min`")));
        }
        if let Some(place) = keys.get("in") {
            fine &= self.text_template(place, "`in`", Place::Gate).is_some();
            spec.insert("in".into(), text_value(place));
        }
        for format in ["json", "yaml"] {
            if let Some(flag) = keys.get(format) {
                spec.insert(format.into(), json!(self.bool(flag, &format!("`{format}`"))));
            }
        }
        if let Some(pattern) = keys.get("matches") {
            let pattern = self.pattern(pattern, "`matches`")?;
            spec.insert("matches".into(), Template::constant(&json!(pattern)).source().clone());
        }
        if fine { Template::parse(&Value::Object(spec)).ok() } else { None }
    }

    fn frontmatter_probe(&mut self, node: &Node) -> Option<Template> {
        let keys = self.keys(node, &FRONTMATTER)?;
        for (key, example) in
            [("file", "file: docs/plan.md"), ("fields", "fields: [status]"), ("pass", "pass: [READY]")]
        {
            if keys.get(key).is_none() {
                self.missing(node.span.clone(), "the probe `frontmatter`", key, example);
            }
        }
        let file = keys.get("file")?;
        let fine = self.text_template(file, "`file`", Place::Gate).is_some();
        let fields = self.texts(keys.get("fields")?, "`fields`");
        let pass = self.texts(keys.get("pass")?, "`pass`");
        let fail = keys.get("fail").map_or_else(Vec::new, |node| self.texts(node, "`fail`"));
        let words = [("exact", "exact"), ("word", "word"), ("substring", "substring")];
        let matching = match keys.get("match") {
            Some(node) => self.word(node, "`match`", &words, &[])?,
            None => "exact",
        };
        let mut from = vec!["worktree".to_owned().into()];
        if let Some(node) = keys.get("from") {
            self.templates(node, "`from`", Place::Gate)?;
            from = match &node.kind {
                Kind::List(items) => items.iter().map(text_value).collect(),
                _ => vec![text_value(node)],
            };
        }
        let literal = |texts: Vec<String>| Template::constant(&json!(texts)).source().clone();
        let spec = json!({
            "file": text_value(file), "fields": literal(fields), "pass": literal(pass), "fail": literal(fail),
            "match": matching, "from": Value::Array(from),
        });
        if fine { Template::parse(&spec).ok() } else { None }
    }

    fn diff_probe(&mut self, node: &Node) -> Option<Template> {
        let keys = self.keys(node, &DIFF)?;
        let mut spec = Map::new();
        for name in ["min_files", "max_files", "max_lines"] {
            if let Some(number) = keys.get(name) {
                spec.insert(name.into(), json!(self.number(number, &format!("`{name}`"))?));
            }
        }
        for name in ["allow", "deny"] {
            if let Some(globs) = keys.get(name) {
                self.templates(globs, &format!("`{name}`"), Place::Gate)?;
                let globs = match &globs.kind {
                    Kind::List(items) => items.iter().map(text_value).collect(),
                    _ => Value::Array(vec![text_value(globs)]),
                };
                spec.insert(name.into(), globs);
            }
        }
        if spec.is_empty() {
            let span = self.first_line(node.span.clone());
            self.report(Code::MissingKey, span, "the probe `diff` asks for nothing").hint =
                Some(format!("it has any of: {}", DIFF.keys.join(", ")));
            return None;
        }
        Template::parse(&Value::Object(spec)).ok()
    }

    fn poll(&mut self, node: &Node) -> Option<Poll> {
        let keys = self.keys(node, &POLL)?;
        let Some(every) = keys.get("every") else {
            self.missing(node.span.clone(), "`poll`", "every", "every: 30s");
            return None;
        };
        let every_span = every.span.clone();
        let every = self.span(every, "`every`")?;
        if every.0.is_zero() {
            self.report(Code::TooSmall, every_span, "`every` is more than nothing");
        }
        let max = keys.get("max").and_then(|max| self.number(max, "`max` of `poll`"));
        if max == Some(0) {
            let span = keys.get("max").map_or_else(|| node.span.clone(), |max| max.span.clone());
            self.report(Code::TooSmall, span, "`max` of `poll` is at least 1, not 0");
        }
        let span = keys.get("for").and_then(|span| self.span(span, "`for`"));
        if keys.get("max").is_none() && keys.get("for").is_none() {
            let place = self.first_line(node.span.clone());
            self.report(Code::Unbounded, place, "this poll would never end").hint =
                Some("add `max: 20` (probes) or `for: 30m`".to_owned());
        }
        let on_timeout =
            keys.get("on_timeout").map_or_else(Routes::default, |node| self.routes(node, Cause::Engine));
        Some(Poll { every, max, span, on_timeout })
    }
}

/// What a text field holds, without reading it as another type.
pub(super) fn text_value(node: &Node) -> Value {
    match &node.kind {
        Kind::List(items) => items.iter().map(text_value).collect(),
        _ => Value::String(node.text().unwrap_or_default().to_owned()),
    }
}
