//! A schedule as it was when something was recorded of it.
//!
//! For orders that come again after the schedule was removed: they get the answer that they had the first time.

use crate::deps::Deps;
use crate::streams::schedules::record::ScheduleRecord;
use crate::streams::stream_tail::TailError;
use everfold_base::envelope::Envelope;
use everfold_base::id::{Position, Version};
use everfold_base::time::Timestamp;
use everfold_core::schedules::{ScheduleEvent, ScheduleState, stream};
use everfold_core::triggers::Outcome;
use everfold_language::timetable::Timetable;

impl ScheduleRecord {
    /// What readers see of a schedule; `None`: it was removed.
    pub(crate) fn of(name: &str, state: &ScheduleState, next: Option<Timestamp>) -> Option<Self> {
        Some(Self {
            name: name.to_owned(),
            schedule: state.schedule(),
            origin: state.origin()?.clone(),
            paused: state.paused().cloned(),
            next,
            waiting: state.waiting().len(),
            settled: state.settled().cloned().collect(),
            passed: state.passed().clone(),
        })
    }

    /// The same of a schedule that is not at hand.
    fn of_state(name: &str, state: &ScheduleState) -> Option<Self> {
        let table = state.schedule().and_then(|schedule| Timetable::new(&schedule).ok());
        let table = table.filter(|_| state.paused().is_none());
        let next = table.and_then(|table| table.next(name, state.cursor())).map(|(_, due)| due);
        Self::of(name, state, next)
    }
}

/// The version of the moment that stands at a place of the store; `None`: it is none of this schedule.
pub(crate) async fn tick_at(
    shared: &Deps,
    name: &str,
    position: Position,
) -> Result<Option<Version>, TailError> {
    let found = shared.store.read_all(position, 1).await;
    let found = found.map_err(|error| TailError::Store(error.to_string()))?;
    let header = found.first().map(|envelope| &envelope.header);
    Ok(header.filter(|header| header.stream == stream(name)).map(|header| header.version))
}

/// What a moment led to; `None`: nothing yet.
pub(crate) async fn outcome_of(
    shared: &Deps,
    name: &str,
    tick: Version,
) -> Result<Option<Outcome>, TailError> {
    let unread = |error: &dyn std::fmt::Display| TailError::Store(error.to_string());
    let mut next = tick.next();
    loop {
        let page = shared.store.read(&stream(name), next, PAGE).await.map_err(|error| unread(&error))?;
        for envelope in &page {
            let header = &envelope.header;
            let event = ScheduleEvent::decode(header.kind, header.schema, &envelope.payload);
            if let ScheduleEvent::TickSettled(settled) = event.map_err(|error| unread(&error))?
                && settled.tick == tick
            {
                return Ok(Some(settled.outcome));
            }
            next = header.version.next();
        }
        if page.len() < PAGE {
            return Ok(None);
        }
    }
}

/// A schedule that is folded up to a moment.
pub(crate) struct SchedulePast<'a> {
    name: &'a str,
    then: Position,
    state: ScheduleState,
    /// As it was before it was removed.
    removed: Option<ScheduleRecord>,
    /// The moment that was asked for there, until it has led to something.
    awaited: Option<Version>,
    /// As it was when that was recorded.
    asked: Option<ScheduleRecord>,
}

impl<'a> SchedulePast<'a> {
    pub(crate) fn new(name: &'a str, then: Position) -> Self {
        Self { name, then, state: ScheduleState::default(), removed: None, awaited: None, asked: None }
    }

    /// Takes an event in; whether nothing more is to be known.
    pub(crate) fn is_over(&mut self, envelope: &Envelope, event: &ScheduleEvent) -> bool {
        let (header, is_behind) = (&envelope.header, envelope.position > self.then);
        if is_behind && self.awaited.is_none() {
            return true;
        }
        let is_removed = matches!(event, ScheduleEvent::ScheduleRemoved(_));
        if is_removed && is_behind {
            // What the moment led to is reported with the schedule that it was of.
            return false;
        }
        if is_removed {
            self.removed = ScheduleRecord::of_state(self.name, &self.state);
        }
        self.state.apply(header.version, header.recorded_at, event);
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

    pub(crate) fn known(self) -> Option<ScheduleRecord> {
        match self.awaited {
            Some(_) => self.asked,
            None => ScheduleRecord::of_state(self.name, &self.state).or(self.removed),
        }
    }
}

/// Events that are read at once.
pub(crate) const PAGE: usize = 1_000;
