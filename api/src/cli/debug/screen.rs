//! The model on the screen.
//!
//! Law: pure: the same model is the same screen.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph};
use textwrap::core::display_width;

use super::layout::{HEIGHT_MIN, PaneAreas, WIDTH_MIN, is_too_small, side_width};
use super::model::{DebugModel, DebugPane, DebugPrompt, SideContent};
use super::popup;
use super::side::{SideTone, side_lines};
use super::theme::DebugTheme;
use super::tree::{RowFold, TreeRow};
use super::window::EventLine;
use crate::text::cut;

/// Columns from which an event's line has its time, and those of a whole line.
const WITH_TIME: usize = 46;
const WHOLE: usize = 72;
/// Columns from which the head has the day, and those that a name needs to be of use there.
const WITH_DATE: usize = 90;
const NAME_MIN: usize = 8;

/// Draws the model.
pub(super) fn draw(frame: &mut Frame<'_>, model: &DebugModel, theme: DebugTheme) {
    if is_too_small(model) {
        let (width, height) = (model.size.width, model.size.height);
        let text =
            format!("The terminal is {width}x{height}; the debugger needs {WIDTH_MIN}x{HEIGHT_MIN}. q ends.");
        let lines: Vec<Line<'_>> =
            textwrap::wrap(&text, usize::from(width.max(1))).into_iter().map(Line::from).collect();
        frame.render_widget(Paragraph::new(lines), frame.area());
        return;
    }
    let areas = PaneAreas::of(model);
    frame.render_widget(Paragraph::new(head(model, areas.head, theme)), areas.head);
    if let Some(area) = areas.of_pane(DebugPane::Events) {
        events(frame, model, area, theme);
    }
    if let Some(area) = areas.of_pane(DebugPane::State) {
        state(frame, model, area, theme);
    }
    if let Some(area) = areas.of_pane(DebugPane::Side) {
        side(frame, model, area, theme);
    }
    foot(frame, model, areas.foot, theme);
    match &model.prompt {
        Some(DebugPrompt::Help) => popup::help(frame, theme),
        Some(DebugPrompt::Fork(question)) => popup::fork(frame, question, theme),
        _in_the_last_line => {}
    }
}

/// The run, the version, and how the run stood there.
fn head(model: &DebugModel, area: Rect, theme: DebugTheme) -> Line<'static> {
    let run = &model.run;
    let status = model.status().unwrap_or_else(|| "…".to_owned());
    let at = model.event().map(|event| event.at.clone()).unwrap_or_default();
    let from = if usize::from(area.width) < WITH_DATE { 11 } else { 0 };
    let at = at.get(from..23).map_or(at.clone(), |at| at.replace('T', " "));
    let follows = if model.is_following && !run.is_ended { "  following" } else { "" };
    let version = format!("version {} of {}", model.version, run.last);
    let title = run.title.as_ref().map(|title| format!("  {title}")).unwrap_or_default();
    let fixed = run.short_id.len() + status.len() + version.len() + at.len() + follows.len() + 6;
    let left = usize::from(area.width).saturating_sub(fixed);
    let named =
        if left < NAME_MIN { String::new() } else { cut(&format!("{title}  {}", run.pipeline), left) };
    Line::from(vec![
        Span::styled(run.short_id.clone(), theme.bold()),
        Span::raw(named),
        Span::raw("  "),
        Span::styled(status.clone(), theme.status(&status)),
        Span::raw("  "),
        Span::styled(version, theme.bold()),
        Span::raw(format!("  {at}")),
        Span::styled(follows, theme.dim()),
    ])
}

fn pane(model: &DebugModel, pane: DebugPane, title: String, theme: DebugTheme) -> Block<'static> {
    let has_focus = model.focus == pane;
    let style = if has_focus { theme.bold() } else { Style::new() };
    // Without colours the mark says which pane takes the keys.
    let mark = if has_focus { "▸" } else { " " };
    Block::bordered()
        .title(Span::styled(format!("{mark}{title} "), style))
        .border_style(theme.frame(has_focus))
}

