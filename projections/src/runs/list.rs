//! Queries of `runs`: one run, lists, counts; now or at a past position.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;
use std::ops::ControlFlow;

use everfold_base::id::{Position, RunId};
use everfold_core::state::RunStatus;
use everfold_ports::RunQuery;
use serde::Serialize;

use super::fold::{self, ENDS, RunsHead};
use super::index_terms;
use super::row::RunRow;
use super::row_history::{HistoryEntry, RowHistory};
use super::row_reader::RowReader;
use super::row_state::{RowState, STATUSES};
use super::run_filter::RunFilter;
use crate::filter::{Judged, RowScan, ScanReport};
use crate::id_map::IdMap;
use crate::index::bitmap_index::{BLOCK, Bits};
use crate::index::predicate::Predicate;
use crate::index::short_ids;
use crate::index::{lifetimes, start_times};
use crate::projection::FoldError;
use crate::row_codec;
use crate::snapshot::{KeyReader as _, ReadSnapshot};

/// In which order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RunOrder {
    /// Those that began last come first.
    #[default]
    Newest,
    /// Those that began first come first.
    Oldest,
    /// Only ended ones; those that ended last come first.
    EndedLast,
    /// Only ended ones; those that ended first come first.
    EndedFirst,
}

/// Part of the list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunPage {
    /// The runs.
    pub items: Vec<RunRow>,
    /// Where the next part begins, if there is one; counts in this order only.
    pub next: Option<u64>,
    /// How rows were looked at, where an expression was asked.
    pub scan: Option<ScanReport>,
}

/// How many runs there are in each status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RunCounts {
    /// All of them.
    pub total: u64,
    /// By status; those without a run too.
    pub by_status: BTreeMap<RunStatus, u64>,
}

/// The read model `runs`, to be asked.
pub struct RunsView<'a> {
    pub(super) snapshot: ReadSnapshot<'a>,
    head: RunsHead,
    pub(super) rows: RowReader,
}

/// The rows that were visible at a position.
pub(super) struct VisibleRows {
    /// `None`: now.
    pub(super) at: Option<Position>,
    /// Rows with lower numbers.
    pub(super) count: u32,
    /// Those that had not ended then and may have changed since; none of them now.
    pub(super) living: Vec<u32>,
}

/// What the indexes leave of the rows.
pub(super) struct WantedRows {
    pub(super) condition: Predicate,
    /// Rows with lower numbers began too early.
    pub(super) first: u32,
    /// The fields of the expression that an index answered for.
    pub(super) by_index: Vec<String>,
}

impl<'a> RunsView<'a> {
    pub(crate) fn new(snapshot: ReadSnapshot<'a>) -> Result<Self, FoldError> {
        let head = fold::head(&snapshot)?;
        Ok(Self { snapshot, head, rows: RowReader::default() })
    }

