//! Kinds of work: command, function, child run; the others have files of their own.

use serde_json::{Value, json};

use super::super::codes::Code;
use super::super::yaml::{Kind, YamlNode};
use super::super::{ExecutorTask, Work, shell};
use super::probe::text_value;
use super::reader::{Keys, PipelineReader, Section, Shape};
use super::uses::ExprPlace;
use crate::definition::codes::Severity;
use crate::definition::pipeline_ref::PipelineRef;
use crate::expr::Template;

/// Every kind of work, by its key.
pub(in crate::definition) const WORKS: [&str; 9] =
    ["command", "agent", "function", "http", "run", "signal", "approval", "question", "wait"];

pub(super) const RUN: Shape =
    Shape { what: "`run`", keys: &["pipeline", "input", "labels", "wait", "on_parent_cancel"] };

impl PipelineReader<'_> {
    /// The work of a step; reports two works, and neither work nor gate.
    pub(super) fn work(&mut self, keys: Keys<'_>) -> Option<Work> {
        let given: Vec<&str> = WORKS.into_iter().filter(|kind| keys.entry(kind).is_some()).collect();
        if let [first, second, ..] = given.as_slice() {
            let span = keys.key_span(second);
            self.report(
                Code::TwoWorks,
                span,
                format!("a step has one kind of work, not `{first}` and `{second}`"),
            )
            .hint = Some("make two steps of it".to_owned());
        }
        if keys.get("with").is_some() && !given.contains(&"function") {
            let span = keys.key_span("with");
            self.report(Code::Combination, span, "`with` belongs to `function`").hint = given
                .contains(&"agent")
                .then(|| "an agent has it inside: agent: { …, with: {…} }".to_owned());
        }
        let Some(kind) = given.first() else {
            let is_empty = |gates: &YamlNode| matches!(&gates.kind, Kind::List(gates) if gates.is_empty());
            let is_meant = self.is_meant(keys.node, &WORKS) || self.is_meant(keys.node, &["gates"]);
            if keys.get("gates").is_none_or(is_empty) && !is_meant {
                let span = self.first_line(keys.node.span.clone());
                self.report(Code::Empty, span, "this step has neither work nor gate").hint =
                    Some(format!("it has one of {}, or `gates`", WORKS.join(", ")));
            }
            return None;
        };
        let node = keys.entry(kind)?;
        if node.is_null() {
            self.report(Code::Type, keys.key_span(kind), format!("`{kind}` has no value")).hint =
                Some("write what is to be done behind it".to_owned());
            return None;
        }
        if self.section == Section::OnFinish && matches!(*kind, "approval" | "question") {
            self.no_person(keys.key_span(kind), &format!("`{kind}`"));
        }
        match *kind {
            "command" => self.command(node, ExprPlace::Work).map(Work::Task),
            "agent" => self.agent(node).map(Work::Task),
            "function" => self.function(node, keys, ExprPlace::Work).map(Work::Task),
            "http" => self.http(node, ExprPlace::Work).map(Work::Task),
            "run" => self.child(node).map(Work::Task),
            "signal" => self.signal_work(node).map(Work::Task),
            "approval" => self.approval(node).map(Work::Approval),
            "question" => self.question(node).map(Work::Question),
            _ => self.wait(node).map(Work::Wait),
        }
    }

    /// A shell string, or the words of a command.
    pub(super) fn command(&mut self, node: &YamlNode, place: ExprPlace) -> Option<ExecutorTask> {
        let words =
            if let Kind::List(items) = &node.kind { items.as_slice() } else { std::slice::from_ref(node) };
        if let Some(word) = words.iter().find(|word| word.text().is_some_and(|text| text.contains('\0'))) {
            self.report(
                Code::Value,
                word.span.clone(),
                "the command holds a zero byte, which no argument can",
            )
            .hint = Some("have the program read such bytes from a file".to_owned());
            return None;
        }
        let spec = match &node.kind {
            Kind::List(items) => {
                if items.is_empty() {
                    self.report(
                        Code::Value,
                        node.span.clone(),
                        "a command has at least the program's name",
                    )
                    .hint = Some("write [make, test]".to_owned());
                    return None;
                }
                if let Some(program) = items.first().filter(|item| item.text() == Some("")) {
                    self.report(Code::Value, program.span.clone(), "the command names no program").hint =
                        Some("its first word is the program: [make, test]".to_owned());
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
        Some(ExecutorTask { kind: "command".to_owned(), spec })
    }

    fn shell(&mut self, node: &YamlNode, place: ExprPlace) -> Option<Template> {
        let text = self.text(node, "`command`")?;
        if text.trim().is_empty() {
            self.report(Code::Value, node.span.clone(), "the command is empty").hint =
                Some("write what the shell is to run: make test".to_owned());
            return None;
        }
        if !self.remember_parts(node, &text, place, true) {
            return None;
        }
        let script = match shell::compile(&text) {
            Ok(script) => script,
            Err(errors) => {
                let source_map = self.source_map(node);
                for error in errors {
                    let problem = source_map.problem(error.code, error.place, error.message);
                    self.problems.push(problem.hint(error.hint));
                }
                return None;
            }
        };
        Template::parse(&json!({ "shell": script.text, "vars": script.vars })).ok()
    }

    /// A function's name, with the parameters that stand beside it.
    pub(super) fn function(
        &mut self,
        node: &YamlNode,
        keys: Keys<'_>,
        place: ExprPlace,
    ) -> Option<ExecutorTask> {
        let name = self.function_name(node);
        let with = match keys.get("with") {
            Some(with) => self.parameters(with, place)?.source().clone(),
            None => json!({}),
        };
        let spec = Template::parse(&json!({ "name": name?, "with": with })).ok()?;
        Some(ExecutorTask { kind: "function".to_owned(), spec })
    }

    pub(super) fn function_name(&mut self, node: &YamlNode) -> Option<String> {
        let name = self.text(node, "`function`")?;
        let word = |part: &str| super::scalar::is_id(part, false);
        if name.split('.').all(word) {
            return Some(name);
        }
        self.report(Code::Value, node.span.clone(), format!("“{name}” is no name of a function")).hint =
            Some("lower-case words joined by dots: git.merge".to_owned());
        None
    }

    /// A function's parameters: a map that may hold secrets.
    pub(super) fn parameters(&mut self, node: &YamlNode, place: ExprPlace) -> Option<Template> {
        if !matches!(node.kind, Kind::Map(_)) {
            self.wrong_type(node, "`with`", "a map");
            return None;
        }
        self.with_secrets(|reader| reader.template(node, place))
    }

    /// A child run: a pipeline's name, or a map.
    fn child(&mut self, node: &YamlNode) -> Option<ExecutorTask> {
        let mut spec = json!({ "wait": true, "on_parent_cancel": "cancel" });
        let before = self.problems.len();
        if node.text().is_some() {
            self.text_template(node, "`run`", ExprPlace::Work)?;
            self.child_name(node);
            spec["pipeline"] = text_value(node);
        } else {
            let keys = self.keys(node, &RUN)?;
            match keys.get("pipeline") {
                Some(pipeline) => {
                    self.text_template(pipeline, "`pipeline`", ExprPlace::Work);
                    self.child_name(pipeline);
                    spec["pipeline"] = text_value(pipeline);
                }
                None => self.missing(node, "`run`", "pipeline", "pipeline: NAME or a path"),
            }
            if let Some(input) = keys.get("input")
                && let Some(input) = self.template(input, ExprPlace::Work)
            {
                spec["input"] = input.source().clone();
            }
            if let Some(labels) = keys.get("labels") {
                let labels = self.text_map(labels, "`labels`", ExprPlace::Work).into_iter();
                spec["labels"] = labels.map(|(name, text)| (name, text.source().clone())).collect();
            }
            if let Some(wait) = keys.get("wait") {
                spec["wait"] = json!(self.bool(wait, "`wait`"));
            }
            let words = [("cancel", "cancel"), ("leave", "leave")];
            if let Some(node) = keys.get("on_parent_cancel") {
                spec["on_parent_cancel"] = json!(self.word(node, "`on_parent_cancel`", &words));
            }
        }
        let wrong = self.problems[before..].iter().any(|problem| problem.severity == Severity::Error);
        if wrong {
            return None;
        }
        Some(ExecutorTask { kind: ExecutorTask::RUN.to_owned(), spec: Template::parse(&spec).ok()? })
    }

    /// Reports a written name that no pipeline can have.
    fn child_name(&mut self, node: &YamlNode) {
        let Some(name) = node.text().filter(|name| !node.is_null() && !name.contains("${")) else { return };
        if !PipelineRef::is_path(name)
            && let Err(error) = name.parse::<PipelineRef>()
        {
            self.report(Code::Value, node.span.clone(), error.to_string()).hint = Some(
                "`everfold pipeline list` shows the names; a path begins with ./ or ends with .yaml"
                    .to_owned(),
            );
        }
    }
}
