//! The tables `runs`, `labels` and `search`.

use std::sync::Arc;

use everfold_engine::id::RunId;
use everfold_engine::time::Timestamp;
use everfold_projections::{RUN_STATUSES, RunFilter, RunOrder, RunRow};
use everfold_sql::SqlValue;
use serde_json::json;

use super::columns::{LABELS, RUNS, SEARCH};
use super::moment::QueryMoment;
use super::row_table::{Conditions, PartReader, RowTable, TableRow, json_rows, nothing};
use crate::fault::Fault;

/// Every run.
pub(super) fn runs(moment: Arc<QueryMoment>) -> RowTable {
    let open = move |asked: &Conditions<'_>| {
        let moment = Arc::clone(&moment);
        let row = move |moment: &QueryMoment, row: RunRow| -> TableRow {
            let set_aside = moment.set_aside.get(&row.id).cloned();
            Box::new(row.into_fields(moment.now, set_aside))
        };
        let mut parts = match asked.runs("id") {
            Some(ids) => named(&moment, ids),
            None => match filter(asked) {
                Some(filter) => listed(&moment, filter),
                None => return Ok(nothing()),
            },
        };
        Ok(Box::new(move |size| {
            let rows = parts(size)?;
            Ok(rows.map(|rows| rows.into_iter().map(|one| row(&moment, one)).collect()))
        }) as PartReader)
    };
    RowTable::new(&RUNS, Box::new(open)).descending("position")
}

/// Every label of every run.
pub(super) fn labels(moment: Arc<QueryMoment>) -> RowTable {
    let open = move |asked: &Conditions<'_>| {
        let moment = Arc::clone(&moment);
        let key = asked.text("key").map(str::to_owned);
        let value = asked.text("value").map(str::to_owned);
        let labels = key.iter().map(|key| (key.clone(), value.clone())).collect();
        let mut parts = match asked.runs("run") {
            Some(ids) => named(&moment, ids),
            None => listed(&moment, RunFilter { labels, ..RunFilter::default() }),
        };
        Ok(Box::new(move |size| {
            let Some(rows) = parts(size)? else { return Ok(None) };
            let mut labels = Vec::new();
            for row in rows {
                for (name, value) in row.shown.labels.iter() {
                    if key.as_ref().is_none_or(|key| key == name) {
                        labels.push(json!({ "run": row.id, "key": name, "value": value }));
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
            None => listed(&moment, RunFilter { search: name.clone(), ..RunFilter::default() }),
        };
        Ok(Box::new(move |size| {
            let Some(rows) = parts(size)? else { return Ok(None) };
            let mut attributes = Vec::new();
            for row in rows {
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
pub(super) type RunParts = Box<dyn FnMut(usize) -> Result<Option<Vec<RunRow>>, Fault>>;

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
        let rows = moment.app.runs(Some(at), move |view| {
            let mut rows = Vec::new();
            for run in ids {
                // A row as of a position before the run began is none.
                rows.extend(view.get(run, Some(at))?.filter(|row| row.position <= at));
            }
            // As all rows of the table come: the newest first.
            rows.sort_by_key(|row| std::cmp::Reverse(row.position));
            Ok(rows)
        });
        moment.wait(rows).map(Some)
    })
}

/// The runs that a filter leaves, newest first.
pub(super) fn listed(moment: &Arc<QueryMoment>, filter: RunFilter) -> RunParts {
    let (moment, mut cursor, mut is_over) = (Arc::clone(moment), None, false);
    Box::new(move |size| {
        if is_over {
            return Ok(None);
        }
        let (filter, from, at) = (filter.clone(), cursor, moment.position);
        let page =
            moment.app.runs(Some(at), move |view| view.list(&filter, RunOrder::Newest, from, size, Some(at)));
        let page = moment.wait(page)?;
        (cursor, is_over) = (page.next, page.next.is_none());
        Ok(Some(page.items))
    })
}

/// What the indexes answer of the conditions; none: no run fits.
fn filter(asked: &Conditions<'_>) -> Option<RunFilter> {
    let mut filter = RunFilter::default();
    if let Some(words) = asked.texts("status") {
        filter.status =
            RUN_STATUSES.iter().copied().filter(|status| words.contains(&status.as_str())).collect();
        if filter.status.is_empty() {
            return None;
        }
    }
    filter.pipeline = asked.text("pipeline").map(str::to_owned);
    filter.number = match asked.values("number") {
        Some([SqlValue::Integer(number)]) => Some(u64::try_from(*number).ok()?),
        _several => None,
    };
    filter.started_after = asked.since("started_at").map(|since| Timestamp(since.0.saturating_sub(1)));
    let one = |column: &str| match asked.runs(column)?.as_slice() {
        [run] => Some(*run),
        _several => None,
    };
    filter.parent = one("parent_run");
    filter.top = one("parent_top");
    Some(filter)
}
