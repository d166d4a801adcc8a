//! The log of an attempt as lines, of which the newest are kept.

use std::collections::VecDeque;

use everfold_workflows::agent::ReadableTranscript;
use serde_json::Value;

use super::requests::LoggedAttempt;
use crate::text::plain;

/// Lines that are asked for when a log is opened, and lines that are kept.
pub(super) const TAIL: usize = 1_000;
const LINES_MAX: usize = 5_000;
/// The longest line that is put together; what is longer stands in pieces.
const LINE_BYTES_MAX: usize = 1024 * 1024;
/// The longest line that is shown, in characters.
const SHOWN_MAX: usize = 2_000;

/// The log that is shown.
#[derive(Default)]
pub(super) struct LogView {
    pub(super) attempt: Option<LoggedAttempt>,
    pub(super) lines: VecDeque<String>,
    /// Why there are no lines, or no more.
    pub(super) fault: Option<String>,
    pub(super) is_over: bool,
    /// The beginning of a line of standard output that has not ended.
    begun: String,
    transcript: ReadableTranscript,
}

impl LogView {
    /// Another log, from its last lines on.
    pub(super) fn open(attempt: LoggedAttempt) -> Self {
        Self { attempt: Some(attempt), ..Self::default() }
    }

    /// Takes a record as the route gives it.
    pub(super) fn take(&mut self, record: &Value) {
        let text = record["text"].as_str().unwrap_or_default();
        match record["source"].as_str() {
            Some("stdout") => {
                self.begun.push_str(text);
                if record["complete"].as_bool().unwrap_or(true) || self.begun.len() > LINE_BYTES_MAX {
                    self.ended();
                }
            }
            Some("stderr") => self.push(text),
            _supervisor => self.push(&format!("[everfold: {text}]")),
        }
    }

    /// The log has no more lines.
    pub(super) fn end(&mut self, fault: Option<String>) {
        if !self.begun.is_empty() {
            self.ended();
        }
        (self.is_over, self.fault) = (true, fault);
    }

    fn ended(&mut self) {
        let line = std::mem::take(&mut self.begun);
        let is_agent = self.attempt.as_ref().is_some_and(|attempt| attempt.is_agent);
        match self.transcript.line(&line).filter(|_| is_agent) {
            Some(shown) => shown.iter().for_each(|line| self.push(&line.text)),
            None => self.push(&line),
        }
    }

    fn push(&mut self, text: &str) {
        // What was written over on the way is not seen at a terminal either; here every part of it is.
        for line in text.split(['\n', '\r']).filter(|line| !line.is_empty() || !text.contains('\r')) {
            let head: String = line.chars().take(SHOWN_MAX).collect();
            self.lines.push_back(plain(&head.replace('\t', "    ")));
        }
        while self.lines.len() > LINES_MAX {
            self.lines.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn view(is_agent: bool) -> LogView {
        LogView::open(LoggedAttempt { step: "build".to_owned(), round: 1, attempt: 1, is_agent })
    }

    fn record(source: &str, text: &str, complete: bool) -> Value {
        json!({ "line": 1, "source": source, "text": text, "complete": complete })
    }

    #[test]
    fn pieces_are_one_line_and_a_log_does_nothing_to_a_terminal() {
        let mut log = view(false);
        log.take(&record("stdout", "10%\r20", false));
        log.take(&record("stdout", "%", true));
        log.take(&record("stderr", "\u{1b}[31mred\u{1b}[0m \u{1b}]0;title\u{7}end", true));
        log.take(&record("supervisor", "it was stopped", true));
        log.take(&record("stdout", "no end", false));
        log.end(None);
        assert_eq!(log.lines, ["10%", "20%", "red end", "[everfold: it was stopped]", "no end"]);
    }

    #[test]
    fn an_agents_log_is_a_conversation_and_the_newest_lines_are_kept() {
        let mut log = view(true);
        let said = "{\"type\":\"item.completed\",\"item\":{\"type\":\"agent_message\",\"text\":\"done\"}}";
        log.take(&record("stdout", said, true));
        assert_eq!(log.lines, ["done"]);
        for number in 0..LINES_MAX {
            log.take(&record("stdout", &number.to_string(), true));
        }
        assert_eq!((log.lines.len(), log.lines[0].as_str()), (LINES_MAX, "0"));
    }
}
