//! A bounded look at the rows that fit, the newest first.
//!
//! Law: the rows that are looked at are the newest of those that the indexes leave, at most so many; the report says how
//! many these were and whether they were all that may fit.

use std::ops::ControlFlow;

use everfold_base::id::Position;
use serde::Serialize;

use super::list::RunsView;
use super::row::RunRow;
use super::run_filter::RunFilter;
use crate::filter::{Judged, RowScan, ScanReport};
use crate::projection::FoldError;

/// How many rows an answer is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LookReport {
    /// Rows that were looked at.
    pub looked_at: u64,
    /// Whether they were all that may fit; else they are the newest of these.
    pub complete: bool,
}

/// Rows on their way through a look.
struct LookedRows<'a, F> {
    filter: &'a RunFilter,
    rows_max: usize,
    report: LookReport,
    /// The way of the expression, where one is asked.
    scan: Option<RowScan<'a>>,
    fits: F,
}

impl<F: FnMut(u32, &RunRow)> LookedRows<'_, F> {
    /// Whether another row may be read.
    fn has_room(&mut self) -> bool {
        let is_within = self.report.looked_at < self.rows_max as u64;
        self.report.complete = is_within && self.scan.as_mut().is_none_or(RowScan::has_room);
        self.report.complete
    }

    fn take(&mut self, number: u32, row: &RunRow) -> ControlFlow<()> {
        self.report.looked_at += 1;
        if !self.filter.fits(row) {
            return ControlFlow::Continue(());
        }
        let judged = match (&mut self.scan, &self.filter.asked) {
            (Some(scan), Some(asked)) => scan.judge(&asked.of_row(row)),
            _no_expression => Judged::Fits,
        };
        match judged {
            Judged::Fits => (self.fits)(number, row),
            Judged::DoesNotFit => {}
            Judged::Later => {
                self.report.complete = false;
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }
}

impl RunsView<'_> {
    /// Looks at rows as they are, or were at a position, and hands on those that fit, with their numbers.
    pub(super) fn look(
        &self,
        filter: &RunFilter,
        rows_max: usize,
        at: Option<Position>,
        fits: impl FnMut(u32, &RunRow),
    ) -> Result<(LookReport, Option<ScanReport>), FoldError> {
        let filter = &filter.in_lower_case();
        let visible = self.visible_at(at)?;
        let wanted = self.wanted(filter, &visible)?;
        let report = LookReport { looked_at: 0, complete: true };
        let scan = filter.asked.as_ref().map(|asked| asked.scan(wanted.by_index));
        let mut rows = LookedRows { filter, rows_max, report, scan, fits };
        let mut failed = None;
        wanted.condition.walk(&self.snapshot, wanted.first..visible.count, true, |number| {
            if !rows.has_room() {
                return Ok(ControlFlow::Break(()));
            }
            Ok(match self.row(number, at) {
                Ok(row) => row.map_or(ControlFlow::Continue(()), |row| rows.take(number, &row)),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            })
        })?;
        match failed {
            Some(error) => Err(error),
            None => Ok((rows.report, rows.scan.map(RowScan::report))),
        }
    }
}