    /// How many runs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.head.count as usize
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.count == 0
    }

    /// One run; of a past position, as it was then.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn get(&self, run: RunId, at: Option<Position>) -> Result<Option<RunRow>, FoldError> {
        match fold::number_of(&self.snapshot, self.head.count, run)? {
            Some(number) => self.row(number, at),
            None => Ok(None),
        }
    }

    /// The run that began `back` runs before the newest one.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn nth_newest(&self, back: usize) -> Result<Option<RunId>, FoldError> {
        let Some(number) = u32::try_from(back).ok().and_then(|back| self.head.count.checked_sub(back + 1))
        else {
            return Ok(None);
        };
        self.id(number)
    }

    /// Runs whose short ids begin with these digits, newest first, at most `limit`.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn with_short(&self, start: &str, limit: usize) -> Result<Vec<RunId>, FoldError> {
        let numbers = short_ids::starting(&self.snapshot, self.head.count, start, limit)?;
        let mut runs = Vec::new();
        for number in numbers.into_iter().rev() {
            runs.extend(self.id(number)?);
        }
        Ok(runs)
    }

    /// The runs that have not ended, oldest first; with a parent only those that it started.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn open(&self, parent: Option<RunId>) -> Result<Vec<RunId>, FoldError> {
        let open =
            STATUSES.iter().filter(|status| !status.is_ended()).map(|status| index_terms::status_is(*status));
        let mut all: Vec<Predicate> = parent.map(index_terms::parent_is).into_iter().collect();
        all.push(Predicate::Any(open.collect()));
        let mut numbers = Vec::new();
        self.each(&Predicate::All(all), |number| numbers.push(number))?;
        self.ids(numbers)
    }

    fn each(&self, condition: &Predicate, mut each: impl FnMut(u32)) -> Result<(), FoldError> {
        let go_on = |number| {
            each(number);
            Ok(ControlFlow::<()>::Continue(()))
        };
        condition.walk(&self.snapshot, 0..self.head.count, false, go_on)?;
        Ok(())
    }

    fn id(&self, number: u32) -> Result<Option<RunId>, FoldError> {
        Ok(self.rows.read(&self.snapshot, number)?.map(|record| record.fixed.id))
    }

    fn ids(&self, numbers: Vec<u32>) -> Result<Vec<RunId>, FoldError> {
        let mut runs = Vec::with_capacity(numbers.len());
        for number in numbers {
            runs.extend(self.id(number)?);
        }
        Ok(runs)
    }

    /// How many runs fit, and the newest of them.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn find(&self, query: &RunQuery) -> Result<(u64, Vec<RunRow>), FoldError> {
        let filter = RunFilter {
            status: query.status.clone(),
            pipeline: query.pipeline.iter().cloned().collect(),
            started_after: query.started_after,
            labels: query.labels.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect(),
            ..RunFilter::default()
        };
        let total = if filter.started_after.is_none() {
            let condition = filter.condition(&self.snapshot, self.head.count, true)?;
            condition.count(&self.snapshot, self.head.count)?
        } else {
            // The indexes hold no times.
            let mut total = 0;
            self.look(&filter, usize::MAX, None, |_, _| total += 1)?;
            total
        };
        let rows = if query.limit == 0 {
            Vec::new()
        } else {
            self.list(&filter, RunOrder::Newest, None, query.limit, None)?.items
        };
        Ok((total, rows))
    }

    /// How many runs there are in each status.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn counts(&self, at: Option<Position>) -> Result<RunCounts, FoldError> {
        let visible = self.visible_at(at)?;
        let mut by_status = BTreeMap::new();
        for status in STATUSES {
            by_status.insert(status, self.ended_or_now(&visible, status)?);
        }
        for number in &visible.living {
            if let Some(row) = self.row(*number, at)? {
                *by_status.entry(row.shown.status).or_default() += 1;
            }
        }
        Ok(RunCounts { total: u64::from(visible.count), by_status })
    }

    /// How many runs are in a status, without those that were open at a past position.
    pub(super) fn ended_or_now(&self, visible: &VisibleRows, status: RunStatus) -> Result<u64, FoldError> {
        if visible.at.is_some() && !status.is_ended() {
            return Ok(0);
        }
        let condition =
            Predicate::All(vec![index_terms::status_is(status), Predicate::Not(visible.living.clone())]);
        Ok(condition.count(&self.snapshot, visible.count)?)
    }

    /// The rows that were visible at a position.
    pub(super) fn visible_at(&self, at: Option<Position>) -> Result<VisibleRows, FoldError> {
        let count = self.head.count;
        // What is known last is now: indexes answer for it.
        Ok(match at.filter(|at| *at < self.snapshot.position()) {
            None => VisibleRows { at: None, count, living: Vec::new() },
            Some(position) => VisibleRows {
                at: Some(position),
                count: lifetimes::born_by(&self.snapshot, count, position)?,
                living: lifetimes::living_at(&self.snapshot, count, position)?,
            },
        })
    }

    /// A row by its number; of a past position, as it was then.
    pub(super) fn row(&self, number: u32, at: Option<Position>) -> Result<Option<RunRow>, FoldError> {
        let Some(record) = self.rows.read(&self.snapshot, number)? else { return Ok(None) };
        let Some(position) = at.filter(|at| *at < record.row_since()) else {
            return Ok(Some(record.into_row()));
        };
        let found = match record.history.at(position)? {
            Some(found) => Some(found),
            None => self.earlier(number, position)?,
        };
        Ok(found.map(|(entry, shown)| record.fixed.into_row(&entry, shown)))
    }

    fn earlier(
        &self,
        number: u32,
        position: Position,
    ) -> Result<Option<(HistoryEntry, RowState)>, FoldError> {
        let (from, to) =
            (fold::history_key(number, 0), fold::history_key(number, position.0.saturating_add(1)));
        let Some((_, bytes)) = self.snapshot.scan(&from, &to, true, 1)?.pop() else { return Ok(None) };
        row_codec::read::<RowHistory>(&mut bytes.as_slice())?.at(position)
    }

    /// The runs that fit, at most `limit`, from `cursor` on; of a past position, as they were then.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn list(
        &self,
        filter: &RunFilter,
        order: RunOrder,
        cursor: Option<u64>,
        limit: usize,
        at: Option<Position>,
    ) -> Result<RunPage, FoldError> {
        let filter = filter.in_lower_case();
        let visible = self.visible_at(at)?;
        let WantedRows { condition, first, by_index } = self.wanted(&filter, &visible)?;
        let scan = filter.asked.as_ref().map(|asked| asked.scan(by_index));
        let mut page = CollectedRows { filter: &filter, items: Vec::new(), limit, next: None, scan };
        let mut each = |number: u32, place: u64| -> Result<ControlFlow<()>, FoldError> {
            if !page.has_room() {
                page.next = Some(place);
                return Ok(ControlFlow::Break(()));
            }
            Ok(self.row(number, at)?.map_or(ControlFlow::Continue(()), |row| page.take(row, place)))
        };
        let mut failed = None;
        match order {
            RunOrder::Newest | RunOrder::Oldest => {
                let newest = order == RunOrder::Newest;
                let place = cursor.map(|cursor| u32::try_from(cursor).unwrap_or(u32::MAX));
                let numbers = match place {
                    Some(place) if newest => first..visible.count.min(place.saturating_add(1)),
                    Some(place) => first.max(place)..visible.count,
                    None => first..visible.count,
                };
                condition.walk(&self.snapshot, numbers, newest, |number| {
                    Ok(each(number, u64::from(number)).unwrap_or_else(|error| {
                        failed = Some(error);
                        ControlFlow::Break(())
                    }))
                })?;
            }
            RunOrder::EndedLast | RunOrder::EndedFirst => {
                self.walk_ends(condition, &visible, order, cursor, |number, place| {
                    if number < first { Ok(ControlFlow::Continue(())) } else { each(number, place) }
                })?;
            }
        }
        match failed {
            Some(error) => Err(error),
            None => {
                let scan = page.scan.map(RowScan::report);
                Ok(RunPage { items: page.items, next: page.next, scan })
            }
        }
    }

    /// What the indexes leave of the visible rows.
    pub(super) fn wanted(&self, filter: &RunFilter, visible: &VisibleRows) -> Result<WantedRows, FoldError> {
        let now = visible.at.is_none();
        let plan = filter.plan(now);
        let simple = filter.condition(&self.snapshot, self.head.count, now)?;
        let settled = Predicate::All(plan.predicate.into_iter().chain([simple]).collect());
        // Rows of runs that were open then are checked one by one; those that had ended by then are as they are now.
        let condition = if now {
            settled
        } else {
            let lived = Predicate::Numbers(visible.living.clone());
            let others = Predicate::All(vec![Predicate::Not(visible.living.clone()), settled]);
            Predicate::Any(vec![lived, others])
        };
        let first = match filter.started_after.max(plan.started_after) {
            Some(after) => start_times::first_after(&self.snapshot, visible.count, after)?,
            None => 0,
        };
        Ok(WantedRows { condition, first, by_index: plan.by_index })
    }

    /// Shows the ended runs in the order of their ends.
    fn walk_ends(
        &self,
        condition: Predicate,
        visible: &VisibleRows,
        order: RunOrder,
        cursor: Option<u64>,
        mut each: impl FnMut(u32, u64) -> Result<ControlFlow<()>, FoldError>,
    ) -> Result<(), FoldError> {
        let ended = STATUSES.into_iter().filter(|status| status.is_ended()).map(index_terms::status_is);
        let lived = Predicate::Not(visible.living.clone());
        let condition = Predicate::All(vec![condition, lived, Predicate::Any(ended.collect())]);
        let last_first = order == RunOrder::EndedLast;
        let total = u64::from(self.head.ended);
        let (from, to) = match cursor {
            Some(cursor) if last_first => (0, total.min(cursor.saturating_add(1))),
            Some(cursor) => (cursor.min(total), total),
            None => (0, total),
        };
        // Which rows fit, by their blocks, and how many of them are still to come at most.
        let mut fitting: IdMap<u32, Bits> = IdMap::default();
        let mut left = condition.count(&self.snapshot, visible.count)?;
        let mut ends: (Option<u32>, Vec<u8>) = (None, Vec::new());
        let mut place = if last_first { to } else { from };
        while left > 0 && if last_first { place > from } else { place < to } {
            let here = if last_first { place - 1 } else { place };
            place = if last_first { place - 1 } else { place + 1 };
            let block = (here / u64::from(ENDS)) as u32;
            if ends.0 != Some(block) {
                let bytes = self.snapshot.get(&fold::ends_key(block))?.unwrap_or_default().into_owned();
                ends = (Some(block), bytes);
            }
            let offset = (here % u64::from(ENDS)) as usize * 4;
            let bytes = ends.1.get(offset..offset + 4).and_then(|bytes| bytes.try_into().ok());
            let number = u32::from_le_bytes(bytes.ok_or_else(|| FoldError::Row("an end is missing".into()))?);
            if number >= visible.count {
                continue;
            }
            let bits = match fitting.entry(number / BLOCK) {
                Entry::Occupied(bits) => bits.into_mut(),
                Entry::Vacant(place) => place.insert(condition.bits(&self.snapshot, number / BLOCK)?),
            };
            let low = (number % BLOCK) as usize;
            if bits[low / 64] >> (low % 64) & 1 == 0 {
                continue;
            }
            left -= 1;
            if each(number, here)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// The rows of a page, as they are found.
struct CollectedRows<'a> {
    filter: &'a RunFilter,
    items: Vec<RunRow>,
    limit: usize,
    next: Option<u64>,
    /// The way of the expression, where one is asked.
    scan: Option<RowScan<'a>>,
}

impl CollectedRows<'_> {
    /// Whether another row may be read. Without an expression the row behind a full page is: it begins the next one.
    fn has_room(&mut self) -> bool {
        let is_full = self.items.len() >= self.limit;
        self.scan.as_mut().is_none_or(|scan| !is_full && scan.has_room())
    }

    /// Adds a row that fits.
    fn take(&mut self, row: RunRow, place: u64) -> ControlFlow<()> {
        if !self.filter.fits(&row) {
            return ControlFlow::Continue(());
        }
        let judged = match (&mut self.scan, &self.filter.asked) {
            (Some(scan), Some(asked)) => scan.judge(&asked.of_row(&row)),
            _no_expression => Judged::Fits,
        };
        match judged {
            Judged::DoesNotFit => ControlFlow::Continue(()),
            Judged::Fits if self.items.len() < self.limit => {
                self.items.push(row);
                ControlFlow::Continue(())
            }
            Judged::Fits | Judged::Later => {
                self.next = Some(place);
                ControlFlow::Break(())
            }
        }
    }
}
