//! The table `events`: the events of one run, or of all in the order of the log.
//!
//! Law: only events of runs are shown; those of tokens, settings and other streams are no rows.

use std::sync::Arc;

use everfold_engine::envelope::{Envelope, StreamId, StreamKind};
use everfold_engine::id::{Position, Version};

use super::columns::EVENTS;
use super::moment::QueryMoment;
use super::of_runs::wanted;
use super::row_table::{Conditions, PartReader, RowTable, json_rows, nothing};
use crate::body::event::event_body;
use crate::fault::Fault;

/// Events of runs.
pub(super) fn events(moment: Arc<QueryMoment>) -> RowTable {
    let open = move |asked: &Conditions<'_>| {
        // The one event at a place of the log is found by that, whatever run it should be of.
        let is_of_runs = asked.has("of_run") || (asked.has("run") && !asked.has("position"));
        if is_of_runs { of_runs(Arc::clone(&moment), asked) } else { Ok(of_log(Arc::clone(&moment), asked)) }
    };
    RowTable::new(&EVENTS, Box::new(open))
}

fn of_runs(moment: Arc<QueryMoment>, asked: &Conditions<'_>) -> Result<PartReader, Fault> {
    let (first, last) = asked.numbers("version").into_inner();
    let mut runs = wanted(&moment, asked)?;
    if first > last {
        return Ok(nothing());
    }
    let mut place = None::<(StreamId, Version)>;
    Ok(Box::new(move |size| {
        if place.is_none() {
            place = runs.next()?.map(|run| (StreamId::run(run), Version(first)));
        }
        let Some((stream, next)) = place.take() else { return Ok(None) };
        let size = stretch(next.0, last, size);
        let events = moment.wait(moment.app.store().read(&stream, next, size))?;
        let found: Vec<&Envelope> =
            events.iter().take_while(|event| event.position <= moment.position).collect();
        // Behind the last one that is known, or wanted, the next run begins.
        place = found
            .last()
            .filter(|event| found.len() == events.len() && event.header.version.0 < last)
            .map(|event| (stream, event.header.version.next()));
        json_rows(found.into_iter().map(event_body).collect()).map(Some)
    }))
}

fn of_log(moment: Arc<QueryMoment>, asked: &Conditions<'_>) -> PartReader {
    let (mut next, last) = asked.numbers("position").into_inner();
    let last = last.min(moment.position.0);
    Box::new(move |size| {
        if next > last {
            return Ok(None);
        }
        let events = moment.wait(moment.app.store().read_all(Position(next), stretch(next, last, size)))?;
        let Some(end) = events.last() else { return Ok(None) };
        next = end.position.next().0;
        let is_wanted =
            |event: &&Arc<Envelope>| event.header.stream.kind == StreamKind::Run && event.position.0 <= last;
        json_rows(events.iter().filter(is_wanted).map(|event| event_body(event)).collect()).map(Some)
    })
}

/// How many events are read from a place on, up to the last that is wanted.
fn stretch(next: u64, last: u64, size: usize) -> usize {
    let left = last.saturating_sub(next).saturating_add(1);
    usize::try_from(left).map_or(size, |left| left.min(size))
}
