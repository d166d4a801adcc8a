//! The transcript of an agent as a conversation: what it wrote, its thoughts, its calls with what they gave, its end.
//!
//! Law: lines of the protocols of Claude Code and Codex become entries; any other line stays as it is. Nothing of a line
//! is believed: each field may be missing or of another type.

use std::collections::HashMap;

use serde_json::Value;

use super::ansi::Terminal;
use super::excerpt::{clamped, cut_at};
use super::log_lines::LogRecord;
use crate::visible::visible;
use crate::words;

/// The longest input or result of a call that is shown, in bytes.
const TEXT_BYTES_MAX: usize = 24 * 1024;

/// A part of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TranscriptEntry {
    /// The line of the log that it begins with.
    pub(crate) line: u64,
    pub(crate) at: String,
    pub(crate) what: TranscriptPart,
}

/// What a part is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TranscriptPart {
    /// What the agent wrote: clean HTML of its Markdown.
    Text(String),
    /// What it thought.
    Thought(String),
    Call(Box<ToolCall>),
    /// The program, its session and model.
    Begin(String),
    End(Box<End>),
    /// Lines that are of no protocol, as they are.
    Lines {
        text: String,
        is_err: bool,
    },
    Failure(String),
}

/// The call of a tool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ToolCall {
    /// Names the elements of the page.
    pub(crate) id: String,
    pub(crate) tool: String,
    /// What it is about, in one line.
    pub(crate) about: String,
    pub(crate) input: String,
    /// None: it has not ended, or the transcript does not say how.
    pub(crate) result: Option<String>,
    pub(crate) has_failed: bool,
}

impl ToolCall {
    /// How it went, as a status.
    pub(crate) fn status(&self) -> &'static str {
        match (&self.result, self.has_failed) {
            (_, true) => "failed",
            (Some(_), false) => "succeeded",
            (None, false) => "running",
        }
    }

    /// How many lines it gave.
    pub(crate) fn lines(&self) -> String {
        match self.result.as_deref().map(|text| text.lines().count()) {
            None => String::new(),
            Some(0) => "no output".to_owned(),
            Some(1) => "1 line".to_owned(),
            Some(count) => format!("{} lines", words::count(count as u64)),
        }
    }
}

/// How the agent ended, and what it used up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) word: String,
    pub(crate) has_failed: bool,
    /// Names with their values: turns, time, cost, tokens.
    pub(crate) facts: Vec<(&'static str, String)>,
}

/// Makes a conversation of the lines of a log.
#[derive(Debug, Default)]
pub(crate) struct TranscriptReader {
    pub(crate) entries: Vec<TranscriptEntry>,
    /// Where calls stand that have not ended, by the ids of the protocol.
    open: HashMap<String, usize>,
    last_text: String,
    /// The pieces of a line that has not ended, and where it began.
    piece: String,
    piece_at: Option<(u64, String)>,
}

impl TranscriptReader {
    /// The conversation that records tell.
    pub(crate) fn of(records: impl IntoIterator<Item = LogRecord>) -> Vec<TranscriptEntry> {
        let mut transcript = Self::default();
        for record in records {
            transcript.take(record);
        }
        transcript.line_ended();
        transcript.entries
    }

    fn take(&mut self, record: LogRecord) {
        if record.source != "stdout" {
            let text = match record.source.as_str() {
                "supervisor" => format!("everfold: {}", record.text),
                _stderr => record.text,
            };
            self.plain(record.line, record.at, &text, true);
            return;
        }
        self.piece.push_str(&record.text);
        self.piece_at.get_or_insert((record.line, record.at));
        if record.complete {
            self.line_ended();
        }
    }

    fn line_ended(&mut self) {
        let Some((line, at)) = self.piece_at.take() else { return };
        let text = std::mem::take(&mut self.piece);
        let event: Option<Value> = serde_json::from_str(text.trim()).ok();
        if event.as_ref().and_then(|event| self.event(line, &at, event)).is_none() {
            self.plain(line, at, &text, false);
        }
    }

