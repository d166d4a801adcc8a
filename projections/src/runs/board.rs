//! The board: runs as cards in columns, by status or by the step they stand at; now or at a past position.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::ControlFlow;

use everfold_base::id::Position;
use everfold_base::json::Hash;
use everfold_core::state::RunStatus;
use serde::Serialize;

use super::list::{RunsView, VisibleRows};
use super::row::RunRow;
use super::row_state::STATUSES;
use super::{fold, index_terms};
use crate::columns::StepColumns;
use crate::index::predicate::Predicate;
use crate::projection::FoldError;

/// What makes a column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupBy {
    /// What runs are doing.
    #[default]
    Status,
    /// The stage of the first step in progress; ended runs by their status.
    Stage,
}

/// The board at a position.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Board {
    /// What makes a column.
    pub group_by: GroupBy,
    /// The columns; by status all of them, by stage those with a run.
    pub columns: Vec<Column>,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Column {
    /// The status, or the stage: that of the step, else the step itself.
    pub name: String,
    /// Whether something goes on at steps here; no status.
    pub is_step: bool,
    /// How many runs stand here.
    pub count: u64,
    /// The newest of them, newest first.
    pub cards: Vec<RunRow>,
}

/// A column being filled: cards by the numbers of their rows.
#[derive(Default)]
struct FillingColumn {
    count: u64,
    cards: Vec<(u32, RunRow)>,
}

impl FillingColumn {
    fn add(&mut self, more: Self) {
        self.count += more.count;
        self.cards.extend(more.cards);
    }

    fn into_column(mut self, name: &str, is_step: bool, cards_max: usize) -> Column {
        self.cards.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        self.cards.truncate(cards_max);
        let cards = self.cards.into_iter().map(|(_, card)| card).collect();
        Column { name: name.to_owned(), is_step, count: self.count, cards }
    }
}

impl RunsView<'_> {
    /// The board, with at most `cards` of each column.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn board(&self, group_by: GroupBy, at: Option<Position>, cards: usize) -> Result<Board, FoldError> {
        let visible = self.visible_at(at)?;
        let mut filling = match visible.at {
            Some(_) => self.lived(&visible, group_by)?,
            None => self.living(&visible, group_by, cards)?,
        };
        for status in STATUSES.into_iter().filter(|status| status.is_ended()) {
            let condition =
                Predicate::All(vec![index_terms::status_is(status), Predicate::Not(visible.living.clone())]);
            self.fill(filling.entry(column_of(status)).or_default(), &condition, &visible, cards)?;
        }
        let mut columns = Vec::new();
        if group_by == GroupBy::Stage {
            // What stands still without a step stands in front of the steps. Pipelines may use a stage in
            // another order each: the first place that one gives it counts.
            let stages: Vec<String> = filling.keys().filter(|name| name.contains(':')).cloned().collect();
            let mut filled: Vec<((bool, &str), FillingColumn)> = Vec::new();
            for stage in &stages {
                let Some(column) = index_terms::column_of_stage(stage) else { continue };
                let more = filling.remove(stage).unwrap_or_default();
                match filled.iter_mut().find(|(known, _)| *known == column) {
                    Some((_, before)) => before.add(more),
                    None => filled.push((column, more)),
                }
            }
            let stages = filled.into_iter();
            columns.extend(stages.map(|((is_step, name), filled)| filled.into_column(name, is_step, cards)));
        }
        for status in STATUSES.into_iter().filter(|status| group_by == GroupBy::Status || status.is_ended()) {
            let filled = filling.remove(&column_of(status)).unwrap_or_default();
            columns.push(filled.into_column(status.as_str(), false, cards));
        }
        Ok(Board { group_by, columns })
    }

    /// The columns of runs that have not ended, by the indexes.
    fn living(
        &self,
        visible: &VisibleRows,
        group_by: GroupBy,
        cards: usize,
    ) -> Result<BTreeMap<String, FillingColumn>, FoldError> {
        let mut filling = BTreeMap::new();
        let columns: Vec<(String, Predicate)> = match group_by {
            GroupBy::Status => STATUSES
                .into_iter()
                .filter(|status| !status.is_ended())
                .map(|status| (column_of(status), index_terms::status_is(status)))
                .collect(),
            GroupBy::Stage => index_terms::stages(&self.snapshot)?
                .into_iter()
                .map(|stage| (stage.clone(), index_terms::stage_is(&stage)))
                .collect(),
        };
        for (name, condition) in columns {
            self.fill(filling.entry(name).or_default(), &condition, visible, cards)?;
        }
        Ok(filling)
    }

    /// The columns of runs that had not ended at a past position, row by row.
    fn lived(
        &self,
        visible: &VisibleRows,
        group_by: GroupBy,
    ) -> Result<BTreeMap<String, FillingColumn>, FoldError> {
        let mut filling: BTreeMap<String, FillingColumn> = BTreeMap::new();
        let mut known: BTreeMap<Hash, Option<StepColumns>> = BTreeMap::new();
        for number in &visible.living {
            let Some(row) = self.row(*number, visible.at)? else { continue };
            let stages = match row.definition.filter(|_| group_by == GroupBy::Stage) {
                None => None,
                Some(definition) => match known.entry(definition) {
                    Entry::Occupied(found) => found.into_mut().as_ref(),
                    Entry::Vacant(place) => place.insert(fold::stages(&self.snapshot, &definition)?).as_ref(),
                },
            };
            let name = match (group_by, index_terms::stage(&row.shown, stages)) {
                (GroupBy::Stage, Some(stage)) => stage,
                _by_status => column_of(row.shown.status),
            };
            let column = filling.entry(name).or_default();
            column.count += 1;
            column.cards.push((*number, row));
        }
        Ok(filling)
    }

    /// Counts the rows that fit, and takes the newest of them.
    fn fill(
        &self,
        column: &mut FillingColumn,
        condition: &Predicate,
        visible: &VisibleRows,
        cards: usize,
    ) -> Result<(), FoldError> {
        column.count += condition.count(&self.snapshot, visible.count)?;
        let mut newest = Vec::new();
        condition.walk(&self.snapshot, 0..visible.count, true, |number| {
            if newest.len() == cards {
                return Ok(ControlFlow::Break(()));
            }
            newest.push(number);
            Ok(ControlFlow::Continue(()))
        })?;
        for number in newest {
            column.cards.extend(self.row(number, visible.at)?.map(|row| (number, row)));
        }
        Ok(())
    }
}

/// A status as the key of a column; no stage has it, for these have a colon.
fn column_of(status: RunStatus) -> String {
    status.as_str().to_owned()
}
