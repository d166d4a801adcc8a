//! Which runs are wanted: simple conditions, and an expression over the fields of a row.

use std::collections::BTreeMap;
use std::sync::Arc;

use everfold_base::id::RunId;
use everfold_base::time::Timestamp;
use everfold_core::event::Origin;
use everfold_core::state::RunStatus;

use super::fields::RunFields;
use super::index_terms;
use super::plan::RunPlan;
use super::row::{RowIdentity, RunRow};
use super::row_state::RowParent;
use crate::filter::{Judged, ROWS_MAX, RowFilter, RowScan};
use crate::index::predicate::Predicate;
use crate::snapshot::ReadSnapshot;
use crate::storage::StorageError;

/// Which runs are wanted; all conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// One of these; empty: any.
    pub status: Vec<RunStatus>,
    /// Of one of the pipelines with these names; empty: of any.
    pub pipeline: Vec<String>,
    /// Its number is one of these; empty: any. Runs of several keys may have the same.
    pub number: Vec<u64>,
    /// Labels with these values; no value: the label is there.
    pub labels: Vec<(String, Option<String>)>,
    /// It has this search attribute.
    pub search: Option<String>,
    /// Words that all stand in title, pipeline or labels, or begin the id; case does not matter. One of
    /// one or two characters must begin a word there.
    pub words: Vec<String>,
    /// Started later than this.
    pub started_after: Option<Timestamp>,
    /// Started by one of these runs; empty: by any, or by none.
    pub parent: Vec<RunId>,
    /// Below one of these runs, at whatever depth: it is the topmost run above them. Empty: anywhere.
    pub top: Vec<RunId>,
    /// It began with the history of this run.
    pub origin: Option<RunId>,
    /// This step is active, or awaits a person.
    pub step: Option<String>,
    /// It awaits a person with this role.
    pub awaiting: Option<String>,
    /// An expression over their fields is true.
    pub asked: Option<RunExpression>,
}

/// An expression over the fields of runs.
#[derive(Debug, Clone)]
pub struct RunExpression {
    filter: RowFilter,
    now: Timestamp,
    set_aside: Arc<BTreeMap<RunId, String>>,
    rows_max: usize,
}

impl RunExpression {
    /// An expression that was compiled over [`super::RUN_FIELDS`] for this moment; `set_aside` are the runs that their
    /// owner cannot go on with, and why.
    #[must_use]
    pub fn new(filter: RowFilter, now: Timestamp, set_aside: BTreeMap<RunId, String>) -> Self {
        Self { filter, now, set_aside: Arc::new(set_aside), rows_max: ROWS_MAX }
    }

    /// The same with another bound of the rows that one page looks at.
    #[must_use]
    pub fn within(self, rows_max: usize) -> Self {
        Self { rows_max, ..self }
    }

    /// What it says of one row.
    #[must_use]
    pub fn judge(&self, row: &RunRow) -> Judged {
        self.scan(Vec::new()).judge(&self.of_row(row))
    }

    pub(super) fn scan(&self, by_index: Vec<String>) -> RowScan<'_> {
        RowScan::begin(&self.filter, self.rows_max, by_index)
    }

    pub(super) fn of_row<'a>(&'a self, row: &'a RunRow) -> RunFields<'a> {
        let set_aside = self.set_aside.get(&row.id).map(String::as_str);
        row.fields(self.now, set_aside)
    }
}

impl RunFilter {
    /// The rows that may fit, by the indexes. What a run shows while it lives counts only `now`.
    pub(super) fn condition(
        &self,
        snapshot: &ReadSnapshot<'_>,
        count: u32,
        now: bool,
    ) -> Result<Predicate, StorageError> {
        let mut all = Vec::new();
        if !self.status.is_empty() {
            let any = self.status.iter().filter(|status| now || status.is_ended());
            all.push(Predicate::Any(any.map(|status| index_terms::status_is(*status)).collect()));
        }
        all.extend(Predicate::one_of(&self.pipeline, |name| index_terms::pipeline_is(name)));
        all.extend(Predicate::one_of(&self.number, |number| index_terms::number_is(*number)));
        all.extend(self.labels.iter().map(|(key, value)| index_terms::label_is(key, value.as_ref())));
        all.extend(self.search.iter().map(|name| index_terms::search_has(name)));
        all.extend(Predicate::one_of(&self.parent, |run| index_terms::parent_is(*run)));
        all.extend(Predicate::one_of(&self.top, |run| index_terms::top_is(*run)));
        all.extend(self.origin.map(index_terms::origin_is));
        all.extend(self.step.iter().map(|step| index_terms::step_is(step)));
        all.extend(self.awaiting.iter().map(|role| index_terms::role_may(role)));
        for word in &self.words {
            all.push(index_terms::may_mention(snapshot, count, word)?);
        }
        Ok(Predicate::All(all))
    }

