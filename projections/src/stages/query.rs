//! Queries of `stages`: tasks by stage and by number of their work item; now or at a past position.
//!
//! It also owns the keys under which rows, histories and indexes lie.

use std::ops::ControlFlow;
use std::sync::Arc;

use everfold_base::id::{Position, RunId};
use everfold_base::json::Hash;

use super::history::{StageHistory, StageRecord};
use super::jobs::JOBS;
use super::layout::StageLayout;
use super::parts::AgentJobs;
use super::standing::Standing;
use super::terms;
use crate::id_map::IdMap;
use crate::index::lifetimes;
use crate::index::predicate::Predicate;
use crate::projection::FoldError;
use crate::row_codec;
use crate::snapshot::{KeyReader as _, ReadSnapshot};

/// The key of the number of tasks.
pub(super) const HEAD: &[u8] = b"H";

pub(super) fn record_key(number: u32) -> [u8; 5] {
    let [a, b, c, d] = number.to_be_bytes();
    [b'r', a, b, c, d]
}

pub(super) fn history_key(number: u32, first: Position) -> Vec<u8> {
    [&[b'h'][..], &number.to_be_bytes(), &first.0.to_be_bytes()].concat()
}

pub(super) fn run_key(run: RunId) -> Vec<u8> {
    [&[b'n'][..], run.0.as_bytes()].concat()
}

pub(super) fn definition_key(definition: &Hash) -> Vec<u8> {
    [&[b'g'][..], &definition.0].concat()
}

/// The key of a run that a restart or a retry of it continues: since which position.
pub(super) fn continued_key(run: RunId) -> Vec<u8> {
    [&[b'x'][..], run.0.as_bytes()].concat()
}

/// Which tasks are wanted; all conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StageFilter {
    /// They go on (`true`), or have ended (`false`).
    pub is_open: Option<bool>,
    /// In this stage; of ended ones the last.
    pub stage: Option<String>,
    /// The name of their work item ends in this number, whatever stands in front of it.
    pub item: Option<String>,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageRow {
    /// Its run.
    pub run: RunId,
    /// Its place in the list.
    pub number: u64,
    /// What its pipeline says of stages.
    pub layout: Arc<StageLayout>,
    /// Where it stands.
    pub standing: Standing,
}

/// Part of the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StagePage {
    /// The tasks, those that began last first.
    pub items: Vec<StageRow>,
    /// Where the next part begins, if there is one.
    pub next: Option<u64>,
}

/// The read model `stages`, to be asked.
pub struct StagesView<'a> {
    snapshot: ReadSnapshot<'a>,
    count: u32,
}

impl<'a> StagesView<'a> {
    pub(crate) fn new(snapshot: ReadSnapshot<'a>) -> Result<Self, FoldError> {
        let count = match snapshot.get(HEAD)? {
            Some(bytes) => row_codec::read::<(u32, bool)>(&mut &*bytes)?.0,
            None => 0,
        };
        Ok(Self { snapshot, count })
    }

