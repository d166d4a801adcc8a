//! Reads values that decisions and plans need, and resumes what waited for them.
//!
//! Law: an attempt or effect that waited for a value starts only on durable state (D2).

use crate::error::LoadError;
use crate::run::attempt::event::AttemptEvent;
use crate::run::loaded_run::{LoadedRun, RunPhase};
use crate::shard::core::ShardCore;
use crate::shard::job_done::{JobDone, WantedBy};
use crate::values::FetchedValues;
use everfold_language::expr::ValueRef;
use std::sync::Arc;

impl ShardCore {
    /// Reads values beside the shard's loop.
    pub(crate) fn fetch(&mut self, loaded: &mut LoadedRun, wanted: Vec<ValueRef>, wanted_by: WantedBy) {
        loaded.values.fetching += 1;
        let (run, shared) = (loaded.run, Arc::clone(&self.shared));
        self.jobs.push(Box::pin(async move {
            let result = shared.values.fetch(run, wanted).await;
            JobDone::Values { run, wanted_by, result }
        }));
    }

    pub(crate) fn fetched(
        &mut self,
        loaded: &mut LoadedRun,
        wanted_by: WantedBy,
        result: Result<FetchedValues, LoadError>,
    ) {
        // A decision may do without a value that cannot be read; where it asks again, the run is set aside.
        let result = result.and_then(|values| match &wanted_by {
            WantedBy::Decision => {
                values.into_decision(&mut loaded.values.of_decision);
                Ok(())
            }
            WantedBy::Attempt(_) | WantedBy::Part(_) => {
                let into = &mut loaded.values.of_plans;
                values.whole()?.into_iter().for_each(|(value, text)| into.insert(&value, text));
                Ok(())
            }
        });
        self.fetch_ended(loaded, wanted_by, result);
    }

    /// A read is over: what waited for it goes on.
    pub(crate) fn fetch_ended(
        &mut self,
        loaded: &mut LoadedRun,
        wanted_by: WantedBy,
        result: Result<(), LoadError>,
    ) {
        loaded.values.fetching = loaded.values.fetching.saturating_sub(1);
        match result {
            Ok(()) => {}
            Err(error) => {
                if let WantedBy::Attempt(id) = &wanted_by {
                    self.attempt_event(loaded, id, AttemptEvent::ValuesUnreadable);
                }
                // A notice whose values cannot be read now waits without a place.
                loaded.give_up_places();
                if !error.waits() {
                    return self.quarantine(loaded, error.to_string());
                }
                return match wanted_by {
                    WantedBy::Decision => self.decide_later(loaded, &error),
                    WantedBy::Attempt(_) | WantedBy::Part(_) => self.list_later(loaded),
                };
            }
        }
        match wanted_by {
            WantedBy::Decision if matches!(loaded.phase, RunPhase::Fetching) => {
                loaded.phase = RunPhase::Ready
            }
            WantedBy::Decision => {}
            start => self.go_on_with(loaded, start),
        }
        self.mark(loaded);
    }

    /// Resumes what waited, now where the state is durable (D2), else as soon as it is.
    pub(crate) fn go_on_with(&mut self, loaded: &mut LoadedRun, start: WantedBy) {
        if matches!(loaded.phase, RunPhase::Appending) {
            return loaded.dispatching.later.push(start);
        }
        match start {
            WantedBy::Decision => {}
            WantedBy::Attempt(id) => self.plan_resumed(loaded, &id),
            WantedBy::Part(part) => self.dispatch_part(loaded, &part),
        }
    }
}
