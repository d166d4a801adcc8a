//! Tables that fit the terminal: the columns of texts shrink, the widest first; where that is not enough, the last of
//! them are left out.
//!
//! Law: without a terminal there is no width, and nothing is cut.

use owo_colors::{OwoColorize as _, Style};
use textwrap::core::display_width;

use crate::text::{cut, plain};

/// The blanks between two columns.
const GAP: usize = 2;

/// The width that the columns of texts shrink to; and where that is not enough, before one is left out.
const TEXT_MINS: [usize; 2] = [8, 4];

/// A column: its head, and whether it is a text that may be cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TableColumn {
    head: &'static str,
    is_text: bool,
}

impl TableColumn {
    /// A column that is as wide as it is.
    pub(crate) fn fixed(head: &'static str) -> Self {
        Self { head, is_text: false }
    }

    /// A column of a text that may be cut, and left out of a narrow terminal.
    pub(crate) fn text(head: &'static str) -> Self {
        Self { head, is_text: true }
    }
}

/// A cell of a table.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A text in a colour.
    pub(crate) fn styled(text: impl AsRef<str>, style: Style) -> Self {
        Self { text: plain(text.as_ref()), style }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::styled(text, Style::new())
    }
}

/// A head and rows, within so many columns of the terminal.
pub(crate) fn fitted<const N: usize>(
    columns: [TableColumn; N],
    rows: &[[Cell; N]],
    within: Option<usize>,
) -> String {
    let heads = columns.map(|column| column.head.to_owned());
    fitted_rows(&heads, &columns, rows, within)
}

/// The same under heads that are no words of the program.
pub(crate) fn fitted_rows(
    heads: &[String],
    columns: &[TableColumn],
    rows: &[impl AsRef<[Cell]>],
    within: Option<usize>,
) -> String {
    let heads: Vec<Cell> = heads.iter().cloned().map(Cell::from).collect();
    let lines = || std::iter::once(heads.as_slice()).chain(rows.iter().map(AsRef::as_ref));
    let mut widths = vec![0; columns.len()];
    for row in lines() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(display_width(&cell.text));
        }
    }
    if let Some(within) = within {
        shrink_or_leave_out(columns, &mut widths, within);
    }
    lines().map(|row| line(row, &widths)).collect::<Vec<_>>().join("\n")
}

/// A column that is left out gets no width.
fn shrink_or_leave_out(columns: &[TableColumn], widths: &mut [usize], within: usize) {
    let full = widths.to_vec();
    for last in (0..=columns.len()).rev() {
        if columns.get(last).is_some_and(|column| !column.is_text) {
            continue;
        }
        widths.copy_from_slice(&full);
        let left_out = |at: &usize| columns[*at].is_text && *at >= last;
        (0..columns.len()).filter(left_out).for_each(|at| widths[at] = 0);
        if TEXT_MINS.iter().any(|min| shrink(columns, widths, within, *min)) {
            return;
        }
    }
}

/// Shrinks the columns of texts; whether the table fits then.
fn shrink(columns: &[TableColumn], widths: &mut [usize], within: usize, min: usize) -> bool {
    let gaps = GAP * widths.iter().filter(|width| **width > 0).count().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > within {
        let shrinkable = (0..widths.len()).filter(|at| columns[*at].is_text && widths[*at] > min);
        let Some(widest) = shrinkable.max_by_key(|at| widths[*at]) else { return false };
        widths[widest] -= 1;
    }
    true
}

fn line(row: &[Cell], widths: &[usize]) -> String {
    let mut line = String::new();
    let is_shown = |at: &usize| widths[*at] > 0;
    let last = (0..row.len()).filter(is_shown).rfind(|at| !row[*at].text.is_empty());
    for at in (0..last.map_or(0, |last| last + 1)).filter(is_shown) {
        let (cell, width) = (&row[at], widths[at]);
        let text = cut(&cell.text, width);
        let room = width - display_width(&text).min(width);
        line.push_str(&text.style(cell.style).to_string());
        if Some(at) != last {
            line.push_str(&" ".repeat(room + GAP));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(within: Option<usize>) -> String {
        let columns = [TableColumn::fixed("RUN"), TableColumn::text("TITLE"), TableColumn::text("NOTE")];
        let row =
            |run: &str, title: &str, note: &str| [run, title, note].map(|text| Cell::from(text.to_owned()));
        let rows = [
            row("5b8093ed", "A title of thirty characters ..", "a note that is as long as forty characters"),
            row("0d3a34b4", "", ""),
        ];
        fitted(columns, &rows, within)
    }

    #[test]
    fn the_widest_text_is_cut_where_a_terminal_has_no_room() {
        let wide = shown(None);
        assert!(wide.contains("characters ..  a note that is as long as forty characters"), "{wide}");
        for within in [80, 60, 40] {
            let narrow = shown(Some(within));
            assert!(narrow.lines().all(|line| line.chars().count() <= within), "{narrow}");
            assert!(narrow.lines().nth(1).unwrap().starts_with("5b8093ed  A title"), "{narrow}");
            assert!(narrow.contains('…'), "{narrow}");
        }
        assert_eq!(shown(Some(22)).lines().next(), Some("RUN       TITLE  NOTE"));
        assert_eq!(shown(Some(18)).lines().next(), Some("RUN       TITLE"), "the last text is left out");
        assert_eq!(shown(Some(8)).lines().nth(1), Some("5b8093ed"));
        assert_eq!(wide.lines().nth(2), Some("0d3a34b4"), "no blanks at the end of a line");
    }

    #[test]
    fn a_wide_character_takes_two_columns() {
        let columns = [TableColumn::fixed("RUN"), TableColumn::text("TITLE"), TableColumn::fixed("AGE")];
        let row = |title: &str| ["5b8093ed", title, "3m"].map(|text| Cell::from(text.to_owned()));
        let rows = [row(&"漢字".repeat(30)), row("plain"), row("emoji 🚀🚀")];
        for within in [Some(80), Some(41), Some(40), None] {
            let table = fitted(columns, &rows, within);
            let widths: Vec<usize> = table.lines().map(display_width).collect();
            let at = |line: &str| line.find("3m").map(|at| display_width(&line[..at]));
            let places: Vec<_> = table.lines().skip(1).map(at).collect();
            assert!(widths.iter().all(|width| within.is_none_or(|within| *width <= within)), "{table}");
            assert!(places.iter().all(|place| place.is_some() && *place == places[0]), "{table}");
        }
    }
}
