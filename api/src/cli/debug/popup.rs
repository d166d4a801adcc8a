//! What stands over the panes: the keys, and the question before a fork.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};
use textwrap::core::display_width;

use super::confirm::ForkQuestion;
use super::theme::DebugTheme;

/// Keys and what they do.
const KEYS: [(&str, &str); 20] = [
    ("← →", "the event before, the next one"),
    ("Shift ← →, [ ]", "the decision before, the next one"),
    ("Home End", "the first version, the last one (it follows the run)"),
    ("s S", "the next event of the same step, the one before"),
    ("x X", "the next failure, the one before"),
    ("g", "go to a version (12) or a time (-10m, yesterday 14:32)"),
    ("/", "search: words, verdict=fail, step=test, type!=TimerSet, round>2"),
    ("n N", "the next event that was searched for, the one before"),
    ("Tab", "the next pane; Shift Tab the one before"),
    ("↑ ↓ PgUp PgDn", "in the pane: events, rows, lines"),
    ("Enter", "fold or unfold a value of the state"),
    ("c C", "the next change of the state, the one before"),
    ("w e l", "why it happened, the event as a whole, the log of its attempt"),
    ("m", "the map: the steps as they stood then"),
    ("t", "what today's definition would decide here"),
    ("b", "set or clear the breakpoint before its step"),
    ("f", "fork from here, after a question"),
    ("Esc", "stop looking for an event, leave a question"),
    ("?", "these keys"),
    ("q, Ctrl-C", "end; the run goes on as it did"),
];

/// Draws the keys.
pub(super) fn help(frame: &mut Frame<'_>, theme: DebugTheme) {
    let lines = KEYS.iter().map(|(key, what)| format!("{}{what}", padded(key, 16))).collect();
    popup(frame, " keys ", lines, theme);
}

/// Draws the question.
pub(super) fn fork(frame: &mut Frame<'_>, question: &ForkQuestion, theme: DebugTheme) {
    popup(frame, " fork ", question.lines.clone(), theme);
}

fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(display_width(text))))
}

fn popup(frame: &mut Frame<'_>, title: &str, lines: Vec<String>, theme: DebugTheme) {
    let whole = frame.area();
    let widest = lines.iter().map(|line| display_width(line)).max().unwrap_or_default();
    let width = u16::try_from(widest).unwrap_or(u16::MAX).saturating_add(4).min(whole.width);
    let within = usize::from(width.saturating_sub(4)).max(1);
    let rows: usize = lines.iter().map(|line| display_width(line).max(1).div_ceil(within)).sum();
    let height = u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(2).min(whole.height);
    let area = Rect::new((whole.width - width) / 2, (whole.height - height) / 2, width, height);
    let block = Block::bordered()
        .title(Line::styled(title, theme.bold()))
        .border_style(theme.frame(true))
        .padding(ratatui::widgets::Padding::horizontal(1));
    let text = Text::from(lines.into_iter().map(Line::from).collect::<Vec<_>>());
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: false }).block(block), area);
}