    /// The task of a run; of a past position, as it stood then.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn get(&self, run: RunId, at: Option<Position>) -> Result<Option<StageRow>, FoldError> {
        let Some(bytes) = self.snapshot.get(&run_key(run))? else { return Ok(None) };
        self.row(row_codec::read(&mut &*bytes)?, at, &mut IdMap::default())
    }

    /// The attempts of agents in all tasks.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn jobs(&self) -> Result<AgentJobs, FoldError> {
        match self.snapshot.get(JOBS)? {
            Some(bytes) => row_codec::read(&mut &*bytes),
            None => Ok(AgentJobs::default()),
        }
    }

    /// The tasks that fit, newest first, at most `limit` from `cursor` on; of a past position, as they stood then. A task is
    /// listed once: a run that a restart or a retry continues is not.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn list(
        &self,
        filter: &StageFilter,
        cursor: Option<u64>,
        limit: usize,
        at: Option<Position>,
    ) -> Result<StagePage, FoldError> {
        let count = match at {
            None => self.count,
            Some(position) => lifetimes::born_by(&self.snapshot, self.count, position)?,
        };
        let condition = self.condition(filter, at)?;
        let to = cursor
            .map_or(count, |cursor| count.min(u32::try_from(cursor).unwrap_or(u32::MAX).saturating_add(1)));
        let mut layouts = IdMap::default();
        let mut page = StagePage::default();
        let mut failed = None;
        let mut each = |number: u32| -> Result<ControlFlow<()>, FoldError> {
            let Some(row) = self.row(number, at, &mut layouts)? else { return Ok(ControlFlow::Continue(())) };
            if !filter.fits(&row.standing) || (row.standing.is_ended && self.is_continued(row.run, at)?) {
                return Ok(ControlFlow::Continue(()));
            }
            if page.items.len() == limit {
                page.next = Some(u64::from(number));
                return Ok(ControlFlow::Break(()));
            }
            page.items.push(row);
            Ok(ControlFlow::Continue(()))
        };
        condition.walk(&self.snapshot, 0..to, true, |number| {
            Ok(each(number).unwrap_or_else(|error| {
                failed = Some(error);
                ControlFlow::Break(())
            }))
        })?;
        failed.map_or(Ok(page), Err)
    }

    /// Whether another run goes on with the task of this one.
    fn is_continued(&self, run: RunId, at: Option<Position>) -> Result<bool, FoldError> {
        let Some(bytes) = self.snapshot.get(&continued_key(run))? else { return Ok(false) };
        let since: Position = row_codec::read(&mut &*bytes)?;
        Ok(at.is_none_or(|at| since <= at))
    }

    /// The rows that may fit, by the indexes. In which stage a task stands counts only now.
    fn condition(&self, filter: &StageFilter, at: Option<Position>) -> Result<Predicate, FoldError> {
        let mut all: Vec<Predicate> = filter
            .item
            .iter()
            .map(|item| Predicate::Term(terms::item(item.trim_start_matches('0'))))
            .collect();
        match at {
            None => {
                if filter.is_open == Some(true) {
                    all.push(Predicate::Term(terms::open()));
                }
                all.extend(filter.stage.iter().map(|stage| Predicate::Term(terms::stage(stage))));
            }
            Some(position) if filter.is_open == Some(true) => {
                all.push(Predicate::Numbers(lifetimes::living_at(&self.snapshot, self.count, position)?));
            }
            Some(_) => {}
        }
        Ok(Predicate::All(all))
    }

    fn row(
        &self,
        number: u32,
        at: Option<Position>,
        layouts: &mut IdMap<Hash, Arc<StageLayout>>,
    ) -> Result<Option<StageRow>, FoldError> {
        let Some(bytes) = self.snapshot.get(&record_key(number))? else { return Ok(None) };
        let record: StageRecord = row_codec::read(&mut &*bytes)?;
        let Some(standing) = self.standing(number, &record, at)? else { return Ok(None) };
        let layout = match layouts.get(&record.definition) {
            Some(known) => Arc::clone(known),
            None => {
                let stored = self.snapshot.get(&definition_key(&record.definition))?;
                let layout = stored.map(|bytes| row_codec::read(&mut &*bytes)).transpose()?;
                let layout: Arc<StageLayout> = Arc::new(layout.unwrap_or_default());
                layouts.insert(record.definition, Arc::clone(&layout));
                layout
            }
        };
        Ok(Some(StageRow { run: record.run, number: u64::from(number), layout, standing }))
    }

    /// Where a task stood at a position; `None` where it was not there yet.
    fn standing(
        &self,
        number: u32,
        record: &StageRecord,
        at: Option<Position>,
    ) -> Result<Option<Standing>, FoldError> {
        let Some(position) = at.filter(|at| !record.history.is_older_than(*at)) else {
            let is_there = at.is_none_or(|at| record.position <= at);
            return Ok(is_there.then(|| record.now.clone()));
        };
        if position < record.position {
            return Ok(None);
        }
        if record.history.reaches(position) {
            return Ok(Some(record.history.at(position)));
        }
        let (from, to) =
            (history_key(number, Position(0)), history_key(number, Position(position.0.saturating_add(1))));
        match self.snapshot.scan(&from, &to, true, 1)?.pop() {
            Some((_, bytes)) => {
                let part: StageHistory = row_codec::read(&mut bytes.as_slice())?;
                Ok(Some(part.at(position)))
            }
            None => Ok(Some(Standing::default())),
        }
    }
}

impl StageFilter {
    fn fits(&self, standing: &Standing) -> bool {
        self.is_open.is_none_or(|open| open != standing.is_ended)
            && self.stage.as_ref().is_none_or(|stage| standing.stage.as_ref() == Some(stage))
    }
}
