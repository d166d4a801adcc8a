//! The log of an agent as people read it: `logs` without `--raw`.
//!
//! Law: lines of the agent's protocol are made readable, every other line is printed as it is, on a terminal without what
//! that would act on; `--raw` prints what the program wrote. Colours on terminals only.

use everfold_workflows::agent::{ReadableLine, ReadableTranscript, Tone};
use everfold_workflows::shim::log::{LogLine, LogSource};
use owo_colors::OwoColorize as _;
use serde_json::Value;

use super::screen::LogScreen;
use crate::cli::context::CommandContext;
use crate::cli::output::is_terminal;
use crate::client::LogLines;
use crate::fault::Fault;

/// The longest line of a transcript that is put together; what is longer is printed in the pieces in which it came.
const LINE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Prints the log of an agent, made readable; gives in which way it is damaged.
pub(super) async fn print(context: &CommandContext, path: String) -> Result<Option<String>, Fault> {
    let mut lines = LogLines::new(&context.client, path);
    let mut page = TranscriptPage::default();
    let mut screen = is_terminal().then(LogScreen::default);
    let mut print = |text: String| match &mut screen {
        Some(screen) => context.out.raw(&screen.take(&text)),
        None => context.out.raw(&text),
    };
    while let Some(record) = lines.next().await? {
        let Some(record) = read(&record) else { continue };
        print(page.take(&record));
        if context.out.is_closed() {
            return Ok(None);
        }
    }
    print(page.end());
    context.out.raw(screen.as_mut().map_or("", LogScreen::end));
    Ok(lines.damage())
}

/// A record of a log, as the route gives it.
fn read(record: &Value) -> Option<LogLine> {
    let source = match record["source"].as_str()? {
        "stdout" => LogSource::Stdout,
        "stderr" => LogSource::Stderr,
        _remark => LogSource::Supervisor,
    };
    let (text, complete) = (record["text"].as_str()?.to_owned(), record["complete"].as_bool()?);
    Some(LogLine { at: 0, source, text, complete })
}

/// Puts pieces together and makes lines readable.
#[derive(Default)]
struct TranscriptPage {
    transcript: ReadableTranscript,
    /// The pieces of a line of standard output that has not ended.
    line: String,
}

impl TranscriptPage {
    fn take(&mut self, record: &LogLine) -> String {
        match record.source {
            LogSource::Stdout => {
                self.line.push_str(&record.text);
                if record.complete || self.line.len() > LINE_BYTES_MAX { self.ended() } else { String::new() }
            }
            LogSource::Stderr => format!("{}{}", record.text, if record.complete { "\n" } else { "" }),
            LogSource::Supervisor => format!("{}\n", format!("[everfold: {}]", record.text).dimmed()),
        }
    }

    /// The line as far as it has come.
    fn end(&mut self) -> String {
        if self.line.is_empty() { String::new() } else { self.ended() }
    }

    /// A line that has ended; it may be blank.
    fn ended(&mut self) -> String {
        let line = std::mem::take(&mut self.line);
        match self.transcript.line(&line) {
            Some(shown) => shown.iter().map(styled).collect(),
            None => format!("{line}\n"),
        }
    }
}

fn styled(line: &ReadableLine) -> String {
    let text = &line.text;
    let shown = match line.tone {
        Tone::Text => text.clone(),
        Tone::Aside | Tone::Result => text.dimmed().to_string(),
        Tone::Call => text.cyan().to_string(),
        Tone::Failure => text.red().to_string(),
        Tone::End => text.bold().to_string(),
    };
    format!("{shown}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(source: LogSource, complete: bool, text: &str) -> LogLine {
        LogLine { at: 0, source, text: text.to_owned(), complete }
    }

    #[test]
    fn pieces_of_a_line_are_one_line_and_what_is_no_transcript_stays_as_it_is() {
        let mut page = TranscriptPage::default();
        let event = "{\"type\":\"item.completed\",\"item\":{\"type\":\"agent_message\",\"text\":\"done\"}}";
        let (first, rest) = event.split_at(30);
        assert_eq!(page.take(&record(LogSource::Stdout, false, first)), "");
        assert_eq!(page.take(&record(LogSource::Stderr, true, "beside")), "beside\n");
        assert_eq!(page.take(&record(LogSource::Stdout, true, rest)), "done\n");
        assert_eq!(page.take(&record(LogSource::Stdout, true, "plain")), "plain\n");
        assert_eq!(page.take(&record(LogSource::Stdout, false, "no end")), "");
        assert_eq!((page.end().as_str(), page.end().as_str()), ("no end\n", ""));
    }
}