    /// Takes a line of a protocol; none where it is of none that is known.
    fn event(&mut self, line: u64, at: &str, event: &Value) -> Option<()> {
        match event["type"].as_str()? {
            "system" => {
                if event["subtype"].as_str()? == "init" {
                    self.add(line, at, TranscriptPart::Begin(begun(&event["session_id"], &event["model"])));
                }
            }
            "assistant" => self.assistant(line, at, event)?,
            "user" => self.results(event)?,
            "result" => self.result(line, at, event)?,
            "thread.started" => {
                self.add(line, at, TranscriptPart::Begin(begun(&event["thread_id"], &Value::Null)))
            }
            "turn.completed" => {
                let end = End { word: "done".to_owned(), has_failed: false, facts: tokens(&event["usage"]) };
                self.add(line, at, TranscriptPart::End(Box::new(end)));
            }
            "turn.failed" => self.add(line, at, TranscriptPart::Failure(text_of(&event["error"]["message"]))),
            "error" => {
                let message = event["message"].as_str()?.to_owned();
                self.add(line, at, TranscriptPart::Failure(message));
            }
            "item.started" | "item.updated" | "item.completed" => self.item(line, at, event),
            "turn.started" | "stream_event" | "rate_limit_event" => {}
            _other => return None,
        }
        Some(())
    }

    fn assistant(&mut self, line: u64, at: &str, event: &Value) -> Option<()> {
        for block in event["message"]["content"].as_array()? {
            match block["type"].as_str() {
                Some("text") => self.text(line, at, block["text"].as_str().unwrap_or_default()),
                Some("thinking") => self.thought(line, at, &block["thinking"]),
                Some("tool_use" | "server_tool_use") => {
                    let call = ToolCall {
                        tool: text_of(&block["name"]),
                        about: about(&block["input"]),
                        input: shown(&block["input"]),
                        ..ToolCall::default()
                    };
                    self.call(line, at, block["id"].as_str().unwrap_or_default(), call);
                }
                _other => {}
            }
        }
        Some(())
    }

    /// What calls gave.
    fn results(&mut self, event: &Value) -> Option<()> {
        let content = &event["message"]["content"];
        if content.is_string() {
            return Some(());
        }
        for block in content.as_array()?.iter().filter(|block| block["type"] == "tool_result") {
            let text = match &block["content"] {
                Value::Array(parts) => {
                    let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
                    texts.join("\n")
                }
                other => shown(other),
            };
            let id = block["tool_use_id"].as_str().unwrap_or_default();
            self.ended(id, &text, block["is_error"] == true);
        }
        Some(())
    }

    fn result(&mut self, line: u64, at: &str, event: &Value) -> Option<()> {
        let subtype = event["subtype"].as_str()?;
        let has_failed = event["is_error"] == true || subtype.starts_with("error");
        let text = event["result"].as_str().map_or("", str::trim);
        if !text.is_empty() && text != self.last_text {
            match has_failed {
                true => self.add(line, at, TranscriptPart::Failure(visible(text).into_owned())),
                false => self.text(line, at, text),
            }
        }
        let word = if has_failed && subtype == "success" { "error" } else { subtype };
        let mut facts = Vec::new();
        facts.extend(event["num_turns"].as_u64().map(|turns| ("turns", turns.to_string())));
        facts.extend(event["duration_ms"].as_i64().map(|ms| ("time", words::duration(ms))));
        facts
            .extend(event["total_cost_usd"].as_f64().map(|cost| ("cost", words::usd(&format!("{cost:.6}")))));
        facts.extend(tokens(&event["usage"]));
        let end = End { word: visible(&word.replace('_', " ")).into_owned(), has_failed, facts };
        self.add(line, at, TranscriptPart::End(Box::new(end)));
        Some(())
    }

    /// An item of Codex: it begins, changes, ends.
    fn item(&mut self, line: u64, at: &str, event: &Value) {
        let (item, is_over) = (&event["item"], event["type"] == "item.completed");
        let id = item["id"].as_str().unwrap_or_default();
        match item["type"].as_str().or(item["item_type"].as_str()) {
            Some("agent_message" | "assistant_message") if is_over => {
                self.text(line, at, item["text"].as_str().unwrap_or_default());
            }
            Some("reasoning") if is_over => self.thought(line, at, &item["text"]),
            Some(kind @ ("command_execution" | "mcp_tool_call" | "web_search")) => {
                if !self.open.contains_key(id) {
                    self.call(line, at, id, begun_item(kind, item));
                }
                if is_over {
                    let code = item["exit_code"].as_i64();
                    let has_failed = item["status"] == "failed" || code.is_some_and(|code| code != 0);
                    let given = match kind {
                        "command_execution" => text_of(&item["aggregated_output"]),
                        "mcp_tool_call" if has_failed => text_of(&item["error"]["message"]),
                        _other => shown(&item["result"]),
                    };
                    let exit = code
                        .filter(|code| *code != 0)
                        .map(|code| format!("exit {code}\n"))
                        .unwrap_or_default();
                    self.ended(id, &format!("{exit}{given}"), has_failed);
                }
            }
            Some("file_change") if is_over => {
                let changes = item["changes"].as_array().into_iter().flatten();
                let paths: Vec<&str> = changes.filter_map(|change| change["path"].as_str()).collect();
                let call = ToolCall {
                    tool: "edit".to_owned(),
                    about: clamped(&visible(&paths.join(", ")), 160),
                    input: shown(&item["changes"]),
                    result: Some(String::new()),
                    ..ToolCall::default()
                };
                self.call(line, at, "", call);
            }
            Some("error") if is_over => {
                self.add(line, at, TranscriptPart::Failure(text_of(&item["message"])))
            }
            _other => {}
        }
    }

