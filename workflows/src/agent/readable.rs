//! Transcripts of agents as people read them: what the agent wrote, a line for each call and each result, and how it ended.
//!
//! Law: a line of a known protocol becomes lines for people, or none where it says nothing to them; any other line stays as it
//! is. Nothing is kept but the last text. The transcript itself is not changed by that: it stands in the log.

use everfold_base::json::Value;

use super::claude::call_of;
use super::transcript::{events, one_line};

/// What a line for people is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// What the agent wrote.
    Text,
    /// Beside the matter: a session, a thought.
    Aside,
    /// The call of a tool.
    Call,
    /// What a call gave.
    Result,
    /// A call, or the agent, failed.
    Failure,
    /// How it ended, and what it used up.
    End,
}

/// A line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadableLine {
    /// What it is.
    pub tone: Tone,
    /// What it says; a text of the agent may have several lines.
    pub text: String,
}

/// Makes a transcript readable, line by line.
#[derive(Debug, Default)]
pub struct ReadableTranscript {
    /// The last text, which the result of some programs repeats.
    last_text: Option<String>,
}

impl ReadableTranscript {
    /// What a line of standard output says; `None`: it is of no known protocol.
    pub fn line(&mut self, line: &str) -> Option<Vec<ReadableLine>> {
        let mut shown = None;
        for event in events(line) {
            if let Some(lines) = self.event(&event) {
                shown.get_or_insert_with(Vec::new).extend(lines);
            }
        }
        shown
    }

    fn event(&mut self, event: &Value) -> Option<Vec<ReadableLine>> {
        let mut shown = Vec::new();
        match event["type"].as_str()? {
            "system" => {
                event["subtype"].as_str()?;
                shown.extend(init(event));
            }
            "assistant" => self.assistant(event, &mut shown)?,
            "user" => results(event, &mut shown)?,
            "result" => self.result(event, &mut shown)?,
            "thread.started" => shown.extend(said(Tone::Aside, session(&event["thread_id"], None))),
            "turn.completed" => shown.extend(said(Tone::End, format!("end: {}", tokens(&event["usage"])))),
            "turn.failed" => shown.extend(said(Tone::Failure, reason(&event["error"]["message"]))),
            "error" => shown
                .extend(said(Tone::Failure, reason(Some(&event["message"]).filter(|it| it.is_string())?))),
            "item.started" => shown.extend(begun(&event["item"])),
            "item.completed" => self.item(&event["item"], &mut shown),
            "item.updated" | "turn.started" => {}
            // What the programs send besides, while they work.
            "stream_event" | "rate_limit_event" => {}
            _other => return None,
        }
        Some(shown)
    }

    fn text(&mut self, text: &str, shown: &mut Vec<ReadableLine>) {
        if !text.trim().is_empty() {
            self.last_text = Some(text.trim().to_owned());
            shown.extend(said(Tone::Text, text.trim_end().to_owned()));
        }
    }

    fn assistant(&mut self, event: &Value, shown: &mut Vec<ReadableLine>) -> Option<()> {
        for block in event["message"]["content"].as_array()? {
            match block["type"].as_str() {
                Some("text") => self.text(block["text"].as_str().unwrap_or_default(), shown),
                Some("thinking") => shown.extend(thought(&block["thinking"])),
                Some("tool_use" | "server_tool_use") => {
                    shown.extend(said(Tone::Call, format!("→ {}", call_of(block))));
                }
                _other => {}
            }
        }
        Some(())
    }

    fn result(&mut self, event: &Value, shown: &mut Vec<ReadableLine>) -> Option<()> {
        let subtype = event["subtype"].as_str()?;
        let failed = event["is_error"] == true || subtype.starts_with("error");
        let text = event["result"].as_str().map(str::trim).filter(|text| !text.is_empty());
        if let Some(text) = text.filter(|text| self.last_text.as_deref() != Some(*text)) {
            shown.extend(said(if failed { Tone::Failure } else { Tone::Text }, text.to_owned()));
        }
        // `success` says that there is a result; it may be an error.
        let word = if failed && subtype == "success" { "error" } else { subtype };
        let mut parts = vec![format!("end: {}", word.replace('_', " "))];
        parts.extend(event["num_turns"].as_u64().map(|turns| format!("{turns} turns")));
        parts.extend(event["duration_ms"].as_f64().map(|ms| format!("{:.1} s", ms / 1_000.0)));
        parts.extend(event["total_cost_usd"].as_f64().map(|cost| format!("${cost:.4}")));
        parts.push(tokens(&event["usage"]));
        shown.extend(said(if failed { Tone::Failure } else { Tone::End }, parts.join(", ")));
        Some(())
    }

