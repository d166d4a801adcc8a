//! Probes that collect evidence: files, front matter, tests, changes, services, runs, settings.

use serde_json::{Map, Value, json};

use super::super::codes::Code;
use super::super::yaml::{Kind, YamlNode};
use super::reader::{PipelineReader, Shape};
use super::uses::{ExprPlace, Wants};
use crate::expr::{Expr, Template};

pub(super) const FILE: Shape = Shape {
    what: "the probe `file`",
    keys: &["exists", "all", "glob", "min", "in", "json", "yaml", "matches"],
};

pub(super) const FRONTMATTER: Shape = Shape {
    what: "the probe `frontmatter`",
    keys: &["file", "fields", "pass", "fail", "match", "from", "fetch", "text"],
};

pub(super) const TESTS: Shape = Shape { what: "the probe `tests`", keys: &["files"] };

/// `since` of a `diff`: this round of the step, not the commit of another one.
const SINCE_ROUND: &str = "round";

/// `since` of a `diff`: what the step changed since its gates last passed, in rounds that were refused, too.
const SINCE_PASSED: &str = "passed";

pub(super) const DIFF: Shape = Shape {
    what: "the probe `diff`",
    keys: &["min_files", "max_files", "max_lines", "allow", "deny", "since", "merged"],
};

pub(super) const CI: Shape =
    Shape { what: "the probe `ci`", keys: &["provider", "repository", "sha", "pr", "none"] };

pub(super) const MERGEABLE: Shape =
    Shape { what: "the probe `mergeable`", keys: &["provider", "repository", "pr"] };

pub(super) const RUNS: Shape = Shape { what: "the probe `runs`", keys: &["labels", "status", "max_age"] };

pub(super) const CONFIG: Shape = Shape { what: "the probe `config`", keys: &["path"] };

/// The statuses of runs.
const STATUSES: [&str; 9] =
    ["queued", "running", "waiting", "paused", "blocked", "stopping", "succeeded", "failed", "cancelled"];