    fn text(&mut self, line: u64, at: &str, text: &str) {
        if !text.trim().is_empty() {
            self.last_text = text.trim().to_owned();
            self.add(line, at, TranscriptPart::Text(crate::markdown::rendered(text)));
        }
    }

    fn thought(&mut self, line: u64, at: &str, text: &Value) {
        let text = text_of(text);
        if !text.trim().is_empty() {
            self.add(line, at, TranscriptPart::Thought(text));
        }
    }

    fn call(&mut self, line: u64, at: &str, id: &str, mut call: ToolCall) {
        call.id = format!("call-{line}-{}", self.entries.len());
        if call.result.is_none() {
            self.open.insert(id.to_owned(), self.entries.len());
        }
        self.add(line, at, TranscriptPart::Call(Box::new(call)));
    }

    /// A call ended.
    fn ended(&mut self, id: &str, text: &str, has_failed: bool) {
        let at = self.open.remove(id);
        if let Some(TranscriptPart::Call(call)) =
            at.and_then(|at| self.entries.get_mut(at)).map(|entry| &mut entry.what)
        {
            (call.result, call.has_failed) = (Some(cut(&visible(text.trim_end()))), has_failed);
        }
    }

    /// A line of no protocol; such lines that follow each other are one entry.
    fn plain(&mut self, line: u64, at: String, text: &str, is_err: bool) {
        let pieces = Terminal::default().pieces(text);
        let text: String = pieces.into_iter().map(|piece| piece.text).collect();
        if let Some(TranscriptEntry { what: TranscriptPart::Lines { text: before, is_err: was_err }, .. }) =
            self.entries.last_mut()
            && *was_err == is_err
            && before.len() < TEXT_BYTES_MAX
        {
            before.push('\n');
            before.push_str(&text);
            return;
        }
        self.entries.push(TranscriptEntry { line, at, what: TranscriptPart::Lines { text, is_err } });
    }

    fn add(&mut self, line: u64, at: &str, what: TranscriptPart) {
        self.entries.push(TranscriptEntry { line, at: at.to_owned(), what });
    }
}

fn begun(session: &Value, model: &Value) -> String {
    let session = text_of(session);
    match model.as_str() {
        Some(model) => format!("{}, session {session}", visible(model)),
        None => format!("session {session}"),
    }
}

fn begun_item(kind: &str, item: &Value) -> ToolCall {
    let (tool, about, input) = match kind {
        "command_execution" => ("run".to_owned(), text_of(&item["command"]), text_of(&item["command"])),
        "web_search" => ("search".to_owned(), text_of(&item["query"]), text_of(&item["query"])),
        _tool => {
            let server = item["server"].as_str().map(|server| format!("{server}.")).unwrap_or_default();
            let input = &item["arguments"];
            (format!("{server}{}", text_of(&item["tool"])), about(input), shown(input))
        }
    };
    ToolCall {
        tool: visible(&tool).into_owned(),
        about: clamped(&about, 160),
        input: cut(&input),
        ..ToolCall::default()
    }
}

/// What a call is about: the field that says most, or the first text.
fn about(input: &Value) -> String {
    let named = ["command", "file_path", "path", "pattern", "query", "url", "description", "prompt"];
    let named = named.iter().find_map(|name| input[*name].as_str());
    let first = || input.as_object().into_iter().flatten().find_map(|(_, value)| value.as_str());
    clamped(&visible(named.or_else(first).unwrap_or_default()), 160)
}

/// A value as text: a call with one text field is that text.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::Object(fields) if fields.len() == 1 => match fields.values().next() {
            Some(Value::String(text)) => text.clone(),
            _other => words::json(value),
        },
        value => words::json(value),
    };
    cut(&visible(&text))
}