    fn item(&mut self, item: &Value, shown: &mut Vec<ReadableLine>) {
        match kind(item) {
            Some("agent_message" | "assistant_message") => {
                self.text(item["text"].as_str().unwrap_or_default(), shown);
            }
            Some("reasoning") => shown.extend(thought(&item["text"])),
            Some("command_execution") => {
                let code = item["exit_code"].as_i64();
                let exit = code.map_or_else(String::new, |code| format!("exit {code}: "));
                let output = item["aggregated_output"].as_str().unwrap_or_default();
                shown.extend(folded(code.is_some_and(|code| code != 0), &exit, output));
            }
            Some("file_change") => {
                let changes = item["changes"].as_array().into_iter().flatten();
                let paths: Vec<&str> = changes.filter_map(|change| change["path"].as_str()).collect();
                shown.extend(said(Tone::Call, format!("→ edit: {}", one_line(&paths.join(", ")))));
            }
            Some("web_search") => {
                let query = item["query"].as_str().unwrap_or_default();
                shown.extend(said(Tone::Call, format!("→ search: {}", one_line(query))));
            }
            Some("mcp_tool_call") => {
                let failed = item["status"] == "failed";
                shown.extend(failed.then(|| folded(true, "", &reason(&item["error"]["message"]))).flatten());
            }
            Some("error") => shown.extend(said(Tone::Failure, reason(&item["message"]))),
            _other => {}
        }
    }
}

/// A line without the characters that steer a terminal.
fn said(tone: Tone, text: String) -> Option<ReadableLine> {
    let text: String = text.chars().filter(|it| !it.is_control() || matches!(it, '\n' | '\t')).collect();
    (!text.is_empty()).then_some(ReadableLine { tone, text })
}

fn init(event: &Value) -> Option<ReadableLine> {
    (event["subtype"] == "init")
        .then(|| said(Tone::Aside, session(&event["session_id"], event["model"].as_str())))
        .flatten()
}

fn session(id: &Value, model: Option<&str>) -> String {
    let id = id.as_str().unwrap_or("unknown");
    model.map_or_else(|| format!("session {id}"), |model| format!("session {id}, {model}"))
}

fn thought(text: &Value) -> Option<ReadableLine> {
    let line = one_line(text.as_str()?);
    (!line.is_empty()).then(|| said(Tone::Aside, format!("({line})"))).flatten()
}

fn kind(item: &Value) -> Option<&str> {
    item["type"].as_str().or(item["item_type"].as_str())
}

/// The call that an item begins.
fn begun(item: &Value) -> Option<ReadableLine> {
    let call = match kind(item)? {
        "command_execution" => format!("→ run: {}", one_line(item["command"].as_str()?)),
        "mcp_tool_call" => match item["server"].as_str() {
            Some(server) => format!("→ {server}.{}", item["tool"].as_str()?),
            None => format!("→ {}", item["tool"].as_str()?),
        },
        _other => return None,
    };
    said(Tone::Call, call)
}

/// What the calls of a message gave.
fn results(event: &Value, shown: &mut Vec<ReadableLine>) -> Option<()> {
    let content = &event["message"]["content"];
    if content.is_string() {
        return Some(());
    }
    for block in content.as_array()?.iter().filter(|block| block["type"] == "tool_result") {
        let text = match &block["content"] {
            Value::String(text) => text.clone(),
            Value::Array(parts) => {
                let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
                texts.join("\n")
            }
            _none => String::new(),
        };
        shown.extend(folded(block["is_error"] == true, "", &text));
    }
    Some(())
}

/// The result of a call in one line: its first line, and how many follow.
fn folded(failed: bool, before: &str, text: &str) -> Option<ReadableLine> {
    let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
    let more = match lines.saturating_sub(1) {
        0 => String::new(),
        1 => " (1 more line)".to_owned(),
        more => format!(" ({more} more lines)"),
    };
    let first = if lines == 0 { "no output".to_owned() } else { one_line(text) };
    let (mark, tone) = if failed { ('✗', Tone::Failure) } else { ('←', Tone::Result) };
    said(tone, format!("  {mark} {before}{first}{more}"))
}

