//! A schedule as it was when something was recorded of it.
//!
//! For orders that come again after the schedule was removed: they get the answer that they had the first time.

use super::super::shared::Shared;
use super::super::triggers::TailError;
use super::{ScheduleError, ScheduleRecord};
use crate::driver::Engine;
use crate::envelope::Envelope;
use crate::id::{Position, Version};
use crate::schedules::{ScheduleEvent, ScheduleState, Timetable, stream};
use crate::time::Timestamp;
use crate::triggers::Outcome;

/// Events that are read at once.
const PAGE: usize = 1_000;

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
        })
    }

    /// The same of a schedule that nobody keeps at hand.
    fn of_state(name: &str, state: &ScheduleState) -> Option<Self> {
        let table = state.schedule().and_then(|schedule| Timetable::new(&schedule).ok());
        let table = table.filter(|_| state.paused().is_none());
        let next = table.and_then(|table| table.next(name, state.cursor())).map(|(_, due)| due);
        Self::of(name, state, next)
    }
}

impl Engine {
    /// A schedule as it was right behind a position; of one that was removed there, as it was before. Behind a moment
    /// that somebody asked for: as it was when that had led to something, if it has. `None`: there was none.
    ///
    /// # Errors
    /// [`ScheduleError::Store`]
    pub async fn schedule_then(
        &self,
        name: &str,
        then: Position,
    ) -> Result<Option<ScheduleRecord>, ScheduleError> {
        let unread = |error: &dyn std::fmt::Display| ScheduleError::Store(error.to_string());
        let (mut past, mut next) = (Past::new(name, then), Version::FIRST);
        loop {
            let page = self.inner.shared.store.read(&stream(name), next, PAGE).await;
            let page = page.map_err(|error| unread(&error))?;
            for envelope in &page {
                let header = &envelope.header;
                let event = ScheduleEvent::decode(header.kind, header.schema, &envelope.payload);
                if past.is_over(envelope, &event.map_err(|error| unread(&error))?) {
                    return Ok(past.known());
                }
                next = header.version.next();
            }
            if page.len() < PAGE {
                return Ok(past.known());
            }
        }
    }
}

/// The version of the moment that stands at a place of the store; `None`: it is none of this schedule.
pub(super) async fn tick_at(
    shared: &Shared,
    name: &str,
    position: Position,
) -> Result<Option<Version>, TailError> {
    let found = shared.store.read_all(position, 1).await;
    let found = found.map_err(|error| TailError::Store(error.to_string()))?;
    let header = found.first().map(|envelope| &envelope.header);
    Ok(header.filter(|header| header.stream == stream(name)).map(|header| header.version))
}

/// What a moment led to; `None`: nothing yet.
pub(super) async fn outcome_of(
    shared: &Shared,
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
struct Past<'a> {
    name: &'a str,
    then: Position,
    state: ScheduleState,
    /// As it was before it was removed.
    removed: Option<ScheduleRecord>,
    /// The moment that somebody asked for there, until it has led to something.
    awaited: Option<Version>,
    /// As it was when that was recorded.
    asked: Option<ScheduleRecord>,
}

impl<'a> Past<'a> {
    fn new(name: &'a str, then: Position) -> Self {
        Self { name, then, state: ScheduleState::default(), removed: None, awaited: None, asked: None }
    }

    /// Takes an event in; whether nothing more is to be known.
    fn is_over(&mut self, envelope: &Envelope, event: &ScheduleEvent) -> bool {
        let (header, is_behind) = (&envelope.header, envelope.position > self.then);
        if is_behind && self.awaited.is_none() {
            return true;
        }
        let is_removed = matches!(event, ScheduleEvent::ScheduleRemoved(_));
        if is_removed && is_behind {
            // What the moment led to is told of the schedule that it was of.
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

    fn known(self) -> Option<ScheduleRecord> {
        match self.awaited {
            Some(_) => self.asked,
            None => ScheduleRecord::of_state(self.name, &self.state).or(self.removed),
        }
    }
}
