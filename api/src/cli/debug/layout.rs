//! Where the parts of the screen stand, by its size.

use ratatui::layout::{Constraint, Layout, Rect};

use super::model::{DebugModel, DebugPane};

/// The smallest screen that is drawn on.
pub(super) const WIDTH_MIN: u16 = 40;
pub(super) const HEIGHT_MIN: u16 = 8;
/// From here on the three panes stand side by side.
const WIDE: u16 = 120;
/// From here on they stand in two rows; on a smaller screen one is shown.
const TWO_WIDTH: u16 = 76;
const TWO_HEIGHT: u16 = 22;

/// Where each part stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PaneAreas {
    pub(super) head: Rect,
    pub(super) foot: Rect,
    events: Option<Rect>,
    state: Option<Rect>,
    side: Option<Rect>,
}

impl PaneAreas {
    /// Of the model's screen.
    pub(super) fn of(model: &DebugModel) -> Self {
        let whole = Rect::new(0, 0, model.size.width, model.size.height);
        let foot_lines = if model.notice.is_some() { 2 } else { 1 };
        let rows = [Constraint::Length(1), Constraint::Min(0), Constraint::Length(foot_lines)];
        let [head, body, foot] = Layout::vertical(rows).areas(whole);
        let (mut events, mut state, mut side) = (None, None, None);
        if whole.width >= WIDE {
            let columns = [Constraint::Fill(9), Constraint::Fill(10), Constraint::Fill(9)];
            let [left, middle, right] = Layout::horizontal(columns).areas(body);
            (events, state, side) = (Some(left), Some(middle), Some(right));
        } else if whole.width >= TWO_WIDTH && whole.height >= TWO_HEIGHT {
            let [top, below] = Layout::vertical([Constraint::Fill(6), Constraint::Fill(5)]).areas(body);
            let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(top);
            (events, state, side) = (Some(left), Some(right), Some(below));
        } else {
            match model.focus {
                DebugPane::Events => events = Some(body),
                DebugPane::State => state = Some(body),
                DebugPane::Side => side = Some(body),
            }
        }
        Self { head, foot, events, state, side }
    }

    /// Where a pane stands, where it is shown.
    pub(super) fn of_pane(&self, pane: DebugPane) -> Option<Rect> {
        match pane {
            DebugPane::Events => self.events,
            DebugPane::State => self.state,
            DebugPane::Side => self.side,
        }
    }
}

/// Whether the screen is too small for anything.
pub(super) fn is_too_small(model: &DebugModel) -> bool {
    model.size.width < WIDTH_MIN || model.size.height < HEIGHT_MIN
}

/// The columns for the text of the side pane, within its frame.
pub(super) fn side_width(area: Rect) -> usize {
    usize::from(area.width.saturating_sub(2)).max(1)
}
