//! Expressions: a path into the state of a frame, else a condition that the server judges at its version.

use serde_json::{Value, json};

use super::adapter::DapAdapter;
use super::arguments::{CompletionsArguments, EvaluateArguments};
use super::console::{COMMANDS, ConsoleCommand};
use super::protocol::{DapRefusal, DapRequest};
use super::variables::ValuePart;
use crate::client::query;

/// The longest value that is given as a whole, in bytes.
const WHOLE_BYTES_MAX: usize = 1024 * 1024;
/// Names that are offered for what is typed.
const NAMES_MAX: usize = 200;

impl DapAdapter {
    pub(super) async fn evaluate(&mut self, request: &DapRequest) -> Result<Value, DapRefusal> {
        let asked: EvaluateArguments = request.read()?;
        let text = asked.expression.trim();
        let is_console = asked.context.as_deref() == Some("repl");
        if let Some(command) = ConsoleCommand::read(text).filter(|_| is_console) {
            return self.command(command).await;
        }
        let run = self.run()?;
        let version = run.frame_version(asked.frame_id)?;
        if text.is_empty() {
            return Err(DapRefusal::quiet("an expression is missing"));
        }
        let state = ValuePart::state(run.history.state(version).await?);
        let is_hover = asked.context.as_deref() == Some("hover");
        // Whoever points at the id of a step in the text means the step.
        let found = state.clone().find(bare(text)).or_else(|| {
            let below = format!("steps.{}", bare(text));
            state.find(&below).filter(|_| is_hover)
        });
        match found {
            Some(part) if asked.context.as_deref() == Some("clipboard") => {
                let mut whole = match part.value() {
                    Value::String(text) => text.clone(),
                    other => serde_json::to_string_pretty(other).unwrap_or_default(),
                };
                if whole.len() > WHOLE_BYTES_MAX {
                    let end = (0..=WHOLE_BYTES_MAX).rev().find(|end| whole.is_char_boundary(*end));
                    whole.truncate(end.unwrap_or_default());
                    whole.push_str("\n… cut at 1 MiB");
                }
                Ok(json!({ "result": whole, "variablesReference": 0 }))
            }
            Some(part) => Ok(run.references.shown(part, "result")),
            // Under the pointer a single name is a word of the text more often than an expression.
            None if is_hover && is_name(text) => Err(DapRefusal::quiet(format!("the state has no {text}"))),
            None => self.judged(text, version).await,
        }
    }

    /// Whether an expression is true at a version, as `bisect` asks it.
    async fn judged(&mut self, expression: &str, version: u64) -> Result<Value, DapRefusal> {
        let run = self.run()?;
        let params = query([
            ("expression", Some(expression.to_owned())),
            ("from", Some(version.to_string())),
            ("limit", Some("1".to_owned())),
        ]);
        let answer = run.history.routes.get(run.history.path(&format!("/bisect{params}"))).await;
        let answer = answer.map_err(|fault| {
            let refusal = DapRefusal::from(fault);
            DapRefusal::quiet(format!(
                "the state at v{version} has no {expression}, and as a condition: {refusal}"
            ))
        })?;
        if let Some(why) = answer["undecided"]["why"].as_str() {
            return Err(DapRefusal::quiet(format!("neither true nor false at v{version}: {why}")));
        }
        let is_true = !answer["first"].is_null();
        if let Some(unknown) =
            answer["unknown"].as_array().and_then(|names| names.first()).filter(|_| !is_true)
        {
            let text = |name: &str| unknown[name].as_str().unwrap_or_default();
            let near =
                unknown["near"].as_str().map(|near| format!(": did you mean {near}?")).unwrap_or_default();
            return Err(DapRefusal::quiet(format!("the run has no {} {}{near}", text("kind"), text("name"))));
        }
        Ok(json!({ "result": is_true.to_string(), "type": "bool", "variablesReference": 0 }))
    }

    /// Names below what is typed so far, and commands of the console.
    pub(super) async fn completions(&mut self, request: &DapRequest) -> Result<Value, DapRefusal> {
        let asked: CompletionsArguments = request.read()?;
        // Columns count units of UTF-16, from where the client counts.
        let first = self.client.first_column();
        let before = asked.column.saturating_sub(first);
        let typed: Vec<u16> = asked.text.encode_utf16().take(before).collect();
        let typed = String::from_utf16_lossy(&typed);
        let start = typed
            .rfind(|c: char| !is_of_name(c))
            .map_or(0, |at| at + typed[at..].chars().next().map_or(0, char::len_utf8));
        let (parent, begun) = typed[start..].rsplit_once('.').unwrap_or(("", &typed[start..]));
        let length = begun.encode_utf16().count();
        let from = typed.encode_utf16().count() - length + first;
        let run = self.run()?;
        let version = run.frame_version(asked.frame_id)?;
        let state = ValuePart::state(run.history.state(version).await?);
        let names = state.find(parent).map(|part| part.names()).unwrap_or_default();
        let fitting = names.into_iter().filter(|name| name.starts_with(begun)).take(NAMES_MAX);
        let mut targets: Vec<Value> = fitting
            .map(|name| json!({ "label": name, "type": "property", "length": length, "start": from }))
            .collect();
        if start == 0 && parent.is_empty() {
            let commands = COMMANDS.iter().filter(|(name, _, _)| name.starts_with(begun));
            targets.extend(commands.map(|(name, _, does)| {
                json!({ "label": name, "detail": does, "type": "keyword", "start": first, "length": length })
            }));
        }
        Ok(json!({ "targets": targets }))
    }
}

/// An expression as it stands in a pipeline's text: `${steps.build.output}`.
fn bare(text: &str) -> &str {
    let inner = text.strip_prefix("${").and_then(|text| text.strip_suffix('}'));
    inner.unwrap_or(text).trim()
}

/// Whether a text is a name, or a path of names.
fn is_name(text: &str) -> bool {
    text.chars().all(is_of_name)
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '[' | ']')
}
