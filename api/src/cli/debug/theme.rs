//! How things look: with colours, or without any.
//!
//! Law: nothing is told by a colour alone; signs and words say it as well.

use ratatui::style::{Color, Modifier, Style};

use super::model::NoticeTone;
use super::tree::ValueMark;

/// The looks of one terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DebugTheme {
    is_coloured: bool,
}

impl DebugTheme {
    pub(super) fn new(is_coloured: bool) -> Self {
        Self { is_coloured }
    }

    fn colour(self, colour: Color) -> Style {
        if self.is_coloured { Style::new().fg(colour) } else { Style::new() }
    }

    pub(super) fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// The row that is chosen.
    pub(super) fn chosen(self, has_focus: bool) -> Style {
        match has_focus {
            true => Style::new().add_modifier(Modifier::REVERSED),
            false => Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
        }
    }

    /// The frame of a pane.
    pub(super) fn frame(self, has_focus: bool) -> Style {
        if has_focus { self.colour(Color::Cyan).add_modifier(Modifier::BOLD) } else { self.dim() }
    }

    /// An event, by what it is about.
    pub(super) fn event(self, tone: &str) -> Style {
        match tone {
            "trouble" => self.colour(Color::Red),
            "gate" => self.colour(Color::Green),
            "person" => self.colour(Color::Magenta),
            "wait" => self.dim(),
            "run" => self.colour(Color::Blue),
            _work => Style::new(),
        }
    }

    /// A value, by what became of it.
    pub(super) fn value(self, mark: ValueMark) -> Style {
        match mark {
            ValueMark::Same => Style::new(),
            ValueMark::Added => self.colour(Color::Green),
            ValueMark::Changed => self.colour(Color::Yellow),
            ValueMark::Removed => self.colour(Color::Red),
        }
    }

    /// The status of a run.
    pub(super) fn status(self, status: &str) -> Style {
        match status {
            "succeeded" => self.colour(Color::Green),
            "failed" | "blocked" => self.colour(Color::Red),
            "running" => self.colour(Color::Cyan),
            "cancelled" => self.dim(),
            _waits => self.colour(Color::Yellow),
        }
        .add_modifier(Modifier::BOLD)
    }

    pub(super) fn notice(self, tone: NoticeTone) -> Style {
        match tone {
            NoticeTone::Said => self.bold(),
            NoticeTone::Failed | NoticeTone::Away => self.colour(Color::Red).add_modifier(Modifier::BOLD),
        }
    }
}
