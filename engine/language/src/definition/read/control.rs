//! Reads the resources of a run: settings, its key, slots, budgets, secrets.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::codes::Code;
use super::super::yaml::{Kind, YamlNode};
use super::super::{
    Budget, Concurrency, ConfigSource, Numbering, OnLimit, OnOver, OnTaken, Period, Release, RunKey, SKIPPED,
    SecretSource, Setting,
};
use super::reader::{PipelineReader, Shape};
use super::uses::{ExprPlace, Wants};
use crate::expr::Template;
use everfold_base::json::Value;

pub(super) const KEY: Shape = Shape { what: "`key`", keys: &["value", "release", "on_taken"] };

pub(super) const NUMBER: Shape = Shape { what: "`number`", keys: &["key"] };

pub(super) const CONCURRENCY: Shape =
    Shape { what: "`concurrency`", keys: &["key", "limit", "on_limit", "when"] };

pub(super) const BUDGET: Shape = Shape {
    what: "`budget`",
    keys: &["id", "scope", "per", "zone", "cost", "tokens", "wall", "reserve", "on_over", "carry", "remind"],
};

pub(super) const SECRET: Shape =
    Shape { what: "a secret", keys: &["env", "file", "command", "credential", "of", "else"] };

/// Reads a list of a construct, or a single one without a list.
fn one_or_list(node: &YamlNode) -> &[YamlNode] {
    match &node.kind {
        Kind::List(items) => items,
        _ => std::slice::from_ref(node),
    }
}