impl PipelineReader<'_> {
    pub(super) fn file_probe(&mut self, node: &YamlNode) -> Option<Template> {
        if node.text().is_some() {
            self.text_template(node, "`file`", ExprPlace::Gate)?;
            self.inner_path(node, "`file`");
            return Template::parse(&json!({ "exists": text_value(node) })).ok();
        }
        let keys = self.keys(node, &FILE)?;
        let mut spec = Map::new();
        let known = ["exists", "all", "glob"];
        let ways: Vec<&str> = known.into_iter().filter(|way| keys.get(way).is_some()).collect();
        let [way] = ways.as_slice() else {
            if ways.len() > 1 || !self.is_meant(node, &known) {
                let span = self.first_line(node.span.clone());
                self.report(
                    Code::Combination,
                    span,
                    "the probe `file` has one of `exists`, `all` and `glob`",
                )
                .hint = Some("write { exists: PATH }, { all: [PATH, …] } or { glob: PATTERN }".to_owned());
            }
            return None;
        };
        let paths = keys.get(way)?;
        let mut fine = true;
        if *way == "all" {
            let items = self.list(paths, "`all`");
            if matches!(&paths.kind, Kind::List(items) if items.is_empty()) {
                self.report(Code::Value, paths.span.clone(), "`all` of `file` has at least one path").hint =
                    Some("write all: [docs/plan.md, docs/tests.md]".to_owned());
            }
            items.iter().filter(|_| keys.get("in").is_none()).for_each(|it| self.inner_path(it, "a path"));
            fine &= self.templates(paths, "`all`", ExprPlace::Gate).is_some();
        } else {
            fine &= self.text_template(paths, &format!("`{way}`"), ExprPlace::Gate).is_some();
            if *way == "exists" && keys.get("in").is_none() {
                self.inner_path(paths, "`exists`");
            }
        }
        spec.insert((*way).to_owned(), text_value(paths));
        if let Some(min) = keys.get("min") {
            if *way != "glob" {
                let span = keys.key_span("min");
                let code = if *way == "all" { Code::NoEffect } else { Code::Combination };
                self.report(code, span, "`min` counts the matches of `glob`").hint =
                    Some("write glob: \"docs/*.md\" beside it, or take `min` out".to_owned());
            }
            spec.insert("min".into(), self.number_value(min, "`min`", 0, ExprPlace::Gate)?);
        }
        if let Some(place) = keys.get("in") {
            fine &= self.text_template(place, "`in`", ExprPlace::Gate).is_some();
            self.inner_path(place, "`in`");
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

    pub(super) fn frontmatter_probe(&mut self, node: &YamlNode) -> Option<Template> {
        let keys = self.keys(node, &FRONTMATTER)?;
        for (key, example) in
            [("file", "file: docs/plan.md"), ("fields", "fields: [status]"), ("pass", "pass: [READY]")]
        {
            if keys.get(key).is_none() {
                self.missing(node, "the probe `frontmatter`", key, example);
            }
        }
        let file = keys.get("file")?;
        let fine = self.text_template(file, "`file`", ExprPlace::Gate).is_some();
        self.inner_path(file, "`file`");
        let fields = self.texts(keys.get("fields")?, "`fields`");
        let pass = self.texts(keys.get("pass")?, "`pass`");
        let fail = keys.get("fail").map_or_else(Vec::new, |node| self.texts(node, "`fail`"));
        let words = [("exact", "exact"), ("word", "word"), ("substring", "substring")];
        let matching = match keys.get("match") {
            Some(node) => self.word(node, "`match`", &words)?,
            None => "exact",
        };
        let mut from = vec!["worktree".to_owned().into()];
        if let Some(node) = keys.get("from") {
            self.templates(node, "`from`", ExprPlace::Gate)?;
            from = match &node.kind {
                Kind::List(items) => items.iter().map(text_value).collect(),
                _ => vec![text_value(node)],
            };
        }
        let literal = |texts: Vec<String>| Template::constant(&json!(texts)).source().clone();
        let mut spec = json!({
            "file": text_value(file), "fields": literal(fields), "pass": literal(pass), "fail": literal(fail),
            "match": matching, "from": Value::Array(from),
        });
        for name in ["fetch", "text"] {
            // A flag that is false stays out, so that it changes no hash.
            if let Some(flag) = keys.get(name)
                && self.bool(flag, &format!("`{name}`"))?
            {
                spec[name] = true.into();
            }
        }
        if let Some(flag) = keys.get("fetch").filter(|_| keys.get("from").is_none()) {
            self.report(Code::NoEffect, flag.span.clone(), "`fetch` fetches the branches of `from`").hint =
                Some("add from: [worktree, origin/main]".to_owned());
        }
        if fine { Template::parse(&spec).ok() } else { None }
    }

    pub(super) fn diff_probe(&mut self, node: &YamlNode) -> Option<Template> {
        let keys = self.keys(node, &DIFF)?;
        let mut spec = Map::new();
        for name in ["min_files", "max_files", "max_lines"] {
            if let Some(number) = keys.get(name) {
                spec.insert(
                    name.into(),
                    self.number_value(number, &format!("`{name}`"), 0, ExprPlace::Gate)?,
                );
            }
        }
        for name in ["allow", "deny"] {
            if let Some(globs) = keys.get(name) {
                self.templates(globs, &format!("`{name}`"), ExprPlace::Gate)?;
                let globs = match &globs.kind {
                    Kind::List(items) => items.iter().map(text_value).collect(),
                    _ => Value::Array(vec![text_value(globs)]),
                };
                spec.insert(name.into(), globs);
            }
        }
        if spec.is_empty() {
            if !self.is_meant(node, DIFF.keys) {
                let span = self.first_line(node.span.clone());
                self.report(Code::MissingKey, span, "the probe `diff` asks for nothing").hint =
                    Some(format!("it has any of: {}", DIFF.keys[..DIFF.keys.len() - 2].join(", ")));
            }
            return None;
        }
        if let Some(since) = keys.get("since") {
            let name = self.id(since, "step id", false)?;
            // The commit at which the round began is known where the gate is judged.
            if name != SINCE_ROUND && name != SINCE_PASSED {
                let commit = format!("steps['{name}'].commit");
                let source_map = self.source_map(since);
                self.remember(Expr::parse(&commit).ok()?, source_map, ExprPlace::Gate, Wants::Any, false);
                spec.insert("base".into(), json!(format!("${{{commit}}}")));
            }
            spec.insert("since".into(), json!(name));
        }
        if let Some(merged) = keys.get("merged") {
            self.template(merged, ExprPlace::Gate)?;
            spec.insert("merged".into(), text_value(merged));
        }
        Template::parse(&Value::Object(spec)).ok()
    }

    /// Patterns of JUnit reports.
    pub(super) fn tests_probe(&mut self, node: &YamlNode) -> Option<Template> {
        let files = if matches!(node.kind, Kind::Map(_)) {
            let keys = self.keys(node, &TESTS)?;
            let Some(files) = keys.get("files") else {
                let example = "files: [\"target/junit/*.xml\"]";
                self.missing(node, "the probe `tests`", "files", example);
                return None;
            };
            files
        } else {
            node
        };
        self.templates(files, "`files`", ExprPlace::Gate)?;
        if matches!(&files.kind, Kind::List(items) if items.is_empty()) {
            self.report(Code::Value, files.span.clone(), "`tests` needs at least one report").hint =
                Some("write tests: \"build/**/*.xml\"".to_owned());
            return None;
        }
        Template::parse(&json!({ "files": list_value(files) })).ok()
    }

    pub(super) fn ci_probe(&mut self, node: &YamlNode) -> Option<Template> {
        let keys = self.keys(node, &CI)?;
        let mut spec = Map::new();
        let provider = keys.get("provider");
        if provider.is_none() {
            self.missing(node, "the probe `ci`", "provider", "provider: gitea");
        }
        let mut fine = true;
        for key in ["provider", "repository", "sha", "pr"] {
            let Some(value) = keys.get(key) else { continue };
            fine &= self.text_template(value, &format!("`{key}`"), ExprPlace::Gate).is_some();
            spec.insert(key.into(), text_value(value));
        }
        if keys.get("sha").is_some() == keys.get("pr").is_some() {
            let span = self.first_line(node.span.clone());
            self.report(Code::Combination, span, "the probe `ci` has one of `sha` and `pr`").hint =
                Some("write sha: \"${workspace.commit}\", or the number of a pull request".to_owned());
            fine = false;
        }
        let words = [("pending", "pending"), ("pass", "pass"), ("fail", "fail")];
        let none = match keys.get("none") {
            Some(node) => self.word(node, "`none`", &words)?,
            None => "pending",
        };
        spec.insert("none".into(), json!(none));
        if fine && provider.is_some() { Template::parse(&Value::Object(spec)).ok() } else { None }
    }

    pub(super) fn mergeable_probe(&mut self, node: &YamlNode) -> Option<Template> {
        let keys = self.keys(node, &MERGEABLE)?;
        let mut spec = Map::new();
        let mut fine = true;
        for (key, example) in [("provider", "provider: gitea"), ("pr", "pr: its number")] {
            match keys.get(key) {
                Some(value) => {
                    fine &= self.text_template(value, &format!("`{key}`"), ExprPlace::Gate).is_some();
                    spec.insert(key.into(), text_value(value));
                }
                None => {
                    self.missing(node, "the probe `mergeable`", key, example);
                    fine = false;
                }
            }
        }
        if let Some(repository) = keys.get("repository") {
            fine &= self.text_template(repository, "`repository`", ExprPlace::Gate).is_some();
            spec.insert("repository".into(), text_value(repository));
        }
        if fine { Template::parse(&Value::Object(spec)).ok() } else { None }
    }

    pub(super) fn runs_probe(&mut self, node: &YamlNode) -> Option<Template> {
        let keys = self.keys(node, &RUNS)?;
        let mut spec = Map::new();
        let before = self.problems.len();
        if let Some(labels) = keys.get("labels") {
            spec.insert("labels".into(), Value::Object(self.asked_labels(labels)));
        }
        if let Some(status) = keys.get("status") {
            let words: Vec<(&str, &str)> = STATUSES.into_iter().map(|status| (status, status)).collect();
            let items = match &status.kind {
                Kind::List(items) => items.as_slice(),
                _ => std::slice::from_ref(status),
            };
            let read = items.iter().filter_map(|item| self.word(item, "`status`", &words));
            let read: Vec<&str> = read.collect();
            spec.insert("status".into(), json!(read));
        }
        if let Some(age) = keys.get("max_age") {
            let fine = match age.text().is_some_and(|text| text.contains("${")) {
                true => self.text_template(age, "`max_age`", ExprPlace::Gate).is_some(),
                false => self.span(age, "`max_age`").is_some(),
            };
            if fine {
                spec.insert("max_age".into(), text_value(age));
            }
        }
        if spec.is_empty() && !self.is_meant(node, RUNS.keys) {
            let span = self.first_line(node.span.clone());
            self.report(Code::MissingKey, span, "the probe `runs` asks for nothing").hint =
                Some("it has `labels`, `status`, `max_age`, or several of them".to_owned());
        }
        if self.problems.len() > before { None } else { Template::parse(&Value::Object(spec)).ok() }
    }

    /// Labels of other runs: each with a value, or with a list of values of which any fits.
    fn asked_labels(&mut self, node: &YamlNode) -> Map<String, Value> {
        let Kind::Map(entries) = &node.kind else {
            self.wrong_type(node, "`labels`", "a map");
            return Map::new();
        };
        let mut labels = Map::new();
        for (key, value) in entries {
            let Some(name) = key.text() else { continue };
            let what = format!("`{name}` of `labels`");
            let fine = match &value.kind {
                Kind::List(_) => self.templates(value, &what, ExprPlace::Gate).is_some(),
                _one => self.text_template(value, &what, ExprPlace::Gate).is_some(),
            };
            if fine {
                labels.insert(name.to_owned(), text_value(value));
            }
        }
        labels
    }

    pub(super) fn config_probe(&mut self, node: &YamlNode) -> Option<Template> {
        let path = if matches!(node.kind, Kind::Map(_)) {
            let keys = self.keys(node, &CONFIG)?;
            let Some(path) = keys.get("path") else {
                self.missing(node, "the probe `config`", "path", "path: team.merging");
                return None;
            };
            path
        } else {
            node
        };
        self.text_template(path, "`path`", ExprPlace::Gate)?;
        Template::parse(&json!({ "path": text_value(path) })).ok()
    }
}

/// What a text field holds, as a list.
pub(super) fn list_value(node: &YamlNode) -> Value {
    match text_value(node) {
        Value::Array(items) => Value::Array(items),
        one => Value::Array(vec![one]),
    }
}

/// What a text field holds, without reading it as another type.
pub(super) fn text_value(node: &YamlNode) -> Value {
    match &node.kind {
        Kind::List(items) => items.iter().map(text_value).collect(),
        _ => Value::String(node.text().unwrap_or_default().to_owned()),
    }
}
