//! The schedules of pipelines: those of the newest saved versions, no more and no fewer.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::streams::schedules::actor::ScheduleActor;
use crate::streams::schedules::failure::ScheduleFailure;
use crate::streams::schedules::known_schedules::Reread;
use crate::streams::schedules::schedule_stream::ScheduleStream;
use crate::streams::stream_writer::StreamError;
use everfold_base::actor::Actor;
use everfold_base::json::JsonText;
use everfold_core::schedules::{
    ScheduleEvent, ScheduleOrigin, ScheduleRemoved, ScheduleSet, ScheduleState, name_of_trigger,
};
use everfold_language::definition::Schedule;

/// Why nothing follows from a moment that waited.
pub(super) const REMOVED: &str = "the schedule was removed while the moment waited";

impl ScheduleActor {
    /// Sets and removes schedules so that they are those of the newest saved pipelines.
    pub(super) async fn sync(&mut self) -> Result<(), StreamError> {
        if self.is_synced {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let triggers = shared.triggers.read(&shared).await;
        let triggers = triggers.map_err(|error| StreamError::store(&error))?;
        let mut wanted: BTreeMap<String, ScheduleSet> = BTreeMap::new();
        for (listed, schedule) in triggers.schedules() {
            let index = u32::try_from(listed.index).unwrap_or(u32::MAX);
            let origin = ScheduleOrigin::Trigger { pipeline: listed.pipeline.to_owned(), index };
            let set = ScheduleSet { schedule: document(schedule), origin };
            wanted.insert(name_of_trigger(listed.pipeline, listed.index), set);
        }
        let is_gone = |(name, schedule): (&String, &ScheduleStream)| {
            let is_void = match schedule.state.origin() {
                // The triggers of a damaged pipeline are not known: its schedules stay.
                Some(ScheduleOrigin::Trigger { pipeline, .. }) => triggers.damage(pipeline).is_none(),
                _added_or_removed => false,
            };
            (is_void && !wanted.contains_key(name)).then(|| name.clone())
        };
        let gone: Vec<String> = self.all().await?.iter().filter_map(is_gone).collect();
        for name in gone {
            let reason = Some("the newest version of the pipeline has no such trigger".to_owned());
            let event = ScheduleEvent::ScheduleRemoved(ScheduleRemoved { reason });
            let by = Actor::Engine.into();
            let stopped = self.record_stop(&name, &by, vec![event], REMOVED).await;
            stopped.map_err(ScheduleFailure::stream_error)?;
        }
        for (name, set) in wanted {
            if self.known(Reread::InAWhile).await?.unread.contains_key(&name) {
                continue; // It delays no other schedule, and is read again later.
            }
            let decide = |state: &ScheduleState| match state.set() {
                Some(former) if *former == set => Vec::new(),
                _another => vec![ScheduleEvent::ScheduleSet(set.clone())],
            };
            let recorded = self.record(&name, &Actor::Engine.into(), decide).await;
            recorded.map_err(ScheduleFailure::stream_error)?;
        }
        self.is_synced = true;
        Ok(())
    }
}

/// A schedule as its stream holds it.
pub(super) fn document(schedule: &Schedule) -> JsonText {
    serde_json::to_value(schedule).map_or_else(|_| JsonText::null(), |value| JsonText::new(&value))
}