    /// The same with words as rows are searched for them.
    pub(super) fn in_lower_case(&self) -> Self {
        Self { words: self.words.iter().map(|word| word.to_lowercase()).collect(), ..self.clone() }
    }

    /// What the indexes answer of the expression.
    pub(super) fn plan(&self, now: bool) -> RunPlan {
        self.asked.as_ref().map_or_else(RunPlan::default, |asked| RunPlan::of(asked.filter.condition(), now))
    }

    /// Whether a row fits, but for the expression.
    pub(super) fn fits(&self, row: &RunRow) -> bool {
        let head = FilteredHead {
            status: row.shown.status,
            pipeline: &row.pipeline,
            number: row.number,
            started_at: row.started_at,
            parent: row.parent.as_ref(),
            origin: row.origin.as_ref(),
        };
        self.fits_head(&head) && self.fits_rest(row)
    }

    /// Whether it asks for nothing but what the head of a row has.
    pub(super) fn is_of_head(&self) -> bool {
        self.labels.is_empty()
            && self.search.is_none()
            && self.step.is_none()
            && self.awaiting.is_none()
            && self.words.is_empty()
            && self.asked.is_none()
    }

    /// Whether every row fits.
    pub(super) fn asks_nothing(&self) -> bool {
        self.is_of_head()
            && self.status.is_empty()
            && self.pipeline.is_empty()
            && self.number.is_empty()
            && self.started_after.is_none()
            && self.parent.is_empty()
            && self.top.is_empty()
            && self.origin.is_none()
    }

    /// Whether the head of a row fits.
    pub(super) fn fits_head(&self, head: &FilteredHead<'_>) -> bool {
        let is_one_of =
            |runs: &[RunId], of: Option<RunId>| runs.is_empty() || of.is_some_and(|run| runs.contains(&run));
        (self.status.is_empty() || self.status.contains(&head.status))
            && (self.pipeline.is_empty() || self.pipeline.iter().any(|name| name == head.pipeline))
            && (self.number.is_empty() || head.number.is_some_and(|number| self.number.contains(&number)))
            && self.started_after.is_none_or(|after| head.started_at > after)
            && is_one_of(&self.parent, head.parent.map(|parent| parent.run))
            && is_one_of(&self.top, head.parent.map(|parent| parent.top))
            && self.origin.is_none_or(|run| head.origin.is_some_and(|origin| origin.run == run))
    }

    /// Whether the rest of a row fits, but for the expression.
    pub(super) fn fits_rest(&self, row: &RunRow) -> bool {
        let shown = &row.shown;
        let has_label = |(key, value): &(String, Option<String>)| {
            shown.labels.get(key).is_some_and(|is| value.as_ref().is_none_or(|value| value == is))
        };
        self.labels.iter().all(has_label)
            && self.search.as_ref().is_none_or(|name| shown.search.contains_key(name))
            && self.step.as_ref().is_none_or(|step| shown.steps.iter().any(|other| other.as_str() == step))
            && self.awaiting.as_ref().is_none_or(|role| {
                shown.awaits.iter().any(|awaits| awaits.roles.is_empty() || awaits.roles.contains(role))
            })
            && (self.words.is_empty() || {
                let fixed = row.fixed();
                self.words.iter().all(|word| index_terms::mentions(&fixed, shown, word))
            })
    }

    /// Whether the expression is true of a row, where one is asked.
    pub(super) fn is_true_of(&self, row: &RunRow) -> bool {
        self.asked.as_ref().is_none_or(|asked| asked.judge(row) == Judged::Fits)
    }
}

/// What the head of a row has of what a filter asks for.
pub(super) struct FilteredHead<'a> {
    pub(super) status: RunStatus,
    pub(super) pipeline: &'a str,
    pub(super) number: Option<u64>,
    pub(super) started_at: Timestamp,
    pub(super) parent: Option<&'a RowParent>,
    pub(super) origin: Option<&'a Origin>,
}

impl RunRow {
    fn fixed(&self) -> RowIdentity {
        RowIdentity {
            id: self.id,
            pipeline: self.pipeline.clone(),
            number: self.number,
            title: self.title.clone(),
            started_by: self.started_by.clone(),
            initiator: self.initiator.clone(),
            started_at: self.started_at,
            position: self.position,
            parent: self.parent.clone(),
            origin: self.origin.clone(),
            definition: self.definition,
            steps: self.step_counts.map_or(0, |counts| counts.total),
        }
    }
}
