//! Agents: a role, or a map; prompts and roles as files beside the pipeline.

use serde_json::{Map, Value, json};

use super::super::ExecutorTask;
use super::super::codes::Code;
use super::super::files::{FileProblem, text_beside};
use super::super::problem::SourceText;
use super::super::source_map::SourceMap;
use super::super::yaml::{self, Kind, YamlNode};
use super::probe::text_value;
use super::reader::{Keys, PipelineReader, Shape};
use super::uses::ExprPlace;
use crate::definition::codes::Severity;
use crate::expr::Template;

pub(super) const SHAPE: Shape = Shape {
    what: "`agent`",
    keys: &[
        "profile",
        "role",
        "prompt",
        "model",
        "effort",
        "with",
        "session",
        "schema",
        "repair",
        "on_invalid",
        "on_incomplete",
        "args",
    ],
};

pub(super) const ROLE: Shape = Shape {
    what: "a role file",
    keys: &[
        "profile",
        "prompt",
        "model",
        "effort",
        "with",
        "session",
        "schema",
        "repair",
        "on_invalid",
        "on_incomplete",
        "args",
    ],
};

impl PipelineReader<'_> {
    /// An agent's task: what the step says, over what its role file says.
    pub(super) fn agent(&mut self, node: &YamlNode) -> Option<ExecutorTask> {
        let mut spec = Map::new();
        let before = self.problems.len();
        let own = if let Some(role) = node.text() {
            self.role(role.to_owned(), node, &mut spec)?;
            true
        } else {
            let keys = self.keys(node, &SHAPE)?;
            if let Some(role) = keys.get("role") {
                let name = self.text(role, "`role`")?;
                self.role(name, role, &mut spec)?;
            }
            self.fields(keys, &mut spec)
        };
        // A prompt that could not be read was reported as such.
        let reported = self.problems[before..].iter().any(|problem| problem.severity == Severity::Error);
        if !spec.contains_key("prompt") && !reported {
            let role = spec.get("role").and_then(Value::as_str).map(|role| format!("roles/{role}.md"));
            let span = self.first_line(node.span.clone());
            let problem = self.report(Code::MissingKey, span, "this agent has no prompt");
            problem.hint = Some(match role {
                Some(path) => format!(
                    "add `prompt` (a path or a text), or write the role's text into {path} beside the pipeline"
                ),
                None => "add `prompt`: a path like prompts/build.md, or a text".to_owned(),
            });
            return None;
        }
        if !own {
            return None;
        }
        spec.entry("session").or_insert(json!("new"));
        spec.entry("on_invalid").or_insert(json!("fail"));
        if spec.contains_key("repair") && !spec.contains_key("schema") {
            let span = self.first_line(node.span.clone());
            self.report(
                Code::Combination,
                span,
                "`repair` returns an answer that breaks `schema`; there is no `schema`",
            )
            .hint = Some("add `schema`, or take `repair` out".to_owned());
        }
        let spec = Template::parse(&Value::Object(spec)).ok()?;
        Some(ExecutorTask { kind: "agent".to_owned(), spec })
    }

    /// Reads the fields of a map into the spec; `false` where one of them is wrong.
    fn fields(&mut self, keys: Keys<'_>, spec: &mut Map<String, Value>) -> bool {
        let before = self.problems.len();
        for key in ["profile", "model", "effort"] {
            match keys.entry(key) {
                // An explicit null leaves the program's flag out.
                Some(node) if node.is_null() && key != "profile" => {
                    spec.insert(key.into(), Value::Null);
                }
                Some(node) if self.text_template(node, &format!("`{key}`"), ExprPlace::Work).is_some() => {
                    spec.insert(key.into(), text_value(node));
                }
                Some(_) | None => {}
            }
        }
        if let Some(node) = keys.get("prompt")
            && let Some(prompt) = self.prompt(node)
        {
            spec.insert("prompt".into(), Value::String(prompt));
        }
        if let Some(node) = keys.get("with") {
            if !matches!(node.kind, Kind::Map(_)) {
                self.wrong_type(node, "`with`", "a map");
            } else if let Some(with) = self.with_secrets(|reader| reader.template(node, ExprPlace::Work)) {
                spec.insert("with".into(), with.source().clone());
            }
        }
        if let Some(node) = keys.get("session")
            && let Some(word) =
                self.word(node, "`session`", &[("new", "new"), ("resume", "resume"), ("carry", "carry")])
        {
            spec.insert("session".into(), json!(word));
        }
        if let Some(node) = keys.get("on_invalid")
            && let Some(word) = self.word(node, "`on_invalid`", &[("fail", "fail"), ("keep", "keep")])
        {
            spec.insert("on_invalid".into(), json!(word));
        }
        if let Some(node) = keys.get("on_incomplete")
            && let Some(word) = self.word(node, "`on_incomplete`", &[("fail", "fail"), ("warn", "warn")])
        {
            spec.insert("on_incomplete".into(), json!(word));
        }
        if let Some(node) = keys.get("schema")
            && let Some(schema) = self.schema(node, "`schema`")
        {
            // A pattern in it may hold `${`.
            spec.insert("schema".into(), Template::constant(&schema).source().clone());
        }
        if let Some(node) = keys.get("repair") {
            spec.insert(
                "repair".into(),
                self.number_value(node, "`repair`", 0, ExprPlace::Work).unwrap_or_default(),
            );
        }
        if let Some(node) = keys.get("args")
            && self.templates(node, "`args`", ExprPlace::Work).is_some()
        {
            let args = match &node.kind {
                Kind::List(_) => text_value(node),
                // One whole expression may give the list.
                _ if super::scalar::is_whole(node) => text_value(node),
                _ => Value::Array(vec![text_value(node)]),
            };
            spec.insert("args".into(), args);
        }
        !self.problems[before..].iter().any(|problem| problem.severity == Severity::Error)
    }

    /// The prompt as a text with `${…}`: itself, or the file that it names.
    fn prompt(&mut self, node: &YamlNode) -> Option<String> {
        let text = self.text(node, "`prompt`")?;
        let path = !text.contains(char::is_whitespace)
            && !text.contains("${")
            && [".md", ".txt", ".prompt"].iter().any(|ending| text.ends_with(ending));
        if !path {
            return self.remember_parts(node, &text, ExprPlace::Work, false).then_some(text);
        }
        let Some(content) = self.file(&text, node)? else {
            self.report(Code::File, node.span.clone(), format!("there is no file {text}")).hint = Some(
                "paths are relative to the pipeline file; a text that is no path has white space in it"
                    .to_owned(),
            );
            return None;
        };
        let source = SourceText::new(&text, &content);
        let source_map = SourceMap::new(source, (0..=content.len()).collect());
        let prompt = self.with_locals(&content, source_map)?;
        self.remember_text(&prompt.text, &prompt.map, ExprPlace::Work, false).then_some(prompt.text)
    }

    /// The text of a named file, kept for the definition; `Some(None)` where there is none.
    #[allow(clippy::option_option, reason = "no file and no answer are two things")]
    fn file(&mut self, path: &str, node: &YamlNode) -> Option<Option<String>> {
        if let Some(text) = self.loaded.get(path) {
            return Some(Some(text.clone()));
        }
        match text_beside(self.files, path) {
            Ok(found) => {
                self.loaded.extend(found.clone().map(|text| (path.to_owned(), text)));
                Some(found)
            }
            Err(FileProblem { code, message, hint }) => {
                self.report(code, node.span.clone(), message).hint = Some(hint.to_owned());
                None
            }
        }
    }

    /// Takes over what `roles/ROLE.md` says, where it exists.
    fn role(&mut self, name: String, node: &YamlNode, spec: &mut Map<String, Value>) -> Option<()> {
        if !super::scalar::is_id(&name, true) {
            self.report(Code::Value, node.span.clone(), format!("“{name}” is no name of a role")).hint =
                Some("letters, digits, `_` and `-`; for a text write agent: { prompt: … }".to_owned());
            return None;
        }
        let path = format!("roles/{name}.md");
        spec.insert("role".into(), Value::String(name));
        let Some(content) = self.file(&path, node)? else { return Some(()) };
        let source = SourceText::new(&path, &content);
        let (front, body) = split_front_matter(&content);
        let body_at = content.len() - body.len();
        if let Some(front) = front {
            let pipeline =
                std::mem::replace(&mut self.source, SourceText::padded(&path, &content, front.clone()));
            if let Some(mut node) = yaml::read(&self.source.clone(), &mut self.problems)
                && let () = self.write_locals(&mut node)
                && let Some(keys) = self.keys(&node, &ROLE)
            {
                self.fields(keys, spec);
            }
            self.source = pipeline;
        }
        if !body.trim().is_empty() {
            let source_map = SourceMap::new(source, (body_at..=content.len()).collect());
            if let Some(prompt) = self.with_locals(body, source_map)
                && self.remember_text(&prompt.text, &prompt.map, ExprPlace::Work, false)
            {
                spec.insert("prompt".into(), Value::String(prompt.text.trim_start().to_owned()));
            }
        }
        Some(())
    }
}

/// The place of the front matter between two lines `---`, and the text after it.
fn split_front_matter(content: &str) -> (Option<std::ops::Range<usize>>, &str) {
    let Some(rest) =
        content.strip_prefix("---").and_then(|rest| rest.strip_prefix("\r\n").or(rest.strip_prefix('\n')))
    else {
        return (None, content);
    };
    let start = content.len() - rest.len();
    let mut at = start;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return (Some(start..at), &content[at + line.len()..]);
        }
        at += line.len();
    }
    (None, content)
}
