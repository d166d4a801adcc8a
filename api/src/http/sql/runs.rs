//! The tables `runs`, `labels` and `search`.

use std::cell::OnceCell;
use std::sync::Arc;

use everfold_engine::id::RunId;
use everfold_engine::time::Timestamp;
use everfold_projections::{
    FieldValue, FoldError, Projection as _, RUN_STATUSES, ReadSideError, RunFields, RunFilter, RunsModel,
    StoredRow,
};
use everfold_sql::{SourceError, SqlCell, SqlValue};
use serde_json::json;

use super::columns::{LABELS, RUNS, SEARCH};
use super::moment::QueryMoment;
use super::row_table::{Conditions, PartReader, RowTable, TableRow, json_rows, nothing, owned_text, run};
use super::table_text::ColumnText;
use crate::fault::Fault;

/// Rows of runs of a part at most: they are small as they are stored.
const PART_MAX: usize = 5_000;

/// Every run.
pub(super) fn runs(moment: Arc<QueryMoment>) -> RowTable {
    let open = move |asked: &Conditions<'_>| {
        let moment = Arc::clone(&moment);
        let mut parts = match asked.runs("id") {
            Some(ids) => named(&moment, ids),
            None => match filter(asked) {
                Some(filter) => listed(&moment, filter),
                None => return Ok(nothing()),
            },
        };
        Ok(Box::new(move |size| {
            let row = |row| -> Box<dyn TableRow> {
                Box::new(RunTableRow { row, moment: Arc::clone(&moment), whole: OnceCell::new() })
            };
            Ok(parts(size)?.map(|rows| rows.into_iter().map(row).collect()))
        }) as PartReader)
    };
    RowTable::new(&RUNS, Box::new(open)).descending("position").in_parts_of(PART_MAX)
}

/// A run as a row, read as far as its columns are asked for.
struct RunTableRow {
    row: StoredRow,
    moment: Arc<QueryMoment>,
    /// All of it, once a column was asked for that only the whole row has.
    whole: OnceCell<Box<RunFields<'static>>>,
}

impl RunTableRow {
    fn whole(&self) -> Result<&RunFields<'static>, FoldError> {
        if let Some(whole) = self.whole.get() {
            return Ok(whole);
        }
        let row = Arc::unwrap_or_clone(self.row.whole()?);
        let set_aside = self.moment.set_aside.get(&row.id).cloned();
        Ok(self.whole.get_or_init(|| Box::new(row.into_fields(self.moment.now, set_aside))))
    }
}

impl TableRow for RunTableRow {
    fn cell(&self, column: &ColumnText) -> Result<SqlCell<'_>, SourceError> {
        Ok(match self.row.value(column.path, self.moment.now)? {
            Some(FieldValue::Absent) => SqlCell::Null,
            Some(FieldValue::Whole(number)) => match i64::try_from(number) {
                Ok(number) => SqlCell::Integer(number),
                // Beyond what SQLite's whole numbers hold.
                Err(_) => SqlCell::Real(number as f64),
            },
            Some(FieldValue::Number(number)) => SqlCell::Real(number),
            Some(FieldValue::Text(text)) => SqlCell::Text(text),
            Some(FieldValue::Time(time)) => SqlCell::Text(time.to_string().into()),
            None => return self.whole()?.cell(column),
        })
    }
}

/// Every label of every run.
pub(super) fn labels(moment: Arc<QueryMoment>) -> RowTable {
    let open = move |asked: &Conditions<'_>| {
        let moment = Arc::clone(&moment);
        let key = asked.text("key").map(str::to_owned);
        // The index has values with their keys.
        let value = key.as_ref().and_then(|_| asked.text("value")).map(str::to_owned);
        let is_wanted =
            |wanted: &Option<String>, is: &String| wanted.as_ref().is_none_or(|wanted| wanted == is);
        let labels = key.iter().map(|key| (key.clone(), value.clone())).collect();
        let mut parts = match asked.runs("run") {
            Some(ids) => named(&moment, ids),
            None => kept(&moment, RunFilter { labels, ..RunFilter::default() }),
        };
        Ok(Box::new(move |size| {
            let Some(rows) = parts(size)? else { return Ok(None) };
            let mut labels = Vec::new();
            for row in rows {
                let row = row.whole().map_err(unreadable)?;
                for (name, text) in row.shown.labels.iter() {
                    if is_wanted(&key, name) && is_wanted(&value, text) {
                        labels.push(json!({ "run": row.id, "key": name, "value": text }));
                    }
                }
            }
            json_rows(labels).map(Some)
        }) as PartReader)
    };
    RowTable::new(&LABELS, Box::new(open))
}

