//! A schedule as it was when something was recorded of it.
//!
//! For orders that come again after the schedule was removed: they get the answer that they had the first time.

use super::{ScheduleError, ScheduleRecord};
use crate::driver::Engine;
use crate::id::{Position, Version};
use crate::schedules::{ScheduleEvent, ScheduleState, Timetable, stream};
use crate::time::Timestamp;

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
    /// A schedule as it was right behind a position; of one that was removed there, as it was before. `None`: there was
    /// none.
    ///
    /// # Errors
    /// [`ScheduleError::Store`]
    pub async fn schedule_then(
        &self,
        name: &str,
        then: Position,
    ) -> Result<Option<ScheduleRecord>, ScheduleError> {
        let (mut state, mut known, mut next) = (ScheduleState::default(), None, Version::FIRST);
        loop {
            let page = self.inner.shared.store.read(&stream(name), next, PAGE).await;
            let page = page.map_err(|error| ScheduleError::Store(error.to_string()))?;
            let Some(last) = page.last() else { break };
            next = last.header.version.next();
            for envelope in page.iter().take_while(|envelope| envelope.position <= then) {
                let header = &envelope.header;
                let event = ScheduleEvent::decode(header.kind, header.schema, &envelope.payload);
                let event = event.map_err(|error| ScheduleError::Store(error.to_string()))?;
                if matches!(event, ScheduleEvent::ScheduleRemoved(_)) {
                    known = ScheduleRecord::of_state(name, &state);
                }
                state.apply(header.version, header.recorded_at, &event);
            }
            if page.last().is_none_or(|last| last.position >= then) {
                break;
            }
        }
        Ok(ScheduleRecord::of_state(name, &state).or(known))
    }
}