fn reason(message: &Value) -> String {
    message.as_str().unwrap_or("the agent gave no reason").to_owned()
}

/// The tokens of a usage: what was read is all of it, as in the usage of a run. Claude counts what it has from its cache, or
/// put there, beside its input, codex among it.
fn tokens(usage: &Value) -> String {
    let number = |field: &str| usage[field].as_u64();
    let beside = number("cache_read_input_tokens");
    let cached = beside.or(number("cached_input_tokens")).unwrap_or(0);
    let parts = [number("input_tokens"), number("cache_creation_input_tokens"), beside];
    let read: u64 = parts.into_iter().flatten().fold(0, u64::saturating_add);
    let written = number("output_tokens").unwrap_or(0);
    format!("{read} tokens read, {cached} cached, {written} written")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(transcript: &str) -> Vec<String> {
        let mut readable = ReadableTranscript::default();
        let as_it_is = |line: &str| vec![ReadableLine { tone: Tone::Text, text: line.to_owned() }];
        let lines = transcript.lines().flat_map(|line| readable.line(line).unwrap_or_else(|| as_it_is(line)));
        lines.map(|line| format!("{:?} {}", line.tone, line.text)).collect()
    }

    #[test]
    fn a_transcript_of_claude_is_text_calls_results_and_an_end() {
        let lines = shown(include_str!("../../tests/transcripts/claude.jsonl"));
        assert_eq!(
            lines,
            [
                "Aside session 5b6f0a0e-6a5e-4d0e-9a36-0d0a8a8f2c11, claude-sonnet-4-5-20250929",
                "Text I'll look at the script first.",
                "Call → Read: /w/greet.sh",
                "Result   ← 1→#!/bin/sh (1 more line)",
                "Call → Bash: sh test.sh 2>&1 | tail -5",
                "Result   ← 4 passed, 0 failed",
                "Text The greeting now handles an empty name. All 4 tests pass.",
                "End end: success, 3 turns, 21.5 s, $0.0362, 36962 tokens read, 31744 cached, 412 written",
            ]
        );
    }

    #[test]
    fn a_transcript_of_codex_is_text_calls_results_and_an_end() {
        let lines = shown(include_str!("../../tests/transcripts/codex.jsonl"));
        assert_eq!(
            lines,
            [
                "Aside session 0199a213-81c0-7800-8aa1-bbab2a035a53",
                "Aside (**Running the tests first**)",
                "Call → run: bash -lc 'sh test.sh'",
                "Failure   ✗ exit 1: 3 passed, 1 failed",
                "Call → edit: /w/greet.sh",
                "Text Fixed the greeting; `sh test.sh` reports 4 passed.",
                "End end: 24763 tokens read, 24448 cached, 122 written",
            ]
        );
    }

    #[test]
    fn failures_are_told_and_what_is_no_protocol_stays_as_it_is() {
        let failed = shown(include_str!("../../tests/transcripts/claude-error.jsonl"));
        assert!(failed.last().unwrap().starts_with("Failure end: error max turns"), "{failed:?}");
        assert_eq!(failed[1], "Text Warning: a line that is no JSON");
        let failed = shown(include_str!("../../tests/transcripts/codex-error.jsonl"));
        assert!(
            failed.iter().any(|line| line == "Failure You've hit your usage limit. Try again later."),
            "{failed:?}"
        );
        let mut readable = ReadableTranscript::default();
        // As the engine itself finds it.
        let end = "{\"type\":\"turn.failed\",\"error\":{\"message\":\"no\"}}";
        for line in [format!("\u{1b}[2K\u{1b}[1G{end}\u{1b}[0m"), format!("INFO 12:00 {end} trailing words")]
        {
            assert_eq!(readable.line(&line).unwrap()[0].tone, Tone::Failure, "{line}");
        }
        for line in [
            "no JSON",
            "{\"type\": \"own\"}",
            "{\"a\": 1}",
            "{\"type\": \"result\"}",
            "{\"type\": \"error\"}",
        ] {
            assert_eq!(readable.line(line), None, "{line}");
        }
        let steered =
            "{\"type\":\"item.completed\",\"item\":{\"type\":\"agent_message\",\"text\":\"a\\u001b[31mb\"}}";
        assert_eq!(readable.line(steered).unwrap()[0].text, "a[31mb");
    }
}
