//! The table `events`: the events of one run, or of all in the order of the log.
//!
//! Law: only events of runs are shown; those of tokens, settings and other streams are no rows.

use std::sync::Arc;

use everfold_engine::envelope::{Envelope, StreamId, StreamKind};
use everfold_engine::id::{Position, Version};

use super::columns::EVENTS;
use super::moment::QueryMoment;
use super::of_runs::wanted;
use super::row_table::{Conditions, PartReader, RowTable, json_rows};
use crate::body::event::event_body;
use crate::fault::Fault;

/// Events of runs.
pub(super) fn events(moment: Arc<QueryMoment>) -> RowTable {
    let open = move |asked: &Conditions<'_>| {
        let is_of_runs = asked.texts("of_run").is_some() || asked.texts("run").is_some();
        if is_of_runs { of_runs(Arc::clone(&moment), asked) } else { Ok(of_log(Arc::clone(&moment), asked)) }
    };
    RowTable::new(&EVENTS, Box::new(open))
}

fn of_runs(moment: Arc<QueryMoment>, asked: &Conditions<'_>) -> Result<PartReader, Fault> {
    let first = Version(asked.lowest("version").unwrap_or(1).max(1));
    let mut runs = wanted(&moment, asked)?;
    let mut place = None::<(StreamId, Version)>;
    Ok(Box::new(move |size| {
        if place.is_none() {
            place = runs.next()?.map(|run| (StreamId::run(run), first));
        }
        let Some((stream, next)) = place.take() else { return Ok(None) };
        let events = moment.wait(moment.app.store().read(&stream, next, size))?;
        let found: Vec<&Envelope> =
            events.iter().take_while(|event| event.position <= moment.position).collect();
        // Behind the last one that is known the next run begins.
        place = found
            .last()
            .filter(|_| found.len() == events.len())
            .map(|last| (stream, last.header.version.next()));
        json_rows(found.into_iter().map(event_body).collect()).map(Some)
    }))
}

fn of_log(moment: Arc<QueryMoment>, asked: &Conditions<'_>) -> PartReader {
    let mut next = Position(asked.lowest("position").unwrap_or(1).max(1));
    Box::new(move |size| {
        if next > moment.position {
            return Ok(None);
        }
        let events = moment.wait(moment.app.store().read_all(next, size))?;
        let Some(last) = events.last() else { return Ok(None) };
        next = last.position.next();
        let is_wanted = |event: &&Arc<Envelope>| {
            event.header.stream.kind == StreamKind::Run && event.position <= moment.position
        };
        json_rows(events.iter().filter(is_wanted).map(|event| event_body(event)).collect()).map(Some)
    })
}
