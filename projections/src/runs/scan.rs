//! All rows that fit, newest first, as they are stored.
//!
//! Law: they are the rows that [`RunsView::list`] gives of the same filter at the same position.

use std::ops::ControlFlow;

use everfold_base::id::{Position, RunId};

use super::fold;
use super::list::{RunsView, VisibleRows, WantedRows};
use super::run_filter::RunFilter;
use super::stored_row::{RowHead, StoredRow};
use crate::projection::FoldError;

/// A part of the rows.
#[derive(Debug, Clone)]
pub struct RunScan {
    /// The rows.
    pub rows: Vec<StoredRow>,
    /// Where the next part begins, if there is one.
    pub next: Option<u32>,
}

impl RunsView<'_> {
    /// The rows that fit, as they were at a position, newest first: at most `limit`, from `cursor` on.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn scan(
        &self,
        filter: &RunFilter,
        cursor: Option<u32>,
        limit: usize,
        at: Position,
    ) -> Result<RunScan, FoldError> {
        let filter = filter.in_lower_case();
        let visible = self.visible_at(Some(at))?;
        let WantedRows { condition, first, .. } = self.wanted(&filter, &visible)?;
        let to = cursor.map_or(visible.count, |cursor| visible.count.min(cursor.saturating_add(1)));
        let (mut part, mut failed) = (RunScan { rows: Vec::new(), next: None }, None);
        condition.walk(&self.snapshot, first..to, true, |number| {
            if part.rows.len() >= limit {
                part.next = Some(number);
                return Ok(ControlFlow::Break(()));
            }
            match self.fitting(number, &visible, &filter) {
                Ok(row) => part.rows.extend(row),
                Err(error) => failed = Some(error),
            }
            Ok(if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        match failed {
            Some(error) => Err(error),
            None => Ok(part),
        }
    }

    /// The rows of these runs as they were at a position, as far as they had begun, newest first.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn stored(&self, runs: &[RunId], at: Position) -> Result<Vec<StoredRow>, FoldError> {
        let (visible, any) = (self.visible_at(Some(at))?, RunFilter::default());
        let mut numbers = Vec::with_capacity(runs.len());
        for run in runs {
            numbers.extend(fold::number_of(&self.snapshot, visible.count, *run)?);
        }
        // Rows are numbered in the order in which they became visible.
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        let mut rows = Vec::with_capacity(numbers.len());
        for number in numbers {
            rows.extend(self.fitting(number, &visible, &any)?);
        }
        Ok(rows)
    }

    /// A row, if it fits.
    fn fitting(
        &self,
        number: u32,
        visible: &VisibleRows,
        filter: &RunFilter,
    ) -> Result<Option<StoredRow>, FoldError> {
        let Some(bytes) = self.rows.bytes(&self.snapshot, number)? else { return Ok(None) };
        let since = RowHead::since(bytes.as_slice())?;
        if let Some(at) = visible.at.filter(|at| *at < since) {
            let row = self.row(number, Some(at))?.filter(|row| filter.fits(row) && filter.is_true_of(row));
            return Ok(row.map(StoredRow::past));
        }
        if !filter.asks_nothing() && !filter.fits_head(&RowHead::read(bytes.as_slice())?.filtered()) {
            return Ok(None);
        }
        let row = StoredRow::stored(bytes);
        let fits = filter.is_of_head() || {
            let whole = row.whole()?;
            filter.fits_rest(&whole) && filter.is_true_of(&whole)
        };
        Ok(fits.then_some(row))
    }
}