fn events(frame: &mut Frame<'_>, model: &DebugModel, area: Rect, theme: DebugTheme) {
    let title = match model.run.breakpoints.as_slice() {
        [] => "Events".to_owned(),
        steps => cut(&format!("Events  ● {}", steps.join(", ")), usize::from(area.width.saturating_sub(6))),
    };
    let block = pane(model, DebugPane::Events, title, theme);
    let inner = block.inner(area);
    let height = u64::from(inner.height).max(1);
    let last_top = (model.run.last + 1).saturating_sub(height).max(1);
    let first = model.version.saturating_sub(height / 2).clamp(1, last_top);
    let digits = model.run.last.to_string().len().max(3);
    let has_focus = model.focus == DebugPane::Events;
    let lines: Vec<Line<'_>> = (first..(first + height).min(model.run.last + 1))
        .map(|version| {
            let is_shown = version == model.version;
            let Some(event) = model.window.get(version) else {
                return Line::styled(format!("{version:>width$}  …", width = digits + 1), theme.dim());
            };
            let above = model.window.get(version.saturating_sub(1));
            let is_of_above = above.is_some_and(|above| above.nature.input == event.nature.input);
            let text = event_text(event, is_of_above, digits, usize::from(inner.width));
            let style = theme.event(event.nature.tone);
            if is_shown {
                let fill = usize::from(inner.width).saturating_sub(display_width(&text) + 1);
                let text = format!("▸{text}{}", " ".repeat(fill));
                Line::styled(text, style.patch(theme.chosen(has_focus)))
            } else {
                Line::styled(format!(" {text}"), style)
            }
        })
        .collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// An event as `everfold events` prints it, as far as there is room. Events of one decision hang together.
fn event_text(event: &EventLine, is_of_above: bool, digits: usize, width: usize) -> String {
    let tie = if is_of_above { '│' } else { ' ' };
    let version = format!("{:>digits$}{tie}", event.version);
    let text = match width {
        WHOLE.. => {
            let time = event.at.get(11..23).unwrap_or_default();
            format!("{version}{time}  {:<17}  {:<14}  {}", event.kind, event.place, event.detail)
        }
        WITH_TIME.. => {
            let time = event.at.get(11..19).unwrap_or_default();
            format!("{version}{time} {} {} {}", event.kind, event.place, event.detail)
        }
        _narrow => format!("{version}{} {} {}", event.kind, event.place, event.detail),
    };
    cut(text.trim_end(), width.saturating_sub(1))
}

fn state(frame: &mut Frame<'_>, model: &DebugModel, area: Rect, theme: DebugTheme) {
    let tree = &model.tree;
    let changes = tree.changes();
    let title = match tree.version() {
        None => "State  …".to_owned(),
        Some(version) if version != model.version => format!("State of version {version}  …"),
        Some(_) if changes == 0 => "State  nothing changed".to_owned(),
        Some(_) => format!("State  {}", crate::text::count(changes as u64, "change")),
    };
    let block = pane(model, DebugPane::State, title, theme);
    let inner = block.inner(area);
    let height = usize::from(inner.height);
    let first = tree.cursor.saturating_sub(height / 2).min(tree.rows.len().saturating_sub(height));
    let has_focus = model.focus == DebugPane::State;
    let rows = tree.rows.iter().enumerate().skip(first).take(height);
    let lines: Vec<Line<'_>> = rows
        .map(|(at, row)| {
            let text = cut(&row_text(row), usize::from(inner.width));
            let style = theme.value(row.mark);
            if at == tree.cursor {
                let fill = usize::from(inner.width).saturating_sub(display_width(&text));
                let text = format!("{text}{}", " ".repeat(fill));
                Line::styled(text, style.patch(theme.chosen(has_focus)))
            } else {
                Line::styled(text, style)
            }
        })
        .collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn row_text(row: &TreeRow) -> String {
    let fold = match row.fold {
        RowFold::Leaf => ' ',
        RowFold::Open => '▾',
        RowFold::Closed => '▸',
    };
    let indent = "  ".repeat(row.depth);
    let colon = if row.key.is_empty() { "" } else { ": " };
    format!("{}{indent}{fold} {}{colon}{}", row.mark.sign(), row.key, row.text)
}

fn side(frame: &mut Frame<'_>, model: &DebugModel, area: Rect, theme: DebugTheme) {
    let title = match model.side {
        SideContent::Why => "Why".to_owned(),
        SideContent::Event => format!("Event {}", model.version),
        SideContent::Log => match model.attempt() {
            Some(attempt) => format!("Log of {}", attempt.name()),
            None => "Log".to_owned(),
        },
        SideContent::Map => format!("Map at {}", model.version),
        SideContent::Today => format!("Today's definition at {}", model.version),
    };
    let block = pane(model, DebugPane::Side, title, theme);
    let inner = block.inner(area);
    let lines = side_lines(model, side_width(area));
    let height = usize::from(inner.height);
    let most = lines.len().saturating_sub(height);
    let is_at_end = model.side == SideContent::Log && !model.scroll.is_by_hand;
    let top = if is_at_end { most } else { model.scroll.top.min(most) };
    let shown = lines.iter().skip(top).take(height).map(|line| {
        let style = match line.tone {
            SideTone::Text => Style::new(),
            SideTone::Head => theme.bold(),
            SideTone::Aside => theme.dim(),
        };
        Line::styled(line.text.clone(), style)
    });
    let below = lines.len().saturating_sub(top + height);
    let block = if below > 0 { block.title_bottom(format!(" {below} more ↓ ")) } else { block };
    frame.render_widget(Paragraph::new(shown.collect::<Vec<_>>()).block(block), area);
}

/// What was said, and the keys or what is typed.
fn foot(frame: &mut Frame<'_>, model: &DebugModel, area: Rect, theme: DebugTheme) {
    let width = usize::from(area.width);
    let mut lines = Vec::new();
    if let Some(notice) = &model.notice {
        lines.push(Line::styled(cut(&notice.text, width), theme.notice(notice.kind)));
    }
    let typed = |sign: &str, text: &str| {
        // The end of what is typed stays in sight.
        let room = width.saturating_sub(sign.len() + 1);
        let mut shown = text;
        while display_width(shown) > room {
            shown = shown.char_indices().nth(1).map_or("", |(at, _)| &shown[at..]);
        }
        Line::from(vec![Span::styled(sign.to_owned(), theme.bold()), Span::raw(format!("{shown}█"))])
    };
    lines.push(match (&model.prompt, model.looked_for()) {
        (Some(DebugPrompt::Search(text)), _) => typed("search: ", text),
        (Some(DebugPrompt::GoTo(text)), _) => typed("go to version or time: ", text),
        (_, Some(what)) => Line::styled(cut(&format!("looking for {what} … Esc stops"), width), theme.bold()),
        _keys => Line::styled(cut(keys_line(model), width), theme.dim()),
    });
    frame.render_widget(Paragraph::new(lines), area);
}

/// The keys that are of use in the pane.
fn keys_line(model: &DebugModel) -> &'static str {
    match model.focus {
        DebugPane::Events => {
            "? keys  q end  ←→ event  ⇧←→ decision  s step  x failure  / search  g go to  w e l m t beside  Tab pane  c change  b break  f fork"
        }
        DebugPane::State => {
            "? keys  q end  ↑↓ row  Enter fold  c change  ←→ event  Tab pane  w why  e event  l log  m map  t today  b break  f fork"
        }
        DebugPane::Side => {
            "? keys  q end  ↑↓ scroll  ←→ event  w why  e event  l log  m map  t today  Tab pane  b break  f fork"
        }
    }
}
