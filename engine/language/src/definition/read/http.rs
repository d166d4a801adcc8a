//! Requests to services, as work and as probes.

use serde_json::{Map, Value, json};

use super::super::ExecutorTask;
use super::super::codes::Code;
use super::super::yaml::{Kind, YamlNode};
use super::probe::text_value;
use super::reader::{PipelineReader, Shape};
use super::uses::ExprPlace;
use crate::definition::codes::Severity;
use crate::expr::Template;

pub(super) const SHAPE: Shape =
    Shape { what: "`http`", keys: &["method", "url", "headers", "body", "expect", "json"] };

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

impl PipelineReader<'_> {
    /// A URL, or a map. In the spec `method` and `expect` always stand there.
    pub(super) fn http(&mut self, node: &YamlNode, place: ExprPlace) -> Option<ExecutorTask> {
        let mut spec = Map::new();
        let before = self.problems.len();
        let mut method = "GET";
        if node.text().is_some() {
            self.url(node, place);
            spec.insert("url".into(), text_value(node));
        } else {
            let keys = self.keys(node, &SHAPE)?;
            match keys.get("url") {
                Some(url) => {
                    self.url(url, place);
                    spec.insert("url".into(), text_value(url));
                }
                None => self.missing(node, "`http`", "url", "url: https://example.org/health"),
            }
            if let Some(headers) = keys.get("headers") {
                self.headers(headers);
                let texts = self.with_secrets(|reader| reader.text_map(headers, "`headers`", place));
                let texts = texts.into_iter().map(|(name, text)| (name, text.source().clone()));
                spec.insert("headers".into(), Value::Object(texts.collect()));
            }
            if let Some(body) = keys.get("body")
                && let Some(body) = self.template(body, place)
            {
                spec.insert("body".into(), body.source().clone());
                method = "POST";
            }
            if let Some(node) = keys.get("method") {
                method = self.method(node, place).unwrap_or(method);
            }
            if let Some(expect) = keys.get("expect") {
                let expected = self.expected(expect, place);
                spec.insert("expect".into(), expected);
            }
            if let Some(flag) = keys.get("json") {
                spec.insert("json".into(), json!(self.bool(flag, "`json`")));
            }
        }
        spec.insert("method".into(), json!(method));
        spec.entry("expect").or_insert_with(|| json!(["2xx"]));
        let wrong = self.problems[before..].iter().any(|problem| problem.severity == Severity::Error);
        if wrong {
            return None;
        }
        Some(ExecutorTask {
            kind: ExecutorTask::HTTP.to_owned(),
            spec: Template::parse(&Value::Object(spec)).ok()?,
        })
    }

    /// Reports names that no header can have, and written values that none can.
    fn headers(&mut self, node: &YamlNode) {
        let Kind::Map(entries) = &node.kind else { return };
        for (key, value) in entries {
            let name = key.text().unwrap_or_default();
            let is_name = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            if name.is_empty() || !name.chars().all(is_name) {
                self.report(Code::Value, key.span.clone(), format!("“{name}” is no name of a header")).hint =
                    Some("letters, digits and `-`, without spaces and colons: X-Team".to_owned());
            }
            let text = value.text().filter(|text| !text.contains("${")).unwrap_or_default();
            if text.contains(|c: char| c.is_ascii_control() && c != '\t') {
                let span = self.first_line(value.span.clone());
                let message = format!("the value of header {name} holds a line break or the like");
                self.report(Code::Value, span, message).hint = Some(
                    "write it in one line; a block that begins with `|` or `>` ends with a line break"
                        .to_owned(),
                );
            }
        }
    }

    fn method(&mut self, node: &YamlNode, _place: ExprPlace) -> Option<&'static str> {
        let upper = node.text().map(str::to_ascii_uppercase);
        if let Some(known) = METHODS.into_iter().find(|method| Some(*method) == upper.as_deref()) {
            return Some(known);
        }
        let words = METHODS.map(|method| (method, method));
        self.word(node, "`method`", &words)
    }

    fn url(&mut self, node: &YamlNode, place: ExprPlace) {
        if self.text_template(node, "`url`", place).is_none() {
            return;
        }
        let text = node.text().unwrap_or_default();
        if !text.starts_with("${") && !text.starts_with("http://") && !text.starts_with("https://") {
            self.report(Code::Value, node.span.clone(), format!("“{text}” is no address of a service"))
                .hint = Some("it begins with https:// or http://".to_owned());
        }
    }

    /// Statuses that are expected, always as a list: `200`, `2xx`.
    fn expected(&mut self, node: &YamlNode, place: ExprPlace) -> Value {
        let items = match &node.kind {
            Kind::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        if items.is_empty() {
            self.report(Code::Value, node.span.clone(), "`expect` has at least one status").hint =
                Some("write expect: [200], or [2xx]".to_owned());
        }
        let mut expected = Vec::new();
        for item in items {
            let Some(text) = self.text(item, "`expect`") else { continue };
            let class =
                text.strip_suffix("xx").is_some_and(|class| matches!(class, "1" | "2" | "3" | "4" | "5"));
            match text.parse::<u16>() {
                Ok(status) if (100..600).contains(&status) => expected.push(json!(status)),
                _ if class => expected.push(json!(text)),
                _ if super::scalar::is_whole(item) => {
                    self.text_template(item, "`expect`", place);
                    expected.push(json!(text));
                }
                _ => {
                    self.report(Code::Value, item.span.clone(), format!("“{text}” is no status")).hint =
                        Some("write 200, 2xx, or a list: [200, 404]".to_owned());
                }
            }
        }
        Value::Array(expected)
    }
}
