//! Fields with one value: texts, numbers, durations, words, expressions, templates.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::Value;

use super::super::codes::Code;
use super::super::similar::similar;
use super::super::source_map::SourceMap;
use super::super::yaml::{Kind, YamlNode};
use super::super::{Money, Setting, Span};
use super::reader::PipelineReader;
use super::renamed;
use super::uses::{ExprPlace, ExprUse, Wants};
use crate::expr::{Expr, ExprError, Template, TextPart, parts};
use everfold_base::duration::BadDuration;

impl PipelineReader<'_> {
    /// The place in the file of every byte of a node's text.
    pub(super) fn source_map(&self, node: &YamlNode) -> SourceMap {
        node.source_map(&self.source)
    }

    /// A text as written; numbers and bools count as their text.
    pub(super) fn text(&mut self, node: &YamlNode, what: &str) -> Option<String> {
        match (&node.kind, node.is_null()) {
            (Kind::Scalar { text, .. }, false) => Some(text.clone()),
            _ => {
                self.wrong_type(node, what, "a text");
                None
            }
        }
    }

    /// A text that matches `[a-z0-9][a-z0-9_-]{0,63}`; `upper` allows `A-Z`, too.
    pub(super) fn id(&mut self, node: &YamlNode, what: &str, upper: bool) -> Option<String> {
        let text = self.text(node, what)?;
        if is_id(&text, upper) {
            return Some(text);
        }
        let letters = if upper { "letters" } else { "lower-case letters" };
        let fixed = crate::expr::functions::slug_of(&text);
        let problem = self.report(Code::Value, node.span.clone(), format!("“{text}” is no {what}"));
        problem.hint = Some(format!(
            "{letters}, digits, `_` and `-`, at most 64, a letter or digit first{}",
            if fixed.is_empty() || fixed == text { String::new() } else { format!(": `{fixed}`") }
        ));
        None
    }

    pub(super) fn bool(&mut self, node: &YamlNode, what: &str) -> Option<bool> {
        if let Kind::Scalar { plain: true, .. } = &node.kind
            && let Value::Bool(flag) = node.value()
        {
            return Some(flag);
        }
        self.wrong_type(node, what, "true or false");
        if let (Some("yes" | "on" | "no" | "off"), Some(last)) = (node.text(), self.problems.last_mut()) {
            let word = matches!(node.text(), Some("yes" | "on"));
            last.hint = Some(format!("write {word}"));
        }
        None
    }

    /// A whole number, also `2_000_000`.
    fn whole<T: FromStr>(&self, node: &YamlNode) -> Option<T> {
        match &node.kind {
            Kind::Scalar { text, plain: true } => text.replace('_', "").parse().ok(),
            _ => None,
        }
    }

    /// A whole number from `least` on, or a text with `${…}`.
    pub(super) fn number_setting<T: FromStr + PartialOrd + std::fmt::Display>(
        &mut self,
        node: &YamlNode,
        what: &str,
        least: T,
        place: ExprPlace,
    ) -> Option<Setting<T>> {
        if node.text().is_some_and(|text| text.contains("${")) {
            return self.template(node, place).map(Setting::Computed);
        }
        match self.whole(node) {
            Some(number) if number >= least => Some(Setting::Fixed(number)),
            Some(number) => {
                self.report(
                    Code::TooSmall,
                    node.span.clone(),
                    format!("{what} is at least {least}, not {number}"),
                );
                None
            }
            None => {
                self.not_a_number(node, what, " or a text with `${…}`");
                None
            }
        }
    }

    /// A whole number from `least` on.
    pub(super) fn number<T: FromStr + PartialOrd + std::fmt::Display>(
        &mut self,
        node: &YamlNode,
        what: &str,
        least: T,
    ) -> Option<T> {
        match self.whole(node) {
            Some(number) if number >= least => Some(number),
            Some(number) => {
                let message = format!("{what} is at least {least}, not {number}");
                self.report(Code::TooSmall, node.span.clone(), message);
                None
            }
            None => {
                self.not_a_number(node, what, "");
                None
            }
        }
    }

    /// A whole number from `least` on, or one whole `${…}`, for the parameters of an executor.
    pub(super) fn number_value(
        &mut self,
        node: &YamlNode,
        what: &str,
        least: u32,
        place: ExprPlace,
    ) -> Option<Value> {
        match self.number_setting::<u32>(node, what, least, place)? {
            Setting::Fixed(number) => Some(number.into()),
            Setting::Computed(template) if is_whole(node) => Some(template.source().clone()),
            Setting::Computed(_) => {
                self.wrong_type(node, what, "a whole number or one whole `${…}`");
                None
            }
        }
    }

    /// An amount of money: `5.00 USD`.
    pub(super) fn money_setting(
        &mut self,
        node: &YamlNode,
        what: &str,
        place: ExprPlace,
    ) -> Option<Setting<Money>> {
        let text = self.text(node, what)?;
        if text.contains("${") {
            return self.text_template(node, what, place).map(Setting::Computed);
        }
        self.money(node, what).map(Setting::Fixed)
    }

    /// An amount of money without `${…}`.
    pub(super) fn money(&mut self, node: &YamlNode, what: &str) -> Option<Money> {
        let text = self.text(node, what)?;
        let money = Money::parse(&text);
        if money.is_none() {
            self.report(Code::Value, node.span.clone(), format!("“{text}” is no amount of money")).hint =
                Some("write 5.00 USD, with at most six decimal places".to_owned());
        }
        money
    }

    /// The name of a signal: letters, digits and `_ - .`.
    pub(super) fn signal_name(&mut self, node: &YamlNode) -> Option<String> {
        let text = self.text(node, "the name of a signal")?;
        if is_signal(&text) {
            return Some(text);
        }
        self.report(Code::Value, node.span.clone(), format!("“{text}” is no name of a signal")).hint =
            Some("letters, digits, `_`, `-` and `.`, at most 64, a letter or digit first".to_owned());
        None
    }

    /// A time zone by its name in the tz database.
    pub(super) fn zone(&mut self, node: &YamlNode) -> Option<String> {
        let text = self.text(node, "`zone`")?;
        let part = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphabetic())
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+'))
        };
        if text.split('/').all(part) && jiff::tz::TimeZone::get(&text).is_ok() {
            return Some(text);
        }
        let near = similar(
            &text,
            jiff::tz::db()
                .available()
                .map(|name| name.to_string())
                .collect::<Vec<_>>()
                .iter()
                .map(String::as_str),
        )
        .map(str::to_owned);
        let hint = near
            .map_or_else(|| "write Europe/Berlin, or UTC".to_owned(), |near| format!("did you mean {near}?"));
        self.report(Code::Value, node.span.clone(), format!("“{text}” is no time zone")).hint = Some(hint);
        None
    }

    /// Texts by name.
    pub(super) fn text_map(
        &mut self,
        node: &YamlNode,
        what: &str,
        place: ExprPlace,
    ) -> BTreeMap<String, Template> {
        let Kind::Map(entries) = &node.kind else {
            self.wrong_type(node, what, "a map");
            return BTreeMap::new();
        };
        let mut texts = BTreeMap::new();
        for (key, value) in entries {
            let Some(name) = key.text() else { continue };
            if let Some(template) = self.text_template(value, &format!("`{name}` of {what}"), place) {
                texts.insert(name.to_owned(), template);
            }
        }
        texts
    }

    fn not_a_number(&mut self, node: &YamlNode, what: &str, also: &str) {
        let Some(number) = self.whole::<i128>(node) else {
            return self.wrong_type(node, what, &format!("a whole number{also}"));
        };
        let code = if number < 0 { Code::TooSmall } else { Code::TooLarge };
        self.report(code, node.span.clone(), format!("{what} cannot be {number}"));
    }

    /// A duration like `5m`.
    pub(super) fn span(&mut self, node: &YamlNode, what: &str) -> Option<Span> {
        let text = self.text(node, what)?;
        match everfold_base::duration::parse(&text) {
            Ok(span) => Some(Span(span)),
            Err(BadDuration::TooLong(_)) => {
                self.report(
                    Code::Value,
                    node.span.clone(),
                    format!("“{text}” is longer than a duration may be"),
                )
                .hint = Some("write at most 3650d".to_owned());
                None
            }
            Err(BadDuration::NoSpan(_)) => {
                let hint = if text.chars().all(|c| c.is_ascii_digit()) && !text.is_empty() {
                    format!("a unit is missing: {text}s, {text}m, {text}h")
                } else {
                    "write a whole number and a unit: 250ms, 30s, 5m, 2h or 7d".to_owned()
                };
                self.report(Code::Value, node.span.clone(), format!("“{text}” is no duration")).hint =
                    Some(hint);
                None
            }
        }
    }

    pub(super) fn span_setting(
        &mut self,
        node: &YamlNode,
        what: &str,
        place: ExprPlace,
    ) -> Option<Setting<Span>> {
        if node.text().is_some_and(|text| text.contains("${")) {
            return self.template(node, place).map(Setting::Computed);
        }
        self.span(node, what).map(Setting::Fixed)
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&mut self, node: &YamlNode, what: &str, words: &[(&str, T)]) -> Option<T> {
        let Some(text) = node.text() else {
            self.wrong_type(node, what, "a word");
            return None;
        };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let hint = match (renamed::value(what, text), similar(text, names.iter().copied())) {
            (Some(instead), _) => instead.to_owned(),
            (None, Some(similar)) => format!("did you mean `{similar}`?"),
            (None, None) => format!("it is one of: {}", names.join(", ")),
        };
        self.report(Code::Value, node.span.clone(), format!("{what} cannot be “{text}”")).hint = Some(hint);
        None
    }

    /// A list of texts, or one text for a list of one.
    pub(super) fn texts(&mut self, node: &YamlNode, what: &str) -> Vec<String> {
        match &node.kind {
            Kind::Scalar { .. } => self.text(node, what).into_iter().collect(),
            _ => self.list(node, what).iter().filter_map(|item| self.text(item, what)).collect(),
        }
    }

    /// A list of texts with `${…}`, or one text.
    pub(super) fn templates(
        &mut self,
        node: &YamlNode,
        what: &str,
        place: ExprPlace,
    ) -> Option<Vec<Template>> {
        match &node.kind {
            Kind::List(items) => {
                let templates: Vec<_> =
                    items.iter().filter_map(|item| self.text_template(item, what, place)).collect();
                (templates.len() == items.len()).then_some(templates)
            }
            _ => self.text_template(node, what, place).map(|template| vec![template]),
        }
    }

    /// A bare expression.
    pub(super) fn expression(
        &mut self,
        node: &YamlNode,
        what: &str,
        place: ExprPlace,
        wants: Wants,
    ) -> Option<Expr> {
        let Some(text) = node.text().filter(|_| !node.is_null()) else {
            self.wrong_type(node, what, "an expression");
            return None;
        };
        if text.contains("${") {
            let bare = text.trim().strip_prefix("${").and_then(|inner| inner.strip_suffix('}'));
            let hint = match bare.filter(|bare| !bare.contains("${")) {
                Some(bare) => format!("write it bare: {bare}"),
                None => "names stand bare in it: run.id == 'x'".to_owned(),
            };
            self.report(
                Code::Expression,
                node.span.clone(),
                format!("{what} is an expression, not a text with `${{…}}`"),
            )
            .hint = Some(hint);
            return None;
        }
        let source_map = self.source_map(node);
        match Expr::parse(text) {
            Ok(expr) => {
                self.remember(expr.clone(), source_map, place, wants, false);
                Some(expr)
            }
            Err(error) => {
                self.bad_expression(&error, &source_map, false);
                None
            }
        }
    }

    pub(super) fn remember(
        &mut self,
        expr: Expr,
        source_map: SourceMap,
        place: ExprPlace,
        wants: Wants,
        shell: bool,
    ) {
        let (step, secrets) = (self.step, self.allows_secrets);
        let (guard, role) = (self.guard.clone(), self.role.clone());
        self.uses.push(ExprUse { expr, source_map, place, step, wants, shell, secrets, guard, role });
    }

    /// A text with `${…}`.
    pub(super) fn text_template(
        &mut self,
        node: &YamlNode,
        what: &str,
        place: ExprPlace,
    ) -> Option<Template> {
        if node.text().is_none() || node.is_null() {
            self.wrong_type(node, what, "a text");
            return None;
        }
        let text = node.text().unwrap_or_default();
        let fine = self.remember_parts(node, text, place, false);
        // The field decides the type: a text stays one, whatever it looks like.
        fine.then(|| Template::text(text).ok()).flatten()
    }

    /// Any value with `${…}` in its texts.
    pub(super) fn template(&mut self, node: &YamlNode, place: ExprPlace) -> Option<Template> {
        if !self.remember_tree(node, place) {
            return None;
        }
        match Template::parse(&node.value()) {
            Ok(template) => Some(template),
            Err(error) => {
                self.report(Code::Expression, node.span.clone(), error.message);
                None
            }
        }
    }

    fn remember_tree(&mut self, node: &YamlNode, place: ExprPlace) -> bool {
        match &node.kind {
            Kind::Scalar { text, .. } => self.remember_parts(node, text, place, false),
            Kind::List(items) => self.remember_all(items.iter(), place),
            Kind::Map(entries) => self.remember_all(entries.iter().map(|(_, value)| value), place),
            Kind::Bad => false,
        }
    }

    /// Reads every node, also after one with a problem, so that all problems are reported.
    fn remember_all<'n>(&mut self, nodes: impl Iterator<Item = &'n YamlNode>, place: ExprPlace) -> bool {
        let wrong = nodes.filter(|node| !self.remember_tree(node, place)).count();
        wrong == 0
    }

    /// Remembers the expressions in a text for the checks; `false` where one does not compile.
    pub(super) fn remember_parts(
        &mut self,
        node: &YamlNode,
        text: &str,
        place: ExprPlace,
        shell: bool,
    ) -> bool {
        if !text.contains("${") {
            return true;
        }
        let source_map = self.source_map(node);
        self.remember_text(text, &source_map, place, shell)
    }

    /// The same for a text whose place is known.
    pub(super) fn remember_text(
        &mut self,
        text: &str,
        source_map: &SourceMap,
        place: ExprPlace,
        shell: bool,
    ) -> bool {
        match parts(text) {
            Ok(parts) => {
                for part in parts {
                    if let TextPart::Expr { expr, place: range } = part {
                        self.remember(expr, source_map.slice(range), place, Wants::Any, shell);
                    }
                }
                true
            }
            Err(error) => {
                let at = error.offset.min(text.len());
                let start = text[..at].rfind("${").unwrap_or(at);
                let shell = shell && super::reader::shell_like(&text[start..]);
                let rest = source_map.slice(at..text.len());
                self.bad_expression(&ExprError { offset: 0, ..error }, &rest, shell);
                false
            }
        }
    }

    /// A constant JSON Schema.
    pub(super) fn schema(&mut self, node: &YamlNode, what: &str) -> Option<Value> {
        if !matches!(node.kind, Kind::Map(_)) && !matches!(node.value(), Value::Bool(_)) {
            self.wrong_type(node, what, "a JSON Schema");
            return None;
        }
        let value = node.value();
        let problems = super::super::input::check_schema(&value);
        for (pointer, message) in &problems {
            let span = self.first_line(node.at_pointer(pointer).span.clone());
            self.report(Code::Schema, span, format!("{what}: {message}"));
        }
        if problems.is_empty() {
            for (pointer, message) in super::super::input::check_defaults(&value) {
                let span = self.first_line(node.at_pointer(&pointer).span.clone());
                let message = format!("{what}: a default does not fit its own schema: {message}");
                self.report(Code::Schema, span, message).hint = Some(
                    "a run that leaves the value out would be refused: correct the default or the schema"
                        .to_owned(),
                );
            }
        }
        problems.is_empty().then_some(value)
    }

    /// A pattern that runs in linear time.
    pub(super) fn pattern(&mut self, node: &YamlNode, what: &str) -> Option<String> {
        let text = self.text(node, what)?;
        match crate::expr::patterns::compile_pattern(&text) {
            Ok(_) => Some(text),
            Err(error) => {
                self.report(Code::Pattern, node.span.clone(), format!("{what}: {error}"));
                None
            }
        }
    }
}

/// Whether a text is one whole `${…}`, so that its value keeps its type.
pub(super) fn is_whole(node: &YamlNode) -> bool {
    node.text().is_some_and(|text| matches!(parts(text).as_deref(), Ok([TextPart::Expr { .. }])))
}

/// Whether a text can be the name of a signal.
fn is_signal(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

pub(in super::super) fn is_id(text: &str, upper: bool) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || (upper && c.is_ascii_uppercase());
    text.len() <= 64 && text.starts_with(letter) && text.chars().all(|c| letter(c) || c == '_' || c == '-')
}
