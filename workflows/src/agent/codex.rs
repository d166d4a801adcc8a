//! The JSON lines of `codex exec --json`: threads, turns, items.

use everfold_base::json::Value;
use everfold_ports::Usage;

use super::agent_error::AgentError;
use super::transcript::{Transcript, UsageGap, events, one_line};
use crate::process::{Meter, sane_tokens};

/// Turns whose usage is read while the program works.
const TURNS_MAX: usize = 10_000;

/// Reads a transcript. The answer is the last message; usage is summed over turns. The program
/// tells no cost and no model.
pub(super) fn read(lines: &mut dyn Iterator<Item = &str>) -> Transcript {
    let mut transcript = Transcript::default();
    let mut used = Usage::default();
    let mut turns = 0;
    for event in lines.flat_map(events) {
        match event["type"].as_str() {
            Some("thread.started") => used.session = event["thread_id"].as_str().map(str::to_owned),
            Some("item.completed") if is_message(&event["item"]) => {
                transcript.text = event["item"]["text"].as_str().map(str::to_owned);
            }
            Some("turn.completed") => {
                let gap = &mut transcript.usage_gap;
                let mut number = |field: &str, is_wanted: bool| {
                    let number = event["usage"][field].as_u64();
                    if number.is_some() || is_wanted {
                        *gap = (*gap).max(UsageGap::of(number.and_then(sane_tokens), number.is_some()));
                    }
                    number.and_then(sane_tokens).unwrap_or(0)
                };
                // The program counts cached tokens among the input; here they stand apart.
                let cached = number("cached_input_tokens", false);
                let fresh = number("input_tokens", true).saturating_sub(cached);
                used.input_tokens = used.input_tokens.saturating_add(fresh);
                used.cached_tokens = used.cached_tokens.saturating_add(cached);
                used.output_tokens = used.output_tokens.saturating_add(number("output_tokens", true));
                turns += 1;
                transcript.complete = true;
                transcript.error = None;
            }
            Some("turn.failed") => {
                transcript.complete = true;
                transcript.error = Some(message(&event["error"]));
            }
            // A reconnection is reported as an error too; only a failed turn is final.
            Some("error") if transcript.error.is_none() => transcript.error = Some(message(&event)),
            _ => {}
        }
    }
    transcript.session.clone_from(&used.session);
    if turns > 0 {
        transcript.usage.push(used);
    }
    transcript
}

/// What the turns that are over used up.
#[derive(Debug, Default)]
pub(super) struct CodexTurns {
    lines: Vec<String>,
}

impl Meter for CodexTurns {
    fn line(&mut self, line: &str) -> bool {
        let is_turn = line.contains("\"turn.completed\"");
        if is_turn && self.lines.len() < TURNS_MAX {
            self.lines.push(line.to_owned());
        }
        is_turn
    }

    fn used(&self) -> Vec<Usage> {
        read(&mut self.lines.iter().map(String::as_str)).usage
    }
}

fn is_message(item: &Value) -> bool {
    [&item["type"], &item["item_type"]]
        .into_iter()
        .any(|kind| kind == "agent_message" || kind == "assistant_message")
}

fn message(error: &Value) -> AgentError {
    AgentError::said(error["message"].as_str().unwrap_or("the agent gave no reason"))
}

/// What a line of the stream shows while the agent works.
pub(super) fn progress(line: &str) -> Option<String> {
    let event = events(line).into_iter().next()?;
    let item = &event["item"];
    match (event["type"].as_str()?, item["type"].as_str().or(item["item_type"].as_str())?) {
        ("item.started", "command_execution") => {
            Some(format!("run: {}", one_line(item["command"].as_str()?)))
        }
        ("item.completed", "file_change") => {
            let paths: Vec<&str> =
                item["changes"].as_array()?.iter().filter_map(|change| change["path"].as_str()).collect();
            Some(format!("edit: {}", one_line(&paths.join(", "))))
        }
        ("item.completed", "agent_message" | "assistant_message" | "reasoning") => {
            Some(one_line(item["text"].as_str()?))
        }
        ("item.started", "mcp_tool_call") => Some(format!("tool: {}", item["tool"].as_str()?)),
        ("item.completed", "web_search") => Some(format!("search: {}", one_line(item["query"].as_str()?))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::agent_error::AgentCode;

    const GOOD: &str = include_str!("../../tests/transcripts/codex.jsonl");
    const FAILED: &str = include_str!("../../tests/transcripts/codex-error.jsonl");

    #[test]
    fn answer_usage_and_thread_are_read() {
        let transcript = read(&mut GOOD.lines());
        assert!(transcript.complete && transcript.error.is_none());
        assert_eq!(transcript.text.as_deref(), Some("Fixed the greeting; `sh test.sh` reports 4 passed."));
        let usage = &transcript.usage[0];
        assert_eq!((usage.input_tokens, usage.cached_tokens, usage.output_tokens), (315, 24_448, 122));
        assert_eq!(usage.session.as_deref(), Some("0199a213-81c0-7800-8aa1-bbab2a035a53"));
    }

    #[test]
    fn a_failed_turn_is_an_error() {
        let transcript = read(&mut FAILED.lines());
        let error = transcript.error.unwrap();
        assert_eq!(error.message, "You've hit your usage limit. Try again later.");
        assert_eq!(error.code, Some(AgentCode::RateLimited));
        assert!(transcript.complete && transcript.usage.is_empty());
    }

    #[test]
    fn usage_that_is_missing_or_cannot_be_is_told_and_not_counted() {
        let read = |usage: &str| {
            let line = format!(r#"{{"type":"turn.completed"{usage}}}"#);
            let transcript = read(&mut [line.as_str()].into_iter());
            (transcript.usage[0].input_tokens, transcript.usage[0].output_tokens, transcript.usage_gap)
        };
        assert_eq!(read(""), (0, 0, UsageGap::Unread));
        assert_eq!(read(r#","usage":null"#), (0, 0, UsageGap::Unread));
        assert_eq!(read(r#","usage":{"input_tokens":5,"output_tokens":2}"#), (5, 2, UsageGap::None));
        let absurd = r#","usage":{"input_tokens":10000000000000000000,"output_tokens":2}"#;
        assert_eq!(read(absurd), (0, 2, UsageGap::OutOfRange));
    }

    #[test]
    fn a_status_alone_gives_its_code() {
        for (said, code) in [
            ("401 Unauthorized", AgentCode::Unauthorised),
            ("403 Forbidden", AgentCode::Unauthorised),
            ("429 Too Many Requests", AgentCode::RateLimited),
        ] {
            let line = format!(r#"{{"type":"error","message":"{said}"}}"#);
            let error = read(&mut [line.as_str()].into_iter()).error.unwrap();
            assert_eq!(error.code, Some(code), "{said}");
        }
    }

    #[test]
    fn commands_and_edits_are_progress() {
        let shown: Vec<String> = GOOD.lines().filter_map(progress).collect();
        assert_eq!(shown[1], "run: bash -lc 'sh test.sh'");
        assert_eq!(shown[2], "edit: /w/greet.sh");
    }
}