/// Every search attribute of every run.
pub(super) fn search(moment: Arc<QueryMoment>) -> RowTable {
    let open = move |asked: &Conditions<'_>| {
        let moment = Arc::clone(&moment);
        let name = asked.text("name").map(str::to_owned);
        let mut parts = match asked.runs("run") {
            Some(ids) => named(&moment, ids),
            None => kept(&moment, RunFilter { search: name.clone(), ..RunFilter::default() }),
        };
        Ok(Box::new(move |size| {
            let Some(rows) = parts(size)? else { return Ok(None) };
            let mut attributes = Vec::new();
            for row in rows {
                let row = row.whole().map_err(unreadable)?;
                let wanted =
                    row.shown.search.iter().filter(|(of, _)| name.as_ref().is_none_or(|name| name == *of));
                for (name, value) in wanted {
                    let (of, value) = (value.type_word(), value.json());
                    let number = value.as_f64();
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    attributes.push(json!({
                        "run": row.id, "name": name, "type": of, "value": text, "number": number,
                    }));
                }
            }
            json_rows(attributes).map(Some)
        }) as PartReader)
    };
    RowTable::new(&SEARCH, Box::new(open))
}

/// Reads rows of runs in parts.
pub(super) type RunParts = Box<dyn FnMut(usize) -> Result<Option<Vec<StoredRow>>, Fault>>;

/// These runs, as far as they had begun.
fn named(moment: &Arc<QueryMoment>, mut ids: Vec<RunId>) -> RunParts {
    let moment = Arc::clone(moment);
    ids.sort_unstable();
    ids.dedup();
    Box::new(move |_| {
        if ids.is_empty() {
            return Ok(None);
        }
        let (ids, at) = (std::mem::take(&mut ids), moment.position);
        if let [run] = ids.as_slice()
            && let Some(row) = moment.kept(*run)
        {
            return Ok(Some(vec![row]));
        }
        moment.wait(moment.app.runs(Some(at), move |view| view.stored(&ids, at))).map(Some)
    })
}

/// The runs that a filter leaves, newest first.
fn listed(moment: &Arc<QueryMoment>, filter: RunFilter) -> RunParts {
    let (moment, mut cursor, mut is_over) = (Arc::clone(moment), None, false);
    Box::new(move |size| {
        if is_over {
            return Ok(None);
        }
        let (filter, from, at) = (filter.clone(), cursor, moment.position);
        let part = moment.app.runs(Some(at), move |view| view.scan(&filter, from, size, at));
        let part = moment.wait(part)?;
        (cursor, is_over) = (part.next, part.next.is_none());
        Ok(Some(part.rows))
    })
}

/// The same for a table of what runs have, with which the table of runs is joined.
pub(super) fn kept(moment: &Arc<QueryMoment>, filter: RunFilter) -> RunParts {
    let (moment, mut parts) = (Arc::clone(moment), listed(moment, filter));
    Box::new(move |size| {
        let rows = parts(size)?;
        let named = rows.iter().flatten().map(|row| Ok((row.id()?, row.clone())));
        moment.keep(named.collect::<Result<_, _>>().map_err(unreadable)?);
        Ok(rows)
    })
}

pub(super) fn unreadable(source: FoldError) -> Fault {
    ReadSideError::Fold { name: RunsModel::NAME, source }.into()
}

/// What the indexes answer of the conditions; none: no run fits.
fn filter(asked: &Conditions<'_>) -> Option<RunFilter> {
    let status = |value: &SqlValue| {
        RUN_STATUSES.iter().copied().find(|status| Some(status.as_str()) == value.as_text())
    };
    let number = |value: &SqlValue| u64::try_from(value.as_integer()?).ok();
    Some(RunFilter {
        status: asked.one_of("status", status)?,
        pipeline: asked.one_of("pipeline", owned_text)?,
        number: asked.one_of("number", number)?,
        started_after: asked.since("started_at").map(|since| Timestamp(since.0.saturating_sub(1))),
        parent: asked.one_of("parent_run", run)?,
        top: asked.one_of("parent_top", run)?,
        ..RunFilter::default()
    })
}