fn text_of(value: &Value) -> String {
    visible(value.as_str().unwrap_or_default()).into_owned()
}

fn cut(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let end = cut_at(text, TEXT_BYTES_MAX);
    format!(
        "{}\n… {} more; the raw lines have all of it",
        &text[..end],
        words::bytes((text.len() - end) as u64)
    )
}

/// The tokens of a usage: what was read is all of it, as in the usage of a run. Claude counts what it has from its cache, or
/// put there, beside its input, codex among it.
fn tokens(usage: &Value) -> Vec<(&'static str, String)> {
    let number = |field: &str| usage[field].as_u64();
    let beside = number("cache_read_input_tokens");
    let cached = beside.or(number("cached_input_tokens"));
    let parts = [number("input_tokens"), number("cache_creation_input_tokens"), beside];
    let read = parts.into_iter().flatten().reduce(u64::saturating_add);
    [("tokens read", read), ("cached", cached), ("written", number("output_tokens"))]
        .into_iter()
        .filter_map(|(name, count)| Some((name, words::count(count?))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(lines: &str) -> Vec<TranscriptEntry> {
        let record = |(at, text): (usize, &str)| LogRecord {
            line: at as u64 + 1,
            at: "2026-11-22T10:00:00Z".to_owned(),
            source: "stdout".to_owned(),
            text: text.to_owned(),
            complete: true,
        };
        TranscriptReader::of(lines.lines().enumerate().map(record))
    }

    #[test]
    fn a_call_holds_its_input_and_what_it_gave() {
        let entries = entries(concat!(
            "{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"s\",\"model\":\"m\"}\n",
            "{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"I **look**.\"},{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"Bash\",\"input\":{\"command\":\"ls\"}}]}}\n",
            "{\"type\":\"user\",\"message\":{\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"t1\",\"content\":[{\"type\":\"text\",\"text\":\"a\\nb\"}]}]}}\n",
            "{\"type\":\"result\",\"subtype\":\"success\",\"result\":\"I **look**.\",\"total_cost_usd\":0.31,\"usage\":{\"output_tokens\":1200}}\n",
        ));
        assert_eq!(entries.len(), 4, "{entries:?}");
        assert!(
            matches!(&entries[1].what, TranscriptPart::Text(html) if html.contains("<strong>look</strong>"))
        );
        let TranscriptPart::Call(call) = &entries[2].what else { unreachable!("{entries:?}") };
        assert_eq!(
            (call.tool.as_str(), call.about.as_str(), call.result.as_deref(), call.lines().as_str()),
            ("Bash", "ls", Some("a\nb"), "2 lines")
        );
        let TranscriptPart::End(end) = &entries[3].what else { unreachable!("{entries:?}") };
        assert_eq!(end.facts, [("cost", "0.31 USD".to_owned()), ("written", "1\u{202f}200".to_owned())]);
    }

    #[test]
    fn items_of_codex_are_calls_and_failures_say_their_code() {
        let entries = entries(concat!(
            "{\"type\":\"item.completed\",\"item\":{\"id\":\"0\",\"type\":\"reasoning\",\"text\":\"think\"}}\n",
            "{\"type\":\"item.started\",\"item\":{\"id\":\"1\",\"type\":\"command_execution\",\"command\":\"sh t\"}}\n",
            "{\"type\":\"item.completed\",\"item\":{\"id\":\"1\",\"type\":\"command_execution\",\"command\":\"sh t\",\"aggregated_output\":\"no\",\"exit_code\":1}}\n",
        ));
        assert!(matches!(&entries[0].what, TranscriptPart::Thought(text) if text == "think"));
        let TranscriptPart::Call(call) = &entries[1].what else { unreachable!("{entries:?}") };
        assert_eq!((call.status(), call.result.as_deref(), entries.len()), ("failed", Some("exit 1\nno"), 2));
    }

    #[test]
    fn lines_of_no_protocol_stay_together_as_they_are() {
        let entries = entries("hello\n\u{1b}[31mworld\n{\"type\":\"own\"}\n{\"type\":\"error\"}");
        let TranscriptPart::Lines { text, .. } = &entries[0].what else { unreachable!("{entries:?}") };
        assert_eq!(
            (text.as_str(), entries.len()),
            ("hello\nworld\n{\"type\":\"own\"}\n{\"type\":\"error\"}", 1)
        );
    }
}