impl PipelineReader<'_> {
    /// Settings documents by name: paths, the last may be a map.
    pub(super) fn config(&mut self, node: &YamlNode) -> BTreeMap<String, Vec<ConfigSource>> {
        let Kind::Map(entries) = &node.kind else {
            self.wrong_type(node, "`config`", "a map from names to paths");
            return BTreeMap::new();
        };
        let mut config = BTreeMap::new();
        for (key, value) in entries {
            let name = self.name_of(key, "name of settings");
            let items = one_or_list(value);
            let mut sources = Vec::new();
            for (at, item) in items.iter().enumerate() {
                if matches!(item.kind, Kind::Map(_)) {
                    if at + 1 < items.len() {
                        let span = self.first_line(item.span.clone());
                        self.report(Code::Combination, span, "what stands after a map is never missing")
                            .hint =
                            Some("earlier ones win: the map with what holds otherwise comes last".to_owned());
                    }
                    sources.push(ConfigSource::Values(item.value()));
                } else if let Some(path) = self.text_template(item, "a path of `config`", ExprPlace::Config) {
                    self.note_settings_path(&name, item);
                    sources.push(ConfigSource::File(path));
                }
            }
            if items.is_empty() {
                self.report(Code::Value, value.span.clone(), "settings need at least one path or map").hint =
                    Some("write NAME: [PATH], or a map of values".to_owned());
            }
            if let Some(name) = name {
                config.insert(name, sources);
            }
        }
        config
    }

    /// Schemas of records in settings documents.
    pub(super) fn config_records(
        &mut self,
        node: &YamlNode,
        config: &BTreeMap<String, Vec<ConfigSource>>,
    ) -> BTreeMap<String, Value> {
        let Kind::Map(entries) = &node.kind else {
            self.wrong_type(node, "`config_records`", "a map from DOCUMENT.KEY to a schema");
            return BTreeMap::new();
        };
        let mut records = BTreeMap::new();
        for (key, value) in entries {
            let Some(path) = key.text() else { continue };
            let document = path.split('.').next().unwrap_or_default();
            if !config.contains_key(document) {
                let message = format!("there are no settings “{document}”");
                self.report(Code::UnknownName, key.span.clone(), message).hint =
                    Some(format!("declare them: config: {{ {document}: [PATH] }}"));
            } else if path.split('.').any(str::is_empty) {
                let message = format!("“{path}” is no place in a settings document");
                self.report(Code::Value, key.span.clone(), message).hint =
                    Some("write DOCUMENT, or DOCUMENT.KEY: team.projects".to_owned());
            } else if let Some(schema) = self.schema(value, "a schema of `config_records`") {
                records.insert(path.to_owned(), schema);
            }
        }
        if config.contains_key(SKIPPED) {
            let message = format!("`config.{SKIPPED}` lists the records that were left out");
            self.report(Code::DuplicateId, self.first_line(node.span.clone()), message).hint =
                Some("give that settings document another name".to_owned());
        }
        records
    }

    /// A name that expressions can follow with a dot.
    fn name_of(&mut self, node: &YamlNode, what: &str) -> Option<String> {
        let text = self.text(node, what)?;
        let fine = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.len() <= 64
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if !fine {
            self.report(Code::Value, node.span.clone(), format!("“{text}” is no {what}")).hint =
                Some("letters, digits, `_` and `-`, at most 64, a letter first".to_owned());
        }
        fine.then_some(text)
    }

    /// The run's identity.
    pub(super) fn run_key(&mut self, node: &YamlNode) -> Option<RunKey> {
        if node.text().is_some() {
            let value = self.naming_text(node, "`key`", "key: \"${input.issue}\"")?;
            return Some(RunKey { value, release: Release::default(), on_taken: OnTaken::default() });
        }
        let keys = self.keys(node, &KEY)?;
        let words = [("ended", Release::Ended), ("unsuccessful", Release::Unsuccessful)];
        let release = keys.get("release").and_then(|node| self.word(node, "`release`", &words));
        let words = [("return", OnTaken::Return), ("reject", OnTaken::Reject), ("replace", OnTaken::Replace)];
        let on_taken = keys.get("on_taken").and_then(|node| self.word(node, "`on_taken`", &words));
        let Some(value) = keys.get("value") else {
            self.missing(node, "`key`", "value", "value: \"${input.issue}\"");
            return None;
        };
        let value = self.naming_text(value, "`value` of `key`", "value: \"${input.issue}\"")?;
        Some(RunKey { value, release: release.unwrap_or_default(), on_taken: on_taken.unwrap_or_default() })
    }

    /// How the pipeline's runs are numbered: `true`, or a map with the key of the count.
    pub(super) fn numbering(&mut self, node: &YamlNode) -> Option<Numbering> {
        if node.text().is_some() {
            return self.bool(node, "`number`")?.then(Numbering::default);
        }
        let keys = self.keys(node, &NUMBER)?;
        let Some(key) = keys.get("key") else {
            self.missing(node, "`number`", "key", "key: \"${input.project}\", or number: true");
            return None;
        };
        let example = "key: \"${input.project}\", or number: true";
        let key = self.naming_text(key, "`key` of `number`", example)?;
        Some(Numbering { key: Some(key) })
    }

    /// A text by which a run, or what it shares with others, is known: an empty one would refuse every start.
    fn naming_text(&mut self, node: &YamlNode, what: &str, example: &str) -> Option<Template> {
        if node.text().is_some_and(|text| text.trim().is_empty()) && !node.is_null() {
            let message = format!("{what} is empty: every start would be refused");
            self.report(Code::Value, node.span.clone(), message).hint = Some(format!("write {example}"));
            return None;
        }
        self.text_template(node, what, ExprPlace::Start)
    }

    /// Slots that a run holds.
    pub(super) fn concurrency(&mut self, node: &YamlNode) -> Vec<Concurrency> {
        one_or_list(node).iter().filter_map(|item| self.slot(item)).collect()
    }

    fn slot(&mut self, node: &YamlNode) -> Option<Concurrency> {
        let keys = self.keys(node, &CONCURRENCY)?;
        let limit = keys.get("limit").map(|node| self.number_setting(node, "`limit`", 1, ExprPlace::Start));
        let words = [
            ("queue", OnLimit::Queue),
            ("reject", OnLimit::Reject),
            ("cancel-oldest", OnLimit::CancelOldest),
        ];
        let on_limit = keys.get("on_limit").and_then(|node| self.word(node, "`on_limit`", &words));
        let when =
            keys.get("when").and_then(|node| self.expression(node, "`when`", ExprPlace::Start, Wants::Bool));
        let Some(key) = keys.get("key") else {
            self.missing(node, "`concurrency`", "key", "key: \"${input.repo}\"");
            return None;
        };
        let key = self.text_template(key, "`key`", ExprPlace::Start)?;
        Some(Concurrency {
            key,
            limit: limit.unwrap_or(Some(Setting::Fixed(1)))?,
            on_limit: on_limit.unwrap_or_default(),
            when,
        })
    }

    /// Budgets, each with a name of its own.
    pub(super) fn budgets(&mut self, node: &YamlNode) -> Vec<Budget> {
        let mut budgets: Vec<Budget> = Vec::new();
        for item in one_or_list(node) {
            let Some((budget, span)) = self.budget(item) else { continue };
            if budgets.iter().any(|other| other.id == budget.id) {
                let message = format!("there is a budget “{}” already", budget.id);
                self.report(Code::DuplicateId, span, message).hint =
                    Some("give each an `id` of its own".to_owned());
            }
            budgets.push(budget);
        }
        budgets
    }

    fn budget(&mut self, node: &YamlNode) -> Option<(Budget, Range<usize>)> {
        let keys = self.keys(node, &BUDGET)?;
        let (id, span) = match keys.get("id") {
            Some(id) => (self.id(id, "budget id", true), id.span.clone()),
            None => (Some("budget".to_owned()), self.first_line(node.span.clone())),
        };
        let place = ExprPlace::Start;
        let scope = keys
            .get("scope")
            .and_then(|node| self.naming_text(node, "`scope` of a budget", "scope: \"${input.project}\""));
        let periods = [
            ("total", Period::Total),
            ("day", Period::Day),
            ("week", Period::Week),
            ("month", Period::Month),
        ];
        let per = keys.get("per").and_then(|node| self.word(node, "`per`", &periods)).unwrap_or_default();
        let zone = keys.get("zone").and_then(|node| self.zone(node));
        if keys.get("zone").is_some() && per == Period::Total {
            let span = keys.key_span("zone");
            self.report(Code::Combination, span, "`zone` says when a day, a week or a month begins").hint =
                Some("add `per: day`, `week` or `month`".to_owned());
        }
        let cost = keys.get("cost").and_then(|node| self.money_setting(node, "`cost`", place));
        let tokens = keys.get("tokens").and_then(|node| self.number_setting(node, "`tokens`", 0, place));
        let wall = keys.get("wall").and_then(|node| self.span_setting(node, "`wall`", place));
        let reserve = keys.get("reserve").and_then(|node| self.money_setting(node, "`reserve`", place));
        let limits = ["cost", "tokens", "wall"];
        let limits_nothing =
            limits.iter().all(|key| keys.get(key).is_none()) && !self.is_meant(node, &limits);
        if limits_nothing && keys.get("scope").is_none() {
            let first = self.first_line(node.span.clone());
            self.report(Code::MissingKey, first, "this budget limits nothing").hint =
                Some("it has `cost`, `tokens`, `wall`, or several of them; with a `scope` its counter may have them".to_owned());
        }
        if keys.get("reserve").is_some() && keys.get("cost").is_none() && keys.get("scope").is_none() {
            let span = keys.key_span("reserve");
            self.report(Code::Combination, span, "`reserve` is a part of `cost`; there is no `cost`").hint =
                Some("add `cost: 5.00 USD`, or take `reserve` out".to_owned());
        }
        let words = [("pause", OnOver::Pause), ("fail", OnOver::Fail), ("stop", OnOver::Stop)];
        let on_over = keys.get("on_over").and_then(|node| self.word(node, "`on_over`", &words));
        let on_over = on_over.unwrap_or_default();
        let carry = keys.get("carry").and_then(|node| self.bool(node, "`carry`")).unwrap_or_default();
        if carry && scope.is_some() {
            let span = keys.key_span("carry");
            self.report(
                Code::Combination,
                span,
                "a budget with `scope` counts over all runs, copies included",
            )
            .hint = Some("take `carry` or `scope` out".to_owned());
        }
        let remind = keys.get("remind").and_then(|node| self.fixed_reminders(node));
        Some((
            Budget { id: id?, scope, per, zone, cost, tokens, wall, reserve, on_over, carry, remind },
            span,
        ))
    }

    /// Where secrets come from, by name.
    pub(super) fn secrets(&mut self, node: &YamlNode) -> BTreeMap<String, SecretSource> {
        let Kind::Map(entries) = &node.kind else {
            self.wrong_type(node, "`secrets`", "a map from names to their sources");
            return BTreeMap::new();
        };
        let mut secrets = BTreeMap::new();
        for (key, value) in entries {
            let Some(name) = key.text() else { continue };
            // A process may get it as a variable.
            let fine = self.is_variable(name, key);
            if let Some(source) = self.secret(value)
                && fine
            {
                secrets.insert(name.to_owned(), source);
            }
        }
        secrets
    }

    pub(super) fn secret(&mut self, node: &YamlNode) -> Option<SecretSource> {
        if node.text().is_some() {
            self.wrong_type(node, "a secret", "a map that says where it comes from");
            if let Some(last) = self.problems.last_mut() {
                last.hint = Some(
                    "write { env: VARIABLE }, { file: PATH }, { command: [PROGRAM] } or { credential: NAME }"
                        .to_owned(),
                );
            }
            return None;
        }
        let keys = self.keys(node, &SECRET)?;
        if keys.get("of").is_some() || keys.get("else").is_some() {
            return self.role_sources(keys);
        }
        let given: Vec<&str> = SECRET.keys.iter().copied().filter(|key| keys.get(key).is_some()).collect();
        let [one] = given.as_slice() else {
            let span = self.first_line(node.span.clone());
            self.report(
                Code::Combination,
                span,
                "a secret comes from one of `env`, `file`, `command` and `credential`",
            )
            .hint = Some("keep one of them; for a source per role write `of`".to_owned());
            return None;
        };
        let source = keys.get(one)?;
        match *one {
            "env" => self.text(source, "`env`").map(SecretSource::Env),
            "file" => self.text(source, "`file`").map(SecretSource::File),
            "credential" => self.credential_name(source, "`credential`").map(SecretSource::Credential),
            _ => match &source.kind {
                Kind::List(items) if !items.is_empty() => {
                    Some(SecretSource::Command(self.texts(source, "`command`")))
                }
                Kind::Scalar { .. } => {
                    let shell = self.text(source, "`command`")?;
                    Some(SecretSource::Command(vec!["sh".into(), "-e".into(), "-c".into(), shell]))
                }
                _ => {
                    self.wrong_type(source, "`command`", "a shell string or a list of words");
                    None
                }
            },
        }
    }
}
