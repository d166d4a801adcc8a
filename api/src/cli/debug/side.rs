//! The text beside the state: why the event happened, the event as a whole, the log of its attempt, the steps as they
//! stood, or what today's definition would decide.

use everfold_pages::reasons;
use serde_json::Value;
use textwrap::{Options, WordSplitter};

use super::map::map_lines;
use super::model::{DebugModel, SideContent};
use crate::text::plain;

/// Events that are looked at for what ordered the one that is shown, and for what it led to.
const BEFORE: u64 = 60;
const BEHIND: u64 = 20;
/// Lines that are shown of an event, and the longest of them, in characters.
const LINES_MAX: usize = 5_000;
const LINE_CHARS_MAX: usize = 2_000;

/// What a line is, for how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SideTone {
    Text,
    Head,
    /// What is not of the run: that something comes, or that there is nothing.
    Aside,
}

/// A line that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SideLine {
    pub(super) text: String,
    pub(super) tone: SideTone,
}

/// The lines of the pane, in so many columns.
pub(super) fn side_lines(model: &DebugModel, width: usize) -> Vec<SideLine> {
    let mut lines = SideText { lines: Vec::new(), width };
    match model.side {
        SideContent::Why => why(model, &mut lines),
        SideContent::Event => event(model, &mut lines),
        SideContent::Log => log(model, &mut lines),
        SideContent::Map => map(model, &mut lines),
        SideContent::Today => today(model, &mut lines),
    }
    lines.lines
}

struct SideText {
    lines: Vec<SideLine>,
    width: usize,
}

impl SideText {
    fn push(&mut self, tone: SideTone, text: &str) {
        let head: String = text.chars().take(LINE_CHARS_MAX).collect();
        let text = plain(&head.replace('\t', "    "));
        if text.len() <= self.width {
            self.lines.push(SideLine { text, tone });
            return;
        }
        let indent: String = text.chars().take_while(|c| *c == ' ').take(self.width / 2).collect();
        let below = format!("{indent}  ");
        let options =
            Options::new(self.width).subsequent_indent(&below).word_splitter(WordSplitter::NoHyphenation);
        let wrapped = textwrap::wrap(&text, options).into_iter();
        self.lines.extend(wrapped.map(|line| SideLine { text: line.into_owned(), tone }));
    }
}

fn why(model: &DebugModel, lines: &mut SideText) {
    let Some(event) = model.event() else {
        return lines.push(SideTone::Aside, "…");
    };
    let (from, to) = (event.version.saturating_sub(BEFORE), event.version + BEHIND);
    let around: Vec<&Value> = model.window.between(from, to).map(|line| &line.value).collect();
    let input = model.tree.state().map_or(&Value::Null, |state| &state["input"]);
    for (head, texts) in reasons(&event.value, &around, input) {
        lines.push(SideTone::Head, &head);
        texts.iter().for_each(|text| lines.push(SideTone::Text, &format!("  {text}")));
    }
    match model.causes.as_ref().filter(|causes| causes.version == event.version) {
        Some(causes) if causes.lines.is_empty() => {}
        Some(causes) => {
            lines.push(SideTone::Head, "Why the run stood there");
            causes.lines.iter().for_each(|text| lines.push(SideTone::Text, text));
        }
        None => lines.push(SideTone::Aside, "…"),
    }
}

fn event(model: &DebugModel, lines: &mut SideText) {
    let Some(event) = model.event() else {
        return lines.push(SideTone::Aside, "…");
    };
    let text = serde_json::to_string_pretty(&event.value).unwrap_or_default();
    text.lines().take(LINES_MAX).for_each(|line| lines.push(SideTone::Text, line));
    let left = text.lines().count().saturating_sub(LINES_MAX);
    if left > 0 {
        lines.push(SideTone::Aside, &format!("… {left} more lines: everfold events --json has them"));
    }
}

fn map(model: &DebugModel, lines: &mut SideText) {
    let Some(steps) = map_lines(model) else {
        return lines.push(SideTone::Aside, "…");
    };
    for step in steps {
        lines.push(if step.is_current { SideTone::Head } else { SideTone::Text }, &step.text);
    }
}

fn today(model: &DebugModel, lines: &mut SideText) {
    let Some(today) = model.today.as_ref().filter(|today| today.version == model.version) else {
        return lines.push(SideTone::Aside, "it is decided again …");
    };
    for line in &today.lines {
        lines.push(if line.starts_with(' ') { SideTone::Text } else { SideTone::Head }, line);
    }
}

fn log(model: &DebugModel, lines: &mut SideText) {
    let Some(attempt) = model.attempt() else {
        return lines
            .push(SideTone::Aside, "this event is of no attempt: s goes to the next event of a step");
    };
    if model.log.attempt.as_ref() != Some(&attempt) {
        return lines.push(SideTone::Aside, "…");
    }
    model.log.lines.iter().for_each(|line| lines.push(SideTone::Text, line));
    match &model.log.fault {
        Some(fault) => lines.push(SideTone::Aside, fault),
        None if model.log.is_over && model.log.lines.is_empty() => {
            lines.push(SideTone::Aside, "it printed nothing");
        }
        None if !model.log.is_over && model.log.lines.is_empty() => lines.push(SideTone::Aside, "…"),
        None => {}
    }
}
