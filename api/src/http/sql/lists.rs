//! The tables `tasks`, `deliveries` and `notices`.

use std::sync::Arc;

use everfold_engine::hooks::is_source;

use super::columns::{DELIVERIES, NOTICES, TASKS};
use super::moment::QueryMoment;
use super::row_table::{Conditions, PartReader, RowTable, json_rows, nothing};

/// What people are asked.
pub(super) fn tasks(moment: Arc<QueryMoment>) -> RowTable {
    let open = move |asked: &Conditions<'_>| {
        let (moment, mut cursor, mut is_over) = (Arc::clone(&moment), None, false);
        let run = match asked.runs("run").as_deref() {
            Some([]) => return Ok(nothing()),
            Some([run]) => Some(*run),
            _others => None,
        };
        Ok(Box::new(move |size| {
            if is_over {
                return Ok(None);
            }
            let (from, at) = (cursor, moment.position);
            let page = moment.app.inbox(Some(at), move |inbox| inbox.list(None, run, from, size, Some(at)));
            let page = moment.wait(page)?;
            (cursor, is_over) = (page.next, page.next.is_none());
            json_rows(page.items).map(Some)
        }) as PartReader)
    };
    RowTable::new(&TASKS, Box::new(open))
}

/// What services sent.
pub(super) fn deliveries(moment: Arc<QueryMoment>) -> RowTable {
    let open = move |asked: &Conditions<'_>| {
        moment.only_now(DELIVERIES.name)?;
        let (moment, mut before, mut is_over) = (Arc::clone(&moment), None, false);
        let source = asked.text("source").map(str::to_owned);
        if source.as_deref().is_some_and(|name| !is_source(name)) {
            return Ok(nothing());
        }
        Ok(Box::new(move |size| {
            if is_over {
                return Ok(None);
            }
            let (rows, next) = moment.wait(moment.app.deliveries(source.as_deref(), before, size))?;
            (before, is_over) = (next, next.is_none());
            json_rows(rows).map(Some)
        }) as PartReader)
    };
    RowTable::new(&DELIVERIES, Box::new(open))
}

/// What did not arrive.
pub(super) fn notices(moment: Arc<QueryMoment>) -> RowTable {
    let open = move |_: &Conditions<'_>| {
        moment.only_now(NOTICES.name)?;
        let (moment, mut after, mut is_over) = (Arc::clone(&moment), None, false);
        Ok(Box::new(move |size| {
            if is_over {
                return Ok(None);
            }
            let (rows, has_more) = moment.wait(moment.app.lost_notices(after.clone(), size))?;
            after = rows.last().map(|last| (last.at, last.id.clone()));
            is_over = !has_more;
            json_rows(rows).map(Some)
        }) as PartReader)
    };
    RowTable::new(&NOTICES, Box::new(open))
}
