//! A schedule as it was when something was recorded of it.
//!
//! For requests that come again after the schedule was removed: they get the answer that they had the first time.

use crate::deps::Deps;
use crate::stream_pages::StreamPages;
use crate::streams::schedules::record::ScheduleRecord;
use crate::streams::schedules::schedule_stream::{PAGE, decoded};
use crate::streams::stream_writer::StreamError;
use everfold_base::envelope::Envelope;
use everfold_base::id::{Position, Version};
use everfold_base::time::Timestamp;
use everfold_core::aggregate::EventStamp;
use everfold_core::schedules::{ScheduleEvent, ScheduleState, stream};
use everfold_core::triggers::Outcome;
use everfold_language::timetable::Timetable;

impl ScheduleRecord {
    /// What readers see of a schedule; `None`: it was removed.
    pub(super) fn of(name: &str, state: &ScheduleState, next: Option<Timestamp>) -> Option<Self> {
        Some(Self {
            name: name.to_owned(),
            schedule: state.schedule(),
            origin: state.origin()?.clone(),
            paused: state.paused().cloned(),
            next,
            waiting: state.waiting().len(),
            settled: state.settled().cloned().collect(),
            passed: state.passed().clone(),
            has_older: state.has_older(),
        })
    }

    /// The same of a schedule whose next moment is not known.
    fn of_state(name: &str, state: &ScheduleState) -> Option<Self> {
        let table = state.schedule().and_then(|schedule| Timetable::since(&schedule, state.since()).ok());
        let table = table.filter(|_| state.paused().is_none());
        let next = table.and_then(|table| table.next(name, state.cursor())).map(|(_, due)| due);
        Self::of(name, state, next)
    }
}

/// The version of the moment that stands at a place of the store; `None`: it is none of this schedule.
pub(super) async fn tick_at(
    shared: &Deps,
    name: &str,
    position: Position,
) -> Result<Option<Version>, StreamError> {
    let found = shared.store.read_all(position, 1).await;
    let found = found.map_err(|error| StreamError::store(&error))?;
    let header = found.first().map(|envelope| &envelope.header);
    Ok(header.filter(|header| header.stream == stream(name)).map(|header| header.version))
}

/// What a moment led to; `None`: nothing yet.
pub(super) async fn outcome_of(
    shared: &Deps,
    name: &str,
    tick: Version,
) -> Result<Option<Outcome>, StreamError> {
    let stream = stream(name);
    let mut pages = StreamPages::new(shared.store.as_ref(), &stream, tick.next(), PAGE);
    while let Some(page) = pages.next().await.map_err(|error| StreamError::store(&error))? {
        for envelope in &page {
            if let ScheduleEvent::TickSettled(settled) = decoded(envelope).map_err(StreamError::Store)?
                && settled.tick == tick
            {
                return Ok(Some(settled.outcome));
            }
        }
    }
    Ok(None)
}

/// A schedule as it was right behind a position.
pub(crate) async fn schedule_then(
    shared: &Deps,
    name: &str,
    then: Position,
) -> Result<Option<ScheduleRecord>, StreamError> {
    let (stream, mut past) = (stream(name), SchedulePast::new(name, then));
    let mut pages = StreamPages::new(shared.store.as_ref(), &stream, Version::FIRST, PAGE);
    while let Some(page) = pages.next().await.map_err(|error| StreamError::store(&error))? {
        for envelope in &page {
            if past.is_over(envelope, &decoded(envelope).map_err(StreamError::Store)?) {
                return Ok(past.known());
            }
        }
    }
    Ok(past.known())
}

/// A schedule that is folded up to a moment.
struct SchedulePast<'a> {
    name: &'a str,
    then: Position,
    state: ScheduleState,
    /// As it was before it was removed.
    removed: Option<ScheduleRecord>,
    /// The moment that a request made there, until it has led to something.
    awaited: Option<Version>,
    /// The schedule as it was when that moment was recorded.
    asked: Option<ScheduleRecord>,
}

impl<'a> SchedulePast<'a> {
    fn new(name: &'a str, then: Position) -> Self {
        Self { name, then, state: ScheduleState::default(), removed: None, awaited: None, asked: None }
    }

    /// Folds an event; whether what comes later changes nothing.
    fn is_over(&mut self, envelope: &Envelope, event: &ScheduleEvent) -> bool {
        let (header, is_behind) = (&envelope.header, envelope.position > self.then);
        if is_behind && self.awaited.is_none() {
            return true;
        }
        let is_removed = matches!(event, ScheduleEvent::ScheduleRemoved(_));
        if is_removed && is_behind {
            // What the moment led to is reported with the schedule as it was before.
            return false;
        }
        if is_removed {
            self.removed = ScheduleRecord::of_state(self.name, &self.state);
        }
        let stamp = EventStamp { by: &header.actor, at: header.recorded_at };
        self.state.apply(header.version, &stamp, event);
        match event {
            ScheduleEvent::TickDue(due) if due.by_hand && envelope.position == self.then => {
                self.awaited = Some(header.version);
                self.asked = ScheduleRecord::of_state(self.name, &self.state);
                false
            }
            ScheduleEvent::TickSettled(settled) if self.awaited == Some(settled.tick) => {
                self.awaited = None;
                true
            }
            _others => false,
        }
    }

    fn known(self) -> Option<ScheduleRecord> {
        match self.awaited {
            Some(_) => self.asked,
            None => ScheduleRecord::of_state(self.name, &self.state).or(self.removed),
        }
    }
}
